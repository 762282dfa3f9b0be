"""The unmodified SDK worker on the local endpoint: what it does with every kind of outcome, and what kills survive."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gpu_worker.local_endpoint.keys import Keys
from tests.gpu_worker.endpoint.processes import Site, Supervised, is_running, site, wait_for


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Supervised]]:
    with site(tmp_path_factory.mktemp("shared")) as running:
        worker = running.supervised()
        assert running.value("ok", value="first") is not None
        yield running, worker


@pytest.fixture
def here(shared: tuple[Site, Supervised]) -> Site:
    return shared[0]


@pytest.fixture
def worker(shared: tuple[Site, Supervised]) -> Supervised:
    return shared[1]


class TestOutcomes:
    def test_a_result_comes_back(self, here: Site) -> None:
        assert here.value("ok", value={"n": [1, 2]})["value"] == {"n": [1, 2]}

    def test_a_typed_error_comes_back_as_text(self, here: Site) -> None:
        seen = here.ended(here.run("refuse"))
        assert seen["status"] == "FAILED"
        assert json.loads(seen["error"]) == {"code": "photo_no_person", "retryable": False}

    def test_an_escaping_exception_fails_the_job(self, here: Site) -> None:
        seen = here.ended(here.run("raise"))
        assert seen["status"] == "FAILED"
        assert json.loads(seen["error"])["error_message"] == "deliberate"

    def test_progress_is_seen(self, here: Site) -> None:
        job_id = here.run("progress", seconds=0.6)
        seen = wait_for("progress", lambda: here.status(job_id).get("output"))
        assert seen == {"stage": "measuring", "of": 5}
        assert here.ended(job_id)["output"] == {"value": "done"}

    def test_jobs_that_wait_follow_each_other_without_the_sdks_pause(self, here: Site) -> None:
        start = time.monotonic()
        jobs = [here.run("ok", seconds=0.05) for _ in range(8)]
        assert [here.ended(job_id)["status"] for job_id in jobs] == ["COMPLETED"] * 8
        assert time.monotonic() - start < 4  # one poll at a time takes over 7 s

    def test_the_sdks_own_client_works_against_it(self, here: Site) -> None:
        script = (
            "import json, os, runpod\n"
            "runpod.api_key = os.environ['KEY']\n"
            "endpoint = runpod.Endpoint('local')\n"
            "done = endpoint.run_sync({'do': 'ok', 'value': 3}, timeout=20)['value']\n"
            "job = endpoint.run({'do': 'ok', 'seconds': 30})\n"
            "states = [job.cancel()['status'], job.status()]\n"
            "print(json.dumps([done, states, endpoint.health()['workers']['ready'], endpoint.purge_queue()]))"
        )
        env = {
            "RUNPOD_ENDPOINT_BASE_URL": f"{here.url}/v2",
            "KEY": here.keys.client_key,
            "HOME": str(here.folder),
            "PATH": "",
        }
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer == [3, ["CANCELLED", "CANCELLED"], 1, {"removed": 0, "status": "completed"}]


class TestStop:
    def test_cancel_reaches_the_worker_and_frees_it(self, here: Site) -> None:
        job_id = here.run("ok", seconds=60)
        here.in_state(job_id, "IN_PROGRESS")
        time.sleep(0.2)
        here.http.post(f"cancel/{job_id}")
        assert here.value("ok", value=1)["value"] == 1
        assert here.status(job_id)["status"] == "CANCELLED"

    def test_execution_timeout_reaches_the_worker_and_frees_it(self, here: Site) -> None:
        job_id = here.run("ok", seconds=60, policy={"executionTimeout": 400})
        assert here.ended(job_id)["status"] == "TIMED_OUT"
        assert here.value("ok", value=1)["value"] == 1

    def test_a_worker_out_of_memory_is_replaced(self, here: Site) -> None:
        before = here.value("ok")["process"]
        seen = here.ended(here.run("out_of_memory"))
        assert (seen["status"], json.loads(seen["error"])["code"]) == ("FAILED", "out_of_memory")
        assert here.value("ok")["process"] != before


class TestKill:
    def test_main_process_killed_in_mid_job_leaves_no_heartbeat_and_the_job_is_done_once(
        self, here: Site, worker: Supervised, tmp_path: Path
    ) -> None:
        here.value("ok")
        log = tmp_path / "runs"
        job_id = here.run("ok", seconds=1.0, log=str(log))
        wait_for("start of the job", lambda: log.exists() or None)
        main, heartbeat = worker.main(), worker.heartbeat()
        main.kill()
        here.in_state(job_id, "IN_QUEUE", "COMPLETED", timeout_s=2)  # not after a heartbeat timeout of 8 s
        assert not is_running(heartbeat)
        seen = here.ended(job_id)
        assert seen["status"] == "COMPLETED"
        assert seen["output"]["process"] != main.pid
        assert [line.split()[0] for line in log.read_text().splitlines()] == [job_id, job_id]

    def test_a_worker_whose_heartbeat_died_is_replaced(self, here: Site, worker: Supervised) -> None:
        before = here.value("ok")["process"]
        worker.heartbeat().kill()
        wait_for("new worker", lambda: worker.main().pid != before or None)
        assert here.value("ok")["process"] != before

    def test_endpoint_killed_between_and_during_jobs_loses_nothing(
        self, here: Site, worker: Supervised, tmp_path: Path
    ) -> None:
        log = tmp_path / "runs"
        done = here.run("ok", value="kept")
        here.ended(done)
        running = here.run("ok", seconds=2.0, log=str(log))
        wait_for("start of the job", lambda: log.exists() or None)
        waiting = [here.run("ok", log=str(log)) for _ in range(3)]
        here.kill()
        lines = len(worker.text().splitlines())
        time.sleep(1.0)
        assert len(worker.text().splitlines()) - lines < 60  # unpaced, the SDK writes thousands of lines a second
        here.start()
        assert here.status(done)["output"]["value"] == "kept"
        for job_id in [running, *waiting]:
            assert here.ended(job_id)["status"] == "COMPLETED"
        runs = [line.split()[0] for line in log.read_text().splitlines()]
        assert runs == [running, *waiting]


class TestLeave:
    def test_sigterm_in_mid_job_finishes_it_and_leaves_nothing(self, tmp_path: Path) -> None:
        with site(tmp_path) as here:
            worker = here.supervised()
            job_id = here.run("ok", seconds=1.5)
            here.in_state(job_id, "IN_PROGRESS")
            time.sleep(0.2)
            later = here.run("ok")
            tree = psutil.Process(worker.pid).children(recursive=True)
            start = time.monotonic()
            worker.send(signal.SIGTERM)
            assert worker.wait() == 0
            assert time.monotonic() - start < 5  # the open polls are answered: they are not waited for
            assert here.status(job_id)["status"] == "COMPLETED"
            assert here.status(later)["status"] == "IN_QUEUE"
            assert not any(is_running(process) for process in tree)

    def test_a_supervisor_killed_in_mid_job_takes_its_worker_along_after_the_job(self, tmp_path: Path) -> None:
        with site(tmp_path) as here:
            worker = here.supervised()
            job_id = here.run("ok", seconds=1.5)
            here.in_state(job_id, "IN_PROGRESS")
            tree = psutil.Process(worker.pid).children(recursive=True)
            time.sleep(0.2)
            worker.send(signal.SIGKILL)
            worker.wait()
            assert here.ended(job_id)["status"] == "COMPLETED"
            wait_for("end of the worker", lambda: not any(is_running(process) for process in tree) or None)


class TestPlainSdk:
    def test_a_generator_streams(self, here: Site) -> None:
        worker = here.plain_sdk()
        try:
            job_id = here.http.post("../plain/run", json={"input": {"count": 3}}).json()["id"]

            def completed() -> object | None:
                seen = here.http.get(f"../plain/status/{job_id}").json()
                return seen["output"] if seen["status"] == "COMPLETED" else None

            assert wait_for("result", completed) == [{"number": n} for n in range(3)]
            parts = here.http.get(f"../plain/stream/{job_id}").json()["stream"]
            assert parts == [{"output": {"number": n}} for n in range(3)]
        finally:
            worker.stop(grace_s=0)


class TestServe:
    def serve(self, here: Site, data_dir: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpu_worker.cli", "serve", "--endpoint", here.url, "--data-dir", str(data_dir)]
        env = os.environ | {"WORKER_STORAGE_ORIGIN": "http://127.0.0.1:1"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)

    def test_a_folder_without_keys_or_with_another_endpoints_is_refused_in_a_sentence(
        self, here: Site, tmp_path: Path
    ) -> None:
        absent = self.serve(here, tmp_path)
        Keys.load_or_create(tmp_path / "endpoint")
        foreign = self.serve(here, tmp_path)
        assert (absent.returncode, foreign.returncode) == (2, 2)
        assert "holds no keys.json" in absent.stderr.splitlines()[-1]
        assert "refuses the key" in foreign.stderr.splitlines()[-1]
