"""Is a point inside the body? By the winding number, independent of the query that keeps cloth off the skin.

For a closed mesh the winding number is the signed count of triangles that any ray from the point passes through: exact
but for rays that graze an edge, and those are avoided by aiming off the grid.
"""

import numpy as np

from gpu_worker.body.arrays import Bools, Floats, Ints

CELL_M = 0.006
OFF_GRID = np.array([0.37139e-7, 0.61803e-7])


class WindingNumber:
    """Of one closed mesh. vertices : (V, 3), faces : (F, 3)."""

    def __init__(self, vertices: Floats, faces: Ints) -> None:
        corners = vertices[faces]
        self._flat, self._depth = corners[:, :, 1:], corners[:, :, 0]
        edge1, edge2 = self._flat[:, 1] - self._flat[:, 0], self._flat[:, 2] - self._flat[:, 0]
        self._double_area = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
        self._low = vertices[:, 1:].min(axis=0) - CELL_M
        self._cells = np.ceil((vertices[:, 1:].max(axis=0) + CELL_M - self._low) / CELL_M).astype(np.intp)
        first = ((self._flat.min(axis=1) - self._low) / CELL_M).astype(np.intp)
        last = ((self._flat.max(axis=1) - self._low) / CELL_M).astype(np.intp)
        spans = last - first + 1
        count = spans.prod(axis=1)
        face = np.repeat(np.arange(len(faces)), count)
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        cell = (first[face, 0] + place // spans[face, 1]) * self._cells[1] + first[face, 1] + place % spans[face, 1]
        order = np.argsort(cell, kind="stable")
        self._face = face[order]
        self._start = np.searchsorted(cell[order], np.arange(self._cells.prod() + 1))

    def at(self, points: Floats) -> Ints:
        """(n,) winding numbers: 0 outside, 1 or more inside."""
        seen = points[:, 1:] + OFF_GRID
        cell = ((seen - self._low) / CELL_M).astype(np.intp)
        is_near = ((cell >= 0) & (cell < self._cells)).all(axis=1)
        number = np.where(is_near, cell[:, 0] * self._cells[1] + cell[:, 1], 0)
        count = np.where(is_near, self._start[number + 1] - self._start[number], 0)
        point = np.repeat(np.arange(len(points)), count)
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        face = self._face[self._start[number[point]] + place]
        crossed = self._crosses(seen[point], points[point, 0], face)
        winding: Ints = np.zeros(len(points), np.int32)
        np.add.at(winding, point[crossed != 0], crossed[crossed != 0])
        return winding

    def _crosses(self, seen: Floats, start: Floats, face: Ints) -> Ints:
        """+1, -1 or 0: whether the ray along +x from each point leaves, enters or misses a triangle."""
        corner, area = self._flat[face], self._double_area[face]
        usable = np.abs(area) > 1e-18
        safe = np.where(usable, area, 1.0)
        one, two, rel = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0], seen - corner[:, 0]
        second = (rel[:, 0] * two[:, 1] - rel[:, 1] * two[:, 0]) / safe
        third = (one[:, 0] * rel[:, 1] - one[:, 1] * rel[:, 0]) / safe
        hit = usable & (second >= 0) & (third >= 0) & (second + third <= 1)
        depth = self._depth[face]
        x = depth[:, 0] + second * (depth[:, 1] - depth[:, 0]) + third * (depth[:, 2] - depth[:, 0])
        return np.where(hit & (x > start), np.sign(area), 0).astype(np.int32)


def samples(points: Floats, faces: Ints, count: int, rng: np.random.Generator) -> Floats:
    """(N + count, 3) every vertex, and random points on the faces, by area."""
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = rng.choice(len(faces), count, p=area / area.sum())
    share = rng.dirichlet(np.ones(3), count)
    return np.concatenate([points, (corners[chosen] * share[:, :, None]).sum(axis=1)])


def inside(winding: WindingNumber, points: Floats) -> Bools:
    return winding.at(points) > 0
