"""Dressing: every size of a garment on one body, off the skin and over what is worn beneath.

Numbers of fit come from the chart and the body's sections; the mesh is a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np

from gpu_worker.body.arrays import Floats, Ints, check_shape
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.tape import Tape
from gpu_worker.garments.chart import WIDEST_STRETCH, Category, SizeRow, complete
from gpu_worker.garments.collide import Sheet, Skin, push_out, true_up
from gpu_worker.garments.drape import drape, repaired
from gpu_worker.garments.pattern import Pattern
from gpu_worker.garments.tables import BodyTables, Regions
from gpu_worker.garments.template import builder_of, pattern_of

LAYER_GAP_M = 0.004
"""Between a garment and the one worn over it."""
HELD = frozenset({"neck", "waistband"})
"""Edges that stay where they are while the rest of the cloth is let go."""
STATURE_M = (1.2, 2.3)


class BodyUnusable(Exception):
    """The vertices are no body that can be dressed."""


@dataclass(frozen=True, eq=False)
class WornSize:
    """One size on the body.

    points  : (N, 3) metres, z up; the pattern's outer sheet
    ease    : (N,) metres of girth between cloth and skin
    marks   : measure -> height, metres, at which the chart's girth is the cloth's
    row     : the chart's row as it was built, with what was estimated
    fits_on : False when the cloth would have to stretch by more than a third; then it is not to be shown
    """

    row: SizeRow
    points: Floats
    ease: Floats
    marks: Mapping[str, float]
    fits_on: bool


@dataclass(frozen=True, eq=False)
class Dressed:
    """A garment on a body, all sizes over one pattern."""

    category: Category
    pattern: Pattern
    sizes: Mapping[str, WornSize]


@dataclass(frozen=True, eq=False)
class Layer:
    """Cloth worn beneath. points : (N, 3), faces : (F, 3)."""

    points: Floats
    faces: Ints


class DressedBody:
    """One body, ready to be dressed: its sections and its skin, shared by all garments."""

    def __init__(self, tables: BodyTables, skin: Skin) -> None:
        self.tables = tables
        self.skin = skin

    def dress(self, category: Category, sizes: Sequence[SizeRow], beneath: Layer | None = None) -> Dressed:
        """Every size of a template garment, in the order given."""
        pattern = pattern_of(category)
        builder = builder_of(category, self.tables)
        sheet = sheet_of(category)
        skin = self._skin_under(beneath)
        worn = {}
        for row in sizes:
            metres = dict(row.metres)
            pushed = push_out(builder.build(metres), sheet, skin)
            points = builder.settle(true_up(pushed, skin, builder.rings(metres)), skin)
            ease = builder.ease(metres)
            worn[row.size] = WornSize(row, points, ease, builder.marks(metres), fits_on=self._fits(category, metres))
        return Dressed(category, pattern, worn)

    def drape(self, dressed: Dressed, size: str, beneath: Layer | None = None) -> WornSize:
        """One size let go as cloth: the better picture, .2 to .4 s. Raises `DrapeFailed`; then the first one stands."""
        worn, pattern = dressed.sizes[size], dressed.pattern
        skin = self._skin_under(beneath)
        held = np.concatenate([edge for name, (edge, _) in pattern.hems.items() if name in HELD])
        level = np.concatenate([edge for name, (edge, _) in pattern.hems.items() if name.startswith("hem")])
        sheet = sheet_of(dressed.category)
        builder = builder_of(dressed.category, self.tables)
        free = builder.freedom(worn.points)
        free[held] = 0.0
        rested = drape(worn.points, sheet, skin, self._slack(dressed, worn), free, level)
        settled = builder.settle(push_out(rested, sheet, skin), skin)
        return replace(worn, points=repaired(settled, worn.points, pattern, sheet, skin))

    def _slack(self, dressed: Dressed, worn: WornSize) -> Floats:
        """(N,) the chart's girth over the worn ring's, at most 1: how much smaller the pattern is than the ring."""
        slack = np.ones(dressed.pattern.count)
        front, back = dressed.pattern.panels["front"], dressed.pattern.panels["back"]
        rows = min(len(front), len(back))
        joined = (front[:rows, -1] == back[:rows, 0]) & (front[:rows, 0] == back[:rows, -1])
        rings = np.concatenate([front[:rows], back[:rows, 1:-1]], axis=1)[joined]
        points = worn.points[rings]
        around = np.linalg.norm(points - np.roll(points, 1, axis=1), axis=2).sum(axis=1)
        charted = worn.ease[rings[:, 0]] + self.tables.girth_at(points[:, 0, 2])
        slack[rings] = np.clip(charted / around, 1 / WIDEST_STRETCH, 1.0)[:, None]
        return slack

    def _skin_under(self, beneath: Layer | None) -> Skin:
        return self.skin if beneath is None else self.skin.under(beneath.points, beneath.faces, LAYER_GAP_M)

    def _fits(self, category: Category, metres: Mapping[str, float]) -> bool:
        level = {"chest": self.tables.armpit - 0.045, "waist": self.tables.waist, "hip": self.tables.hip}
        judged = ("chest",) if "chest" in metres else ("hip",)
        if category in {"trousers", "shorts", "skirt"}:
            judged = ("hip",)
        return all(
            float(self.tables.girth_at(np.array([level[name]]))[0]) / metres[name] <= WIDEST_STRETCH for name in judged
        )


@cache
def sheet_of(category: Category) -> Sheet:
    pattern = pattern_of(category)
    return Sheet.of(pattern.faces, pattern.count)


class Wardrobe:
    """What dressing needs of the canonical topology; loaded once by a worker."""

    def __init__(self, body: CanonicalBody) -> None:
        self.body = body
        self.regions = Regions.of(body)
        self.tape = Tape(body)

    @classmethod
    def load(cls) -> Self:
        return cls(CanonicalBody.load())

    def body_of(self, vertices: Floats) -> DressedBody:
        """Tables and skin of one body (V, 3) in the rest pose. Raises `BodyUnusable`."""
        try:
            check_shape(vertices, (self.body.vertex_count, 3), "vertices")
        except ValueError as refused:
            raise BodyUnusable(str(refused)) from refused
        stature = float(np.ptp(vertices[:, 2]))
        if not STATURE_M[0] <= stature <= STATURE_M[1]:
            raise BodyUnusable(f"A body {stature:.2f} m tall is outside what garments are made for.")
        tables = BodyTables(self.body, self.regions, self.tape, vertices)
        return DressedBody(tables, Skin.of(vertices, self.body.faces, self.regions.hidden))


def chart_rows(category: Category, sizes_cm: Mapping[str, Mapping[str, float]]) -> list[SizeRow]:
    """A chart's rows, completed. Raises `ChartUnusable`."""
    return [complete(category, size, row) for size, row in sizes_cm.items()]
