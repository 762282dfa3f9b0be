"""Features and what is made of them."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpu_worker.body.arrays import Floats
from gpu_worker.body.tape import Tape
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import MEASUREMENTS, Facts
from gpu_worker.estimators.silhouette import PHOTO_SD_FLOOR_CM, SilhouetteEstimator, SilhouetteModel
from gpu_worker.estimators.silhouette_features import COUNT, POWERS, measure, scaled
from gpu_worker.photo import DecodedPhoto, PhotoRefused
from gpu_worker.pose import PoseDetector, read_person
from gpu_worker.training.render import Picture
from gpu_worker.training.scenes import Stance, Studio
from tests.gpu_worker.photo.conftest import MAN, PLAIN, WOMAN, Draw

GOLDEN = Path(__file__).with_name("golden_features.json")
CHEST, WAIST, HIP, WEIGHT = (MEASUREMENTS.index(name) for name in ("chest_cm", "waist_cm", "hip_cm", "weight_kg"))
MANS_FACTS = Facts(178, 76, sex="male")


def features_of(detector: PoseDetector, picture: Picture) -> Floats:
    return measure(*read_person(detector, picture))


@pytest.fixture(scope="session")
def model() -> SilhouetteModel:
    return SilhouetteModel.load()


@pytest.fixture(scope="session")
def estimator(detector: PoseDetector, model: SilhouetteModel) -> SilhouetteEstimator:
    return SilhouetteEstimator(detector, model)


@pytest.fixture(scope="session")
def mans_features(draw: Draw, detector: PoseDetector) -> Floats:
    return features_of(detector, draw())


class TestFeatures:
    def test_they_are_what_they_were(self, draw: Draw, detector: PoseDetector) -> None:
        golden = json.loads(GOLDEN.read_text())
        for name, picture in (("man", draw()), ("woman", draw(WOMAN, seed=1))):
            seen = scaled(features_of(detector, picture), 170.0)
            assert np.abs(seen - np.array(golden[name])).max() < 1.5, name

    def test_there_is_one_of_each(self, mans_features: Floats) -> None:
        assert mans_features.shape == (COUNT,) == POWERS.shape
        assert np.isfinite(mans_features).all()

    def test_lengths_grow_with_stature_areas_with_its_square(self, mans_features: Floats) -> None:
        growth = scaled(mans_features, 180.0) / np.maximum(scaled(mans_features, 90.0), 1e-9)
        seen = mans_features > 0
        assert growth[seen] == pytest.approx((2.0**POWERS)[seen])

    def test_a_larger_picture_of_the_same_person_measures_the_same(
        self, draw: Draw, detector: PoseDetector, mans_features: Floats
    ) -> None:
        larger = np.asarray(cv2.resize(draw(), None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC), np.uint8)
        widths = slice(0, 14)
        assert scaled(features_of(detector, larger), 170.0)[widths] == pytest.approx(
            scaled(mans_features, 170.0)[widths], abs=2.0
        )

    def test_the_mirrored_picture_measures_the_same(
        self, draw: Draw, detector: PoseDetector, mans_features: Floats
    ) -> None:
        mirrored = features_of(detector, np.ascontiguousarray(draw()[:, ::-1]))
        widths = slice(3, 14)
        assert scaled(mirrored, 170.0)[widths] == pytest.approx(scaled(mans_features, 170.0)[widths], abs=2.5)

    def test_arms_are_no_part_of_the_waist(self, draw: Draw, detector: PoseDetector, mans_features: Floats) -> None:
        hanging = features_of(detector, draw(stance=Stance(arm_down=(36, 36))))
        waist = slice(9, 12)
        assert scaled(hanging, 170.0)[waist] == pytest.approx(scaled(mans_features, 170.0)[waist], abs=3.0)


class TestEstimate:
    @pytest.mark.parametrize("sex", ["male", "unspecified"])
    @pytest.mark.parametrize("weight_kg", [76.0, None])
    def test_every_set_of_answers_gives_thirteen_measurements(
        self, model: SilhouetteModel, mans_features: Floats, sex: questionnaire.Sex, weight_kg: float | None
    ) -> None:
        estimate = model.predict(Facts(178, weight_kg, sex=sex), mans_features)
        covariance = np.array(estimate.covariance)
        assert len(estimate.mean) == len(MEASUREMENTS)
        assert (np.linalg.eigvalsh(covariance) > 0).all()
        assert np.allclose(covariance, covariance.T)
        assert "photo" in estimate.evidence
        assert ("weight" in estimate.evidence) is (weight_kg is not None)
        for name, floor_cm in PHOTO_SD_FLOOR_CM.items():
            row = MEASUREMENTS.index(name)
            assert np.sqrt(covariance[row, row]) >= floor_cm - 1e-9

    def test_it_is_near_the_tape_of_a_drawn_man(
        self, model: SilhouetteModel, studio: Studio, mans_features: Floats
    ) -> None:
        truth = Tape(studio.body).measure(*studio.body.rest(MAN), gender=MAN.gender)
        estimate = model.predict(Facts(truth["height_cm"] + 1, truth["weight_kg"], sex="male"), mans_features)
        for row in (CHEST, WAIST, HIP):
            sd = estimate.covariance[row][row] ** 0.5
            assert abs(estimate.mean[row] - truth[MEASUREMENTS[row]]) < 2.6 * sd, MEASUREMENTS[row]

    def test_less_is_known_without_weight(self, model: SilhouetteModel, mans_features: Floats) -> None:
        with_weight = model.predict(MANS_FACTS, mans_features)
        without = model.predict(replace(MANS_FACTS, weight_kg=None), mans_features)
        for row in (CHEST, WAIST, HIP):
            assert without.covariance[row][row] > with_weight.covariance[row][row]

    def test_a_photo_knows_more_than_height_alone(self, model: SilhouetteModel, mans_features: Floats) -> None:
        facts = Facts(178, sex="male")
        seen, answered = model.predict(facts, mans_features), questionnaire.estimate(facts)
        for row in (CHEST, WAIST, HIP, WEIGHT):
            assert seen.covariance[row][row] < answered.covariance[row][row]

    def test_without_weight_the_broader_person_is_larger(
        self, model: SilhouetteModel, draw: Draw, detector: PoseDetector
    ) -> None:
        facts = Facts(178, sex="male")
        slim, broad = (
            model.predict(facts, features_of(detector, draw(replace(MAN, weight=weight)))) for weight in (0.3, 1.0)
        )
        for row in (CHEST, WAIST, HIP, WEIGHT):
            assert broad.mean[row] > slim.mean[row] + 2

    def test_somebody_much_wider_than_their_weight_wears_loose_clothes(
        self, model: SilhouetteModel, draw: Draw, detector: PoseDetector
    ) -> None:
        tent = replace(
            PLAIN, top_ease=0.06, bottom_ease=0.05, top_taper=0.0, bottom_taper=0.0, top_hem=-0.3, crotch_drop=0.05
        )
        facts = Facts(178, 70, sex="male")
        tight, loose = (model.predict(facts, features_of(detector, draw(outfit=outfit))) for outfit in (PLAIN, tent))
        assert "loose_clothing" in loose.flags
        assert "loose_clothing" not in tight.flags
        assert loose.covariance[WAIST][WAIST] > 1.2 * tight.covariance[WAIST][WAIST]

    def test_facts_out_of_range_are_refused(self, model: SilhouetteModel, mans_features: Floats) -> None:
        with pytest.raises(questionnaire.FactRefused):
            model.predict(Facts(17.8), mans_features)


class TestEstimator:
    def test_a_side_photo_is_not_used_and_that_is_said(self, estimator: SilhouetteEstimator, draw: Draw) -> None:
        front = DecodedPhoto(draw())
        side = DecodedPhoto(draw(stance=Stance(arm_down=(32, 32), turn=90)))
        alone = estimator.estimate(front, MANS_FACTS)
        both = estimator.estimate(front, MANS_FACTS, side)
        assert both.mean == alone.mean
        assert "photo_side_unused" in both.flags
        assert "photo_side" not in both.evidence

    def test_a_side_photo_that_is_none_is_flagged(self, estimator: SilhouetteEstimator, draw: Draw) -> None:
        front = DecodedPhoto(draw())
        assert "photo_side_pose" in estimator.estimate(front, MANS_FACTS, front).flags

    def test_a_bad_photo_is_refused(self, estimator: SilhouetteEstimator) -> None:
        with pytest.raises(PhotoRefused, match="photo_no_person"):
            estimator.estimate(DecodedPhoto(np.full((720, 540, 3), 90, np.uint8)), MANS_FACTS)
