"""What any estimator that looks at photos must keep, whatever model is behind it: subclass and give `estimator`.

class TestMine(EstimatorPromise):
    @pytest.fixture
    def estimator(self) -> PhotoEstimator: ...
"""

import dataclasses

import cv2
import numpy as np
import pytest

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators.port import PhotoEstimator
from gpu_worker.estimators.questionnaire import Estimate, FactRefused, Facts
from gpu_worker.fusion import fuse
from gpu_worker.photo import DecodedPhoto, PhotoRefused

FACTS = Facts(172.0, 68.0, 30.0, "female")
KNOWN_EVIDENCE = {"height", "weight", "age", "sex", "photo", "photo_side"}
LARGEST_ANSWER_NUMBERS = len(MEASUREMENTS) * (len(MEASUREMENTS) + 1)


class EstimatorPromise:
    """Runs against `estimator`, on a picture with one person that `photo` gives."""

    def test_answers_thirteen_numbers_with_a_covariance(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        found = estimator.estimate(photo, FACTS)
        covariance = np.array(found.covariance)
        assert len(found.mean) == len(MEASUREMENTS)
        assert np.isfinite(found.mean).all()
        assert covariance.shape == (len(MEASUREMENTS), len(MEASUREMENTS))
        assert np.allclose(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > 0

    def test_says_what_it_used_and_only_what_was_given(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        found = estimator.estimate(photo, Facts(172.0))
        assert "photo" in found.evidence
        assert "height" in found.evidence
        assert set(found.evidence) <= KNOWN_EVIDENCE - {"weight", "age", "sex"}

    def test_a_tape_is_left_to_the_fusion(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        taped = dataclasses.replace(FACTS, tape_cm={"waist_cm": 120.0})
        assert estimator.estimate(photo, taped).mean == estimator.estimate(photo, FACTS).mean

    def test_stated_height_and_weight_are_not_claimed_better_than_a_statement(
        self, estimator: PhotoEstimator, photo: DecodedPhoto
    ) -> None:
        sd = np.sqrt(np.diag(estimator.estimate(photo, FACTS).covariance))
        assert sd[MEASUREMENTS.index("height_cm")] >= 0.5
        assert sd[MEASUREMENTS.index("weight_kg")] >= 0.5

    def test_less_said_is_less_known(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        waist = MEASUREMENTS.index("waist_cm")
        known, guessed = (estimator.estimate(photo, facts) for facts in (FACTS, Facts(172.0)))
        assert guessed.covariance[waist][waist] > known.covariance[waist][waist]

    def test_answers_the_same_to_the_same(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        assert estimator.estimate(photo, FACTS) == estimator.estimate(photo, FACTS)

    def test_a_picture_without_a_person_is_refused(self, estimator: PhotoEstimator) -> None:
        wall = DecodedPhoto(np.full((900, 700, 3), 128, np.uint8))
        with pytest.raises(PhotoRefused) as refusal:
            estimator.estimate(wall, FACTS)
        assert refusal.value.code == "photo_no_person"

    def test_half_a_person_is_refused(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        rows = len(photo.rgb)
        half = DecodedPhoto(np.ascontiguousarray(cv2.resize(photo.rgb[: rows // 2], None, fx=2, fy=2)))
        with pytest.raises(PhotoRefused):
            estimator.estimate(half, FACTS)

    def test_facts_in_other_units_are_refused(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        with pytest.raises(FactRefused):
            estimator.estimate(photo, Facts(1.72, 68.0))

    def test_joins_another_estimate(self, estimator: PhotoEstimator, photo: DecodedPhoto) -> None:
        found = estimator.estimate(photo, FACTS)
        joined = fuse(found, found)
        assert joined.mean == pytest.approx(found.mean)
        assert np.allclose(joined.covariance, found.covariance)  # the same evidence twice is worth once

    def test_nothing_of_the_body_but_the_measurements_is_in_the_answer(
        self, estimator: PhotoEstimator, photo: DecodedPhoto
    ) -> None:
        found = estimator.estimate(photo, FACTS)
        assert set(vars(found)) == {field.name for field in dataclasses.fields(Estimate)}
        assert len(found.mean) + sum(map(len, found.covariance)) <= LARGEST_ANSWER_NUMBERS
        assert all(isinstance(text, str) for text in (*found.evidence, *found.flags, found.estimator))
