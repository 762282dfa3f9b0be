"""Trousers and shorts: a tube from the waistband that forks into two legs.

Convention: ring columns go counter-clockwise seen from above, from the wearer's right side; rows upwards in the
seat, downwards in a leg.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.collide import MIDDLE_M, Skin, parted
from gpu_worker.garments.pattern import Pattern, closed, numbers
from gpu_worker.garments.rings import GAP_M, ChartedRing, Folds, Shapes, perimeter, place, solve_fill
from gpu_worker.garments.skirt import charted, ring_angles
from gpu_worker.garments.support import ANGLES, CIRCLE, TINY, at, centre, girth, radius, smoothstep
from gpu_worker.garments.tables import BodyTables

Row = dict[str, float]

SEAT_SLOPE, LEG_SLOPE = 0.12, 0.06
FORK_DROP_M = 0.018
"""How far the fork of trousers lies below the body's crotch."""
THIGH_BELOW_FORK_M = 0.025
HIP_ABOVE_CROTCH_M = 0.06
"""Where a garment's hip is measured, at least."""
FORK_BLEND_M = 0.14
VALLEY_FRONT, VALLEY_BACK = 0.50, 0.55
"""How near to the middle front and back of the seat come at the fork, as a share of the hull."""
FOOT_M = 0.075
"""Trousers end above the foot: what is longer would lie on it."""
OVERLAP_M, OVERLAP_REACH_M = 0.00005, 0.22
"""Thighs nearer to the middle than the first overlap; looked for this far below the crotch."""
FORK_BELOW_OVERLAP_M = 0.008
SHORTEST_LEG_M = 0.06
OUTER_FALL, BACK_FALL, BACK = 0.9, 0.8, (0.1, 0.75)
"""How nearly cloth at the fork's sides falls straight from the hips, and at its back from the seat; the sines between
which the back begins."""
BACK_SLOPE, FORK_WIDER_M = 1.25, 0.045
"""How much steeper that cloth gets on its way to the fork, and how much wider than the thigh it may hang there: below,
it has to narrow."""
SOFT_M, SOFT_ROWS = 0.05, 2.5
"""How far up and down from the fork cloth is smoothed, and over how many rows."""
FORK_SOLVES, MOST_FORK_SURPLUS_M = 12, 0.05
FORK_FRONT_SHARE = 0.1
"""How much of the fork's ease stands before and behind, where 1 is evenly all round: the rest hangs from the hips."""
MEET_M = (0.005, 0.013)
"""Cloth of the two legs nearer to the middle than this meets there, instead of leaving a slit."""
CALM_M = (0.015, 0.10)
"""Cloth nearer to the fork than the first is not let go; beyond the second it is free."""
OUTER_YIELD, BACK_YIELD = 0.05, 0.4
"""How much of a leg's girth correction its outer half takes, and its back."""
BAND_BELOW_NAVEL_M, HIGHEST_BAND_M = 0.03, 0.10
"""Where a band lies without a rise, and how far above the waist it may be."""


@dataclass(frozen=True)
class TrouserStyle:
    seat_rows: int
    leg_rows: int
    folds: Folds
    columns: int = 64
    crotch_columns: int = 15


GRAZING_COSINE = 1e-3


def exit_distance(support: Floats, origin: Floats, angle: Floats) -> Floats:
    """(K,) where rays from `origin` leave the convex shape of `support` (D,); 0 where they miss it."""
    local = support - origin @ CIRCLE
    cosine = np.cos(angle[:, None] - ANGLES)
    bound = local / np.where(np.abs(cosine) < GRAZING_COSINE, 1.0, cosine)
    leave = np.where(cosine >= GRAZING_COSINE, bound, np.inf).min(axis=1)
    enter = np.where(cosine <= -GRAZING_COSINE, bound, -np.inf).max(axis=1)
    return np.where((leave > enter) & (leave > 0), leave, 0.0)


class TrouserPattern:
    """Vertex numbers of trousers or shorts."""

    def __init__(self, style: TrouserStyle) -> None:
        self.style = style
        columns = style.columns
        self.ring = numbers(0, style.seat_rows, columns)
        count = self.ring.size
        self.crotch = numbers(count, 1, style.crotch_columns)[0]
        count += style.crotch_columns
        quarter = columns // 4
        fork = self.ring[0]
        left = fork[quarter : 3 * quarter + 1]
        right = np.concatenate([fork[3 * quarter :], fork[: quarter + 1]])
        self.loops = {".L": np.concatenate([left, self.crotch]), ".R": np.concatenate([right, self.crotch[::-1]])}
        self.legs: dict[str, Ints] = {}
        for side, loop in self.loops.items():
            self.legs[side] = np.concatenate([loop[None], numbers(count, style.leg_rows, len(loop))])
            count += style.leg_rows * len(loop)
        self.count = count

    @cached_property
    def pattern(self) -> Pattern:
        half = self.style.columns // 2
        ring = closed(self.ring)
        panels = {"front": ring[:, : half + 1], "back": ring[:, half:]}
        hems = {"waistband": (self.ring[-1][::-1], self.ring[-2][::-1])}
        for side, grid in self.legs.items():
            panels[f"leg{side}"] = closed(grid[::-1])
            hems[f"hem{side}"] = (grid[-1], grid[-2])
        return Pattern(self.count, panels, hems)


class TrouserBuilder:
    """Puts trousers or shorts on one body."""

    def __init__(self, pattern: TrouserPattern, tables: BodyTables) -> None:
        self.pattern = pattern
        self.style = pattern.style
        self.tables = tables
        self.angle = ring_angles(self.style.columns, 1.25)
        self.crotch = tables.crotch - FORK_DROP_M
        self.fork = min(self.crotch, self._thighs_part() - FORK_BELOW_OVERLAP_M)

    def _thighs_part(self) -> float:
        """Height below which no thigh lies in the other: there is nothing between thighs that overlap."""
        overlapping = [self.tables.crotch]
        for side, sign in ((".L", 1.0), (".R", -1.0)):
            points = self.tables.vertices[self.tables.regions.legs[side]].reshape(-1, 3)
            low, high = self.tables.crotch - OVERLAP_REACH_M, self.tables.crotch
            near = (sign * points[:, 0] < OVERLAP_M) & (points[:, 2] > low) & (points[:, 2] < high)
            overlapping += points[near, 2].tolist()
        return min(overlapping)

    def build(self, row: Row) -> Floats:
        points = np.zeros((self.pattern.count, 3))
        self._seat(points, row)
        for side in (".L", ".R"):
            self._leg(points, row, side)
        for side in (".L", ".R"):
            self._soften(points, side)
        return points

    def _soften(self, points: Floats, side: str) -> None:
        """Smooth the cloth of seat and leg down the columns that pass the fork outside."""
        outer = self.style.columns // 2 + 1
        loop, quarter = self.pattern.loops[side][:outer], self.style.columns // 4
        start = quarter if side == ".L" else 3 * quarter
        seat = np.roll(self.pattern.ring, -start, axis=1)[:, :outer]
        whole = np.concatenate([seat[:0:-1], loop[None], self.pattern.legs[side][1:, :outer]])
        sheet = points[whole]
        near = np.exp(-(((sheet[:, :, 2] - self.fork) / SOFT_M) ** 2)) * np.sin(np.linspace(0, np.pi, outer))
        soft = gaussian_filter1d(sheet[:, :, :2], SOFT_ROWS, axis=0, mode="nearest")
        sheet[:, :, :2] += near[:, :, None] * (soft - sheet[:, :, :2])
        points[whole] = sheet

    def marks(self, row: Row) -> dict[str, float]:
        """Measure -> height at which the chart's girth is the cloth's; of thigh, knee and hem that of one leg."""
        return self.seat_marks(row) | self.leg_marks(row)

    def rings(self, row: Row) -> list[ChartedRing]:
        """The rows whose girths the push off the skin may have changed: the thighs'."""
        heights = np.linspace(self.fork, self.leg_marks(row)["hem"], self.style.leg_rows + 1)
        nearest = int(np.abs(heights[1:] - self.leg_marks(row)["thigh"]).argmin()) + 1
        return [ChartedRing(grid, nearest, row["thigh"]) for grid in self.pattern.legs.values()]

    def seat_marks(self, row: Row) -> dict[str, float]:
        """Charted heights of the seat."""
        band = min(self.crotch + row["rise"], self.tables.waist + HIGHEST_BAND_M) if "rise" in row else self.band
        hip = min(max(self.tables.hip, self.tables.crotch + HIP_ABOVE_CROTCH_M), band - 0.06)
        return {"waist": band, "hip": hip}

    @property
    def band(self) -> float:
        return self.tables.navel - BAND_BELOW_NAVEL_M

    def leg_marks(self, row: Row) -> dict[str, float]:
        """Charted heights of a leg."""
        hem = max(self.crotch - row["inseam"], self.tables.floor + FOOT_M)
        hem = min(hem, self.fork - SHORTEST_LEG_M)
        knee = float(self.tables.joint["knee.L"][2])
        marks = {"thigh": self.fork - THIGH_BELOW_FORK_M, "knee": knee, "hem": hem}
        if knee < hem + 0.05:
            del marks["knee"]
        return marks

    def _seat(self, points: Floats, row: Row) -> None:
        marks = self.seat_marks(row)
        heights = np.linspace(self.fork, marks["waist"], self.style.seat_rows)
        heights[int(np.abs(heights - marks["hip"]).argmin())] = marks["hip"]
        down = heights[::-1]
        shapes = Shapes.of(self.tables.levels, self.tables.torso, down, slope=SEAT_SLOPE)
        share = np.zeros(len(down))
        girths = {height: row[name] for name, height in marks.items()}
        fill = solve_fill(shapes, girths, self.angle, self.style.folds, share)
        rings = place(shapes, fill, self.angle, self.style.folds, share)
        depth = np.clip((marks["hip"] - down) / (marks["hip"] - self.fork), 0.0, 1.0)[:, None]
        behind = smoothstep(np.sin(self.angle), *BACK)
        sink = smoothstep(depth, 0.0, 1.0) * (1 - behind) + depth**BACK_SLOPE * behind
        middle = shapes.middle[:, None, :]
        out = np.stack([np.cos(self.angle), np.sin(self.angle)], axis=1)
        reach = np.linalg.norm(rings - middle, axis=2)
        forked = self._forked(shapes.middle[-1], reach[-1], row["thigh"])
        reach += sink * (forked - reach)
        rings = middle + reach[:, :, None] * out
        points[self.pattern.ring, :2] = rings[::-1]
        points[self.pattern.ring, 2] = heights[:, None]
        quarter = self.style.columns // 4
        front, back = points[self.pattern.ring[0, quarter]], points[self.pattern.ring[0, 3 * quarter]]
        share = np.linspace(0, 1, self.style.crotch_columns + 2)[1:-1, None]
        points[self.pattern.crotch] = back + (front - back) * share
        points[self.pattern.crotch, 0] = 0.0

    def ease(self, row: Row) -> Floats:
        """(N,) metres of girth between cloth and skin, from the chart and the body's sections alone."""
        marks = self.seat_marks(row)
        heights = np.linspace(self.fork, marks["waist"], self.style.seat_rows)
        ease = np.zeros(self.pattern.count)
        ease[self.pattern.ring] = (charted(heights, marks, row) - self.tables.girth_at(heights))[:, None]
        below = self.leg_marks(row)
        heights = np.linspace(self.fork, below["hem"], self.style.leg_rows + 1)
        for side, grid in self.pattern.legs.items():
            levels, support = self.tables.legs[side]
            skin = girth(at(levels, support, heights))
            blend = smoothstep((self.fork - heights) / FORK_BLEND_M, 0.0, 1.0)
            leg = charted(heights, below, row) - skin
            ease[grid[1:]] = (ease[self.pattern.ring[0, 0]] * (1 - blend) + leg * blend)[1:, None]
            ease[self.pattern.crotch] = ease[self.pattern.ring[0, 0]]
        return ease

    def freedom(self, points: Floats) -> Floats:
        """(N,) how far cloth may be let go: at the fork, where two legs press together, not at all."""
        distance, _ = cKDTree(points[self.pattern.crotch]).query(points)
        return smoothstep(np.asarray(distance), *CALM_M)

    def settle(self, points: Floats, skin: Skin) -> Floats:
        """Each leg's cloth on its own side; between thighs that all but touch, in the middle."""
        settled = points
        for side, sign in ((".L", 1.0), (".R", -1.0)):
            settled = parted(settled, skin, self.pattern.legs[side][1:].reshape(-1), sign)
        settled[self.pattern.crotch, 0] = 0.0
        return settled

    def _forked(self, middle: Floats, hull: Floats, thigh: float) -> Floats:
        """(K,) reach of the ring at the fork: round both thighs, sunk between them, as wide as a thigh asks.

        Its sides fall from the hips; so does its back from the seat, as far as the thigh's girth allows.
        """
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        legs = np.zeros(len(self.angle))
        for levels, support in self.tables.legs.values():
            legs = np.maximum(legs, exit_distance(at(levels, support, np.array([self.fork]))[0], middle, self.angle))
        sunk = np.where(sine < 0, VALLEY_FRONT, VALLEY_BACK) * hull
        bare = gaussian_filter1d(np.maximum(legs, sunk), 2.5, mode="wrap")
        bare = np.maximum(bare, legs) + GAP_M
        fallen = np.maximum(bare, bare + (hull - bare) * BACK_FALL * smoothstep(sine, *BACK))
        sideways = FORK_FRONT_SHARE + 2 * (1 - FORK_FRONT_SHARE) * cosine**2
        out = np.stack([cosine, sine], axis=1)
        quarter = len(out) // 4

        def girth_of(reach: Floats) -> float:
            ring: Floats = reach[quarter : 3 * quarter + 1, None] * out[quarter : 3 * quarter + 1]
            return float(np.linalg.norm(np.diff(ring, axis=0, append=ring[:1]), axis=1).sum())

        def hung(share: float) -> Floats:
            ring = bare + share * (fallen - bare)
            sides: Floats = np.maximum(ring, ring + (hull - ring) * OUTER_FALL * cosine**4)
            return sides

        low, high = 0.0, 1.0
        for _ in range(FORK_SOLVES):
            share = (low + high) / 2
            low, high = (low, share) if girth_of(hung(share)) > thigh + FORK_WIDER_M else (share, high)
        ring = bare + low * (fallen - bare)
        reached, low, high = hung(low), 0.0, MOST_FORK_SURPLUS_M
        for _ in range(FORK_SOLVES):
            surplus = (low + high) / 2
            low, high = (low, surplus) if girth_of(ring + surplus * sideways) > thigh else (surplus, high)
        forked: Floats = np.maximum(ring + low * sideways, reached)
        return forked

    def _leg(self, points: Floats, row: Row, side: str) -> None:
        sign = 1.0 if side == ".L" else -1.0
        marks = self.leg_marks(row)
        loop = points[self.pattern.loops[side]]
        heights = np.linspace(self.fork, marks["hem"], self.style.leg_rows + 1)
        for name in ("thigh", "knee"):
            if name in marks:
                heights[int(np.abs(heights[1:] - marks[name]).argmin()) + 1] = marks[name]
        levels, support = self.tables.legs[side]
        lean = gaussian_filter1d(centre(support), 5, axis=0)
        shapes = Shapes.of(levels, support, heights, slope=LEG_SLOPE, lean=lean)
        middle = shapes.middle
        start, final = self._leg_angles(loop, middle[0], sign)
        share = smoothstep((self.fork - heights) / (self.fork - marks["hem"]), 0.25, 0.9)
        girths = {height: row[name] for name, height in marks.items()}
        fill = solve_fill(shapes, girths, final, self.style.folds, share)
        blend = smoothstep((self.fork - heights) / FORK_BLEND_M, 0.0, 1.0)
        angle = start + (final - start) * blend[:, None]
        rings = place(shapes, fill, angle, self.style.folds, share)
        rings += (1 - blend)[:, None, None] * (loop[:, :2] - rings[0])
        inner = 0.5 - 0.5 * sign * np.cos(final)
        behind = BACK_YIELD * smoothstep(np.sin(final), *BACK)
        give = np.maximum(OUTER_YIELD + (1 - OUTER_YIELD) * smoothstep(inner, 0.3, 0.9), behind)
        bare = radius(shapes.skin, middle, np.arctan2(*(rings - middle[:, None, :]).transpose(2, 0, 1)[::-1]))
        rings = self._to_girth(rings, middle, girths, heights, give, bare, sign)
        grid = self.pattern.legs[side]
        points[grid[1:], :2] = rings[1:]
        points[grid[1:], 2] = heights[1:, None]

    def _leg_angles(self, loop: Floats, middle: Floats, sign: float) -> tuple[Floats, Floats]:
        """Direction of each column at the fork and further down."""
        outer = self.style.columns // 2 + 1
        inner = self.style.crotch_columns
        first = -np.pi / 2 if sign > 0 else np.pi / 2
        final = first + np.concatenate([np.linspace(0, np.pi, outer), np.pi + np.linspace(0, np.pi, inner + 2)[1:-1]])
        seen = np.arctan2(loop[:, 1] - middle[1], loop[:, 0] - middle[0])
        start = final + (seen - final + np.pi) % (2 * np.pi) - np.pi
        return start, final

    def _to_girth(
        self,
        rings: Floats,
        middle: Floats,
        girths: dict[float, float],
        heights: Floats,
        give: Floats,
        bare: Floats,
        sign: float,
    ) -> Floats:
        """Rings near the fork widened or narrowed, mostly inside, to the thigh's girth."""
        levels = sorted(girths)
        wanted = np.interp(heights, levels, [girths[level] for level in levels])
        below = self.fork - heights
        ramp = smoothstep(below / THIGH_BELOW_FORK_M, 0.0, 1.0)
        meeting = (1 - smoothstep(below / FORK_BLEND_M, 0.5, 1.0))[:, None]
        offset = rings - middle[:, None, :]
        reach = np.linalg.norm(offset, axis=2)
        out = offset / np.maximum(reach, TINY)[:, :, None]
        amount = np.zeros(len(rings))
        moved = rings
        for _ in range(14):
            wide = np.maximum(reach + (amount * ramp)[:, None] * give, np.minimum(bare, reach))
            moved = middle[:, None, :] + wide[:, :, None] * out
            beside = np.maximum(sign * moved[:, :, 0], MIDDLE_M)
            moved[:, :, 0] = sign * (beside + meeting * (_met(beside) - beside))
            amount += np.where(ramp > 0.5, (wanted - perimeter(moved)) / (2 * np.pi * give.mean()), 0.0)
            amount = np.clip(amount, -0.08, 0.05)
        return moved


def _met(beside: Floats) -> Floats:
    """Distances from the middle, the small ones closed."""
    closed_up: Floats = MIDDLE_M + (beside - MIDDLE_M) * smoothstep(beside, *MEET_M)
    return closed_up
