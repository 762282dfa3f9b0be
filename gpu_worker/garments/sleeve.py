"""A sleeve: a tube along the arm's axis that begins at the armhole's loop and has the chart's girths.

Convention: `along` is metres down the arm from the shoulder joint; angles are about the arm's axis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.pattern import section_length
from gpu_worker.garments.rings import GAP_M, perimeter
from gpu_worker.garments.support import CIRCLE, at, girth, radius, smoothstep
from gpu_worker.garments.tables import Tube

SAG = 0.7
"""Share of a sleeve's surplus that hangs under the arm."""
BLEND_M, BLEND_SHARE = 0.11, 0.75
"""Over what length a sleeve turns from the armhole's shape to its own, and at most over which share of it."""
BELOW_ARMHOLE_M = 0.022
"""Beyond the armhole's furthest point, square to the arm: where a garment's upper arm is measured."""
LONG_M = 0.35
"""Sleeves longer than this narrow towards the cuff and then keep its girth."""
CUFF_M, CUFF_EASE = 0.05, 1.12
TRUED_LEVELS, TRUED_STEPS, LENGTH_TIMES, LENGTH_ROWS = 12, 14, 3, 10
MARK_TIMES, NEAR_MARK_M = 5, 0.03
"""How often the cloth's girth at the mark is put right between its rows, and how far that reaches."""
CLOSE_M, LEAST_SLOPE = 0.0005, 0.05
SHORTEST_M = 0.008
CUT_M = 0.03
"""Triangles further from the mark than this are not cut there."""
GAIN, MOST_M = 1.8, 0.08
"""More than once, for columns that lie on the skin cannot give."""

Row = dict[str, float]


class Sleeve:
    """One sleeve of one size on one arm.

    loop     : (K, 3) the armhole, from under the arm
    shoulder : column at the shoulder point, from which the sleeve's length counts
    """

    def __init__(self, tube: Tube, loop: Floats, row: Row, *, shoulder: int, is_left: bool) -> None:
        self.tube, self.row = tube, row
        axis, origin = tube.normal[0], tube.origin[0]
        self.start = (loop - origin) @ axis
        flat = (loop - origin) - self.start[:, None] * axis
        across, up = flat @ tube.first[0], flat @ tube.second[0]
        self.loop_radius = np.hypot(across, up)
        turn = -1.0 if is_left else 1.0
        self.final = -np.pi / 2 + turn * 2 * np.pi * np.arange(len(loop)) / len(loop)
        self.loop_angle = self.final + (np.arctan2(up, across) - self.final + np.pi) % (2 * np.pi) - np.pi
        self.loop, self.shoulder = loop, loop[shoulder]
        self._end_at(float(self.start[shoulder]) + row["sleeve"])
        for _ in range(LENGTH_TIMES):
            top = self._tube(self._between(LENGTH_ROWS)[:, [shoulder]], [shoulder]).points()[:, 0]
            length = float(np.linalg.norm(np.diff(top, axis=0, prepend=self.shoulder[None]), axis=1).sum())
            self._end_at(self.end + row["sleeve"] - length)
        self._more: Floats = self._missing()

    def _end_at(self, end: float) -> None:
        """Where the opening lies, at the wrist at most, and the girths that follow.

        A sleeve that ends above the bottom of the armhole slants: its top keeps the chart's length.
        """
        self.end = min(end, float(self.tube.along[-1]))
        self.ends = np.maximum(self.end, self.start + SHORTEST_M)
        self.mark = float(self.start.max()) + BELOW_ARMHOLE_M
        self._stations, self._girths = self._charted()
        marks = np.minimum(self.mark, self.ends)
        share = np.linspace(0, 1, TRUED_LEVELS)
        self._levels = marks + (self.ends - marks) * share[:, None]
        self._wanted = self.girth_at(self.mark + (self.end - self.mark) * share)

    def _missing(self) -> Floats:
        """(levels,) metres further out that give the chart's girths."""
        rings = self._tube(self._levels)
        more = np.zeros(TRUED_LEVELS)
        for _ in range(TRUED_STEPS):
            short = self._wanted - perimeter(rings.points(more[:, None]))
            more = np.clip(more + GAIN * short / (2 * np.pi), -MOST_M, MOST_M)
        return more

    def _charted(self) -> tuple[list[float], list[float]]:
        bicep, opening = self.row["upper_arm"], self.row["sleeve_open"]
        narrow = self.end - CUFF_M
        if self.end - self.mark < 0.01:
            return [self.end], [opening]
        if self.end < LONG_M or narrow < self.mark:
            return [self.mark, self.end], [bicep, opening]
        return [self.mark, narrow, self.end], [bicep, opening * CUFF_EASE, opening]

    def girth_at(self, along: Floats) -> Floats:
        """The chart's girth, straight between what it gives."""
        return np.interp(along, self._stations, self._girths)

    def rows(self, faces: Ints, count: int) -> Floats:
        """(count, K, 3) points of the rows after the loop, down to the opening.

        faces : triangles of loop and rows together, numbered row by row
        """
        along = self._between(count)
        tube = self._tube(along)
        marks, ends = self._levels[0], self._levels[-1]
        share = np.clip((along - marks) / np.maximum(ends - marks, CLOSE_M), 0, 1)
        more = np.interp(share, np.linspace(0, 1, TRUED_LEVELS), self._more)
        more *= smoothstep((along - self.start) / (marks - self.start), 0.0, 1.0)
        near = np.exp(-(((along - self.mark) / NEAR_MARK_M) ** 2))
        wanted = float(self.girth_at(np.array([self.mark]))[0])

        flat = np.concatenate([self.start[None], along]).reshape(-1)
        spans = flat[faces]
        faces = faces[(spans.min(axis=1) < self.mark + CUT_M) & (spans.max(axis=1) > self.mark - CUT_M)]

        def excess(amount: float) -> float:
            sheet = np.concatenate([self.loop[None], tube.points(more + near * amount)]).reshape(-1, 3)
            return section_length((sheet - self.tube.origin[0]) @ self.tube.axes, faces, self.mark) - wanted

        amount = _secant(excess, MOST_M) if self.mark < self.end else 0.0
        return tube.points(more + near * amount)

    def _between(self, count: int) -> Floats:
        share = np.linspace(0, 1, count + 1)[1:, None]
        between: Floats = self.start + (self.ends - self.start) * share
        return between

    def _tube(self, along: Floats, columns: list[int] | slice = slice(None)) -> "_Tube":
        """The sleeve at `along` (R, K) of some columns, before its girth is put right."""
        start = self.start[columns]
        gone, whole = along - start, self.ends[columns] - start
        blend = smoothstep(gone / np.minimum(BLEND_M, BLEND_SHARE * whole), 0.0, 1.0)
        turned = self.final[columns] - self.loop_angle[columns]
        angle = self.loop_angle[columns] + turned * smoothstep(gone / whole, 0.0, 0.7)
        flat = along.reshape(-1)
        skin = at(self.tube.along, self.tube.support, flat) + GAP_M
        surplus = np.maximum(self.girth_at(flat) - girth(skin), 0.0) / (2 * np.pi)
        hanging = skin + surplus[:, None] * (1 + SAG * (np.array([0.0, -1.0]) @ CIRCLE))
        middle, turn = np.zeros((len(flat), 2)), angle.reshape(-1, 1)
        free = radius(hanging, middle, turn).reshape(along.shape)
        bare = radius(skin, middle, turn).reshape(along.shape)
        base, one, two = (
            at(self.tube.along, rows, flat).reshape(*along.shape, 3)
            for rows in (self.tube.origin, self.tube.first, self.tube.second)
        )
        beyond = np.minimum(along - self.tube.along[0], 0.0)[..., None] * self.tube.normal[0]
        out = np.cos(angle)[..., None] * one + np.sin(angle)[..., None] * two
        return _Tube(base + beyond, out, self.loop_radius[columns] * (1 - blend) + free * blend, bare)


@dataclass(frozen=True, eq=False)
class _Tube:
    """Points as distances along directions from an axis. axis, out : (R, K, 3); reach, bare : (R, K)."""

    axis: Floats
    out: Floats
    reach: Floats
    bare: Floats

    def points(self, more: Floats | float = 0.0) -> Floats:
        """(R, K, 3), `more` metres further out; what is narrowed stops at the skin."""
        wide = np.maximum(self.reach + more, np.minimum(self.bare, self.reach))
        placed: Floats = self.axis + wide[..., None] * self.out
        return placed


def _secant(excess: Callable[[float], float], most: float) -> float:
    """Where a rising function of metres of girth passes 0, or as near as `most` either way comes."""
    before, at_before = 0.0, excess(0.0)
    amount = float(np.clip(-at_before / (2 * np.pi), -most, most))
    for _ in range(MARK_TIMES):
        here = excess(amount)
        slope = (here - at_before) / (amount - before) if amount != before else 0.0
        if abs(here) < CLOSE_M or slope < LEAST_SLOPE:
            break
        before, at_before = amount, here
        amount = float(np.clip(amount - here / slope, -most, most))
    return amount
