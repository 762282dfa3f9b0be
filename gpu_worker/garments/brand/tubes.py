"""Trunk, arms and legs as tubes: where cloth lies along them and round them, and what the body fills of them.

Every tube has a coordinate s along it, metres from the body's landmark (high point of the shoulder, waist, crotch, or
shoulder joint), and a plane q across it. A garment keeps s from body to body: lengths stay true.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.chart import TOPS, Category
from gpu_worker.garments.rings import GAP_M, Shapes
from gpu_worker.garments.support import DIRECTIONS, at
from gpu_worker.garments.tables import BodyTables, Tube
from gpu_worker.garments.yoke import Yoke

HANG_SLOPE = 0.08
NECK_HALF_M = 0.085
"""Where along the shoulder the height is taken that lengths of tops are measured from."""


HEM_OVER_FLOOR_M, LEG_OVER_FLOOR_M = 0.05, 0.075
BEYOND_WRIST_M = 0.02
ARM_ROOM_M, LOWEST_ARMHOLE_M = 0.018, 0.09
"""Between arm and trunk at the bottom of an armhole; never looked for further below the armpit than the second."""


class Frame(Protocol):
    """One tube of one body. end : the largest s at which cloth can be shown; what is longer lies in creases above."""

    @property
    def end(self) -> float: ...

    def coordinates(self, points: Floats) -> tuple[Floats, Floats]:
        """S (n,) and q (n, 2) of points (n, 3)."""

    def points(self, along: Floats, across: Floats) -> Floats:
        """The way back."""

    def shapes(self, rows: Floats) -> tuple[Floats, Floats]:
        """Supports (L, D) of cloth that lies on the skin, and of cloth that bridges hollows, at ascending s (L,)."""


@dataclass(frozen=True, eq=False)
class Upright:
    """Trunk or leg. s runs down from `anchor`, a height; q is x and y of the world."""

    anchor: float
    levels: Floats
    support: Floats
    lowest: float

    @property
    def end(self) -> float:
        return self.anchor - self.lowest

    def coordinates(self, points: Floats) -> tuple[Floats, Floats]:
        return self.anchor - points[:, 2], points[:, :2].copy()

    def points(self, along: Floats, across: Floats) -> Floats:
        return np.concatenate([across, (self.anchor - along)[:, None]], axis=1)

    def shapes(self, rows: Floats) -> tuple[Floats, Floats]:
        shapes = Shapes.of(self.levels, self.support, self.anchor - rows, slope=HANG_SLOPE)
        return shapes.skin, shapes.bridge


@dataclass(frozen=True, eq=False)
class Limb:
    """An arm. s runs along its bent axis from the shoulder joint; q is the plane across it."""

    tube: Tube

    @property
    def end(self) -> float:
        return float(self.tube.along[-1]) + BEYOND_WRIST_M

    def coordinates(self, points: Floats) -> tuple[Floats, Floats]:
        tube = self.tube
        ahead = points @ tube.normal.T - (tube.origin * tube.normal).sum(axis=1)
        # the last plane that a point lies beyond, as long as it lay beyond all before
        beyond = np.clip((ahead > 0).cumprod(axis=1).sum(axis=1) - 1, 0, len(tube.along) - 2)
        row = np.arange(len(points))
        before, after = ahead[row, beyond], ahead[row, beyond + 1]
        share = before / np.maximum(before - after, 1e-6)
        along = tube.along[beyond] + share * (tube.along[1] - tube.along[0])
        origin, first, second = self._axes(along)
        rel = points - origin
        return along, np.stack([(rel * first).sum(axis=1), (rel * second).sum(axis=1)], axis=1)

    def points(self, along: Floats, across: Floats) -> Floats:
        origin, first, second = self._axes(along)
        return origin + across[:, :1] * first + across[:, 1:] * second

    def shapes(self, rows: Floats) -> tuple[Floats, Floats]:
        skin = at(self.tube.along, self.tube.support, rows) + GAP_M
        return skin, skin

    def _axes(self, along: Floats) -> tuple[Floats, Floats, Floats]:
        """Origin and axes (n, 3) at s, the ends prolonged straight."""
        tube = self.tube
        origin, first, second = (at(tube.along, rows, along) for rows in (tube.origin, tube.first, tube.second))
        over = along - np.clip(along, tube.along[0], tube.along[-1])
        origin += over[:, None] * np.where(over[:, None] < 0, tube.normal[0], tube.normal[-1])
        return origin, first, second


def anchor_of(category: Category, tables: BodyTables) -> float:
    """Height from which a category's lengths are measured."""
    if category in TOPS:
        return float(Yoke(tables).ridge(np.array([NECK_HALF_M]))[1][0])
    return tables.waist if category == "skirt" else tables.crotch


def frames_of(category: Category, tables: BodyTables) -> dict[str, Frame]:
    """The tubes of one body that a category's cloth lies round."""
    anchor = anchor_of(category, tables)
    frames: dict[str, Frame] = {"trunk": Upright(anchor, tables.levels, tables.torso, tables.floor + HEM_OVER_FLOOR_M)}
    if category in TOPS:
        frames |= {f"arm{side}": Limb(tube) for side, tube in tables.arms.items()}
    elif category != "skirt":
        for side, (levels, support) in tables.legs.items():
            frames[f"leg{side}"] = Upright(anchor, levels, support, tables.floor + LEG_OVER_FLOOR_M)
    return frames


def arms_part(tables: BodyTables) -> tuple[float, float]:
    """Height and distance from the middle at which cloth first fits between arm and trunk; flesh may touch above."""
    levels, inner = tables.arm_inner
    side = np.maximum(tables.torso[:, 0], tables.torso[:, DIRECTIONS // 2])
    low = tables.armpit - LOWEST_ARMHOLE_M
    room = (inner - side > ARM_ROOM_M) & (levels < tables.armpit) & (levels > low)
    row = int(np.flatnonzero(room).max()) if room.any() else int(np.abs(levels - low).argmin())
    reach = (side[row] + min(float(inner[row]), float(side[row]) + ARM_ROOM_M)) / 2
    return float(levels[row]), float(reach)
