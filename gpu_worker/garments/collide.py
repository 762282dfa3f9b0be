"""Keeping cloth off the skin: nearest points of the body with their side, and the push that resolves what is inside."""

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.garments.pattern import vertex_normals
from gpu_worker.garments.rings import GAP_M, ChartedRing, perimeter

ROUNDS = 3
SPREAD = 0.6
"""Share of a push that neighbours follow."""
FACE_SHARE = 0.75
"""How near the inside of a triangle may come, as a share of the gap."""
WITHIN_FACE = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
"""Where in a triangle the distance is asked, as weights of its corners."""
TRUED_ROWS, TRUED_FADE_ROWS, TRUED_TIMES = 4, 2.0, 3
SMALL_M, TIGHT_M = 0.0005, 0.03
"""A girth off by less is left; by more, the cloth is tight there and the body's girth is what it shows."""
LEAST_FREE = 0.15
FAR_M = 0.06
ASKED_GAPS = 4.0
"""Vertices further than this many gaps are not asked again."""
NEAR_GAPS = 1.6
SHARPEST_M = 0.035
"""Triangles of which a corner is nearer than this many gaps, and what a body of this radius bulges, are asked."""


class Skin:
    """A surface as points with normals."""

    def __init__(self, points: Floats, normals: Floats) -> None:
        self.points, self.normals = points, normals
        self._tree = cKDTree(points, balanced_tree=False, compact_nodes=False)

    @classmethod
    def of(cls, vertices: Floats, faces: Ints, hidden: Bools) -> "Skin":
        """Corners and centres of a body's triangles, without the hidden ones."""
        shown = faces[~hidden]
        corners = vertices[shown]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        summed = np.zeros_like(vertices)
        for corner in range(3):
            for axis in range(3):
                summed[:, axis] += np.bincount(shown[:, corner], across[:, axis], len(vertices))
        used = np.unique(shown)
        flat = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        soft = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
        return cls(np.concatenate([vertices[used], corners.mean(axis=1)]), np.concatenate([soft[used], flat]))

    def under(self, points: Floats, faces: Ints, gap_m: float) -> "Skin":
        """The outside of this body with a garment on: cloth lies `gap_m` over the inner garment."""
        normal = vertex_normals(points, faces)
        middles = points[faces].mean(axis=1)
        across = normal[faces].sum(axis=1)
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        shift = gap_m - GAP_M
        return Skin(
            np.concatenate([self.points, points + shift * normal, middles + shift * across]),
            np.concatenate([self.normals, normal, across]),
        )

    def distance(self, points: Floats) -> tuple[Floats, Floats]:
        """(n,) signed distance to the plane at the nearest point, positive outside, and (n, 3) that plane's normal.

        What is further than `FAR_M` from every point has the distance `FAR_M`.
        """
        _, nearest = self._tree.query(points, distance_upper_bound=FAR_M)
        is_near = nearest < len(self.points)
        nearest = np.where(is_near, nearest, 0)
        normal = self.normals[nearest]
        signed = ((points - self.points[nearest]) * normal).sum(axis=1)
        return np.where(is_near, signed, FAR_M), normal


def smoother(faces: Ints, count: int) -> "sparse.csr_array[np.float64]":
    """Operator (N, N): the mean of each point's neighbours."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    share = 1 / np.bincount(pairs[:, 0], minlength=count)[pairs[:, 0]]
    return sparse.csr_array(sparse.coo_array((share, (pairs[:, 0], pairs[:, 1])), shape=(count, count)))


def push_out(
    points: Floats, faces: Ints, skin: Skin, neighbours: "sparse.csr_array[np.float64]", gap_m: float = GAP_M
) -> Floats:
    """Move cloth that is nearer than the gap outwards, triangles too; neighbours follow a little."""
    pushed = points.copy()
    distance, normal = skin.distance(pushed)
    asked = np.flatnonzero(distance < ASKED_GAPS * gap_m)
    corners = pushed[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    reach = NEAR_GAPS * gap_m + longest**2 / (8 * SHARPEST_M)
    close = faces[distance[faces].min(axis=1) < reach]
    distance, normal = distance[asked], normal[asked]
    for turn in range(ROUNDS):
        if turn:
            distance, normal = skin.distance(pushed[asked])
        move = np.zeros_like(pushed)
        wanted = gap_m * (0.9 if turn < ROUNDS - 1 else 0.7)
        move[asked] = np.maximum(wanted - distance, 0)[:, None] * normal
        _for_faces(move, pushed, close, skin, FACE_SHARE * wanted, edges=turn >= ROUNDS - 2)
        if not move.any():
            break
        own = np.asarray(move.any(axis=1))[:, None]
        pushed += np.where(own, move, SPREAD * np.asarray(neighbours @ move))
    return pushed


def _for_faces(move: Floats, points: Floats, close: Ints, skin: Skin, gap_m: float, *, edges: bool) -> None:
    """Raise `move` to what the insides of the triangles need."""
    for weight in WITHIN_FACE if edges else WITHIN_FACE[:1]:
        distance, normal = skin.distance(np.einsum("fcd,c->fd", points[close], weight))
        short = np.maximum(gap_m - distance, 0)
        for corner in np.flatnonzero(weight):
            rows = close[:, corner]
            bigger = short > np.linalg.norm(move[rows], axis=1)
            move[rows[bigger]] = (short[:, None] * normal)[bigger]


def true_up(points: Floats, skin: Skin, rings: list[ChartedRing]) -> Floats:
    """Take back what the push added to charted girths, where cloth stands off the skin and has room to give."""
    trued = points.copy()
    for ring in rings:
        low = max(ring.row - TRUED_ROWS, 0)
        ids = ring.grid[low : ring.row + TRUED_ROWS + 1]
        fade = np.exp(-(((np.arange(len(ids)) + low - ring.row) / TRUED_FADE_ROWS) ** 2))[:, None]
        for _ in range(TRUED_TIMES):
            excess = float(perimeter(trued[ring.grid[[ring.row]]])[0]) - ring.girth
            if not SMALL_M < excess < TIGHT_M:
                break
            here = trued[ids]
            inward = here[ring.row - low].mean(axis=0)[:2] - here[:, :, :2]
            inward /= np.maximum(np.linalg.norm(inward, axis=2, keepdims=True), 1e-9)
            room = skin.distance(here.reshape(-1, 3))[0].reshape(ids.shape) - GAP_M
            free = room > 0
            step = excess / (2 * np.pi) / max(float(free[ring.row - low].mean()), LEAST_FREE)
            trued[ids, :2] += inward * (np.clip(step, 0, np.maximum(room, 0)) * fade)[:, :, None]
    return trued


def clearance(points: Floats, faces: Ints, skin: Skin) -> float:
    """Least signed distance of corners, middles of edges and centres of triangles from the skin, metres."""
    least = float(skin.distance(points)[0].min())
    for weight in WITHIN_FACE:
        least = min(least, float(skin.distance(np.einsum("fcd,c->fd", points[faces], weight))[0].min()))
    return least
