"""The topology of a garment: panels of quads with shared seams, the same for every body and size of a category.

Convention: faces are counter-clockwise from outside.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpu_worker.body.arrays import Floats, Ints

Grid = Ints
"""(R, C) vertex numbers of a panel, rows upwards, columns counter-clockwise seen from above."""

HEM_THICKNESS_M = 0.002
HEM_FOLD_M = 0.015
"""Every open edge is folded inwards, so that cloth shows a thickness and no single sheet."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """Panels by name, and the open edges that are hemmed.

    count  : vertices without the hems' inner sheets
    panels : name -> (R, C) vertex numbers; a closed panel repeats its first column
    hems   : name -> (edge, inward) each (K,): a closed loop with the outside on the left, and each one's neighbour
             further into the cloth
    """

    count: int
    panels: Mapping[str, Grid]
    hems: Mapping[str, tuple[Ints, Ints]]

    @cached_property
    def faces(self) -> Ints:
        """(F, 3) the outer sheet."""
        return joined(quads(grid) for grid in self.panels.values())

    @cached_property
    def hem_panels(self) -> dict[str, Grid]:
        """The inner sheets: edge, folded edge, and what lies `HEM_FOLD_M` further in."""
        start = self.count
        panels = {}
        for name, (edge, _) in self.hems.items():
            inner = start + np.arange(2 * len(edge), dtype=np.int32).reshape(2, -1)
            start += inner.size
            panels[name] = closed(np.concatenate([edge[None], inner]))[::-1]
        return panels

    @cached_property
    def all_faces(self) -> Ints:
        """(F, 3) both sheets."""
        return joined([self.faces, *(quads(grid) for grid in self.hem_panels.values())])

    def with_hems(self, points: Floats) -> Floats:
        """Points (count, 3) and after them those of the hems' inner sheets, which follow the outer one."""
        normal = vertex_normals(points, self.faces)
        parts = [points]
        for edge, inward in self.hems.values():
            along = points[inward] - points[edge]
            step = np.linalg.norm(along, axis=1, keepdims=True)
            share = np.minimum(HEM_FOLD_M / np.maximum(step, 1e-9), 1.0)
            turned = normal[edge] + share * (normal[inward] - normal[edge])
            turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
            parts += [
                points[edge] - HEM_THICKNESS_M * normal[edge],
                points[edge] + share * along - HEM_THICKNESS_M * turned,
            ]
        return np.concatenate(parts)


def vertex_normals(points: Floats, faces: Ints) -> Floats:
    """(N, 3) unit normals, area-weighted."""
    corners = points[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros_like(points)
    for corner in range(3):
        for axis in range(3):
            summed[:, axis] += np.bincount(faces[:, corner], across[:, axis], len(points))
    unit: Floats = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
    return unit


def section_length(points: Floats, faces: Ints, height: float) -> float:
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


def quads(grid: Grid) -> Ints:
    """Triangles of a grid, their diagonals alternating so that cloth favours neither."""
    low_left, low_right = grid[:-1, :-1], grid[:-1, 1:]
    high_left, high_right = grid[1:, :-1], grid[1:, 1:]
    rows, columns = np.indices(low_left.shape)
    even = ((rows + columns) % 2 == 0)[..., None, None]
    rising = _pair(low_left, low_right, high_right, low_left, high_right, high_left)
    falling = _pair(low_left, low_right, high_left, low_right, high_right, high_left)
    faces = np.where(even, rising, falling).reshape(-1, 3)
    return faces.astype(np.int32)


def _pair(*corners: Ints) -> Ints:
    return np.stack(corners, axis=-1).reshape(*corners[0].shape, 2, 3)


def closed(grid: Grid) -> Grid:
    """The grid with its first column repeated at the end."""
    return np.concatenate([grid, grid[:, :1]], axis=1)


def numbers(start: int, rows: int, columns: int) -> Grid:
    return (start + np.arange(rows * columns, dtype=np.int32)).reshape(rows, columns)


def joined(parts: Iterable[Ints]) -> Ints:
    return np.concatenate(list(parts)).astype(np.int32)
