"""Fit the model of the survey's people and the line of the natural waist.

Run: ANSUR_DIR=folder python -m gpu_worker.training.fit_population, then fit_questionnaire, which reads the line.
Writes `population_v1.json` and `waist_natural_v1.json`; both hold aggregates, no row of the survey.
"""

import json
import sys
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.solve import Solver
from gpu_worker.body.tape import Tape
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.training import ansur, people, waist_natural
from gpu_worker.training.ansur import SURVEY_SEXES, Survey
from gpu_worker.training.fit_questionnaire import fit, to_text
from gpu_worker.training.people import MARGINS, QUANTILE_LEVELS, People
from gpu_worker.training.population import Population

Array = NDArray[np.float64]

NOT_DRAWN = waist_natural.WaistNatural(0.0, tuple(float(n == "waist_cm") for n in waist_natural.PREDICTORS), 0.0, 0)
"""Stands in for the natural waist, which falls out of the body and is never drawn."""

NATURAL_WAIST_BODIES = 400
NATURAL_WAIST_SEED = 20
NO_LIMIT = {"age": [0.0, 200.0], "bmi": [0.0, 200.0], "height_cm": [0.0, 300.0]}
"""Drawn people are never called extrapolated: their spread must not be widened twice."""


def main() -> int:
    folder = ansur.folder_from_environment()
    surveys = ansur.load(folder)
    model = fit_people(surveys, ansur.digest(folder))
    people.FILE.write_text(json.dumps(model, indent=None, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{people.FILE.name}: {people.FILE.stat().st_size} bytes")
    body = CanonicalBody.load()
    tape = Tape(body)
    population = Population(People(model), Solver(body, tape))
    lines = {sex: fit_natural_waist(population, tape, sex) for sex in SURVEY_SEXES}
    waist_natural.FILE.write_text(json.dumps(lines, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for sex, line in lines.items():
        print(f"natural waist, {sex}: {line}")
    return 0


def fit_people(surveys: dict[ansur.SurveySex, Survey], survey_sha256: str) -> dict[str, Any]:
    as_measured = {sex: survey.as_measured() for sex, survey in surveys.items()}
    lines = dict.fromkeys(SURVEY_SEXES, NOT_DRAWN)
    measures = fit(as_measured, survey_sha256, answer_sets=((True, True),), natural_waists=lines)
    del measures["variants"]["unspecified:height+weight+age"]
    for variant in measures["variants"].values():
        variant["survey_1_99"] = NO_LIMIT
    return {
        "source": measures["source"],
        "measures": json.loads(to_text(measures)),
        "sexes": {sex: _who(survey) | {"stated_minus_measured": _slips(survey)} for sex, survey in surveys.items()},
    }


def _who(survey: Survey) -> dict[str, Any]:
    """Quantiles of height, BMI and age, and the correlation of their normal scores."""
    bmi = survey.column("weight_kg") / (survey.column("height_cm") / 100) ** 2
    values = np.stack([survey.column("height_cm"), bmi, survey.age])
    ranks = values.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    scores = np.array([[NormalDist().inv_cdf((r + 0.5) / len(survey)) for r in row] for row in ranks])
    return {
        "quantiles": {
            name: np.round(np.quantile(row, QUANTILE_LEVELS), 2).tolist()
            for name, row in zip(MARGINS, values, strict=True)
        },
        "rank_correlation": np.round(np.corrcoef(scores), 4).tolist(),
    }


def _slips(survey: Survey) -> dict[str, Any]:
    """Stated minus measured height and weight: a line in measured height and BMI, and its residual covariance."""
    height, weight = survey.column("height_cm"), survey.column("weight_kg")
    terms = np.column_stack([np.ones(len(survey)), height, weight / (height / 100) ** 2])
    slips = np.column_stack([survey.stated_height_cm - height, survey.stated_weight_kg - weight])
    line = np.linalg.lstsq(terms, slips, rcond=None)[0]
    return {
        "mean": np.round(line.T, 5).tolist(),
        "covariance": np.round(np.cov((slips - terms @ line).T), 4).tolist(),
    }


def fit_natural_waist(population: Population, tape: Tape, sex: ansur.SurveySex) -> dict[str, Any]:
    """A line from measures of the survey to the natural waist, over bodies of survey-like people."""
    rng = np.random.default_rng(NATURAL_WAIST_SEED)
    readings = []
    for _ in range(NATURAL_WAIST_BODIES):
        person = population.embody(rng, population.people.draw(rng, "ansur", sex))
        body = tape.measure(*tape.body.rest(person.shape), gender=person.shape.gender)
        readings.append([body[name] for name in MEASUREMENTS])
    measured = np.array(readings)
    predictors = measured[:, [MEASUREMENTS.index(name) for name in waist_natural.PREDICTORS]]
    terms = np.column_stack([np.ones(len(measured)), predictors])
    natural = measured[:, MEASUREMENTS.index("waist_natural_cm")]
    line = np.linalg.lstsq(terms, natural, rcond=None)[0]
    spread = np.sqrt(np.sum((natural - terms @ line) ** 2) / (len(natural) - terms.shape[1]))
    return {
        "bodies": len(natural),
        "constant_cm": round(float(line[0]), 3),
        "coefficients": {n: round(float(c), 4) for n, c in zip(waist_natural.PREDICTORS, line[1:], strict=True)},
        "sd_cm": round(float(spread), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
