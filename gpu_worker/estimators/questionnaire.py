"""Answers of a shopper → thirteen measurements with an honest covariance. Standard library only.

The backend calls it inside the request and the worker calls it again, so the first size never waits
for a photo. Coefficients: `questionnaire_v1.json`, written by `gpu_worker/training/fit_questionnaire.py`
from the public survey ANSUR II (2012): US soldiers of 17–58, so fitter and more muscular than shoppers.

The model is fitted on *stated* height and weight and so absorbs the usual over- and understatement.

Convention: centimetres and kilograms; rows and columns in the order of `MEASUREMENTS`; the covariance is
that of the error against the published definitions (`gpu_worker/body/tape.py` maps the mesh to them).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

Sex = Literal["female", "male", "unspecified"]

MEASUREMENTS = (
    "chest_cm",
    "waist_cm",
    "waist_natural_cm",
    "hip_cm",
    "inseam_cm",
    "shoulder_cm",
    "neck_cm",
    "upper_arm_cm",
    "thigh_cm",
    "arm_length_cm",
    "torso_length_cm",
    "height_cm",
    "weight_kg",
)
"""Repeats `contract.MEASUREMENTS`, which would bring msgspec; a test compares the two."""

MODEL_FILE = Path(__file__).with_name("questionnaire_v1.json")
HEIGHT_ROW = MEASUREMENTS.index("height_cm")
WEIGHT_ROW = MEASUREMENTS.index("weight_kg")

HEIGHT_RANGE_CM = (130.0, 215.0)
WEIGHT_RANGE_KG = (30.0, 250.0)
AGE_RANGE = (16.0, 80.0)
"""Policy, not data: outside these nobody is advised."""

PLAUSIBLE_BMI = (12.0, 60.0)
"""A height and a weight outside this contradict each other (most often pounds typed as kilograms); guess."""

EXTRAPOLATION_SD_FACTOR = 1.5
"""How much wider the answer is outside the survey's 1–99 % box; guess."""

TANGENT_ERROR = 0.25
"""Error of the step from the survey's edge to the person, as a share of that step; guess."""

CONTRADICTION_SDS = 4.0
"""A tape value further than this from everything else is kept out."""

TAPE_SD_CM = dict.fromkeys(MEASUREMENTS[:HEIGHT_ROW], 1.5) | {"waist_cm": 2.0, "waist_natural_cm": 2.0}
"""Error of a tape held by a shopper; guess. Also the list of what may be taped."""

TAPE_RANGE_CM = {
    "chest_cm": (60.0, 180.0),
    "waist_cm": (45.0, 200.0),
    "waist_natural_cm": (45.0, 200.0),
    "hip_cm": (60.0, 200.0),
    "inseam_cm": (50.0, 115.0),
    "shoulder_cm": (22.0, 65.0),
    "neck_cm": (22.0, 65.0),
    "upper_arm_cm": (15.0, 75.0),
    "thigh_cm": (30.0, 120.0),
    "arm_length_cm": (35.0, 90.0),
    "torso_length_cm": (40.0, 95.0),
}
"""What no adult's tape leaves; beyond it the unit is wrong."""

CM_PER_INCH = 2.54
KG_PER_POUND = 0.45359237
KG_PER_STONE = 6.35029318
EDGE_STEP = 1e-4
"""Share of the way outside the survey used to take the slope at its edge."""


@dataclass(frozen=True)
class Facts:
    """What the shopper stated. `tape_cm` maps a wire name (`waist_cm`) to the value typed."""

    height_cm: float
    weight_kg: float | None = None
    age: float | None = None
    sex: Sex = "unspecified"
    tape_cm: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """What is known about one body.

    mean       : 13 numbers in the order of `MEASUREMENTS`
    covariance : 13 x 13, symmetric and positive definite
    evidence   : `height`, `weight`, `age`, `sex`, `tape` as used
    flags      : `extrapolated`; `facts_inconsistent`, followed by one `recheck_<field>` for each field
    estimator  : name and version of who made it
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    evidence: tuple[str, ...]
    flags: tuple[str, ...]
    estimator: str


class FactRefused(Exception):
    """A stated fact that cannot be used; `detail` is a sentence for the shopper."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.detail = detail


def estimate(facts: Facts) -> Estimate:
    """Answer from the shipped coefficients; raises `FactRefused`."""
    return _shipped().estimate(facts)


class Questionnaire:
    """The estimator over one set of coefficients (the content of `questionnaire_v1.json`)."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self._variants: Mapping[str, Any] = model["variants"]
        self._name = str(model["estimator"])

    @classmethod
    def load(cls, path: Path = MODEL_FILE) -> "Questionnaire":
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def estimate(self, facts: Facts) -> Estimate:
        check(facts)
        variant = self._variants[variant_name(facts)]
        inside = into(variant["limits"], facts)
        mean, step = _mean(variant, facts, inside)
        sd = [math.hypot(s, TANGENT_ERROR * d) for s, d in zip(_sds(variant, inside), step, strict=True)]
        flags = []
        if _is_outside(variant["survey_1_99"], facts):
            flags.append("extrapolated")
            sd = [s * EXTRAPOLATION_SD_FACTOR for s in sd]
        covariance = _covariance(variant["correlation"], sd)
        answered = Estimate(
            mean=tuple(mean),
            covariance=tuple(tuple(row) for row in covariance),
            evidence=_evidence(facts),
            flags=_with_rechecks(flags, _contradicting_facts(facts)),
            estimator=self._name,
        )
        return with_tape(answered, facts.tape_cm)


@cache
def _shipped() -> Questionnaire:
    """Read once, when first asked: the fit imports this module before the file exists."""
    return Questionnaire.load()


# --- what may be asked -------------------------------------------------------------------------------------


def check(facts: Facts) -> None:
    """Raise `FactRefused` for the first fact that cannot be used, naming the unit it was probably typed in."""
    if not _is_within(facts.height_cm, HEIGHT_RANGE_CM):
        raise FactRefused("invalid_height", "height_cm", _height_sentence(facts.height_cm))
    if facts.weight_kg is not None and not _is_within(facts.weight_kg, WEIGHT_RANGE_KG):
        raise FactRefused("invalid_weight", "weight_kg", _weight_sentence(facts.weight_kg))
    if facts.age is not None and not _is_within(facts.age, AGE_RANGE):
        raise FactRefused("invalid_age", "age", _age_sentence(facts.age))
    for name, value in facts.tape_cm.items():
        if name not in TAPE_RANGE_CM:
            raise FactRefused("invalid_tape", name, f"{name} is not a measurement we take from a tape.")
        if not _is_within(value, TAPE_RANGE_CM[name]):
            raise FactRefused("invalid_tape", name, _tape_sentence(name, value))


def _is_within(value: float, limits: Sequence[float]) -> bool:
    return math.isfinite(value) and limits[0] <= value <= limits[1]


def _height_sentence(value: float) -> str:
    low, high = HEIGHT_RANGE_CM
    if low <= 100 * value <= high:
        return f"A height of {value:g} looks like metres: give it in centimetres, {100 * value:.0f}."
    if 4 <= value < 8:
        return f"A height of {value:g} looks like feet: give it in centimetres (5 feet 8 inches are 173)."
    if low <= CM_PER_INCH * value <= high:
        return f"A height of {value:g} looks like inches: give it in centimetres, {CM_PER_INCH * value:.0f}."
    if low <= value / 10 <= high:
        return f"A height of {value:g} looks like millimetres: give it in centimetres, {value / 10:.0f}."
    return f"We need your height in centimetres, between {low:.0f} and {high:.0f}."


def _weight_sentence(value: float) -> str:
    low, high = WEIGHT_RANGE_KG
    if high < value <= high / KG_PER_POUND:
        return f"A weight of {value:g} looks like pounds: give it in kilograms, {value * KG_PER_POUND:.0f}."
    if value < low <= value * KG_PER_STONE:
        return f"A weight of {value:g} looks like stones: give it in kilograms, {value * KG_PER_STONE:.0f}."
    if low <= value / 1000 <= high:
        return f"A weight of {value:g} looks like grams: give it in kilograms, {value / 1000:.0f}."
    return f"We need your weight in kilograms, between {low:.0f} and {high:.0f}; 150 pounds are 68 kilograms."


def _age_sentence(value: float) -> str:
    low, high = AGE_RANGE
    if 1900 <= value < 2100:
        return f"{value:.0f} looks like a year of birth: give your age in years."
    return f"We advise people between {low:.0f} and {high:.0f} years: give your age in years."


def _tape_sentence(name: str, value: float) -> str:
    what = name.removesuffix("_cm").replace("_", " ")
    low, high = TAPE_RANGE_CM[name]
    for unit, factor in (("metres", 100.0), ("inches", CM_PER_INCH), ("millimetres", 0.1)):
        if low <= value * factor <= high:
            return f"A {what} of {value:g} looks like {unit}: give it in centimetres, {value * factor:.0f}."
    return f"We need the {what} in centimetres, between {low:.0f} and {high:.0f}."


def _contradicting_facts(facts: Facts) -> list[str]:
    if facts.weight_kg is None or _is_within(bmi(facts.height_cm, facts.weight_kg), PLAUSIBLE_BMI):
        return []
    return ["height_cm", "weight_kg"]


def _with_rechecks(flags: Sequence[str], fields: Sequence[str]) -> tuple[str, ...]:
    found = ["facts_inconsistent", *(f"recheck_{name}" for name in fields)] if fields else []
    return (*flags, *(flag for flag in found if flag not in flags))


def _evidence(facts: Facts) -> tuple[str, ...]:
    used = {
        "height": True,
        "weight": facts.weight_kg is not None,
        "age": facts.age is not None,
        "sex": facts.sex != "unspecified",
    }
    return tuple(name for name, is_used in used.items() if is_used)


# --- the model ---------------------------------------------------------------------------------------------


def bmi(height_cm: float, weight_kg: float) -> float:
    return weight_kg / (height_cm / 100) ** 2


def variant_name(facts: Facts) -> str:
    """Each set of answers has its own fitted model; nothing missing is filled in with an average."""
    weight = "+weight" if facts.weight_kg is not None else ""
    age = "+age" if facts.age is not None else ""
    return f"{facts.sex}:height{weight}{age}"


def basis(height_cm: float, weight_kg: float | None, age: float | None) -> list[float]:
    """The terms of the mean model, without the constant."""
    terms = [height_cm, height_cm**2]
    if weight_kg is not None:
        b = bmi(height_cm, weight_kg)
        terms += [weight_kg, weight_kg**2, height_cm * weight_kg, math.sqrt(b), math.log(weight_kg)]
    if age is not None:
        terms += [age, age**2]
        terms.append(age * (height_cm if weight_kg is None else bmi(height_cm, weight_kg)))
    return terms


def spread_basis(height_cm: float, weight_kg: float | None, age: float | None) -> list[float]:
    """The terms of the logarithm of the standard deviation, without the constant."""
    terms = [height_cm]
    if weight_kg is not None:
        b = bmi(height_cm, weight_kg)
        terms = [b, b**2]
    return terms if age is None else [*terms, age]


def _standardised(terms: list[float], columns: Mapping[str, list[float]]) -> list[float]:
    return [(t - c) / s for t, c, s in zip(terms, columns["centre"], columns["scale"], strict=True)]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def into(limits: Mapping[str, list[float]], facts: Facts) -> Facts:
    """The nearest person inside the survey: height, BMI and age are moved to its edges."""
    height = _clamp(facts.height_cm, limits["height_cm"])
    weight = None
    if facts.weight_kg is not None:
        weight = _clamp(bmi(facts.height_cm, facts.weight_kg), limits["bmi"]) * (height / 100) ** 2
    age = None if facts.age is None else _clamp(facts.age, limits["age"])
    return Facts(height, weight, age, facts.sex)


def _clamp(value: float, limits: Sequence[float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _is_outside(box: Mapping[str, list[float]], facts: Facts) -> bool:
    values = {"height_cm": facts.height_cm, "age": facts.age}
    if facts.weight_kg is not None:
        values["bmi"] = bmi(facts.height_cm, facts.weight_kg)
    return any(value is not None and not _is_within(value, box[name]) for name, value in values.items())


def _polynomial(variant: Mapping[str, Any], person: Facts) -> list[float]:
    terms = _standardised(basis(person.height_cm, person.weight_kg, person.age), variant["columns"])
    return [row[0] + _dot(row[1:], terms) for row in variant["mean"]]


def _mean(variant: Mapping[str, Any], facts: Facts, inside: Facts) -> tuple[list[float], list[float]]:
    """The mean, and the step it took beyond the survey: no parabola is trusted outside its data, only its tangent.

    Height and weight are modelled as corrections of what was stated, and keep the edge's correction.
    """
    mean = _polynomial(variant, inside)
    edge_mean = _polynomial(variant, _between(inside, facts, -EDGE_STEP))
    step = [(m - e) / EDGE_STEP for m, e in zip(mean, edge_mean, strict=True)]
    step[HEIGHT_ROW] = 0.0
    mean[HEIGHT_ROW] += facts.height_cm
    if facts.weight_kg is not None:
        step[WEIGHT_ROW] = 0.0
        mean[WEIGHT_ROW] += facts.weight_kg
    beyond = [m + d for m, d in zip(mean, step, strict=True)]
    for row, name in enumerate(MEASUREMENTS):
        if name in TAPE_RANGE_CM:
            beyond[row] = _clamp(beyond[row], TAPE_RANGE_CM[name])
    return beyond, step


def _between(start: Facts, end: Facts, share: float) -> Facts:
    """A person on the line from `start` to `end`, in height and √(weight/height), which girths follow; age stays."""
    height = start.height_cm + share * (end.height_cm - start.height_cm)
    if start.weight_kg is None or end.weight_kg is None:
        return Facts(height, None, start.age, start.sex)
    start_width = math.sqrt(start.weight_kg / start.height_cm)
    end_width = math.sqrt(end.weight_kg / end.height_cm)
    width = start_width + share * (end_width - start_width)
    return Facts(height, height * width**2, start.age, start.sex)


def _sds(variant: Mapping[str, Any], inside: Facts) -> list[float]:
    terms = _standardised(spread_basis(inside.height_cm, inside.weight_kg, inside.age), variant["spread_columns"])
    return [math.exp(row[0] + _dot(row[1:], terms)) for row in variant["log_sd"]]


def _covariance(triangle: list[list[float]], sd: list[float]) -> list[list[float]]:
    """From the strict lower triangle of the correlation matrix, row by row."""
    covariance = [[0.0] * len(sd) for _ in sd]
    for i, correlations in enumerate(triangle):
        covariance[i][i] = sd[i] ** 2
        for j, correlation in enumerate(correlations):
            covariance[i][j] = covariance[j][i] = correlation * sd[i] * sd[j]
    return covariance


# --- a tape ------------------------------------------------------------------------------------------------


def with_tape(estimate: Estimate, tape_cm: Mapping[str, float]) -> Estimate:
    """An estimate and tape values, which are independent of it and of each other, in one."""
    mean, covariance, kept_out = _fuse_tape(list(estimate.mean), [list(row) for row in estimate.covariance], tape_cm)
    return Estimate(
        mean=tuple(mean),
        covariance=tuple(tuple(row) for row in covariance),
        evidence=(*estimate.evidence, *(["tape"] if len(kept_out) < len(tape_cm) else [])),
        flags=_with_rechecks(estimate.flags, kept_out),
        estimator=estimate.estimator,
    )


def _fuse_tape(
    mean: list[float], covariance: list[list[float]], tape_cm: Mapping[str, float]
) -> tuple[list[float], list[list[float]], list[str]]:
    """Fuse what agrees with the answers and all other values; the worst leaves first. Also returns who was kept out."""
    used = dict(tape_cm)
    kept_out: list[str] = []
    while True:
        fused_mean, fused = mean, covariance
        for name, value in used.items():
            fused_mean, fused = _observe(fused_mean, fused, MEASUREMENTS.index(name), value, TAPE_SD_CM[name])
        surprise = {name: _surprise(fused_mean, fused, name, value) for name, value in used.items()}
        worst = max(surprise, key=surprise.__getitem__, default=None)
        if worst is None or surprise[worst] <= CONTRADICTION_SDS:
            return fused_mean, fused, kept_out
        kept_out.append(worst)
        del used[worst]


def _observe(
    mean: list[float], covariance: list[list[float]], row: int, value: float, sd: float
) -> tuple[list[float], list[list[float]]]:
    """One Kalman update: `value` of measurement `row` seen with an independent error of `sd`."""
    column = covariance[row]
    total = column[row] + sd**2
    step = (value - mean[row]) / total
    new_mean = [m + c * step for m, c in zip(mean, column, strict=True)]
    return new_mean, [
        [p - ci * cj / total for p, cj in zip(line, column, strict=True)]
        for line, ci in zip(covariance, column, strict=True)
    ]


def _surprise(mean: list[float], covariance: list[list[float]], name: str, value: float) -> float:
    """Distance of a fused value from what all the rest says, in their combined standard deviations."""
    row, variance = MEASUREMENTS.index(name), TAPE_SD_CM[name] ** 2
    left_over = variance - covariance[row][row]
    rest_variance = covariance[row][row] * variance / left_over
    rest_mean = (mean[row] * variance - value * covariance[row][row]) / left_over
    return abs(value - rest_mean) / math.sqrt(rest_variance + variance)
