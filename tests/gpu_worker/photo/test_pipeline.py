"""From bytes to a body: stages, evidence, privacy, memory."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.contract import MEASUREMENTS, AvatarParams, Stage
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import FactRefused, Facts
from gpu_worker.photo import PhotoRefused
from gpu_worker.pipeline import Pipeline, combine
from gpu_worker.training.scenes import Stance, encode_jpeg
from tests.gpu_worker.photo.conftest import Draw, needs_mediapipe

PARAMS = AvatarParams(height_cm=178, weight_kg=76, sex="male")
MOST_MEMORY_MB = 500
NEVER_LOADED = ("torch", "anny", "jax", "smplx", "matplotlib")


class TestRun:
    def test_stages_come_in_order_and_files_come_out(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        stages: list[Stage] = []
        files = pipeline.run_avatar(PARAMS, good_jpeg, None, stages.append)
        assert stages == [Stage.CHECKING, Stage.MEASURING, Stage.BUILDING]
        assert tuple(files.result.measurements) == MEASUREMENTS
        assert files.result.evidence == ["height", "weight", "sex", "photo"]
        assert files.glb[:4] == b"glTF"
        assert files.timings_ms.keys() == {"decode", "estimate", "solve", "glb"}

    def test_the_body_has_the_measurements(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        files = pipeline.run_avatar(PARAMS, good_jpeg, None)
        with np.load(io.BytesIO(files.body_npz)) as body:
            read = dict(zip(body["measurement_names"].tolist(), body["measurements"].tolist(), strict=True))
        for name in ("chest_cm", "waist_cm", "hip_cm"):
            assert read[name] == pytest.approx(files.result.measurements[name].mean, abs=1.5)

    def test_the_same_input_gives_the_same_bytes(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        first, second = (pipeline.run_avatar(PARAMS, good_jpeg, None) for _ in range(2))
        assert (first.glb, first.body_npz) == (second.glb, second.body_npz)
        assert first.result == second.result

    def test_without_a_photo_the_answers_stand(self, pipeline: Pipeline) -> None:
        result = pipeline.run_avatar(PARAMS, None, None).result
        answered = questionnaire.estimate(Facts(178, 76, sex="male"))
        assert [quantity.mean for quantity in result.measurements.values()] == pytest.approx(answered.mean)
        assert "photo" not in result.evidence

    def test_a_photo_makes_the_answer_surer(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        with_photo = pipeline.run_avatar(PARAMS, good_jpeg, None).result.measurements
        without = pipeline.run_avatar(PARAMS, None, None).result.measurements
        assert with_photo["waist_cm"].sd < without["waist_cm"].sd

    def test_a_bad_side_photo_leaves_the_front_standing(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        alone = pipeline.run_avatar(PARAMS, good_jpeg, None).result
        both = pipeline.run_avatar(PARAMS, good_jpeg, b"no picture").result
        assert both.measurements == alone.measurements
        assert "photo_side_unreadable" in both.flags

    def test_refusals_pass_through(self, pipeline: Pipeline, good_jpeg: bytes, draw: Draw) -> None:
        with pytest.raises(PhotoRefused, match="photo_unreadable"):
            pipeline.run_avatar(PARAMS, b"no picture", None)
        with pytest.raises(PhotoRefused, match="photo_pose"):
            pipeline.run_avatar(PARAMS, encode_jpeg(draw(stance=Stance(arm_down=(34, 34), turn=90))), None)
        with pytest.raises(FactRefused, match="invalid_height"):
            pipeline.run_avatar(AvatarParams(height_cm=1.78), good_jpeg, None)

    def test_where_photos_cannot_be_read_the_answers_stand_and_it_is_said(
        self, pipeline: Pipeline, good_jpeg: bytes
    ) -> None:
        result = Pipeline(pipeline.body, None).run_avatar(PARAMS, good_jpeg, None).result
        assert "silhouette_unavailable" in result.flags
        assert "photo" not in result.evidence


class TestTape:
    def test_it_counts_once_beside_a_photo(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        taped = AvatarParams(height_cm=178, weight_kg=76, sex="male", tape_cm={"waist_cm": 84.0})
        plain = pipeline.run_avatar(PARAMS, good_jpeg, None).result
        both = pipeline.run_avatar(taped, good_jpeg, None).result
        seen, fused = plain.measurements["waist_cm"], both.measurements["waist_cm"]
        tape_sd = questionnaire.TAPE_SD_CM["waist_cm"]
        assert fused.sd == pytest.approx((seen.sd**-2 + tape_sd**-2) ** -0.5)
        assert min(seen.mean, 84.0) < fused.mean < max(seen.mean, 84.0)
        assert both.evidence == ["height", "weight", "sex", "photo", "tape"]

    def test_a_tape_that_contradicts_all_else_is_kept_out_and_said(self, pipeline: Pipeline, good_jpeg: bytes) -> None:
        inches = AvatarParams(height_cm=178, weight_kg=76, sex="male", tape_cm={"waist_cm": 140.0})
        result = pipeline.run_avatar(inches, good_jpeg, None).result
        assert {"facts_inconsistent", "recheck_waist_cm"} <= set(result.flags)
        assert result.measurements["waist_cm"].mean < 100

    def test_without_a_photo_it_is_the_questionnaires(self) -> None:
        facts = Facts(170, 65, sex="female", tape_cm={"hip_cm": 99.0})
        untaped = questionnaire.estimate(Facts(170, 65, sex="female"))
        assert combine(facts, untaped).mean == pytest.approx(questionnaire.estimate(facts).mean)


RUN_ONCE = """
import json, sys
from gpu_worker.contract import AvatarParams
from gpu_worker.photo import PhotoRefused
from gpu_worker.pipeline import Pipeline
pipeline = Pipeline.load()
for photo in sys.argv[1:]:
    with open(photo, 'rb') as file:
        data = file.read()
    try:
        pipeline.run_avatar(AvatarParams(height_cm=178, weight_kg=76, sex='male'), data, None)
    except PhotoRefused as refused:
        print(refused.code, file=sys.stderr)
# not getrusage: a child counts its parent's memory at the fork as its own peak
with open('/proc/self/status') as file:
    peak_kb = next(int(line.split()[1]) for line in file if line.startswith('VmHWM'))
print(json.dumps({'peak_mb': peak_kb / 1024, 'modules': sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def fresh_process(
    tmp_path_factory: pytest.TempPathFactory, good_jpeg: bytes, couple: np.ndarray
) -> tuple[dict[str, object], Path, str]:
    """A new process that reads a good and a refused photo: what it reports, its folder, its stderr."""
    needs_mediapipe()
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this platform has not")
    inputs = tmp_path_factory.mktemp("inputs")
    (inputs / "good.jpg").write_bytes(good_jpeg)
    (inputs / "couple.jpg").write_bytes(encode_jpeg(couple))
    home = tmp_path_factory.mktemp("home")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ONCE, str(inputs / "couple.jpg"), str(inputs / "good.jpg")],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env={"PYTHONPATH": str(root), "TMPDIR": str(home), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), home, done.stderr


class TestFreshProcess:
    def test_nothing_is_left_on_disk(self, fresh_process: tuple[dict[str, object], Path, str]) -> None:
        _, home, _ = fresh_process
        assert list(home.rglob("*")) == []

    def test_nothing_heavy_is_loaded(self, fresh_process: tuple[dict[str, object], Path, str]) -> None:
        report, _, _ = fresh_process
        modules = report["modules"]
        assert isinstance(modules, list)
        assert [name for name in NEVER_LOADED if name in modules] == []

    def test_memory_stays_small(self, fresh_process: tuple[dict[str, object], Path, str]) -> None:
        report, _, _ = fresh_process
        peak_mb = report["peak_mb"]
        assert isinstance(peak_mb, float)
        assert peak_mb < MOST_MEMORY_MB

    def test_stdout_is_the_programs_own(self, fresh_process: tuple[dict[str, object], Path, str]) -> None:
        _, _, stderr = fresh_process
        assert "photo_several_people" in stderr
        assert "array(" not in stderr
