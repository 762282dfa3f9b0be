"""Synthetic people follow the survey without holding a row of it; numbers of the survey are its published means."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_worker.body.tape import Tape
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.training import ansur, people, population
from gpu_worker.training.ansur import SURVEY_SEXES, SurveySex
from gpu_worker.training.fit_population import fit_people
from gpu_worker.training.people import FLAT_BMI, Measured, People

GIRTHS_AND_SIZE = ("chest_cm", "waist_cm", "hip_cm", "inseam_cm", "height_cm", "weight_kg")
SURVEY: dict[SurveySex, tuple[tuple[float, float], ...]] = {
    "female": ((94.7, 8.2), (86.1, 9.9), (102.1, 7.5), (78.2, 4.4), (162.8, 6.4), (67.7, 10.9)),
    "male": ((105.9, 8.7), (94.0, 11.2), (101.9, 7.7), (84.6, 4.7), (175.6, 6.9), (85.5, 14.2)),
}
"""Mean and sd of GIRTHS_AND_SIZE in ANSUR II."""
WAIST_HIP_CORRELATION: dict[SurveySex, float] = {"female": 0.80, "male": 0.88}


def drawn(sex: SurveySex, mode: people.Mode, n: int) -> list[Measured]:
    rng, crowd = np.random.default_rng(5), People.load()
    return [crowd.draw(rng, mode, sex) for _ in range(n)]


def table(crowd: list[Measured]) -> NDArray[np.float64]:
    return np.array([[person.values[name] for name in GIRTHS_AND_SIZE] for person in crowd], dtype=np.float64)


class TestPeople:
    @pytest.mark.parametrize("sex", SURVEY_SEXES)
    def test_means_spreads_and_correlation_are_the_surveys(self, sex: SurveySex) -> None:
        values = table(drawn(sex, "ansur", 2000))
        for column, (mean, sd) in zip(values.T, SURVEY[sex], strict=True):
            assert column.mean() == pytest.approx(mean, abs=0.1 * sd)
            assert column.std() == pytest.approx(sd, rel=0.08)
        together = float(np.corrcoef(values[:, 1], values[:, 2])[0, 1])
        assert together == pytest.approx(WAIST_HIP_CORRELATION[sex], abs=0.04)

    def test_training_people_are_flat_in_bmi(self) -> None:
        bmi = [p.values["weight_kg"] / (p.values["height_cm"] / 100) ** 2 for p in drawn("female", "flat", 2000)]
        counts, _ = np.histogram(bmi, bins=5, range=FLAT_BMI)
        assert counts.sum() == 2000
        assert counts.min() > 340

    def test_stated_values_err_as_the_surveys_people_did(self) -> None:
        rng, crowd = np.random.default_rng(6), People.load()
        as_published: tuple[tuple[SurveySex, float, float, float], ...] = (
            ("male", 175.6, 2.2, 1.9),
            ("female", 162.8, 1.2, 1.8),
        )
        for sex, height_cm, bias_cm, sd_cm in as_published:
            stated = np.array([crowd.state(rng, sex, height_cm, 27 * (height_cm / 100) ** 2) for _ in range(2000)])
            assert stated[:, 0].mean() - height_cm == pytest.approx(bias_cm, abs=0.2)
            assert stated[:, 0].std() == pytest.approx(sd_cm, abs=0.2)
            assert stated[:, 1].std() == pytest.approx(2.55, abs=0.3)

    def test_the_heavy_understate_and_lean_men_overstate_their_weight(self) -> None:
        rng, crowd = np.random.default_rng(6), People.load()

        def slip_kg(sex: SurveySex, bmi: float) -> float:
            weight_kg = bmi * 1.7**2
            return float(np.mean([crowd.state(rng, sex, 170, weight_kg)[1] for _ in range(800)])) - weight_kg

        assert slip_kg("male", 22) > 0.5
        assert slip_kg("male", 34) < -1
        assert slip_kg("female", 32) < -1.5

    def test_plain_noise_has_no_bias(self) -> None:
        rng, crowd = np.random.default_rng(6), People.load()
        stated = np.array([crowd.state(rng, "female", 165, 60, "P") for _ in range(3000)])
        assert stated.mean(axis=0) == pytest.approx([165, 60], abs=0.15)
        assert stated.std(axis=0) == pytest.approx([1.2, np.hypot(0.03 * 60, 1)], rel=0.06)

    def test_the_same_tables_give_the_committed_model(self, survey_folder: Path) -> None:
        fitted = fit_people(ansur.load(survey_folder), ansur.digest(survey_folder))
        assert fitted == json.loads(people.FILE.read_text(encoding="utf-8"))

    def test_no_row_of_the_survey_is_committed(self, survey_folder: Path) -> None:
        """Outermost quantiles are not somebody's extreme, and the whole file is far smaller than the survey."""
        assert people.FILE.stat().st_size < 16_000
        model = People.load()
        for sex, survey in ansur.load(survey_folder).items():
            heights = model._sexes[sex]["quantiles"]["height_cm"]
            assert survey.column("height_cm").min() < heights[0] < heights[-1] < survey.column("height_cm").max()


@pytest.fixture(scope="module")
def maker() -> population.Population:
    return population.Population.load()


@pytest.fixture(scope="module")
def tape(maker: population.Population) -> Tape:
    return maker.solver.tape


@pytest.fixture(scope="module")
def crowd() -> list[population.Person]:
    return list(population.sample(np.random.default_rng(9), 16, "ansur"))


class TestBodies:
    def test_the_same_seed_gives_the_same_people(self, crowd: list[population.Person]) -> None:
        again = list(population.sample(np.random.default_rng(9), 2, "ansur"))
        assert [(p.sex, p.age, p.height_cm) for p in again] == [(p.sex, p.age, p.height_cm) for p in crowd[:2]]
        assert again[0].shape.muscle == pytest.approx(crowd[0].shape.muscle, abs=1e-6)

    def test_bodies_are_as_tall_and_about_as_heavy_as_their_people(
        self, crowd: list[population.Person], tape: Tape
    ) -> None:
        for person in crowd:
            reading = tape.measure(*tape.body.rest(person.shape), gender=person.shape.gender)
            assert reading["height_cm"] == pytest.approx(person.height_cm, abs=1.5)
            assert reading["weight_kg"] == pytest.approx(person.weight_kg, rel=0.12)
            assert {person.shape.gender} == {0.0 if person.sex == "male" else 1.0}

    def test_a_body_has_the_measurements_that_were_drawn(self, maker: population.Population, tape: Tape) -> None:
        rng = np.random.default_rng(10)
        misses = []
        for _ in range(8):
            measured = maker.people.draw(rng, "ansur")
            shape = maker.embody(rng, measured).shape
            body = tape.measure(*tape.body.rest(shape), gender=shape.gender)
            misses.append([abs(body[name] - measured.values[name]) for name in ("chest_cm", "waist_cm", "hip_cm")])
        assert np.mean(misses) < 0.5

    def test_people_of_one_tape_differ_in_shape(self, maker: population.Population) -> None:
        rng = np.random.default_rng(11)
        measured = maker.people.draw(rng, "ansur", "female")
        one, other = maker.embody(rng, measured).shape, maker.embody(rng, measured).shape
        assert abs(one.cupsize - other.cupsize) + abs(one.muscle - other.muscle) > 0.05
        assert set(one.local) == set(maker.solver.body.local_names)


def test_every_measurement_of_the_survey_is_drawn() -> None:
    assert all(set(person.values) == set(MEASUREMENTS) - {"waist_natural_cm"} for person in drawn("male", "flat", 5))
