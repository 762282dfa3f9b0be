"""Body with its uncertainty × size chart → which size, how sure, and how each would sit. Pure, standard library only.

The same input gives the same answer: the posterior is integrated over fixed quasi-random points, not drawn.

Convention: centimetres; body vectors and covariances in the order of `contract.MEASUREMENTS`.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from operator import mul
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec

from backend.garments.bands import Band, band
from backend.garments.categories import EXPECTED, GIRTHS, JUDGED, Category, Stretch, WaistAt
from backend.garments.chart_rules import Measures
from gpu_worker.contract import MEASUREMENTS

POINTS = 512
SURE = 0.60
"""From here on one size is named."""
SURE_OF_TWO = 0.80
"""From here on two neighbours are named."""
CLEARLY_LIKELIER = 0.10
"""By so much the second of two named sizes must lead the size on the other side of the first."""
NONE_LIKELY = 0.50
"""From here on we say that no size fits. The four are proposed, not yet checked against outcomes."""
NO_SIZE = -1
HALF_A_POINT = 0.5 / POINTS

TIGHT_COST, TIGHT_COST_PER_CM = 4.0, 1.2
CLOSER_COST, LOOSER_COST = 1.3, 0.8
"""Too close costs more than too loose; guess."""

TAPE_SD_CM = {"waist": 2.0}
TAPE_SD_OTHERS_CM = 1.5
"""What a shopper's own tape would bring, for saying which one to take."""
TAPE_OUTCOMES = 7
"""Equally likely readings over which the gain of a tape is averaged."""

LEAST_LENGTH_CM = 2.0
"""What one notices of a sleeve or a leg."""


class LengthRule(NamedTuple):
    """A length of the chart, the body's it goes with, and by how much it is usually longer. Guess."""

    part: Literal["sleeves", "legs"]
    measure: str
    body: str
    usual_cm: float


LENGTHS: dict[Category, LengthRule] = {
    "long-sleeve shirt": LengthRule("sleeves", "sleeve", "arm_length_cm", 2.0),
    "hoodie": LengthRule("sleeves", "sleeve", "arm_length_cm", 2.0),
    "trousers": LengthRule("legs", "inseam", "inseam_cm", -4.0),
}
"""Sleeves end a little below the wrist, trousers a little above the ground."""

Verdict = Literal["too_tight", "snug", "regular", "loose", "too_loose"]
Decision = Literal["one", "between", "unsure", "none_fits"]


class Body(msgspec.Struct, frozen=True):
    """What is known of a body: 13 means and their 13 × 13 covariance."""

    mean: Sequence[float]
    covariance: Sequence[Sequence[float]]


class Wear(msgspec.Struct, frozen=True):
    """What is known of a garment. `girths_cm`: size → girth → cm, sizes from small to large."""

    category: Category
    stretch: Stretch
    measures: Measures
    waist_at: WaistAt
    girths_cm: Mapping[str, Mapping[str, float]]
    bands: Mapping[str, Band] = {}
    """Girths that the brand judges otherwise than we."""
    lengths_cm: Mapping[str, Mapping[str, float]] = {}
    """Size → length → cm; only told of, never decided by."""

    def band(self, girth: str) -> Band:
        return self.bands.get(girth) or band(self.category, self.stretch, self.measures, girth)

    @property
    def judged(self) -> list[str]:
        """The girths that speak about fit and that every size gives."""
        rows = list(self.girths_cm.values())
        return [girth for girth in JUDGED[self.category] if rows and all(girth in row for row in rows)]


class RegionFit(msgspec.Struct, frozen=True):
    region: str
    ease_cm: float | None
    """Chart less body; null where the caller may not read the body's measures."""
    sd: float | None
    verdict: Verdict


class LengthFit(msgspec.Struct, frozen=True):
    """By how much sleeves or legs are longer than they usually are on such a body."""

    part: Literal["sleeves", "legs"]
    off_cm: float | None
    """Null where the caller may not read the body's measures."""
    verdict: Literal["short", "usual", "long"]


class SizeFit(msgspec.Struct, frozen=True):
    size: str
    probability: float
    """That it fits and is the best of those that do."""
    regions: list[RegionFit]
    """As it would sit on the body as estimated."""
    lengths: list[LengthFit] = []


class FitResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer about one garment. `notes` are codes (`region_missing:hip`), `sentences` all of it in English."""

    decision: Decision
    recommended_size: str | None
    between: list[str] | None
    confidence: float
    """The probability of what `decision` says; while it is `unsure`, of the likeliest size."""
    sizes: list[SizeFit]
    none_probability: float = 0.0
    """That no size fits: with the probabilities of the sizes it makes one."""
    measure_next: str | None
    """The measurement that would help most, by its wire name; only while `decision` is `unsure`."""
    notes: list[str]
    sentences: list[str]


class Judgement(msgspec.Struct, frozen=True):
    """The numbers behind a result, before they are rounded and put into words."""

    decision: Decision
    named: tuple[str, ...]
    """The size or the two that are recommended."""
    confidence: float
    sizes: list[SizeFit]
    none_probability: float
    measure_next: str | None


def judge(body: Body, wear: Wear) -> Judgement:
    girths = wear.judged
    bands = [wear.band(girth) for girth in girths]
    rows = [body_row(girth, wear.waist_at) for girth in girths]
    points = _bodies(body, rows)
    charts = [[row[girth] for girth in girths] for row in wear.girths_cm.values()]
    lines = [CostLine.of(limits) for limits in bands]
    winners = [_cheapest(charts, point, lines, must_fit=True) for point in points]
    shares = [winners.count(index) / len(winners) for index in range(len(charts))]
    none = winners.count(NO_SIZE) / len(winners)
    if not any(shares):  # the nearest still comes first in any order by probability
        shares[_cheapest(charts, [body.mean[row] for row in rows], lines, must_fit=False)] = HALF_A_POINT
    sizes = [
        SizeFit(size, round(share, 3), _regions(chart, girths, bands, body, rows), _lengths(wear, size, body))
        for size, share, chart in zip(wear.girths_cm, shares, charts, strict=True)
    ]
    decision, chosen, confidence = decide_by_shares(shares, none, [_fits(size) for size in sizes])
    best = _most_telling(girths, points, winners) if decision == "unsure" else None
    return Judgement(
        decision=decision,
        named=tuple(sizes[index].size for index in chosen),
        confidence=round(confidence, 3),
        sizes=sizes,
        none_probability=round(none, 3),
        measure_next=None if best is None else MEASUREMENTS[body_row(best, wear.waist_at)],
    )


def missing_girths(wear: Wear) -> list[str]:
    """What a chart of this category should hold and does not."""
    return [girth for girth in EXPECTED[wear.category] if girth not in wear.judged]


def body_row(girth: str, waist_at: WaistAt) -> int:
    """Where a chart's girth stands among the measurements of a body."""
    name = "waist_natural" if girth == "waist" and waist_at == "natural" else girth
    return MEASUREMENTS.index(f"{name}_cm")


def verdict(ease_cm: float, limits: Band) -> Verdict:
    if ease_cm < limits.tight:
        return "too_tight"
    if ease_cm < limits.snug_to:
        return "snug"
    if ease_cm < limits.regular_to:
        return "regular"
    return "loose" if ease_cm < limits.loose_to else "too_loose"


class CostLine(NamedTuple):
    """A band as the three straight lines of its cost; plain numbers, because they are asked for some 10,000 times."""

    tight: float
    centre: float
    per_cm_closer: float
    per_cm_looser: float
    loose_to: float
    """Does not enter the cost; from here on it does not fit."""

    @classmethod
    def of(cls, limits: Band) -> "CostLine":
        per_cm_closer, per_cm_looser = CLOSER_COST / limits.half_width, LOOSER_COST / limits.half_width
        return cls(limits.tight, limits.centre, per_cm_closer, per_cm_looser, limits.loose_to)


def cost(ease_cm: float, line: CostLine) -> float:
    """0 in the middle of regular, about 1 at its edges, from 4 upwards where it is too tight."""
    tight, centre, per_cm_closer, per_cm_looser, _ = line
    if ease_cm < tight:
        return TIGHT_COST + TIGHT_COST_PER_CM * (tight - ease_cm)
    off = ease_cm - centre
    return off * per_cm_looser if off > 0 else -off * per_cm_closer


# --- deciding --------------------------------------------------------------------------------------------------------


def decide_by_shares(shares: list[float], none: float, fits: Sequence[bool]) -> tuple[Decision, list[int], float]:
    """The decision, the places of the sizes it names, and the probability of what it says.

    `shares`: that each size fits best; `none`: that no size fits; `fits`: whether each does on the body as estimated.
    No size at all, if that is likely and none fits the body as estimated: where little is known, "none" gathers the
    doubt about every size, and doubt is no verdict. Else the likeliest, if it is likely enough by itself. Else the
    likeliest with its likelier neighbour, if the two are likely enough, both fit, and the neighbour clearly leads the
    one on the other side: of 34 with .2 on either side we cannot say "34 - 36", and 34 alone would be too bold. Else
    we are unsure.
    """
    if none >= NONE_LIKELY and not any(fits):
        return "none_fits", [], none
    top = max(range(len(shares)), key=shares.__getitem__)
    if shares[top] >= SURE and fits[top]:
        return "one", [top], shares[top]
    beside = [place for place in (top - 1, top + 1) if 0 <= place < len(shares)]
    if beside:
        second = max(beside, key=shares.__getitem__)
        lead = shares[second] - sum(shares[place] for place in beside if place != second)
        both = shares[top] + shares[second]
        if both >= SURE_OF_TWO and lead >= CLEARLY_LIKELIER and fits[top] and fits[second]:
            return "between", sorted((top, second)), both
    return "unsure", [], shares[top]


def _fits(size: SizeFit) -> bool:
    return not any(region.verdict in {"too_tight", "too_loose"} for region in size.regions)


def _regions(chart: list[float], girths: list[str], bands: list[Band], body: Body, rows: list[int]) -> list[RegionFit]:
    fits = []
    for value, girth, limits, row in zip(chart, girths, bands, rows, strict=True):
        ease = value - body.mean[row]
        sd = math.sqrt(body.covariance[row][row])
        fits.append(RegionFit(girth, round(ease, 1), round(sd, 1), verdict(ease, limits)))
    return fits


def _lengths(wear: Wear, size: str, body: Body) -> list[LengthFit]:
    """Said of garments' own measures alone: a length in a chart of bodies is the body's."""
    rule = LENGTHS.get(wear.category)
    given = wear.lengths_cm.get(size, {})
    if rule is None or rule.measure not in given or wear.measures == "body":
        return []
    row = MEASUREMENTS.index(rule.body)
    off = given[rule.measure] - body.mean[row] - rule.usual_cm
    is_telling = abs(off) >= max(LEAST_LENGTH_CM, math.sqrt(body.covariance[row][row]))
    return [LengthFit(rule.part, round(off, 1), ("long" if off > 0 else "short") if is_telling else "usual")]


def _cheapest(charts: list[list[float]], girths_cm: Sequence[float], lines: list[CostLine], *, must_fit: bool) -> int:
    """The place of the size that costs this body least, of all or of those that fit; the smaller of two equals."""
    best, best_cost = NO_SIZE, math.inf
    for index, chart in enumerate(charts):
        total = 0.0
        for value, girth, line in zip(chart, girths_cm, lines, strict=True):
            ease = value - girth
            if must_fit and not line.tight <= ease < line.loose_to:
                break
            total += cost(ease, line)
            if total >= best_cost:
                break
        else:
            best, best_cost = index, total
    return best


def _most_telling(girths: list[str], points: list[list[float]], winners: list[int]) -> str:
    """The girth whose tape value would, on average, leave the least entropy between the sizes."""
    return min(girths, key=lambda girth: _entropy_after_tape(girths.index(girth), girth, points, winners))


def _entropy_after_tape(column: int, girth: str, points: list[list[float]], winners: list[int]) -> float:
    sd = TAPE_SD_CM.get(girth, TAPE_SD_OTHERS_CM)
    ordered = sorted(point[column] for point in points)
    readings = [ordered[(2 * k + 1) * len(ordered) // (2 * TAPE_OUTCOMES)] for k in range(TAPE_OUTCOMES)]
    total = 0.0
    for reading in readings:
        weights: dict[int, float] = {}
        for point, winner in zip(points, winners, strict=True):
            weights[winner] = weights.get(winner, 0.0) + math.exp(-0.5 * ((point[column] - reading) / sd) ** 2)
        whole = sum(weights.values())
        total -= sum(weight / whole * math.log(weight / whole) for weight in weights.values() if weight > 0)
    return total / TAPE_OUTCOMES


# --- integrating -----------------------------------------------------------------------------------------------------


def _bodies(body: Body, rows: list[int]) -> list[list[float]]:
    """`POINTS` bodies that stand for the posterior of the judged girths: mean + L·z over fixed normal points."""
    lower = _cholesky([[body.covariance[i][j] for j in rows] for i in rows])
    means = [body.mean[row] for row in rows]
    return [
        [mean + sum(map(mul, line, point)) for mean, line in zip(means, lower, strict=True)]
        for point in normal_points(len(rows))
    ]


@cache
def normal_points(dimensions: int) -> list[tuple[float, ...]]:
    """A rank-1 lattice (Kronecker sequence of the generalised golden ratio) mapped to the normal distribution.

    Points come in pairs z, -z and each axis is scaled to variance 1, so that means and variances are exact.
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    inverse = NormalDist().inv_cdf
    half = [
        tuple(inverse((0.5 + (k + 1) * ratio ** -(axis + 1)) % 1) for axis in range(dimensions))
        for k in range(POINTS // 2)
    ]
    scale = [math.sqrt(len(half) / sum(z[axis] ** 2 for z in half)) for axis in range(dimensions)]
    scaled = [tuple(map(mul, z, scale)) for z in half]
    return [point for z in scaled for point in (z, tuple(-x for x in z))]


def _cholesky(matrix: list[list[float]]) -> list[list[float]]:
    """Lower factor, row i with i + 1 entries. A pivot that rounding made non-positive counts as zero."""
    lower: list[list[float]] = []
    for i, row in enumerate(matrix):
        line: list[float] = []
        for j in range(i):
            rest = row[j] - sum(a * b for a, b in zip(line, lower[j], strict=False))
            line.append(rest / lower[j][j] if lower[j][j] > 0 else 0.0)
        line.append(math.sqrt(max(0.0, row[i] - sum(a * a for a in line))))
        lower.append(line)
    return lower


assert set(GIRTHS) <= {name.removesuffix("_cm") for name in MEASUREMENTS}  # noqa: S101  both lists are constants
