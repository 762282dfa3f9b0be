"""Tops and dresses: a tube round the trunk, front and back up over the shoulders, and two sleeves.

Below the armholes the cloth is a stack of rings (`rings`). Above, front and back follow profiles of the body seen in
planes from front to back, so that cloth runs from the shoulder to the bust without touching what lies between.

Convention: panel columns go counter-clockwise seen from above, starting at the wearer's right side; rows upwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.collide import Skin
from gpu_worker.garments.pattern import Pattern, closed, numbers, quads
from gpu_worker.garments.rings import GAP_M, ChartedRing, ChartedSection, Folds, Shapes, faired, place, solve_fill
from gpu_worker.garments.sleeve import BELOW_ARMHOLE_M, Sleeve
from gpu_worker.garments.support import ANGLES, girth, smoothstep
from gpu_worker.garments.tables import BodyTables
from gpu_worker.garments.yoke import Yoke

Row = dict[str, float]
"""One size, every measure of the category, metres."""
Neckline = Literal["crew", "v", "scoop", "boat", "high"]

PANEL_COLUMNS = 48
UPPER_ROWS = 18
RIB_ROWS, HOOD_ROWS = 3, 14
HOOD_BACK = np.array(
    [[0.0, 0.0], [0.035, 0.004], [0.052, 0.03], [0.045, 0.062], [0.0, 0.08], [-0.07, 0.075], [-0.125, 0.045]]
)
HOOD_FRONT = np.array(
    [[0.0, 0.0], [0.018, 0.0], [0.030, 0.006], [0.034, 0.016], [0.026, 0.026], [0.012, 0.028], [0.0, 0.024]]
)
"""Profiles of a hood lying down, up and outwards from the neckline, metres; between front and back they blend."""
HOOD_OFF_M = 0.014
"""Between a hood and the back it lies on."""
HOOD_OVER_CLOTH_M, HOOD_PUSHES, HOOD_SOFTENINGS = 0.009, 3, 6
"""And between the hood and the cloth under it; how often that is put right, and the hood smoothed before."""
RIB_M, RIB_SOFTENINGS, RIB_STEEPNESS, COLLAR_STEEPNESS = 0.018, 24, 0.2, 1.2
"""A rib leans towards the neck; what is higher is a collar, and stands."""
NECK_SHARE = 0.46
"""Share of a panel's half width, at the top, that ends at the neckline."""
TRUNK_ASPECT = 1.4
"""Width over depth of the trunk: spaces columns evenly along the cloth."""
CHEST_BELOW_ARMHOLE_M = 0.025
"""Where a garment's chest is measured."""
ARMHOLE_EASE_M = 0.018
"""How far the armhole lies below the armpit."""
ARM_ROOM_M, LOWEST_ARMHOLE_M = 0.016, 0.075
"""Between arm and trunk at the bottom of the armhole; never looked for further below the armpit than the second."""
HANG_SLOPE = 0.08
ARM_CLEARANCE_M = 0.014


@dataclass(frozen=True)
class TopStyle:
    """What makes one kind of top another."""

    rows: int
    sleeve_rows: int
    neckline: Neckline
    neck_front_m: float
    neck_back_m: float
    neck_width_m: float
    folds: Folds
    rib_m: float = RIB_M
    """Height of the rib or collar that stands on the neckline."""
    has_hood: bool = False
    """A hood lying down at the back, in place of the rib."""


class TopPattern:
    """Vertex numbers of one kind of top."""

    def __init__(self, style: TopStyle) -> None:
        self.style = style
        columns = PANEL_COLUMNS
        self.ring = numbers(0, style.rows, 2 * columns)
        count = self.ring.size
        top_ring = np.append(self.ring[-1], self.ring[-1, 0])
        self.front = np.concatenate([top_ring[None, : columns + 1], numbers(count, UPPER_ROWS, columns + 1)])
        count += UPPER_ROWS * (columns + 1)
        share = np.abs(np.linspace(-1, 1, columns + 1))
        shoulder = np.flatnonzero(share >= NECK_SHARE)
        self.neck_points = (int(shoulder[shoulder < columns // 2].max()), int(shoulder[shoulder > columns // 2].min()))
        top = np.zeros((1, columns + 1), np.int32)
        top[0, columns - shoulder] = self.front[-1, shoulder]
        open_columns = np.flatnonzero(share < NECK_SHARE)
        lower = numbers(count, UPPER_ROWS - 1, columns + 1)
        count += lower.size
        top[0, open_columns] = numbers(count, 1, len(open_columns))[0]
        count += len(open_columns)
        self.back = np.concatenate([top_ring[None, columns:], lower, top])
        self.loops = {".L": self._loop(self.front[:, -1], self.back[:, 0])}
        self.loops[".R"] = self._loop(self.front[:, 0], self.back[:, -1])
        around = len(self.loops[".L"])
        self.sleeves: dict[str, Ints] = {}
        for side, loop in self.loops.items():
            self.sleeves[side] = np.concatenate([loop[None], numbers(count, style.sleeve_rows, around)])
            count += style.sleeve_rows * around
        rib_rows = HOOD_ROWS if style.has_hood else RIB_ROWS
        self.rib = np.concatenate([self.neck[None], numbers(count, rib_rows, len(self.neck))])
        self.count = count + rib_rows * len(self.neck)

    def _loop(self, front: Ints, back: Ints) -> Ints:
        """From under the arm up the front, over the shoulder and down the back."""
        return np.concatenate([front, back[-2:0:-1]])

    @cached_property
    def sleeve_faces(self) -> dict[str, Ints]:
        """(F, 3) of each sleeve alone, its loop first, numbered row by row; the same triangles as its panel's."""
        rows, columns = self.sleeves[".L"].shape
        grid = numbers(0, rows, columns)
        return {".L": quads(closed(grid[:, ::-1])), ".R": quads(closed(grid))}

    @cached_property
    def neck(self) -> Ints:
        """(K,) the neckline, counter-clockwise seen from above, from the right neck point over the front."""
        right, left = self.neck_points
        columns = PANEL_COLUMNS
        front = self.front[-1, right : left + 1]
        back = self.back[-1, columns - left : columns - right + 1]
        return np.concatenate([front, back[1:-1]])

    @cached_property
    def pattern(self) -> Pattern:
        columns = PANEL_COLUMNS
        ring = closed(self.ring)
        panels = {
            "front": np.concatenate([ring[:, : columns + 1], self.front[1:]]),
            "back": np.concatenate([ring[:, columns:], self.back[1:]]),
            "sleeve.L": closed(self.sleeves[".L"][:, ::-1]),
            "sleeve.R": closed(self.sleeves[".R"]),
            "rib": closed(self.rib[:, ::-1] if self.style.has_hood else self.rib),
        }
        left, right = self.sleeves[".L"], self.sleeves[".R"]
        turn = 1 if self.style.has_hood else -1
        hems = {
            "hem": (self.ring[0], self.ring[1]),
            "neck": (self.rib[-1][::turn], self.rib[-2][::turn]),
            "cuff.L": (left[-1], left[-2]),
            "cuff.R": (right[-1][::-1], right[-2][::-1]),
        }
        return Pattern(self.count, panels, hems)


def column_angles() -> Floats:
    """(2 C,) direction of each column of the trunk's tube, from the wearer's right side over the front."""
    turn = -np.pi + np.arange(2 * PANEL_COLUMNS) * np.pi / PANEL_COLUMNS
    return np.arctan2(np.sin(turn), TRUNK_ASPECT * np.cos(turn))


class TopBuilder:
    """Puts one kind of top on one body; sizes share everything that does not depend on them."""

    def __init__(self, pattern: TopPattern, tables: BodyTables) -> None:
        self.pattern = pattern
        self.style = pattern.style
        self.tables = tables
        self.yoke = Yoke(tables)
        self.angle = column_angles()
        self.armhole = min(tables.armpit - ARMHOLE_EASE_M, self._arms_part())

    def _arms_part(self) -> float:
        """Highest level at which cloth fits between arm and trunk; flesh may touch well below the armpit."""
        levels, inner = self.tables.arm_inner
        side = np.maximum(self.tables.torso[:, 0], self.tables.torso[:, len(ANGLES) // 2])
        low = self.tables.armpit - LOWEST_ARMHOLE_M
        room = (inner - side > ARM_ROOM_M) & (levels < self.tables.armpit) & (levels > low)
        return float(levels[room].max()) if room.any() else low

    def build(self, row: Row) -> Floats:
        """(N, 3) the worn garment, before it is pushed off the body."""
        points = np.zeros((self.pattern.count, 3))
        self._trunk(points, row)
        for front in (True, False):
            self._upper(points, row, front=front)
        self._fair(points)
        for side in (".L", ".R"):
            self._sleeve(points, row, side)
        if self.style.has_hood:
            self._hood(points)
        else:
            self._rib(points)
        return points

    def neck_half(self, row: Row) -> float:
        return row.get("neck_width", self.style.neck_width_m) / 2

    def shoulder_half(self, row: Row) -> float:
        joint = float(self.tables.joint["shoulder.L"][0])
        return float(np.clip(row["shoulder"] / 2 * 0.96, joint - 0.01, joint + 0.075))

    def high_point(self, row: Row) -> float:
        """Height of the high point of the shoulder, from which lengths are measured."""
        _, height = self.yoke.ridge(np.array([self.neck_half(row)]))
        return float(height[0]) + GAP_M

    def trunk_rows(self, row: Row) -> tuple[Floats, dict[str, float]]:
        """Heights (R,) of the rings upwards, and the charted heights by measure."""
        hem = max(self.high_point(row) - row["length"], self.tables.floor + 0.05)
        chest = self.armhole - CHEST_BELOW_ARMHOLE_M
        upper = np.linspace(chest, self.armhole, 4)
        lower = np.linspace(hem, chest, self.style.rows - 3)[:-1]
        marks = {"chest": chest, "waist": self.tables.waist, "hip": self.tables.hip, "hem": hem}
        heights = np.concatenate([lower, upper])
        for name in ("waist", "hip"):
            if hem + 0.03 < marks[name] < chest - 0.03:
                nearest = int(np.abs(heights[1:-4] - marks[name]).argmin()) + 1
                heights[nearest] = marks[name]
            else:
                del marks[name]
        return heights, marks

    def marks(self, row: Row) -> dict[str, float]:
        """Measure -> height at which the chart's girth is the cloth's."""
        return self.trunk_rows(row)[1]

    def settle(self, points: Floats, skin: Skin) -> Floats:
        """Nothing to do: only legs meet in the middle."""
        del skin
        return points

    def freedom(self, points: Floats) -> Floats:
        """(N,) all of it may be let go."""
        return np.ones(len(points))

    def rings(self, row: Row) -> Sequence[ChartedRing | ChartedSection]:
        """The rows whose girths the chart gives, and the upper arms."""
        heights, marks = self.trunk_rows(row)
        trunk = [
            ChartedRing(self.pattern.ring, int(np.abs(heights - height).argmin()), row[name])
            for name, height in marks.items()
        ]
        return [*trunk, *(self._upper_arm(row["upper_arm"], side) for side in self.pattern.sleeves)]

    def _upper_arm(self, girth_m: float, side: str) -> ChartedSection:
        tube, grid = self.tables.arms[side], self.pattern.sleeves[side]
        faces = grid.reshape(-1)[self.pattern.sleeve_faces[side]]
        return ChartedSection(faces, grid, tube.origin[0], tube.axes, BELOW_ARMHOLE_M, girth_m)

    def girths(self, row: Row) -> dict[float, float]:
        """Charted height -> girth."""
        return {height: row[name] for name, height in self.marks(row).items()}

    def _trunk(self, points: Floats, row: Row) -> None:
        heights, _ = self.trunk_rows(row)
        down = heights[::-1]
        shapes = Shapes.of(self.tables.levels, self.tables.torso, down, slope=HANG_SLOPE)
        share = smoothstep((down[0] - down) / (down[0] - down[-1]), 0.02, 0.75)
        levels, inner = self.tables.arm_inner
        reach = np.interp(down, levels, np.minimum(inner, 9.0)) - ARM_CLEARANCE_M
        fill = solve_fill(shapes, self.girths(row), self.angle, self.style.folds, share, reach)
        placed = place(shapes, fill, self.angle, self.style.folds, share, reach)
        points[self.pattern.ring, :2] = faired(shapes, placed, self.girths(row), self.angle, reach)[::-1]
        points[self.pattern.ring, 2] = heights[:, None]

    def _upper(self, points: Floats, row: Row, *, front: bool) -> None:
        grid = self.pattern.front if front else self.pattern.back
        x_low, angle_low, far_low = self.yoke.polar(points[grid[0]])
        start = 0.0 if front else -np.pi
        angle_low = (angle_low - start) % (2 * np.pi) + start
        if front:
            angle_low[[0, -1]] = 3 * np.pi / 2
        else:
            angle_low[[0, -1]] = -np.pi / 2
        x_top, angle_top = self._top_line(row, front=front)
        if not front:
            x_top, angle_top = x_top[::-1], angle_top[::-1]
        v = np.linspace(0, 1, len(grid))[:, None]
        side = np.abs(np.linspace(-1, 1, grid.shape[1]))
        inward = 0.012 * np.sin(np.pi * v) * smoothstep(side, 0.5, 1.0) * np.sign(x_low)
        climb = v + (1 - (1 - v) ** 2 - v) * smoothstep(side, 0.4, 1.0)
        x = x_low + (x_top - x_low) * climb - inward
        angle = angle_low + (angle_top - angle_low) * v
        lift_low = far_low - self.yoke.reach(x_low, angle_low)
        settle = 1 - smoothstep(v, 0.0, 0.85)
        lift = GAP_M + (lift_low - GAP_M) * settle
        upper = self.yoke.points(x, angle, self.yoke.reach(x, angle) + lift)
        upper[..., 2] = np.maximum(upper[..., 2], points[grid[0], 2])  # under a low arm the profile would dip
        points[grid[1:]] = upper[1:]

    def _top_line(self, row: Row, *, front: bool) -> tuple[Floats, Floats]:
        """X and angle (C + 1,) of the upper edge: shoulder, neckline, shoulder; in the front panel's order."""
        share = np.linspace(-1, 1, PANEL_COLUMNS + 1)
        neck, shoulder = self.neck_half(row), self.shoulder_half(row)
        _right, left = self.pattern.neck_points
        edge = abs(share[left])
        outside = np.clip((np.abs(share) - edge) / (1 - edge), 0, 1)
        inside = np.clip(np.abs(share) / edge, 0, 1)
        across = np.sin(inside * np.pi / 2) if self.style.neckline != "v" else inside**0.9
        x = np.sign(share) * np.where(inside < 1, neck * across, neck + (shoulder - neck) * outside)
        drop = self.style.neck_front_m if front else self.style.neck_back_m
        depth = drop * (np.cos(inside * np.pi / 2) if self.style.neckline != "v" or not front else 1 - inside)
        ridge_angle, ridge_height = self.yoke.ridge(x)
        height = np.where(inside < 1, self.high_point(row) - GAP_M - depth, ridge_height)
        angle = np.where(inside < 1, self.yoke.angle_at_height(x, height, front=front), ridge_angle)
        return x, angle

    def _fair(self, points: Floats) -> None:
        """Smooth the cloth above the chest's ring; the ring itself and everything below it stay."""
        front, back = self.pattern.front, self.pattern.back
        for _ in range(6):
            for grid in (front, back):
                panel = points[grid]
                moved = panel.copy()
                moved[1:-1, 1:-1] += 0.5 * (
                    (panel[:-2, 1:-1] + panel[2:, 1:-1] + panel[1:-1, :-2] + panel[1:-1, 2:]) / 4 - panel[1:-1, 1:-1]
                )
                points[grid[1:-1, 1:-1]] = moved[1:-1, 1:-1]
            whole = np.concatenate([self.pattern.ring[-4:], np.concatenate([front[1:3, :-1], back[1:3, :-1]], axis=1)])
            band = points[whole]
            band[1:-1] += 0.5 * ((band[:-2] + band[2:]) / 2 - band[1:-1])
            points[whole[1:-1]] = band[1:-1]

    def _hood(self, points: Floats) -> None:
        """A sheet from the neckline up, over and down the back."""
        neck = points[self.pattern.neck]
        middle = neck.mean(axis=0)
        outward = (neck - middle) * np.array([1.0, 1.0, 0.0])
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        behind = smoothstep(outward[:, 1], -0.75, 0.75)[:, None]
        knots, rows = np.linspace(0, 1, len(HOOD_BACK)), np.linspace(0, 1, HOOD_ROWS + 1)
        back, front = (CubicSpline(knots, profile)(rows) for profile in (HOOD_BACK, HOOD_FRONT))
        for step, ids in enumerate(self.pattern.rib):
            if step:
                up, out = (front[step] * (1 - behind) + back[step] * behind).T
                points[ids] = neck + out[:, None] * outward + up[:, None] * np.array([0.0, 0.0, 1.0])
                x, angle, distance = self.yoke.polar(points[ids])
                clear = self.yoke.reach(x, angle) + GAP_M + HOOD_OFF_M * min(step / 4, 1.0)
                points[ids] = self.yoke.points(x, angle, np.maximum(distance, clear))
        for _ in range(HOOD_SOFTENINGS):
            sheet = points[self.pattern.rib]
            around = (np.roll(sheet, 1, axis=1) + 2 * sheet + np.roll(sheet, -1, axis=1)) / 4
            points[self.pattern.rib[1:]] = around[1:]
        self._hood_off_the_back(points)

    def _hood_off_the_back(self, points: Floats) -> None:
        """Nowhere does the hood pass through the cloth it lies on."""
        grids = (self.pattern.front[1:], self.pattern.back[1:])
        under = Skin(
            np.concatenate([points[grid].reshape(-1, 3) for grid in grids]),
            np.concatenate([_grid_normals(points[grid]).reshape(-1, 3) for grid in grids]),
        )
        rows = self.pattern.rib[2:]
        wanted = (HOOD_OVER_CLOTH_M * np.minimum(np.arange(len(rows)) + 1, 3) / 3)[:, None]
        for _ in range(HOOD_PUSHES):
            distance, normal = under.distance(points[rows].reshape(-1, 3))
            short = np.maximum(wanted - distance.reshape(rows.shape), 0)
            points[rows] += short[:, :, None] * normal.reshape(*rows.shape, 3)

    def _rib(self, points: Floats) -> None:
        """The rib goes on from the neckline towards the neck, a little steeper than the cloth."""
        neck = self.pattern.neck
        loop = points[neck]
        tangent = np.roll(loop, -1, axis=0) - np.roll(loop, 1, axis=0)
        along = np.cross(self._neck_normals(points), tangent)
        for _ in range(RIB_SOFTENINGS):
            along /= np.linalg.norm(along, axis=1, keepdims=True)
            along = (np.roll(along, 1, axis=0) + 2 * along + np.roll(along, -1, axis=0)) / 4
        along[:, 2] += RIB_STEEPNESS + COLLAR_STEEPNESS * max(self.style.rib_m - RIB_M, 0.0) / RIB_M
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        for step, ids in enumerate(self.pattern.rib[1:], start=1):
            points[ids] = loop + along * (self.style.rib_m * step / RIB_ROWS)

    def _neck_normals(self, points: Floats) -> Floats:
        """(K, 3) outwards at the neckline, from the panels it ends."""
        normals = np.zeros((self.pattern.count, 3))
        for grid in (self.pattern.front, self.pattern.back):
            panel = points[grid[-3:]]
            across = np.gradient(panel[-1], axis=0)
            normals[grid[-1]] += np.cross(across, panel[-1] - panel[0])
        outward: Floats = normals[self.pattern.neck]
        return outward

    def ease(self, row: Row) -> Floats:
        """(N,) metres of girth between cloth and skin, from the chart and the body's sections alone."""
        heights, marks = self.trunk_rows(row)
        order = sorted(marks, key=lambda name: marks[name])
        girths = np.interp(heights, [marks[name] for name in order], [row[name] for name in order])
        body = np.interp(heights, self.tables.levels, self.tables.torso_girth)
        ease = np.zeros(self.pattern.count)
        ease[self.pattern.ring] = (girths - body)[:, None]
        ease[self.pattern.front[1:]] = ease[self.pattern.back[1:]] = (girths - body)[-1]
        ease[self.pattern.rib] = (girths - body)[-1]
        for side, grid in self.pattern.sleeves.items():
            tube = self.tables.arms[side]
            along = np.linspace(0.1, max(row["sleeve"] - 0.03, 0.12), len(grid) - 1)
            width = np.interp(along, [0.14, max(row["sleeve"] - 0.03, 0.141)], [row["upper_arm"], row["sleeve_open"]])
            arm = np.interp(along, tube.along, girth(tube.support))
            w = smoothstep(along, 0.1, 0.15)
            ease[grid[1:]] = ((width - arm) * w + (girths - body)[-1] * (1 - w))[:, None]
        return ease

    def _sleeve(self, points: Floats, row: Row, side: str) -> None:
        grid = self.pattern.sleeves[side]
        loop = points[self.pattern.loops[side]]
        sleeve = Sleeve(self.tables.arms[side], loop, row, shoulder=UPPER_ROWS, is_left=side == ".L")
        points[grid[1:]] = sleeve.rows(self.pattern.sleeve_faces[side], len(grid) - 1)


def _grid_normals(panel: Floats) -> Floats:
    """(R, C, 3) unit normals of a panel's points, outwards."""
    normal = np.cross(np.gradient(panel, axis=1), np.gradient(panel, axis=0))
    unit: Floats = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return unit
