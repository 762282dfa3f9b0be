"""What a worker offers, what it says when it cannot, and in what order it starts."""

import logging
import os
from pathlib import Path

import psutil
import pytest

from gpu_worker.available import Hmr2Settings, available_estimators, load_hmr2, photo_estimator
from gpu_worker.estimators import hmr2
from gpu_worker.estimators.questionnaire import Facts
from gpu_worker.photo import DecodedPhoto
from gpu_worker.start_timeline import StartTimeline
from gpu_worker.training.scenes import render_person
from gpu_worker.weights import read_ahead
from tests.hmr2.stand_in import TINY, write_set

ALLOCATED_BYTES = 200_000_000


@pytest.fixture(scope="module")
def mounted(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Hmr2Settings:
    """All that an operator would bring, in the tiny configuration."""
    path, body = write_set(tmp_path_factory.mktemp("mounted"), bundle, TINY)
    return Hmr2Settings(path, body, "Jane Roe, Example Ltd", "cpu")


def reason(settings: Hmr2Settings) -> str:
    return {found.name: found.reason for found in available_estimators(settings)}["hmr2"]


class TestAvailable:
    def test_all_three_when_everything_is_there(self, mounted: Hmr2Settings) -> None:
        found = available_estimators(mounted)
        assert [estimator.name for estimator in found] == ["questionnaire", "silhouette", "hmr2"]
        assert all(estimator.is_available for estimator in found)

    def test_off_by_default(self) -> None:
        settings = Hmr2Settings.from_env({})
        assert reason(settings).startswith("off: HMR2_WEIGHTS")
        assert [found.is_available for found in available_estimators(settings)] == [True, True, False]

    def test_environment_is_read_whole(self) -> None:
        environ = {
            "HMR2_WEIGHTS": "/models/hmr2.safetensors",
            "HMR2_SMPL": "/models/SMPL_NEUTRAL.npz",
            "HMR2_LICENCE_ACCEPTED_BY": " Jane Roe ",
            "HMR2_DEVICE": "cuda",
        }
        settings = Hmr2Settings.from_env(environ)
        wanted = Hmr2Settings(Path("/models/hmr2.safetensors"), Path("/models/SMPL_NEUTRAL.npz"), "Jane Roe", "cuda")
        assert settings == wanted
        with pytest.raises(ValueError, match="HMR2_DEVICE must be one of auto, cuda, cpu"):
            Hmr2Settings.from_env({"HMR2_DEVICE": "tpu"})

    def test_each_obstacle_has_its_sentence(self, mounted: Hmr2Settings, tmp_path: Path) -> None:
        weights, body = mounted.weights, mounted.smpl
        elsewhere = tmp_path / "hmr2.safetensors"
        assert "LICENCE" in reason(Hmr2Settings(weights, body, "", "cpu"))
        assert "not in the folder" in reason(Hmr2Settings(elsewhere, body, "Jane", "cpu"))
        assert str(elsewhere) in reason(Hmr2Settings(weights, elsewhere, "Jane", "cpu"))

    @pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="there is a GPU here")
    def test_without_a_gpu_the_processor_must_be_asked_for(self, mounted: Hmr2Settings) -> None:
        assert "HMR2_DEVICE=cpu" in reason(Hmr2Settings(mounted.weights, mounted.smpl, "Jane", "auto"))


class TestStart:
    def test_parts_are_timed_from_the_start_of_the_process(self, mounted: Hmr2Settings) -> None:
        assert mounted.weights is not None
        assert mounted.smpl is not None
        timeline = StartTimeline()
        load_hmr2(mounted.weights, mounted.smpl, "cpu", timeline, TINY)
        assert [span.name for span in timeline.spans] == ["import torch", "weights", "smpl", "warm up"]
        starts = [span.start_ms for span in timeline.spans]
        assert starts == sorted(starts)
        assert all(span.end_ms >= span.start_ms > 0 for span in timeline.spans)
        assert "warm up" in str(timeline)

    def test_other_weights_leave_the_silhouette_at_work(
        self, mounted: Hmr2Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The mounted file is the tiny configuration's, which the worker does not take for HMR2."""
        caplog.set_level(logging.INFO)
        estimator = photo_estimator(mounted, StartTimeline())
        assert estimator is not None
        found = estimator.estimate(DecodedPhoto(render_person()), Facts(178.0, 74.0))
        assert "hmr2_unavailable" in found.flags
        assert "estimator hmr2: ready" in caplog.text
        assert "licences accepted by Jane Roe" in caplog.text
        assert "photos go to the silhouette alone" in caplog.text

    def test_when_off_the_silhouette_is_all_there_is(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        estimator = photo_estimator(Hmr2Settings(), StartTimeline())
        assert type(estimator).__name__ == "SilhouetteEstimator"
        assert "estimator hmr2: off" in caplog.text

    def test_building_allocates_nothing(self) -> None:
        """The whole network would be 2.6 GB."""
        before = psutil.Process().memory_info().rss
        hmr2.expected_shapes()
        assert psutil.Process().memory_info().rss - before < ALLOCATED_BYTES

    def test_weights_are_read_ahead(self, tmp_path: Path) -> None:
        path = tmp_path / "weights"
        path.write_bytes(os.urandom(9_000_000))
        thread = read_ahead(path)
        thread.join(20)
        assert not thread.is_alive()
