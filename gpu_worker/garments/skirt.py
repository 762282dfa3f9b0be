"""Skirts: a tube from the waistband.

Convention: ring columns go counter-clockwise seen from above, from the wearer's right side; rows upwards.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.collide import Skin
from gpu_worker.garments.pattern import Pattern, closed, numbers
from gpu_worker.garments.rings import ChartedRing, Folds, Shapes, place, solve_fill
from gpu_worker.garments.support import smoothstep
from gpu_worker.garments.tables import BodyTables

Row = dict[str, float]

SKIRT_SLOPE = 0.12


@dataclass(frozen=True)
class SkirtStyle:
    rows: int
    folds: Folds
    columns: int = 112


class SkirtPattern:
    """Vertex numbers of a skirt."""

    def __init__(self, style: SkirtStyle) -> None:
        self.style = style
        self.ring = numbers(0, style.rows, style.columns)
        self.count = self.ring.size

    @cached_property
    def pattern(self) -> Pattern:
        half = self.style.columns // 2
        ring = closed(self.ring)
        hems = {"hem": (self.ring[0], self.ring[1]), "waistband": (self.ring[-1][::-1], self.ring[-2][::-1])}
        return Pattern(self.count, {"front": ring[:, : half + 1], "back": ring[:, half:]}, hems)


class SkirtBuilder:
    """Puts a skirt on one body."""

    def __init__(self, pattern: SkirtPattern, tables: BodyTables) -> None:
        self.pattern = pattern
        self.style = pattern.style
        self.tables = tables
        self.angle = ring_angles(self.style.columns, 1.25)

    def rows(self, row: Row) -> tuple[Floats, dict[str, float]]:
        """Heights (R,) upwards, and the charted heights."""
        band = self.tables.waist
        hem = max(band - row["length"], self.tables.floor + 0.05)
        marks = {"waist": band, "hip": self.tables.hip, "hem": hem}
        heights = np.linspace(hem, band, self.style.rows)
        if hem + 0.03 < marks["hip"]:
            heights[int(np.abs(heights - marks["hip"]).argmin())] = marks["hip"]
        else:
            del marks["hip"]
        return heights, marks

    def marks(self, row: Row) -> dict[str, float]:
        """Measure -> height at which the chart's girth is the cloth's."""
        return self.rows(row)[1]

    def settle(self, points: Floats, skin: Skin) -> Floats:
        """Nothing to do: a tube has no inner sides."""
        del skin
        return points

    def freedom(self, points: Floats) -> Floats:
        """(N,) all of it may be let go."""
        return np.ones(len(points))

    def rings(self, row: Row) -> list[ChartedRing]:
        """The rows whose girths the chart gives."""
        heights, marks = self.rows(row)
        return [
            ChartedRing(self.pattern.ring, int(np.abs(heights - height).argmin()), row[name])
            for name, height in marks.items()
        ]

    def girths(self, row: Row) -> dict[float, float]:
        return {height: row[name] for name, height in self.marks(row).items()}

    def ease(self, row: Row) -> Floats:
        """(N,) metres of girth between cloth and skin, from the chart and the body's sections alone."""
        heights, marks = self.rows(row)
        ease = np.zeros(self.pattern.count)
        ease[self.pattern.ring] = (charted(heights, marks, row) - self.tables.girth_at(heights))[:, None]
        return ease

    def build(self, row: Row) -> Floats:
        heights, marks = self.rows(row)
        down = heights[::-1]
        shapes = Shapes.of(self.tables.levels, self.tables.torso, down, slope=SKIRT_SLOPE)
        hip = marks.get("hip", marks["waist"])
        share = smoothstep((hip + 0.05 - down) / max(hip + 0.05 - down[-1], 0.05), 0.0, 0.9)
        fill = solve_fill(shapes, self.girths(row), self.angle, self.style.folds, share)
        points = np.zeros((self.pattern.count, 3))
        points[self.pattern.ring, :2] = place(shapes, fill, self.angle, self.style.folds, share)[::-1]
        points[self.pattern.ring, 2] = heights[:, None]
        return points


def charted(heights: Floats, marks: dict[str, float], row: Row) -> Floats:
    """Girth of the garment at any heights, metres, straight between the charted ones."""
    order = sorted(marks, key=lambda name: marks[name])
    return np.interp(heights, [marks[name] for name in order], [row[name] for name in order])


def ring_angles(columns: int, aspect: float) -> Floats:
    turn = -np.pi + np.arange(columns) * 2 * np.pi / columns
    return np.arctan2(np.sin(turn), aspect * np.cos(turn))
