"""The fit: right on people whose law is known, the same bytes from the same survey, a sentence where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import Facts, Questionnaire
from gpu_worker.training import ansur
from gpu_worker.training.ansur import Survey, SurveySex
from gpu_worker.training.fit_questionnaire import fit, to_text

PEOPLE = 3000


def spread_cm(height_cm: NDArray[np.float64], weight_kg: NDArray[np.float64]) -> NDArray[np.float64]:
    """3 cm at a BMI of 27, and 5 % more for each further unit."""
    spread: NDArray[np.float64] = 3 * np.exp(0.05 * (weight_kg / (height_cm / 100) ** 2 - 27))
    return spread


def known_people(sex: SurveySex, seed: int) -> Survey:
    """Waist = 10 cm + 1 cm/kg · weight ± `spread_cm`; the hip shares half of that error; height is overstated."""
    rng = np.random.default_rng(seed)
    height, weight = rng.normal(170, 8, PEOPLE), rng.uniform(55, 115, PEOPLE)
    measured = rng.normal(50, 1, (PEOPLE, len(MEASUREMENTS)))
    stated_height = height + rng.normal(2, 1, PEOPLE)
    waist_error = rng.normal(0, spread_cm(stated_height, weight))
    measured[:, MEASUREMENTS.index("waist_cm")] = 10 + weight + waist_error
    measured[:, MEASUREMENTS.index("hip_cm")] = 95 + 0.5 * waist_error
    measured[:, MEASUREMENTS.index("height_cm")] = height
    measured[:, MEASUREMENTS.index("weight_kg")] = weight
    return Survey(sex, measured, np.zeros(PEOPLE), stated_height, weight, rng.uniform(18, 57, PEOPLE))


@pytest.fixture(scope="module")
def fitted() -> Questionnaire:
    return Questionnaire(fit({"female": known_people("female", 1), "male": known_people("male", 2)}, "none"))


class TestKnownPeople:
    @pytest.mark.parametrize("weight_kg", [60, 80, 100])
    def test_the_line_and_the_growing_spread_are_found(self, fitted: Questionnaire, weight_kg: float) -> None:
        waist, hip = MEASUREMENTS.index("waist_cm"), MEASUREMENTS.index("hip_cm")
        answer = fitted.estimate(Facts(172, weight_kg, 35, "female"))
        expected_cm = float(spread_cm(np.array(172.0), np.array(weight_kg)))
        assert answer.mean[waist] == pytest.approx(10 + weight_kg, abs=0.6)
        assert answer.covariance[waist][waist] ** 0.5 == pytest.approx(expected_cm, rel=0.15)
        shared = answer.covariance[waist][hip] / (answer.covariance[waist][waist] * answer.covariance[hip][hip]) ** 0.5
        assert shared > 0.9

    def test_overstated_height_is_taken_back(self, fitted: Questionnaire) -> None:
        answer = fitted.estimate(Facts(172, 80, 35, "male"))
        assert answer.mean[MEASUREMENTS.index("height_cm")] == pytest.approx(170, abs=0.2)
        assert answer.mean[MEASUREMENTS.index("weight_kg")] == pytest.approx(80, abs=0.01)

    def test_a_parabola_is_not_followed_beyond_its_data(self, fitted: Questionnaire) -> None:
        waist = MEASUREMENTS.index("waist_cm")
        assert fitted.estimate(Facts(172, 180, 35, "male")).mean[waist] == pytest.approx(190, abs=25)


class TestSurvey:
    def test_the_same_tables_give_the_committed_bytes(self, survey_folder: Path) -> None:
        text = to_text(fit(ansur.load(survey_folder), ansur.digest(survey_folder)))
        assert text == questionnaire.MODEL_FILE.read_text(encoding="utf-8")

    def test_implausible_self_reports_are_left_out(self, survey_folder: Path) -> None:
        surveys = ansur.load(survey_folder)
        assert {sex: len(survey) for sex, survey in surveys.items()} == {"female": 1986 - 17, "male": 4082 - 20}

    @pytest.mark.parametrize("module", ["gpu_worker.training.fit_questionnaire", "gpu_worker.training.fit_population"])
    def test_without_the_survey_one_sentence_says_where_it_is(self, module: str, tmp_path: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "ANSUR_DIR"}
        for extra in ({}, {"ANSUR_DIR": str(tmp_path)}):
            run = subprocess.run(
                [sys.executable, "-m", module], env=environment | extra, capture_output=True, text=True, check=False
            )
            assert run.returncode == 2
            assert "ANSUR II" in run.stderr
            assert run.stderr.count("\n") == 1


class TestBench:
    def test_without_the_survey_it_says_loudly_that_nothing_was_measured(self) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "ANSUR_DIR"}
        run = subprocess.run(
            [sys.executable, "-m", "gpu_worker.training.bench_questionnaire"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0
        assert "NOT MEASURED" in run.stdout
        assert "every promised number holds" not in run.stdout

    @pytest.mark.slow
    def test_held_out_people_are_met_as_promised(self, survey_folder: Path) -> None:
        run = subprocess.run(
            [sys.executable, "-m", "gpu_worker.training.bench_questionnaire"],
            env=os.environ | {"ANSUR_DIR": str(survey_folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout
        assert "every promised number holds" in run.stdout
