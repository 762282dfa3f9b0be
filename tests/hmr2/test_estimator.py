"""The estimator `hmr2`: keeps what every estimator promises, doubts poor photos, and lets nothing of SMPL out."""

import io
import json
import logging
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from gpu_worker.available import SilhouetteAndHmr2
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.smpl import JOINT_NAMES, SmplModel
from gpu_worker.contract import MEASUREMENTS, AvatarParams
from gpu_worker.estimators import hmr2, questionnaire
from gpu_worker.estimators.hmr2_crop import Crop, translation_in_photo
from gpu_worker.estimators.hmr2_estimator import SEEN_JOINTS, UNKNOWN_SD, Hmr2Estimator, person_box, with_floors
from gpu_worker.estimators.port import NotMeasurable, PhotoEstimator
from gpu_worker.estimators.questionnaire import Estimate, Facts
from gpu_worker.estimators.silhouette import SilhouetteEstimator
from gpu_worker.photo import DecodedPhoto
from gpu_worker.pipeline import Pipeline
from gpu_worker.pose import Detection, PoseDetector, Silhouette
from gpu_worker.training.scenes import encode_jpeg, render_person
from tests.hmr2.estimator_promise import EstimatorPromise
from tests.hmr2.stand_in import TINY, weights

FACTS = Facts(172.0, 68.0, 30.0, "female")
WIDTH_PX, HEIGHT_PX = 900, 1200
UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0])
"""SMPL's y is up, a camera's is down: the rotation of the root of somebody who stands upright."""


def sd_of(estimate: Estimate, name: str) -> float:
    row = MEASUREMENTS.index(name)
    return float(np.sqrt(estimate.covariance[row][row]))


class Answers:
    """A network that gives one answer to all: the port the estimator sees."""

    def __init__(self, prediction: hmr2.Prediction) -> None:
        self.prediction = prediction

    def predict(self, _seen: Crop, /) -> hmr2.Prediction:
        return self.prediction


def standing(betas: np.ndarray | None = None) -> hmr2.Prediction:
    rotations = np.repeat(np.eye(3)[None], 24, axis=0)
    rotations[0] = UPSIDE_DOWN
    return hmr2.Prediction(rotations, np.zeros(10) if betas is None else betas, np.array([0.9, 0.0, 0.25]))


def bent(joint: str, degrees: float) -> hmr2.Prediction:
    found = standing()
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    found.rotations[JOINT_NAMES.index(joint)] = [[1, 0, 0], [0, cos, -sin], [0, sin, cos]]
    return found


def seen_as(model: SmplModel, prediction: hmr2.Prediction, *, shift_px: float = 0.0) -> tuple[Detection, Silhouette]:
    """A person whose landmarks are where the network says, `shift_px` to the right."""
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    mask[100:1100, 200:700] = True
    silhouette = Silhouette(mask, mask.astype(np.float32), 100, 1099, 0.0)
    detection = Detection(np.zeros((33, 3), np.float32), np.zeros((33, 3), np.float32), mask.astype(np.float32))
    box = person_box(detection, silhouette)
    where = Crop(np.zeros((3, 256, 256), np.float32), (box[:2] + box[2:]) / 2, box[3] - box[1])
    move, focal_px = translation_in_photo(prediction.camera, where, WIDTH_PX, HEIGHT_PX)
    placed = model.posed_joints(prediction.betas, prediction.rotations) + move
    pixels = focal_px * placed[:, :2] / placed[:, 2:] + np.array([WIDTH_PX, HEIGHT_PX]) / 2
    for name, pair in SEEN_JOINTS.items():
        for side, number in zip(("left", "right"), pair, strict=True):
            detection.landmarks[number, :2] = pixels[JOINT_NAMES.index(f"{side}_{name}")] + [shift_px, 0]
    return detection, silhouette


BLANK = DecodedPhoto(np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))


@pytest.fixture(scope="module")
def photo() -> DecodedPhoto:
    return DecodedPhoto(render_person())


@pytest.fixture(scope="module")
def silhouette_estimator() -> SilhouetteEstimator:
    return SilhouetteEstimator.load()


@pytest.fixture(scope="module")
def tiny_hmr2(bundle: Path, smpl: SmplModel, tmp_path_factory: pytest.TempPathFactory) -> Hmr2Estimator:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(weights(bundle, TINY), path)
    network = hmr2.LoadedNetwork(hmr2.load(path, "cpu", sizes=TINY), "cpu")
    return Hmr2Estimator(network, smpl, PoseDetector())


@pytest.fixture
def together(silhouette_estimator: SilhouetteEstimator, tiny_hmr2: Hmr2Estimator) -> SilhouetteAndHmr2:
    loaded: Future[Hmr2Estimator] = Future()
    loaded.set_result(tiny_hmr2)
    return SilhouetteAndHmr2(silhouette_estimator, loaded)


class TestHmr2KeepsThePromise(EstimatorPromise):
    @pytest.fixture
    def estimator(self, tiny_hmr2: Hmr2Estimator) -> PhotoEstimator:
        return tiny_hmr2


class TestSilhouetteKeepsThePromise(EstimatorPromise):
    @pytest.fixture
    def estimator(self, silhouette_estimator: SilhouetteEstimator) -> PhotoEstimator:
        return silhouette_estimator


class TestBothTogetherKeepThePromise(EstimatorPromise):
    @pytest.fixture
    def estimator(self, together: SilhouetteAndHmr2) -> PhotoEstimator:
        return together


class TestEstimate:
    def test_stated_height_and_weight_are_met(self, tiny_hmr2: Hmr2Estimator) -> None:
        found = tiny_hmr2.of_betas(np.linspace(-0.5, 0.5, 10), Facts(181.0, 79.0, 40.0, "male"))
        mean = dict(zip(MEASUREMENTS, found.mean, strict=True))
        assert mean["height_cm"] == pytest.approx(181, abs=1.5)
        assert mean["weight_kg"] == pytest.approx(79, abs=4)
        assert found.evidence == ("height", "weight", "sex", "photo")
        assert found.flags == ()

    def test_no_deviation_is_below_what_is_published(self, tiny_hmr2: Hmr2Estimator) -> None:
        with_weight = tiny_hmr2.of_betas(np.zeros(10), FACTS)
        assert sd_of(with_weight, "waist_cm") >= 2.5
        assert sd_of(with_weight, "hip_cm") >= 2.0
        assert sd_of(tiny_hmr2.of_betas(np.zeros(10), Facts(172.0)), "chest_cm") >= 10.0

    def test_betas_beyond_adult_shapes_are_flagged_and_doubted(self, tiny_hmr2: Hmr2Estimator) -> None:
        wild = tiny_hmr2.of_betas(np.array([0, 0, 0, 9.0, 0, 0, 0, 0, 0, 0]), FACTS)
        assert "extrapolated" in wild.flags
        assert sd_of(wild, "waist_cm") >= 5.0

    def test_a_photo_of_another_person_than_stated_is_flagged(self, smpl: SmplModel) -> None:
        estimator = Hmr2Estimator(Answers(standing()), smpl)
        assert "photo_disagrees" in estimator.of_betas(np.zeros(10), Facts(165.0, 190.0)).flags

    def test_a_measurement_whose_plane_missed_is_unknown_and_the_others_stand(self) -> None:
        mean, spread = np.full(13, 90.0), 4.0 * np.eye(13)
        mean[3] = np.nan
        spread[3] = np.nan
        covariance = with_floors(mean, spread, FACTS, 1.0)
        assert covariance[3, 3] == UNKNOWN_SD**2
        assert np.isfinite(covariance).all()
        assert covariance[0, 0] < 20

    def test_children_are_left_to_the_others(
        self, tiny_hmr2: Hmr2Estimator, together: SilhouetteAndHmr2, photo: DecodedPhoto
    ) -> None:
        child = replace(FACTS, age=16.0)
        with pytest.raises(NotMeasurable):
            tiny_hmr2.estimate(photo, child)
        assert "hmr2_not_applicable" in together.estimate(photo, child).flags


class TestPoseJudgesThePhoto:
    def test_somebody_standing_where_the_landmarks_are_is_not_doubted(self, smpl: SmplModel) -> None:
        estimator = Hmr2Estimator(Answers(standing()), smpl)
        found = estimator.measure(BLANK, *seen_as(smpl, standing()), FACTS)
        assert found.flags == ()

    @pytest.mark.parametrize("joint", ["left_knee", "right_hip"])
    def test_somebody_bent_is_doubted(self, smpl: SmplModel, joint: str) -> None:
        straight = Hmr2Estimator(Answers(standing()), smpl).measure(BLANK, *seen_as(smpl, standing()), FACTS)
        prediction = bent(joint, 80)
        found = Hmr2Estimator(Answers(prediction), smpl).measure(BLANK, *seen_as(smpl, prediction), FACTS)
        assert found.flags == ("photo_bent",)
        assert sd_of(found, "hip_cm") == pytest.approx(2 * sd_of(straight, "hip_cm"))

    def test_a_body_elsewhere_than_the_landmarks_is_doubted(self, smpl: SmplModel) -> None:
        estimator = Hmr2Estimator(Answers(standing()), smpl)
        assert estimator.measure(BLANK, *seen_as(smpl, standing(), shift_px=40), FACTS).flags == ()
        found = estimator.measure(BLANK, *seen_as(smpl, standing(), shift_px=150), FACTS)
        assert found.flags == ("photo_pose_uncertain",)


class TestBox:
    def test_holds_the_mask_and_what_is_surely_seen(self) -> None:
        mask = np.zeros((400, 300), bool)
        mask[50:350, 100:200] = True
        landmarks = np.zeros((33, 3), np.float32)
        landmarks[15] = (40, 200, 0.9)
        landmarks[16] = (280, 200, 0.1)  # guessed
        detection = Detection(landmarks, landmarks, mask.astype(np.float32))
        box = person_box(detection, Silhouette(mask, mask.astype(np.float32), 50, 349, 0.0))
        assert box.tolist() == [40, 50, 200, 350]


class TestTogether:
    def test_claims_no_more_than_either_alone_would_allow(
        self, together: SilhouetteAndHmr2, silhouette_estimator: SilhouetteEstimator, photo: DecodedPhoto
    ) -> None:
        outline, both = silhouette_estimator.estimate(photo, FACTS), together.estimate(photo, FACTS)
        assert both.estimator == "silhouette_v1+hmr2_v1"
        assert np.trace(both.covariance) <= np.trace(outline.covariance) * 1.5
        assert all(sd_of(both, name) > 0.6 * sd_of(outline, name) for name in MEASUREMENTS[:4])

    def test_without_loaded_weights_the_silhouette_answers_alone(
        self, silhouette_estimator: SilhouetteEstimator, photo: DecodedPhoto
    ) -> None:
        failed: Future[Hmr2Estimator] = Future()
        failed.set_exception(hmr2.WeightsRefused("other weights"))
        found = SilhouetteAndHmr2(silhouette_estimator, failed).estimate(photo, FACTS)
        assert found.mean == silhouette_estimator.estimate(photo, FACTS).mean
        assert "hmr2_unavailable" in found.flags


class TestNothingOfSmplLeaves:
    def test_the_whole_job_gives_the_canonical_body_and_thirteen_numbers(
        self, together: SilhouetteAndHmr2, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline = Pipeline(CanonicalBody.load(), together)
        caplog.set_level(logging.DEBUG)
        params = AvatarParams(178.0, 74.0, 30.0, "male")
        files = pipeline.run_avatar(params, encode_jpeg(render_person()), None, lambda _stage: None)
        assert "hmr2_v1" in files.result.estimator
        assert set(files.result.measurements) == set(MEASUREMENTS)
        assert np.array(files.result.covariance).shape == (13, 13)
        with np.load(io.BytesIO(files.body_npz), allow_pickle=False) as archive:
            sizes = {size for name in archive.files for size in archive[name].shape}
        assert not sizes & {6890, 13776}
        header = files.glb[20 : 20 + int.from_bytes(files.glb[12:16], "little")]
        counts = {accessor["count"] for accessor in json.loads(header)["accessors"]}
        assert not counts & {6890, 13776, 3 * 13776}
        assert not any("beta" in text.lower() for text in (caplog.text, str(files.result)))

    def test_the_solved_body_follows_the_fused_measurements(self, together: SilhouetteAndHmr2) -> None:
        pipeline = Pipeline(CanonicalBody.load(), together)
        params = AvatarParams(178.0, 74.0, 30.0, "male")
        found = pipeline.run_avatar(params, encode_jpeg(render_person()), None, lambda _stage: None).result
        answered = questionnaire.estimate(Facts(178.0, 74.0, 30.0, "male"))
        waist = MEASUREMENTS.index("waist_cm")
        assert found.measurements["waist_cm"].sd <= np.sqrt(answered.covariance[waist][waist]) * 1.2


class TestImports:
    @pytest.mark.parametrize(
        ("module", "absent"),
        [
            ("gpu_worker.main", ("torch", "smplx", "safetensors")),
            ("gpu_worker.available", ("torch", "smplx", "safetensors")),
            ("gpu_worker.weights", ("torch", "numpy")),
            (
                "gpu_worker.estimators.hmr2_estimator",
                ("timm", "pytorch_lightning", "lightning", "detectron2", "chumpy", "torchvision", "einops", "yacs"),
            ),
        ],
    )
    def test_importing_brings_no_more_than_it_should(self, module: str, absent: tuple[str, ...]) -> None:
        program = f"import sys, {module}; sys.exit(' '.join(set({absent!r}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert not done.stderr.strip()
