"""How wrong the questionnaire is on people it was not fitted on: five folds of ANSUR II, fixed seeds.

Run: ANSUR_DIR=folder python -m gpu_worker.training.bench_questionnaire. Ends with 1 when a promised number is lost.
Truth is US soldiers measured by experts in 2012; nobody else was measured, and no shopper's own tape.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators.questionnaire import Facts, Questionnaire, bmi
from gpu_worker.training import ansur
from gpu_worker.training.ansur import SURVEY_SEXES, Survey, SurveySex
from gpu_worker.training.fit_questionnaire import fit

Array = NDArray[np.float64]
Surveys = dict[SurveySex, Survey]

FOLDS = 5
FOLD_SEED = 1
TAPE_SEED = 2
GIRTHS = ("chest_cm", "waist_cm", "hip_cm")
BMI_BANDS = ((0.0, 18.5), (18.5, 25.0), (25.0, 30.0), (30.0, 35.0), (35.0, 99.0))
SD_FACTORS = {80: 1.2816, 95: 1.96}
COVERAGE_BANDS = {80: (76.0, 84.0), 95: (93.0, 97.0)}
"""Percent of people inside the stated intervals, chest, waist and hip, each sex."""

MOST_MAE_CM: dict[tuple[str, SurveySex], tuple[float, float, float]] = {
    ("height, weight, age, sex", "male"): (2.8, 3.8, 2.5),
    ("height, weight, age, sex", "female"): (3.7, 4.2, 2.8),
    ("height, weight, sex", "male"): (2.9, 4.0, 2.5),
    ("height, weight, sex", "female"): (3.8, 4.3, 2.8),
}
"""Promised errors of chest, waist, hip from stated answers."""


@dataclass(frozen=True)
class Inputs:
    """One set of answers to try.

    facts        : the answers of one row of a survey
    answers      : whether weight and age are stated, which chooses the model
    is_measured  : fit on measured height and weight too, not on stated ones
    """

    name: str
    facts: Callable[[Survey, int, np.random.Generator], Facts]
    answers: tuple[bool, bool] = (True, True)
    is_measured: bool = False


@dataclass(frozen=True)
class Errors:
    """Estimate minus truth, stated sd, (n, 13), and the BMI that could be known, (n,)."""

    error: Array
    sd: Array
    bmi: Array

    def rows(self, chosen: NDArray[np.bool_]) -> "Errors":
        return Errors(self.error[chosen], self.sd[chosen], self.bmi[chosen])


def facts_of(survey: Survey, row: int) -> Facts:
    height, weight = float(survey.stated_height_cm[row]), float(survey.stated_weight_kg[row])
    return Facts(height, weight, float(survey.age[row]), survey.sex)


def slipless(survey: Survey, row: int, _: np.random.Generator) -> Facts:
    """Somebody who states the exact truth to a model that expects the usual overstatement."""
    return facts_of(survey.as_measured().rows(np.array([row])), 0)


def taped(name: str, sd_cm: float, step_cm: float = 1.0) -> Callable[[Survey, int, np.random.Generator], Facts]:
    """All answers and a measurement as a shopper might give it (simulated): error `sd_cm`, rounded to `step_cm`."""

    def facts(survey: Survey, row: int, rng: np.random.Generator) -> Facts:
        said = round((survey.column(name)[row] + rng.normal(0, sd_cm)) / step_cm) * step_cm
        return replace(facts_of(survey, row), tape_cm={name: float(said)})

    return facts


INPUTS = (
    Inputs("height, weight, age, sex", lambda s, i, _: facts_of(s, i)),
    Inputs("height, weight, sex", lambda s, i, _: replace(facts_of(s, i), age=None), (True, False)),
    Inputs("height, age, sex", lambda s, i, _: replace(facts_of(s, i), weight_kg=None), (False, True)),
    Inputs("height, sex", lambda s, i, _: replace(facts_of(s, i), weight_kg=None, age=None), (False, False)),
    Inputs("height, weight, age", lambda s, i, _: replace(facts_of(s, i), sex="unspecified")),
    Inputs("height, weight", lambda s, i, _: replace(facts_of(s, i), sex="unspecified", age=None), (True, False)),
    Inputs("all + waist, tape sd 2.0", taped("waist_cm", 2.0)),
    Inputs("all + waist, whole inches", taped("waist_cm", 2.5, step_cm=2.54)),
    Inputs("all + chest, tape sd 1.5", taped("chest_cm", 1.5)),
    Inputs("exact, but not expected", slipless),
    Inputs("measured height, weight", lambda s, i, _: facts_of(s, i), is_measured=True),
)


def main() -> int:
    print("QUESTIONNAIRE on ANSUR II: truth from US soldiers of 17-58 years, five folds, rows never fitted on.")
    if not os.environ.get("ANSUR_DIR"):
        print(f"NOT MEASURED: ANSUR_DIR is not set. {ansur.WHERE}")
        return 0
    surveys = ansur.load(ansur.folder_from_environment())
    losses: list[str] = []
    print("Stated answers first. Tape values are simulated. Last, what self-reports cost.\n")
    for sex in SURVEY_SEXES:
        print(f"{sex}, {len(surveys[sex])} people; cm: MAE ± standard error (bias, p90), coverage of 80/95 % intervals")
        print_line("no answers (median person)", *median_person(surveys[sex]))
        for inputs in INPUTS:
            errors = cross_validate(surveys, inputs)[sex]
            print_line(inputs.name, errors, GIRTHS)
            if (inputs.name, sex) in MOST_MAE_CM:
                losses += judge(inputs.name, sex, errors)
                print_bands(errors)
            if inputs is INPUTS[0]:
                print_line("  others", errors, [m for m in MEASUREMENTS if m not in (*GIRTHS, "waist_natural_cm")])
        print()
    for loss in losses:
        print(f"LOST: {loss}")
    print("every promised number holds" if not losses else f"{len(losses)} promised numbers lost")
    return 1 if losses else 0


def folds(survey: Survey) -> list[NDArray[np.int64]]:
    return list(np.array_split(np.random.default_rng(FOLD_SEED).permutation(len(survey)), FOLDS))


def cross_validate(surveys: Surveys, inputs: Inputs) -> dict[SurveySex, Errors]:
    """Each person is estimated by a model that never saw them."""
    rng = np.random.default_rng(TAPE_SEED)
    if inputs.is_measured:
        surveys = {sex: survey.as_measured() for sex, survey in surveys.items()}
    parts: dict[SurveySex, list[Errors]] = {sex: [] for sex in SURVEY_SEXES}
    for fold in range(FOLDS):
        rest = {s: v.rows(np.sort(np.delete(np.arange(len(v)), folds(v)[fold]))) for s, v in surveys.items()}
        model = Questionnaire(fit(rest, "held out", answer_sets=(inputs.answers,)))
        for sex, survey in surveys.items():
            parts[sex].append(_errors(model, survey.rows(folds(survey)[fold]), inputs, rng))
    return {sex: _joined(part) for sex, part in parts.items()}


def _errors(model: Questionnaire, survey: Survey, inputs: Inputs, rng: np.random.Generator) -> Errors:
    estimates = [model.estimate(inputs.facts(survey, row, rng)) for row in range(len(survey))]
    error = np.array([estimate.mean for estimate in estimates]) - survey.measured
    sd = np.sqrt([[estimate.covariance[k][k] for k in range(len(MEASUREMENTS))] for estimate in estimates])
    stated = zip(survey.stated_height_cm, survey.stated_weight_kg, strict=True)
    return Errors(error, sd, np.array([bmi(height, weight) for height, weight in stated]))


def _joined(parts: list[Errors]) -> Errors:
    return Errors(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("error", "sd", "bmi")))


def median_person(survey: Survey) -> tuple[Errors, tuple[str, ...]]:
    error = np.median(survey.measured, axis=0) - survey.measured
    return Errors(error, np.full(error.shape, np.nan), np.zeros(len(survey))), GIRTHS


def columns(errors: Errors, names: list[str] | tuple[str, ...]) -> Iterator[tuple[str, Array, Array]]:
    for name in names:
        k = MEASUREMENTS.index(name)
        yield name, errors.error[:, k], errors.sd[:, k]


def coverage_percent(error: Array, sd: Array, level: int) -> float:
    return 100 * float(np.mean(np.abs(error) <= SD_FACTORS[level] * sd))


def print_line(title: str, errors: Errors, names: list[str] | tuple[str, ...]) -> None:
    cells = []
    for name, error, sd in columns(errors, names):
        size = np.abs(error)
        covered = "/".join(f"{coverage_percent(error, sd, level):.0f}" for level in SD_FACTORS)
        cells.append(
            f"{name.rsplit('_', 1)[0]} {size.mean():.2f}±{size.std() / np.sqrt(len(size)):.2f} "
            f"({error.mean():+.1f}, {np.quantile(size, 0.9):.1f}) {covered if np.isfinite(sd).all() else '-'}"
        )
    print(f"  {title:<28}" + " | ".join(cells))


def print_bands(errors: Errors) -> None:
    for low, high in BMI_BANDS:
        band = errors.rows((errors.bmi >= low) & (errors.bmi < high))
        if len(band.bmi):
            title = f"BMI {low:g}-{high:g}" if low else f"BMI < {high:g}"
            print_line(f"  {title} n={len(band.bmi)}", band, GIRTHS)


def judge(name: str, sex: SurveySex, errors: Errors) -> list[str]:
    """What this table promised and does not keep."""
    lost = []
    limits = zip(columns(errors, GIRTHS), MOST_MAE_CM[name, sex], strict=True)
    for (girth, error, sd), most_cm in limits:
        if np.abs(error).mean() > most_cm:
            lost.append(f"{sex}, {name}: {girth} {np.abs(error).mean():.2f} > {most_cm}")
        for level, (low, high) in COVERAGE_BANDS.items():
            percent = coverage_percent(error, sd, level)
            if not low <= percent <= high:
                lost.append(f"{sex}, {name}: {girth} {level} % interval covers {percent:.1f} %")
    return lost


if __name__ == "__main__":
    sys.exit(main())
