"""Support functions of plane sections: what a tape, or cloth under tension, sees of a body.

The support function of a section in direction u is the largest p · u of its points. Its integral over all directions
is the girth of the convex hull (Cauchy), and lifting cloth off by d adds 2 π d to the girth.

Convention: `DIRECTIONS` directions, counter-clockwise from the first axis of the section's plane; (L, D) is one row
for each of L sections. Metres.
"""

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Bools, Edges, Floats

DIRECTIONS = 64
ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)])
"""(2, D)"""
TINY = 1e-12
NEAREST_M = 0.002
"""A tangent nearer to the middle of a section than this is taken to lie here: the middle is inside."""


def section_supports(along: Floats, across: Floats, edges: Edges, levels: Floats) -> tuple[Floats, Bools]:
    """Supports (L, D) of the sections at evenly spaced `levels`, and which levels cut an edge at all.

    along  : (V,) coordinate that `levels` are of
    across : (V, 2) coordinates in the section's plane
    Levels that cut nothing take the row of the nearest that does.
    """
    first, second = along[edges[:, 0]], along[edges[:, 1]]
    step = levels[1] - levels[0]
    start = np.clip(np.ceil((np.minimum(first, second) - levels[0]) / step), 0, len(levels)).astype(np.intp)
    end = np.clip(np.floor((np.maximum(first, second) - levels[0]) / step) + 1, 0, len(levels)).astype(np.intp)
    count = np.maximum(end - start, 0)
    edge = np.repeat(np.arange(len(edges)), count)
    level = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(start, count)
    share = (levels[level] - first[edge]) / (second[edge] - first[edge] + TINY)
    points = across[edges[edge, 0]] * (1 - share)[:, None] + across[edges[edge, 1]] * share[:, None]
    return _by_level(points, level, len(levels))


def _by_level(points: Floats, level: NDArray[np.intp], levels: int) -> tuple[Floats, Bools]:
    order = np.argsort(level, kind="stable")
    cut, first = np.unique(level[order], return_index=True)
    if not len(cut):
        raise ValueError("No level cuts the body.")
    reach = (points[order].astype(np.float32) @ CIRCLE.astype(np.float32)).astype(np.float64)
    rows = np.maximum.reduceat(reach, first, axis=0)
    nearest = np.abs(np.arange(levels)[:, None] - cut).argmin(axis=1)
    return rows[nearest], np.isin(np.arange(levels), cut)


def girth(support: Floats) -> Floats:
    """Girth of each row."""
    total: Floats = support.sum(axis=-1) * (2 * np.pi / DIRECTIONS)
    return total


def centre(support: Floats) -> Floats:
    """(L, 2) middle of each section's box."""
    quarter = DIRECTIONS // 4
    return np.stack(
        [
            (support[:, 0] - support[:, 2 * quarter]) / 2,
            (support[:, quarter] - support[:, 3 * quarter]) / 2,
        ],
        axis=1,
    )


def radius(support: Floats, middle: Floats, angle: Floats) -> Floats:
    """(L, K) distance from `middle` (L, 2), inside, to the hull in the directions `angle` (L, K) or (K,).

    Each tangent bounds the distance by h / cos; the nearest one is where cos / h is largest.
    """
    local = np.maximum(support - middle @ CIRCLE, NEAREST_M)
    closeness = (1 / local).astype(np.float32)[:, None, :]
    cosine = (np.stack([np.cos(angle), np.sin(angle)], axis=-1) @ CIRCLE).astype(np.float32)
    nearest: Floats = 1 / (cosine * closeness).max(axis=2).astype(np.float64)
    return nearest


def at(levels: Floats, rows: Floats, where: Floats) -> Floats:
    """Rows (L, ...) at other levels by linear interpolation, held beyond the ends."""
    place = np.interp(where, levels, np.arange(len(levels)))
    low = np.clip(place.astype(np.intp), 0, len(levels) - 2)
    share = (place - low).reshape(-1, *[1] * (rows.ndim - 1))
    mixed: Floats = rows[low] * (1 - share) + rows[low + 1] * share
    return mixed


def smoothstep(x: Floats, low: float, high: float) -> Floats:
    share = np.clip((x - low) / (high - low), 0.0, 1.0)
    return share * share * (3 - 2 * share)
