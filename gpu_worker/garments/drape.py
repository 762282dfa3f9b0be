"""The second, better picture: the geometric garment let go, as cloth.

Position-based dynamics with all springs of a step solved at once (Jacobi, averaged): whole arrays, no loop over edges.
Rest lengths are the pattern's, so tight cloth stays stretched and its strain is honest. Nothing about fit is read from
the result; where it fails its own check the geometric garment stands.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.collide import FAR_M, Sheet, Skin, push_out
from gpu_worker.garments.rings import GAP_M

STEPS = 72
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
COMPRESSION = 0.35
"""How much of a spring's stiffness pushes back when it is pressed together: cloth buckles instead."""
BENDING = 0.05
FRICTION = 0.35
DROP_M, RISE_M = 0.006, 0.02
"""How far cloth may sink or climb from where geometry put it: hems stay level, lengths true."""


class DrapeFailed(Exception):
    """The cloth did not come to rest outside the body; the geometric garment stands."""


@dataclass(frozen=True, eq=False)
class Springs:
    """Edges of the mesh as springs. ends : (E, 2), rest : (E,) metres, gather : (N, E) signed mean over a vertex."""

    ends: Ints
    rest: Floats
    gather: "sparse.csr_array[np.float64]"

    @classmethod
    def of(cls, ends: Ints, points: Floats, slack: Floats) -> "Springs":
        """Slack : (N,) pattern's girth over the worn ring's, 1 where cloth is not stretched."""
        along = points[ends[:, 1]] - points[ends[:, 0]]
        length = np.linalg.norm(along, axis=1)
        level = 1 - np.abs(along[:, 2]) / np.maximum(length, 1e-9)
        rest = length * (1 + level * (slack[ends].mean(axis=1) - 1))
        count, edges = len(points), len(ends)
        degree = np.bincount(ends.reshape(-1), minlength=count).astype(np.float64)
        rows = np.concatenate([ends[:, 0], ends[:, 1]])
        sign = np.repeat([1.0, -1.0], edges) / degree[rows]
        columns = np.tile(np.arange(edges), 2)
        return cls(ends, rest, sparse.csr_array(sparse.coo_array((sign, (rows, columns)), shape=(count, edges))))

    def correction(self, points: Floats) -> Floats:
        """(N, 3) how each vertex moves to bring its springs to rest."""
        along = points[self.ends[:, 1]] - points[self.ends[:, 0]]
        length = np.sqrt(np.einsum("ij,ij->i", along, along))
        excess = (length - self.rest) / np.maximum(length, 1e-9)
        excess *= np.where(excess > 0, 0.5, 0.5 * COMPRESSION)
        moved: Floats = np.asarray(self.gather @ (along * excess[:, None]))
        return moved


def drape(points: Floats, sheet: Sheet, skin: Skin, slack: Floats, held: Ints) -> Floats:
    """(N, 3) the garment at rest. Raises `DrapeFailed`.

    points : (N, 3) the geometric garment
    slack  : (N,) see `Springs.of`
    held   : vertices that stay: neckline, waistband
    """
    springs = Springs.of(sheet.edges, points, slack)
    free = np.ones((len(points), 1))
    free[held] = 0.0
    position, before = points.copy(), points.copy()
    low, high = points[:, 2] - DROP_M, points[:, 2] + RISE_M
    fall = np.array([0.0, 0.0, -GRAVITY_M_S2 * STEP_S**2])
    distance, normal, anchor = _planes(skin, position)
    for step in range(STEPS):
        if step and step % QUERY_EVERY == 0:
            distance, normal, anchor = _planes(skin, position)
        moved = position + free * (DAMPING * (position - before) + fall)
        before = position
        position = moved
        for _ in range(SWEEPS):
            position = position + free * (RELAXATION * springs.correction(position))
        position = position + free * (BENDING * (np.asarray(sheet.neighbours @ position) - position))
        np.clip(position[:, 2], low, high, out=position[:, 2])
        position = _off_the_skin(position, before, distance, normal, anchor, free)
    position = push_out(position, sheet, skin)
    if not np.isfinite(position).all():
        raise DrapeFailed("The cloth flew apart.")
    return position


def _planes(skin: Skin, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Distance, normal and foot of each vertex on the skin."""
    distance, normal = skin.distance(points)
    return distance, normal, points - distance[:, None] * normal


def _off_the_skin(
    position: Floats, before: Floats, distance: Floats, normal: Floats, anchor: Floats, free: Floats
) -> Floats:
    """Keep the gap to the cached planes; what touches is slowed along the skin."""
    above = np.einsum("ij,ij->i", position - anchor, normal)
    touching = (distance < FAR_M) & (above < GAP_M)
    push = np.where(touching, GAP_M - above, 0.0)[:, None] * normal
    slide = np.where(touching[:, None], FRICTION * (before - position), 0.0)
    slide -= np.einsum("ij,ij->i", slide, normal)[:, None] * normal
    return position + free * (push + slide)
