"""Girth of a garment's mesh by cutting it, as a check of what the builders promise."""

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.dress import Dressed
from gpu_worker.garments.pattern import quads

LEG_MEASURES = frozenset({"thigh", "knee", "hem"})


def section_length(points: Floats, faces: "np.ndarray[tuple[int, ...], np.dtype[np.int32]]", height: float) -> float:
    """Length of the line in which a horizontal plane cuts some triangles, metres."""
    corners = points[faces]
    above = corners[:, :, 2] > height
    cut = np.flatnonzero(above.any(axis=1) & ~above.all(axis=1))
    ends = []
    for first, second in ((0, 1), (1, 2), (2, 0)):
        low, high = corners[cut, first], corners[cut, second]
        crosses = above[cut, first] != above[cut, second]
        share = (height - low[:, 2]) / np.where(crosses, high[:, 2] - low[:, 2], 1.0)
        point = low + share[:, None] * (high - low)
        ends.append(np.where(crosses[:, None], point, np.nan))
    stacked = np.stack(ends, axis=1)
    span = np.nanmax(stacked, axis=1) - np.nanmin(stacked, axis=1)
    return float(np.linalg.norm(span[:, :2], axis=1).sum())


EDGE_M = 0.012
"""Nearer to an open edge than this, the edge itself is measured: a plane would cut only part of it."""


def _edge_of(measure: str, *, has_legs: bool) -> str:
    if measure == "hem":
        return "hem.L" if has_legs else "hem"
    return "waistband"


def measured_girths(dressed: Dressed, size: str) -> dict[str, float]:
    """Measure -> metres, cut from the worn mesh at the heights where the chart's rows apply."""
    worn = dressed.sizes[size]
    has_legs = "leg.L" in dressed.pattern.panels
    girths = {}
    for name, height in worn.marks.items():
        chosen = ("leg.L",) if has_legs and name in LEG_MEASURES else ("front", "back")
        faces = np.concatenate([quads(dressed.pattern.panels[panel]) for panel in chosen])
        level = worn.points[faces][:, :, 2]
        if level.min() + EDGE_M < height < level.max() - EDGE_M:
            girths[name] = section_length(worn.points, faces, height)
        else:
            edge = worn.points[dressed.pattern.hems[_edge_of(name, has_legs=has_legs)][0]]
            girths[name] = float(np.linalg.norm(edge - np.roll(edge, 1, axis=0), axis=1).sum())
    return girths
