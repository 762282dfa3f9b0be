"""The worker's process: its settings, its pace, and what importing it does."""

import subprocess
import sys
import time

import pytest

from gpu_worker.main import TakeLoopPace
from gpu_worker.settings import Settings, SettingsError


class TestSettings:
    def test_everything_is_read_from_the_environment(self) -> None:
        settings = Settings.from_env(
            {
                "WORKER_STORAGE_ORIGIN": "http://127.0.0.1:8000/",
                "RUNPOD_POD_ID": "pod-1",
                "RUNPOD_WEBHOOK_GET_JOB": "https://x/v2/e/job-take/$ID?gpu=NVIDIA+GeForce+RTX+3090",
                "WORKER_PARKED_POLLS": "3",
                "WORKER_LIFELINE_FD": "7",
                "WORKER_DRAIN_URL": "http://127.0.0.1:1/_/drain/local/pod-1",
                "RUNPOD_AI_API_KEY": "worker-key",
            }
        )
        assert settings == Settings(
            "http://127.0.0.1:8000",
            "pod-1",
            "NVIDIA GeForce RTX 3090",
            3,
            7,
            "http://127.0.0.1:1/_/drain/local/pod-1",
            "worker-key",
        )
        assert "worker-key" not in repr(settings)

    def test_on_the_cloud_one_poll_and_no_supervisor(self) -> None:
        settings = Settings.from_env({"WORKER_STORAGE_ORIGIN": "https://store.example"})
        assert (settings.parked_polls, settings.lifeline_fd, settings.gpu_name) == (1, None, "cpu")

    @pytest.mark.parametrize(
        "origin",
        ["", "store.example", "ftp://store.example", "https://store.example/path", "https://u:p@store.example"],
    )
    def test_a_missing_or_malformed_storage_origin_is_said_in_a_sentence(self, origin: str) -> None:
        with pytest.raises(SettingsError, match=r"^WORKER_STORAGE_ORIGIN .+\.$"):
            Settings.from_env({"WORKER_STORAGE_ORIGIN": origin})


class TestPace:
    def test_polls_that_fail_at_once_are_slowed_down_and_the_concurrency_never_changes(self) -> None:
        pace = TakeLoopPace(3, jobs_started=lambda: 0)
        start = time.monotonic()
        assert {pace(1) for _ in range(9)} == {3}
        assert time.monotonic() - start > 0.5

    def test_jobs_that_come_quickly_are_not_slowed_down(self) -> None:
        started = iter(range(1000))
        pace = TakeLoopPace(3, jobs_started=lambda: next(started))
        start = time.monotonic()
        for _ in range(200):
            pace(3)
        assert time.monotonic() - start < 0.2


def test_importing_the_handler_starts_nothing_and_loads_no_sdk_and_no_model() -> None:
    script = (
        "import sys, threading, gpu_worker.handler\n"
        "heavy = {'runpod', 'mediapipe', 'cv2', 'numpy', 'scipy', 'PIL'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_worker_without_a_storage_origin_refuses_to_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_worker.main"], env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tryon-worker: WORKER_STORAGE_ORIGIN is not set")
    assert len(done.stderr.splitlines()) == 1
