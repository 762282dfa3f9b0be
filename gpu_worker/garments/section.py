"""Girth of a garment's mesh by cutting it, as a check of what the builders promise."""

import numpy as np

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.dress import Dressed
from gpu_worker.garments.pattern import quads, section_length
from gpu_worker.garments.sleeve import BELOW_ARMHOLE_M
from gpu_worker.garments.tables import BodyTables

LEG_MEASURES = frozenset({"thigh", "knee", "hem"})


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
            girths[name] = _around(worn.points[dressed.pattern.hems[_edge_of(name, has_legs=has_legs)][0]])
    return girths


def _around(points: Floats) -> float:
    return float(np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).sum())


def opening_along(dressed: Dressed, size: str, tables: BodyTables) -> float:
    """How far along the arm the left sleeve ends."""
    tube = tables.arms[".L"]
    middle = dressed.sizes[size].points[dressed.pattern.panels["sleeve.L"][-1, :-1]].mean(axis=0)
    beyond = ((middle - tube.origin) * tube.normal).sum(axis=1)
    return float(np.interp(0.0, -beyond, tube.along))


def measured_sleeve(dressed: Dressed, size: str, tables: BodyTables) -> dict[str, float]:
    """Girths of the left sleeve square to the arm, at the opening and below the armpit, and its length on top."""
    points, grid = dressed.sizes[size].points, dressed.pattern.panels["sleeve.L"]
    local = _along_arm(points, tables)
    opening = grid[-1, :-1]
    top = points[grid[:, (grid.shape[1] - 1) // 2]]
    length = float(np.linalg.norm(np.diff(top, axis=0), axis=1).sum())
    found = {"sleeve_open": _around(points[opening]), "sleeve": length}
    mark = upper_arm_mark(dressed, size, tables)
    if mark < float(local[opening, 2].min()) - EDGE_M:
        found["upper_arm"] = section_length(local, quads(grid), mark)
    return found


def upper_arm_mark(dressed: Dressed, size: str, tables: BodyTables) -> float:
    """How far along the arm a garment's upper arm is measured."""
    local = _along_arm(dressed.sizes[size].points, tables)
    return float(local[dressed.pattern.panels["sleeve.L"][0], 2].max()) + BELOW_ARMHOLE_M


def _along_arm(points: Floats, tables: BodyTables) -> Floats:
    """Points in the left arm's frame, the third axis along it."""
    tube = tables.arms[".L"]
    local: Floats = (points - tube.origin[0]) @ tube.axes
    return local


def measured_lengths(dressed: Dressed, size: str) -> dict[str, float]:
    """Measure -> metres, straight down, as garments' lengths are: from the high point of the shoulder or the band."""
    points, pattern = dressed.sizes[size].points, dressed.pattern

    def level(ids: Ints) -> float:
        return float(points[ids, 2].mean())

    if "leg.L" in pattern.panels:
        fork = float(points[pattern.panels["leg.L"][-1], 2].max())
        band, hem = level(pattern.hems["waistband"][0]), level(pattern.hems["hem.L"][0])
        return {"rise": band - fork, "inseam": fork - hem, "rise + inseam": band - hem}
    hem = level(pattern.hems["hem"][0])
    if "rib" in pattern.panels:
        return {"length": float(points[pattern.panels["rib"][0], 2].max()) - hem}
    return {"length": level(pattern.hems["waistband"][0]) - hem}
