"""Rings of cloth round the body: from the girth a chart states to the shape a tube of cloth takes.

Between skin and free fall a ring passes through three shapes: on the skin (slack 0), bridging its hollows (slack 1),
and hanging straight from what is widest above (slack 2). Only a girth beyond the last stands off the body, in folds.
The girth is exact at the charted levels; slack and surplus run smoothly between them, so that no shelf forms.

Convention: rows go from the top down; supports are absolute (about the world's axis).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.support import CIRCLE, TINY, at, centre, radius

GAP_M = 0.0045
"""Between skin and the middle of the cloth."""
BRIDGE_M = 0.09
"""Half the height of a hollow that cloth under tension spans."""
FREE_M = 0.06
"""How far from a charted level a tight tube may leave the skin to bridge a hollow."""
TENSE_M = 0.03
"""Girth that is missing, at which cloth is tense enough to bridge every hollow."""
WIDEST_SURPLUS_M = 0.6
FOLDED = 0.6
"""Share of the girth beyond what bridges the body's hollows that stands in folds, where folds show."""
FAIR_M, FAIR_TIMES, FAIR_GAIN, FAIR_REACH_M = 0.022, 10, 1.2, 0.06
"""Over what length a tube is smoothed; how often its girth is put right afterwards, by how much each time, and how far
up and down."""
SOLVES, CLOSE_M = 12, 0.00003
"""Steps at most, and the girth's error at which to stop."""


@dataclass(frozen=True)
class Folds:
    """Vertical folds of a hanging tube.

    count : of waves round the tube
    share : of the surplus that goes into folds instead of standing off evenly
    phase : where they begin, radians
    """

    count: int
    share: float
    phase: float = 0.0

    def wave(self, angle: Floats) -> Floats:
        """Uneven waves between 0 and 2, of mean about 1."""
        bent = self.count * angle + 1.1 * np.sin(2 * angle + self.phase) + 0.6 * np.sin(3 * angle + 2 * self.phase)
        slower = np.cos((self.count // 2) * angle + 0.9 * np.sin(angle + self.phase))
        wave: Floats = 1.0 + 0.72 * np.cos(bent) + 0.28 * slower
        return wave


@dataclass(frozen=True, eq=False)
class Shapes:
    """The three shapes of a tube at its rows. heights : (R,) downwards; skin, bridge, hang : (R, D)."""

    heights: Floats
    skin: Floats
    bridge: Floats
    hang: Floats
    middle: Floats

    @classmethod
    def of(
        cls, levels: Floats, support: Floats, heights: Floats, *, slope: float, lean: Floats | None = None
    ) -> "Shapes":
        """From the body's supports at `levels` (upwards) to those at `heights`, cloth's gap included.

        slope : how much narrower a hanging tube may get for each metre downwards
        lean  : (L, 2) the axis along which a limb's cloth falls; without it cloth falls straight down
        """
        if lean is not None:
            upright = cls.of(levels, support - lean @ CIRCLE, heights, slope=slope)
            shift = at(levels, lean, heights)
            rows = [shape + shift @ CIRCLE for shape in (upright.skin, upright.bridge, upright.hang)]
            return cls(heights, rows[0], rows[1], rows[2], upright.middle + shift)
        step = 0.01
        grid = np.arange(heights.max() + 0.02, heights.min() - 0.02, -step)
        skin = gaussian_filter1d(at(levels, support, grid), 0.8, axis=0) + GAP_M
        skin = np.maximum(skin, at(levels, support, grid) + GAP_M)
        bridge = np.maximum(_bridged(skin, round(BRIDGE_M / step)), skin)
        hang = np.maximum(_hanging(skin, slope * step), bridge)
        middle = gaussian_filter1d(centre(hang), 4, axis=0)
        rows = [at(-grid, shape, -heights) for shape in (skin, bridge, hang, middle)]
        return cls(heights, *rows)

    def row(self, height: float) -> "Shapes":
        one = np.array([height])
        return Shapes(
            one, *(at(-self.heights, rows, -one) for rows in (self.skin, self.bridge, self.hang, self.middle))
        )

    def blended(self, slack: Floats) -> Floats:
        """(R, D) shape at slack 0 to 2 for each row."""
        lower, upper = np.clip(slack, 0, 1)[:, None], np.clip(slack - 1, 0, 1)[:, None]
        mixed: Floats = self.skin + lower * (self.bridge - self.skin) + upper * (self.hang - self.bridge)
        return mixed


def _bridged(skin: Floats, reach: int) -> Floats:
    """Upper concave envelope along the rows, over hollows up to twice `reach` rows high."""
    raised = skin.copy()
    padded = np.pad(skin, ((reach, reach), (0, 0)), mode="edge")
    rows = np.arange(len(skin)) + reach
    for above in range(1, reach + 1, 2):
        for below in range(1, reach + 1, 2):
            chord = (padded[rows - above] * below + padded[rows + below] * above) / (above + below)
            np.maximum(raised, chord, out=raised)
    soft: Floats = gaussian_filter1d(raised, 1.5, axis=0)
    return soft


def _hanging(skin: Floats, drop: float) -> Floats:
    """Each row at least as wide as the one above less `drop`; softened downwards and round."""
    hang = skin.copy()
    for row in range(1, len(hang)):
        np.maximum(hang[row], hang[row - 1] - drop, out=hang[row])
    hang = gaussian_filter1d(hang, 3, axis=0)
    soft: Floats = gaussian_filter1d(hang, 1.2, axis=1, mode="wrap")
    return soft


@dataclass(frozen=True, eq=False)
class Fill:
    """How a tube fills its girth at its rows: slack (R,) of its shape, surplus (R,) metres, stretch (R,) at least 1."""

    slack: Floats
    surplus: Floats
    stretch: Floats


def solve_fill(
    shapes: Shapes, girths: dict[float, float], angle: Floats, folds: Folds, share: Floats, reach: Floats | None = None
) -> Fill:
    """Slack and surplus that give the charted girths, and what lies between.

    girths : height -> girth, metres
    share  : (R,) how much of the folds' share each row shows
    reach  : (R,) how far sideways the cloth may go before it meets the arms
    """
    levels = np.array(sorted(girths, reverse=True))
    solved = np.zeros((len(levels), 3))
    for place, level in enumerate(levels):
        one = shapes.row(level)
        here = float(np.interp(-level, -shapes.heights, share))
        limit = np.inf if reach is None else float(np.interp(-level, -shapes.heights, reach))
        solved[place] = _solve_ring(one, girths[level], angle, folds, here, limit)
    rows = np.clip(shapes.heights, levels[-1], levels[0])
    if len(levels) == 1:
        slack, surplus, stretch = (np.full(len(rows), value) for value in solved[0])
    else:
        slack, surplus, stretch = (PchipInterpolator(-levels, column)(-rows) for column in solved.T)
    from_level = np.abs(shapes.heights[:, None] - levels).min(axis=1)
    free = np.clip(from_level / FREE_M, 0, 1) ** 2
    slack = slack + np.maximum(1 - slack, 0) * free
    return Fill(slack, np.maximum(surplus, 0), np.maximum(stretch, 1))


def _solve_ring(
    one: Shapes, target: float, angle: Floats, folds: Folds, share: float, limit: float
) -> tuple[float, float, float]:
    """Slack, surplus, stretch of one row."""
    limits = np.array([limit])

    def bare(slack: float) -> Floats:
        return radius(one.blended(np.array([slack])), one.middle, angle)

    def around(reach: Floats, surplus: float) -> float:
        return float(perimeter(_lifted(one, reach, np.array([surplus]), angle, folds, np.array([share]), limits))[0])

    skin = around(bare(0.0), 0.0)
    if target <= skin:
        return min((skin - target) / TENSE_M, 1.0), 0.0, skin / target
    bridging, hanging = around(bare(1.0), 0.0), around(bare(2.0), 0.0)
    smooth = target if target < bridging else bridging + (1 - FOLDED * share) * (target - bridging)
    slack = 2.0
    if smooth < hanging:
        low, at_low, high, at_high = (0.0, skin, 1.0, bridging) if smooth < bridging else (1.0, bridging, 2.0, hanging)
        slack = _root(lambda slack: around(bare(slack), 0.0) - smooth, low, high, at_low - smooth, at_high - smooth)
    if smooth == target and smooth < hanging:
        return slack, 0.0, 1.0
    shape = bare(slack)
    start = min(smooth, hanging)
    high = 1.3 * (target - start) / (2 * np.pi) + CLOSE_M
    at_high = around(shape, high) - target
    if at_high < 0:
        high, at_high = WIDEST_SURPLUS_M, around(shape, WIDEST_SURPLUS_M) - target
    if at_high <= 0:
        return slack, high, 1.0
    return slack, _root(lambda surplus: around(shape, surplus) - target, 0.0, high, start - target, at_high), 1.0


def _root(rising: Callable[[float], float], low: float, high: float, at_low: float, at_high: float) -> float:
    """Where a rising function passes 0, by false position with halved ends (Illinois); values in metres of girth."""
    middle = low
    for _ in range(SOLVES):
        middle = (low * at_high - high * at_low) / (at_high - at_low) if at_high > at_low else (low + high) / 2
        value = rising(middle)
        if abs(value) < CLOSE_M:
            break
        if value > 0:
            high, at_high, at_low = middle, value, at_low / 2
        else:
            low, at_low, at_high = middle, value, at_high / 2
    return middle


def place(
    shapes: Shapes, fill: Fill, angle: Floats, folds: Folds, share: Floats, reach: Floats | None = None
) -> Floats:
    """(R, K, 2) where the tube's columns stand in each row, x and y."""
    bare = radius(shapes.blended(fill.slack), shapes.middle, angle)
    return _lifted(shapes, bare, fill.surplus, angle, folds, share, reach)


def faired(
    shapes: Shapes, rings: Floats, girths: dict[float, float], angle: Floats, reach: Floats | None = None
) -> Floats:
    """Rings (R, K, 2) smoothed down the tube, so that no crease forms where the girth turns; never nearer to the skin.

    The charted girths are put right afterwards, and what lies between follows.
    """
    middle = shapes.middle[:, None, :]
    skin = radius(shapes.skin, shapes.middle, angle)
    out = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    step = float(np.abs(np.diff(shapes.heights)).mean())
    given = ((rings - middle) * out).sum(axis=2)
    soft = np.maximum(gaussian_filter1d(given, FAIR_M / step, axis=0, mode="nearest"), np.minimum(skin, given))
    levels = np.array(sorted(girths, reverse=True))
    rows = np.abs(shapes.heights[:, None] - levels).argmin(axis=0)
    wanted = perimeter(rings[rows])
    near = np.exp(-(((shapes.heights[:, None] - levels) / FAIR_REACH_M) ** 2)) + TINY
    near /= near.sum(axis=1, keepdims=True)
    more = np.zeros(len(levels))

    def widened(chosen: Ints | slice) -> Floats:
        least = np.minimum(skin[chosen], given[chosen])
        wide = np.maximum(soft[chosen] + (near[chosen] @ more)[:, None], least)
        placed: Floats = middle[chosen] + wide[:, :, None] * out
        if reach is not None:
            placed[:, :, 0] = np.clip(placed[:, :, 0], -reach[chosen, None], reach[chosen, None])
        return placed

    for _ in range(FAIR_TIMES):
        short = wanted - perimeter(widened(rows))
        if np.abs(short).max() < CLOSE_M:
            break
        more += FAIR_GAIN * short / (2 * np.pi)
    return widened(slice(None))


def _lifted(
    shapes: Shapes, bare: Floats, surplus: Floats, angle: Floats, folds: Folds, share: Floats, reach: Floats | None
) -> Floats:
    """(R, K, 2) bare distances plus what stands off, some of it in folds."""
    depth = (folds.share * share)[:, None]
    lifted = bare + surplus[:, None] * ((1 - depth) + depth * folds.wave(angle))
    points: Floats = shapes.middle[:, None, :] + lifted[:, :, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    if reach is not None:
        points[:, :, 0] = np.clip(points[:, :, 0], -reach[:, None], reach[:, None])
    return points


@dataclass(frozen=True, eq=False)
class ChartedRing:
    """A row of a panel whose girth the chart gives. grid : (R, K) vertex numbers, closed; girth in metres."""

    grid: Ints
    row: int
    girth: float


@dataclass(frozen=True, eq=False)
class ChartedSection:
    """A girth that the chart gives square to a limb, between the rows of its tube.

    faces  : (F, 3) triangles of the tube
    grid   : (R, K) its vertex numbers; the first row stays
    origin, axes : (3,), (3, 3) the limb's frame, its axis the third column
    beyond : how far along the axis, counted from the first row's furthest point, the girth is measured, metres
    """

    faces: Ints
    grid: Ints
    origin: Floats
    axes: Floats
    beyond: float
    girth: float


def perimeter(points: Floats) -> Floats:
    """(R,) length of each closed ring (R, K, 2 or 3)."""
    around: Floats = np.linalg.norm(points - np.roll(points, 1, axis=1), axis=2).sum(axis=1)
    return around
