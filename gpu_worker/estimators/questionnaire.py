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

UNIT_NAMES = {"cm": "centimetres", "kg": "kilograms"}
OTHER_UNITS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "centimetres": (("metres", 100.0), ("feet", 30.48), ("inches", 2.54), ("millimetres", 0.1)),
    "kilograms": (("pounds", 0.45359237), ("stones", 6.35029318), ("grams", 0.001)),
    "years": (),
}
"""What people type instead, and how much of our unit one of it is."""
EARLIEST_BIRTH_YEAR = 1900

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
    _check("invalid_height", "height_cm", facts.height_cm, HEIGHT_RANGE_CM)
    if facts.weight_kg is not None:
        _check("invalid_weight", "weight_kg", facts.weight_kg, WEIGHT_RANGE_KG)
    if facts.age is not None:
        _check("invalid_age", "age", facts.age, AGE_RANGE)
    for name, value in facts.tape_cm.items():
        if name not in TAPE_RANGE_CM:
            raise FactRefused("invalid_tape", name, f"{name} is not a measurement we take from a tape.")
        _check("invalid_tape", name, value, TAPE_RANGE_CM[name])


def _check(code: str, field: str, value: float, limits: tuple[float, float]) -> None:
    if not _is_within(value, limits):
        raise FactRefused(code, field, _sentence(field, value, limits))


def _sentence(field: str, value: float, limits: tuple[float, float]) -> str:
    noun, _, symbol = field.rpartition("_")
    noun, unit = noun.replace("_", " ") or field, UNIT_NAMES.get(symbol, "years")
    for other, factor in OTHER_UNITS[unit]:
        if _is_within(value * factor, limits):
            meant = "" if other == "feet" else f", {value * factor:.0f}"  # 5.8 may be 5 feet 8 inches
            return f"{noun.capitalize()} {value:g} looks like {other}: give it in {unit}{meant}."
    if field == "age" and value >= EARLIEST_BIRTH_YEAR:
        return f"Age {value:g} looks like a year of birth: give it in years."
    return f"We need your {noun} in {unit}, between {limits[0]:.0f} and {limits[1]:.0f}."


def _is_within(value: float, limits: Sequence[float]) -> bool:
    return math.isfinite(value) and limits[0] <= value <= limits[1]


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
