"""The second, better picture: the geometric garment let go, as cloth.

Position-based dynamics with all springs of a step solved at once (Jacobi, averaged): whole arrays, no loop over edges.
Rest lengths are the pattern's, so tight cloth stays stretched and its strain is honest. Nothing about fit is read from
the result; where it fails its own check the geometric garment stands.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.garments.collide import FAR_M, Sheet, Skin, push_out
from gpu_worker.garments.pattern import Pattern
from gpu_worker.garments.rings import GAP_M

STEPS = 48
SWEEPS = 5
"""Solves of all springs in each step."""
QUERY_EVERY = 6
"""Steps between two looks at where the skin is; planes in between."""
STEP_S = 1 / 60
GRAVITY_M_S2 = 4.0
"""Less than the real one: heavy cloth would stretch springs that are solved only a few times."""
DAMPING = 0.93
RELAXATION = 1.6
"""Over-relaxation of the averaged springs."""
COMPRESSION = 0.8
"""How much of a spring's stiffness pushes back when it is pressed together: less, and folds go out of loose cloth."""
BENDING = 0.012
"""How much each step smooths: more, and folds go too."""
FRICTION = 0.35
DROP_M, RISE_M, HEM_RISE_M = 0.0045, 0.02, 0.0002
"""How far cloth may sink or climb from where geometry put it: hems stay level, lengths true."""


CLEAR_M, HEM_CLEAR_M = 0.0005, 0.0003
"""Draped cloth that comes nearer to the skin, and inner sheets of hems that do, go back towards the first picture."""
INSIDE_FACE = np.array(
    [[2, 2, 2], [3, 3, 0], [0, 3, 3], [3, 0, 3], [4, 1, 1], [1, 4, 1], [1, 1, 4], [5, 1, 0], [0, 5, 1], [1, 0, 5]],
    np.float64,
)
INSIDE_FACE /= INSIDE_FACE.sum(axis=1, keepdims=True)
"""Where in a triangle cloth is asked for its distance, as weights of the corners."""
REPAIRS, REPAIR_RINGS = 8, 4
MOST_MOVED_M = 0.055
"""Cloth that went further may lie deeper in the body than the skin can tell."""
NEAR_M = 0.012
"""Triangles of which no corner is nearer are not asked."""

Singles = NDArray[np.float32]


class DrapeFailed(Exception):
    """The cloth did not come to rest outside the body; the geometric garment stands."""


@dataclass(frozen=True, eq=False)
class Springs:
    """Edges of the mesh as springs. ends : (E, 2), rest : (E,) metres, gather : (N, E) signed mean over a vertex."""

    ends: Ints
    rest: Singles
    gather: "sparse.csr_array[np.float32]"

    @classmethod
    def of(cls, ends: Ints, points: Floats, slack: Floats) -> "Springs":
        """Slack : (N,) pattern's girth over the worn ring's, 1 where cloth is not stretched."""
        along = points[ends[:, 1]] - points[ends[:, 0]]
        length = np.linalg.norm(along, axis=1)
        level = 1 - np.abs(along[:, 2]) / np.maximum(length, 1e-9)
        rest = length * (1 + level * (slack[ends].mean(axis=1) - 1))
        count, edges = len(points), len(ends)
        degree = np.bincount(ends.reshape(-1), minlength=count).astype(np.float32)
        rows = np.concatenate([ends[:, 0], ends[:, 1]])
        sign = np.repeat([np.float32(1), np.float32(-1)], edges) / degree[rows]
        columns = np.tile(np.arange(edges), 2)
        gather = sparse.csr_array(sparse.coo_array((sign, (rows, columns)), shape=(count, edges)))
        return cls(ends, rest.astype(np.float32), gather)

    def correction(self, points: Singles) -> Singles:
        """(N, 3) how each vertex moves to bring its springs to rest."""
        along = points.take(self.ends[:, 1], axis=0) - points.take(self.ends[:, 0], axis=0)
        length = np.sqrt(np.einsum("ij,ij->i", along, along))
        excess = (length - self.rest) / np.maximum(length, 1e-9)
        excess *= np.where(excess > 0, np.float32(0.5), np.float32(0.5 * COMPRESSION))
        along *= excess[:, None]
        moved: Singles = np.asarray(self.gather @ along)
        return moved


def drape(points: Floats, sheet: Sheet, skin: Skin, slack: Floats, freedom: Floats, level: Ints) -> Floats:
    """(N, 3) the garment at rest. Raises `DrapeFailed`.

    points  : (N, 3) the geometric garment
    slack   : (N,) see `Springs.of`
    freedom : (N,) 0 for vertices that stay (neckline, waistband), 1 for those let go
    level   : vertices of hems, which do not climb
    """
    springs = Springs.of(sheet.edges, points, slack)
    neighbours = sheet.neighbours.astype(np.float32)
    free = freedom[:, None].astype(np.float32)
    pull = RELAXATION * free
    position = points.astype(np.float32)
    before = position.copy()
    low, high = position[:, 2] - np.float32(DROP_M), position[:, 2] + np.float32(RISE_M)
    high[level] = position[level, 2] + np.float32(HEM_RISE_M)
    fall = free * np.array([0.0, 0.0, -GRAVITY_M_S2 * STEP_S**2], np.float32)
    planes = _Planes.at(skin, position)
    for step in range(STEPS):
        if step and step % QUERY_EVERY == 0:
            planes = _Planes.at(skin, position)
        moved = position + free * (np.float32(DAMPING) * (position - before)) + fall
        before, position = position, moved
        for _ in range(SWEEPS):
            position += pull * springs.correction(position)
        position += np.float32(BENDING) * free * (np.asarray(neighbours @ position) - position)
        np.clip(position[:, 2], low, high, out=position[:, 2])
        position += free * planes.push(position, before)
    if not np.isfinite(position).all():
        raise DrapeFailed("The cloth flew apart.")
    return push_out(position.astype(np.float64), sheet, skin)


@dataclass(frozen=True, eq=False)
class _Planes:
    """The skin as each vertex sees it for a few steps. normal, foot : (N, 3); is_near : (N,)."""

    normal: Singles
    level: Singles
    is_near: Bools

    @classmethod
    def at(cls, skin: Skin, points: Singles) -> "_Planes":
        exact = points.astype(np.float64)
        distance, normal = skin.distance(exact)
        level = (exact * normal).sum(axis=1) - distance
        return cls(normal.astype(np.float32), level.astype(np.float32), distance < FAR_M)

    def push(self, position: Singles, before: Singles) -> Singles:
        """(N, 3) back to the gap; what touches is slowed along the skin."""
        above = np.einsum("ij,ij->i", position, self.normal) - self.level
        touching = self.is_near & (above < GAP_M)
        slide = np.where(touching[:, None], np.float32(FRICTION) * (before - position), np.float32(0))
        slide -= np.einsum("ij,ij->i", slide, self.normal)[:, None] * self.normal
        moved: Singles = np.where(touching, GAP_M - above, 0).astype(np.float32)[:, None] * self.normal + slide
        return moved


def repaired(draped: Floats, first: Floats, pattern: Pattern, sheet: Sheet, skin: Skin) -> Floats:
    """The draped cloth, gone back to the first picture where it or its hems touch the skin.

    first : (N, 3) the geometric garment, clear of the skin
    """
    share = np.ones(pattern.count)
    gone_far = np.linalg.norm(draped - first, axis=1) > MOST_MOVED_M
    for _ in range(REPAIRS):
        points = first + share[:, None] * (draped - first)
        touching = (_touching(points, pattern, skin) | gone_far) & (share > 0)
        if not touching.any():
            return points
        near = touching.astype(np.float64)
        for _ in range(REPAIR_RINGS):
            near = np.maximum(near, np.asarray(sheet.neighbours @ near))
        share *= 1 - np.minimum(REPAIR_RINGS * near, 1)
    return first


def _touching(points: Floats, pattern: Pattern, skin: Skin) -> Bools:
    """(N,) vertices of the outer sheet at whose triangles, or at whose hems, cloth comes too near."""
    full = pattern.with_hems(points)
    clear = np.full(len(full), HEM_CLEAR_M)
    clear[: pattern.count] = CLEAR_M
    distance, _ = skin.distance(full)
    hit = distance < clear
    faces = pattern.all_faces[distance[pattern.all_faces].min(axis=1) < NEAR_M]
    least = clear[faces].min(axis=1)
    for weights in INSIDE_FACE:
        distance, _ = skin.distance(np.einsum("fcd,c->fd", full[faces], weights))
        hit[faces[distance < least]] = True
    start, touching = pattern.count, hit[: pattern.count].copy()
    for edge, inward in pattern.hems.values():
        inner = hit[start : start + 2 * len(edge)].reshape(2, -1).any(axis=0)
        touching[edge[inner]] = touching[inward[inner]] = True
        start += 2 * len(edge)
    return touching
