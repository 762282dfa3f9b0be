"""Fit the questionnaire on ANSUR II and write `gpu_worker/estimators/questionnaire_v1.json`.

Run: ANSUR_DIR=folder python -m gpu_worker.training.fit_questionnaire. The same tables give the same bytes.
One model for each sex (and both pooled) and each set of answers, on stated height and weight.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.contract import MEASUREMENTS, Sex
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import HEIGHT_ROW, WEIGHT_ROW, Facts
from gpu_worker.training import ansur
from gpu_worker.training.ansur import SURVEY_SEXES, Survey, SurveySex
from gpu_worker.training.waist_natural import WaistNatural

Array = NDArray[np.float64]

WAIST_NATURAL_ROW = MEASUREMENTS.index("waist_natural_cm")
ANSWER_SETS = ((True, True), (True, False), (False, True), (False, False))
"""(weight stated, age stated)."""

LIMITS_QUANTILES = (0.001, 0.999)
"""Inside them the polynomial is used, beyond them its tangent."""
BOX_QUANTILES = (0.01, 0.99)
RESIDUAL_FLOOR = 0.2
"""Added to |residual| before its logarithm, so that an exact hit is no outlier; cm or kg."""
SMALLEST_SD = 1e-6
"""So that height has a logarithm where the measured height itself is the input."""
CORRELATION_SHRINK = 0.98
"""Off-diagonal correlations are multiplied by this, which keeps the rounded matrix positive definite."""
DIGITS = 5


@dataclass(frozen=True)
class People:
    """Rows to fit one variant on.

    truth, weight        : (n, 13) and (n,); weights sum to 1
    sexes                : the rows of each sex among them
    waist_natural_sd_cm  : error of the natural waist in `truth`
    """

    facts: list[Facts]
    truth: Array
    weight: Array
    sexes: list[slice]
    waist_natural_sd_cm: float


def main() -> int:
    folder = ansur.folder_from_environment()
    text = to_text(fit(ansur.load(folder), survey_sha256=ansur.digest(folder)))
    questionnaire.MODEL_FILE.write_text(text, encoding="utf-8")
    print(f"{questionnaire.MODEL_FILE.name}: {len(text)} bytes")
    return 0


def to_text(model: Mapping[str, Any]) -> str:
    """One variant a line, so that a refit can be read as a difference."""
    head = {key: value for key, value in model.items() if key != "variants"}
    lines = [f'"{name}":{_compact(variant)}' for name, variant in model["variants"].items()]
    return _compact(head)[:-1] + ',"variants":{\n' + ",\n".join(lines) + "\n}}\n"


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fit(
    surveys: Mapping[SurveySex, Survey],
    survey_sha256: str,
    answer_sets: tuple[tuple[bool, bool], ...] = ANSWER_SETS,
    natural_waists: Mapping[SurveySex, WaistNatural] | None = None,
) -> dict[str, Any]:
    """Fit one variant for each sex and set of answers; the result is what `Questionnaire` reads."""
    lines = natural_waists or {sex: WaistNatural.load(sex) for sex in SURVEY_SEXES}
    groups: tuple[tuple[Sex, tuple[SurveySex, ...]], ...] = (
        ("female", ("female",)),
        ("male", ("male",)),
        ("unspecified", SURVEY_SEXES),
    )
    variants: dict[str, Any] = {}
    for sex, members in groups:
        for has_weight, has_age in answer_sets:
            chosen = [surveys[member] for member in members]
            people = gather(sex, chosen, lines, has_weight=has_weight, has_age=has_age)
            variants[questionnaire.variant_name(people.facts[0])] = fit_variant(people)
    return {
        "estimator": "questionnaire_v1",
        "measurements": list(MEASUREMENTS),
        "source": "ANSUR II (2012), public release: US soldiers of 17-58 years",
        "survey_sha256": survey_sha256,
        "rows": {sex: len(survey) for sex, survey in surveys.items()},
        "variants": variants,
    }


def gather(
    sex: Sex, surveys: list[Survey], lines: Mapping[SurveySex, WaistNatural], *, has_weight: bool, has_age: bool
) -> People:
    """Both sexes weigh the same when they are pooled."""
    facts: list[Facts] = []
    truth, weight, variances = [], [], []
    for survey in surveys:
        line = lines[survey.sex]
        measured = survey.measured.copy()
        measured[:, WAIST_NATURAL_ROW] = line.predict(measured)
        truth.append(measured)
        weight.append(np.full(len(survey), 1 / (len(survey) * len(surveys))))
        variances.append(line.error_sd_cm**2)
        facts += [
            Facts(float(h), float(w) if has_weight else None, float(a) if has_age else None, sex)
            for h, w, a in zip(survey.stated_height_cm, survey.stated_weight_kg, survey.age, strict=True)
        ]
    ends = np.cumsum([len(survey) for survey in surveys])
    return People(
        facts,
        np.concatenate(truth),
        np.concatenate(weight),
        [slice(int(end) - len(survey), int(end)) for end, survey in zip(ends, surveys, strict=True)],
        float(np.sqrt(np.mean(variances))),
    )


def fit_variant(people: People) -> dict[str, Any]:
    limits = _ranges(people, LIMITS_QUANTILES)
    inside = [questionnaire.into(limits, facts) for facts in people.facts]
    columns, terms = _standardised(inside, questionnaire.basis, people.weight)
    spread_columns, spread_terms = _standardised(inside, questionnaire.spread_basis, people.weight)
    target = _target(people)
    root = np.sqrt(people.weight)[:, None]
    mean = np.linalg.lstsq(terms * root, target * root, rcond=None)[0]
    residual = target - terms @ mean
    log_sd, scaled = _spread(residual, spread_terms, people.weight)
    correlation = (scaled * people.weight[:, None]).T @ scaled
    _widen_for_either_sex(log_sd, scaled, people)
    _widen_waist_natural(log_sd, correlation, residual, people)
    share = {
        "limits": limits,
        "survey_1_99": _ranges(people, BOX_QUANTILES),
        "columns": columns,
        "spread_columns": spread_columns,
        "mean": _rounded(mean.T),
        "log_sd": _rounded(log_sd.T),
        "correlation": [_rounded(CORRELATION_SHRINK * row[:i]) for i, row in enumerate(correlation)],
    }
    return share | {"q80": _factors(scaled, people.weight, 0.8), "q95": _factors(scaled, people.weight, 0.95)}


def _target(people: People) -> Array:
    """The truth, but for height and weight what must be added to the stated value."""
    target = people.truth.copy()
    target[:, HEIGHT_ROW] -= [facts.height_cm for facts in people.facts]
    if people.facts[0].weight_kg is not None:
        target[:, WEIGHT_ROW] -= [facts.weight_kg or 0.0 for facts in people.facts]
    return target


def _standardised(
    facts: list[Facts], basis: Callable[[float, float | None, float | None], list[float]], weight: Array
) -> tuple[dict[str, list[float]], Array]:
    """Columns of the basis with mean 0 and sd 1 after a column of ones, and how they were standardised."""
    raw = np.array([basis(person.height_cm, person.weight_kg, person.age) for person in facts])
    centre = weight @ raw
    scale = np.sqrt(weight @ (raw - centre) ** 2)
    columns = {"centre": _significant(centre), "scale": _significant(scale)}
    standardised = (raw - np.array(columns["centre"])) / np.array(columns["scale"])
    return columns, np.column_stack([np.ones(len(raw)), standardised])


def _spread(residual: Array, terms: Array, weight: Array) -> tuple[Array, Array]:
    """Coefficients of ln sd for each measurement, (k, 13), and the residuals scaled to unit variance."""
    root = np.sqrt(weight)[:, None]
    log_sd = np.linalg.lstsq(terms * root, np.log(np.abs(residual) + RESIDUAL_FLOOR) * root, rcond=None)[0]
    scaled = residual / np.exp(terms @ log_sd)
    unit = np.sqrt(weight @ scaled**2 + SMALLEST_SD**2)
    log_sd[0] += np.log(unit)
    return log_sd, scaled / unit


def _widen_for_either_sex(log_sd: Array, scaled: Array, people: People) -> None:
    """Where sex is not known, state the sd of the sex that is harder to guess."""
    of_each_sex = [people.weight[rows] @ scaled[rows] ** 2 / people.weight[rows].sum() for rows in people.sexes]
    log_sd[0] += np.log(np.maximum(np.max(of_each_sex, axis=0), 1.0)) / 2


def _widen_waist_natural(log_sd: Array, correlation: Array, residual: Array, people: People) -> None:
    """Add the error of the line through solved bodies and of the unchecked definition to the natural waist."""
    variance = float(people.weight @ residual[:, WAIST_NATURAL_ROW] ** 2)
    factor = float(np.sqrt(1 + people.waist_natural_sd_cm**2 / variance))
    log_sd[0, WAIST_NATURAL_ROW] += np.log(factor)
    correlation[WAIST_NATURAL_ROW] /= factor
    correlation[:, WAIST_NATURAL_ROW] /= factor


def _factors(scaled: Array, weight: Array, level: float) -> list[float]:
    """The factor of sd that covers `level` of the people, for each measurement."""
    return [round(weighted_quantile(np.abs(column), weight, level), 3) for column in scaled.T]


def _ranges(people: People, quantiles: tuple[float, float]) -> dict[str, list[float]]:
    columns = {"height_cm": np.array([facts.height_cm for facts in people.facts])}
    if people.facts[0].age is not None:
        columns["age"] = np.array([facts.age for facts in people.facts], dtype=np.float64)
    if people.facts[0].weight_kg is not None:
        columns["bmi"] = np.array([questionnaire.bmi(f.height_cm, f.weight_kg or 0.0) for f in people.facts])
    return {
        name: [round(weighted_quantile(values, people.weight, q), 2) for q in quantiles]
        for name, values in columns.items()
    }


def weighted_quantile(values: Array, weight: Array, level: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(reached, level)), len(values) - 1)])


def _rounded(values: NDArray[np.floating[Any]]) -> Any:
    return np.round(values, DIGITS).tolist()


def _significant(values: Array) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


if __name__ == "__main__":
    sys.exit(main())
