"""From a category to a garment that can be put on a body: the pattern, and the builder that places it."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.bottom import TrouserBuilder, TrouserPattern, TrouserStyle
from gpu_worker.garments.chart import Category
from gpu_worker.garments.collide import Skin
from gpu_worker.garments.pattern import Pattern
from gpu_worker.garments.rings import ChartedRing, ChartedSection, Folds
from gpu_worker.garments.skirt import SkirtBuilder, SkirtPattern, SkirtStyle
from gpu_worker.garments.tables import BodyTables
from gpu_worker.garments.top import TopBuilder, TopPattern, TopStyle

Row = dict[str, float]

TOP_STYLES: dict[Category, TopStyle] = {
    "t-shirt": TopStyle(40, 12, "crew", 0.085, 0.022, 0.165, Folds(8, 0.85, 1.3)),
    "long-sleeve shirt": TopStyle(44, 34, "crew", 0.075, 0.020, 0.155, Folds(7, 0.80, 0.4), rib_m=0.030),
    "hoodie": TopStyle(40, 34, "crew", 0.080, 0.020, 0.175, Folds(6, 0.65, 2.1), has_hood=True),
    "dress": TopStyle(64, 11, "scoop", 0.115, 0.040, 0.190, Folds(11, 0.95, 1.3), rib_m=0.008),
}
SKIRT = SkirtStyle(48, Folds(11, 0.9, 1.3))
TROUSERS = TrouserStyle(24, 50, Folds(4, 0.10, 0.7))
SHORTS = TrouserStyle(24, 18, Folds(4, 0.15, 0.7))


class Builder(Protocol):
    """One kind of garment on one body; sizes share what does not depend on them."""

    def build(self, row: Row) -> Floats:
        """(N, 3) worn points of one size, not yet pushed off the skin."""

    def settle(self, points: Floats, skin: Skin) -> Floats:
        """What the push off the skin leaves to be put right."""

    def freedom(self, points: Floats) -> Floats:
        """(N,) from 0, held where geometry put it, to 1, let go as cloth."""

    def rings(self, row: Row) -> Sequence[ChartedRing | ChartedSection]:
        """Rows and sections whose girth is put right after the push."""

    def marks(self, row: Row) -> dict[str, float]:
        """Measure -> height at which the chart's girth is the cloth's."""

    def ease(self, row: Row) -> Floats:
        """(N,) girth of the cloth less the skin's, metres."""


@cache
def _top(category: Category) -> TopPattern:
    return TopPattern(TOP_STYLES[category])


@cache
def _skirt() -> SkirtPattern:
    return SkirtPattern(SKIRT)


@cache
def _trousers(category: Category) -> TrouserPattern:
    return TrouserPattern(SHORTS if category == "shorts" else TROUSERS)


def pattern_of(category: Category) -> Pattern:
    if category in TOP_STYLES:
        return _top(category).pattern
    return _skirt().pattern if category == "skirt" else _trousers(category).pattern


def builder_of(category: Category, tables: BodyTables) -> Builder:
    if category in TOP_STYLES:
        return TopBuilder(_top(category), tables)
    return SkirtBuilder(_skirt(), tables) if category == "skirt" else TrouserBuilder(_trousers(category), tables)
