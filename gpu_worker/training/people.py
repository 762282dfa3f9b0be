"""A model of the people of ANSUR II: who they are, what a tape reads on them, what they state. No row of the survey.

Each sex has quantiles of height, BMI and age with their rank correlation, a regression of the thirteen measurements on
measured height, weight and age (the questionnaire's own form), and the error of stated height and weight.
`population_v1.json` is written by `fit_population.py`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators.questionnaire import AGE_RANGE, HEIGHT_RANGE_CM, WEIGHT_RANGE_KG, Facts, Questionnaire, bmi
from gpu_worker.training.ansur import SURVEY_SEXES, SurveySex

Array = NDArray[np.float64]
Mode = Literal["ansur", "flat"]
"""`ansur` follows the survey; `flat` is flat in BMI over `FLAT_BMI`, for training."""

Protocol = Literal["A", "P"]
"""Errors of stated height and weight: `A` as the survey's people erred, `P` plain noise."""

FILE = Path(__file__).with_name("population_v1.json")
FLAT_BMI = (17.0, 40.0)
FLAT_RANK_LIMIT = 2.5
"""Beyond this normal score a BMI says nothing more about height and age."""
MARGINS = ("height_cm", "bmi", "age")
QUANTILE_LEVELS = tuple(float(level) for level in np.round(np.linspace(0.005, 0.995, 34), 4))
END_SCORE = 3.5
"""Normal score at which a margin ends; from the outermost quantile to there it is extended straight."""

P_HEIGHT_SD_CM = 1.2
P_WEIGHT_SHARE_SD, P_WEIGHT_SD_KG = 0.03, 1.0


@dataclass(frozen=True)
class Measured:
    """One synthetic person: age in years, and what scales and tape say (wire name → cm or kg).

    The natural waist is not among `values`: the survey has none, the body will tell.
    """

    sex: SurveySex
    age: float
    values: dict[str, float]


class People:
    """Draws people of the survey's kind."""

    def __init__(self, model: dict[str, Any]) -> None:
        self._sexes = model["sexes"]
        self._measures = Questionnaire(model["measures"])

    @classmethod
    def load(cls, path: Path = FILE) -> Self:
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def draw(self, rng: np.random.Generator, mode: Mode, sex: SurveySex | None = None) -> Measured:
        """Draw one person; both sexes are as likely unless `sex` is given."""
        sex = sex or SURVEY_SEXES[int(rng.integers(len(SURVEY_SEXES)))]
        while True:
            height_cm, person_bmi, age = self._who(rng, mode, sex)
            weight_kg = person_bmi * (height_cm / 100) ** 2
            if (
                HEIGHT_RANGE_CM[0] < height_cm < HEIGHT_RANGE_CM[1]
                and WEIGHT_RANGE_KG[0] < weight_kg < WEIGHT_RANGE_KG[1]
                and AGE_RANGE[0] < age < AGE_RANGE[1]
            ):
                break
        estimate = self._measures.estimate(Facts(height_cm, weight_kg, age, sex))
        values = rng.multivariate_normal(estimate.mean, estimate.covariance, method="cholesky")
        named = {name: float(value) for name, value in zip(MEASUREMENTS, values, strict=True)}
        del named["waist_natural_cm"]
        return Measured(sex, age, named | {"height_cm": height_cm, "weight_kg": weight_kg})

    def state(
        self, rng: np.random.Generator, sex: SurveySex, height_cm: float, weight_kg: float, protocol: Protocol = "A"
    ) -> tuple[float, float]:
        """Stated height and weight of somebody of this height (cm) and weight on the scales (kg)."""
        if protocol == "P":
            share = rng.normal(1, P_WEIGHT_SHARE_SD)
            return height_cm + rng.normal(0, P_HEIGHT_SD_CM), weight_kg * share + rng.normal(0, P_WEIGHT_SD_KG)
        slips = self._sexes[sex]["stated_minus_measured"]
        terms = np.array([1.0, height_cm, bmi(height_cm, weight_kg)])
        slip = rng.multivariate_normal(np.array(slips["mean"]) @ terms, slips["covariance"], method="cholesky")
        return height_cm + float(slip[0]), weight_kg + float(slip[1])

    def _who(self, rng: np.random.Generator, mode: Mode, sex: SurveySex) -> tuple[float, float, float]:
        """Height (cm), BMI and age."""
        person = self._sexes[sex]
        correlation = np.array(person["rank_correlation"])
        if mode == "ansur":
            scores = rng.multivariate_normal(np.zeros(len(MARGINS)), correlation, method="cholesky")
            height, person_bmi, age = (
                _at_score(person["quantiles"][name], s) for name, s in zip(MARGINS, scores, strict=True)
            )
            return height, person_bmi, age
        person_bmi = float(rng.uniform(*FLAT_BMI))
        score = np.clip(_score_of(person["quantiles"]["bmi"], person_bmi), -FLAT_RANK_LIMIT, FLAT_RANK_LIMIT)
        with_bmi = correlation[[0, 2], 1]
        rest = correlation[np.ix_([0, 2], [0, 2])] - np.outer(with_bmi, with_bmi)
        scores = rng.multivariate_normal(with_bmi * score, rest, method="cholesky")
        quantiles = person["quantiles"]
        return _at_score(quantiles["height_cm"], scores[0]), person_bmi, _at_score(quantiles["age"], scores[1])


@cache
def _level_scores() -> Array:
    inner = [NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS]
    return np.array([-END_SCORE, *inner, END_SCORE])


def _extended(quantiles: list[float]) -> Array:
    """The quantiles with one more at each end, on the straight line through the two outermost."""
    scores = _level_scores()
    low = quantiles[0] + (quantiles[1] - quantiles[0]) * (scores[0] - scores[1]) / (scores[2] - scores[1])
    high = quantiles[-1] + (quantiles[-1] - quantiles[-2]) * (scores[-1] - scores[-2]) / (scores[-2] - scores[-3])
    return np.array([low, *quantiles, high])


def _at_score(quantiles: list[float], score: float) -> float:
    return float(np.interp(score, _level_scores(), _extended(quantiles)))


def _score_of(quantiles: list[float], value: float) -> float:
    return float(np.interp(value, _extended(quantiles), _level_scores()))
