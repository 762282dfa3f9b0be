"""Keeping cloth off the skin: nearest points of the body with their side, and the push that resolves what is inside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Bools, Edges, Floats, Ints
from gpu_worker.garments.pattern import section_length, vertex_normals
from gpu_worker.garments.rings import GAP_M, ChartedRing, ChartedSection, perimeter

ROUNDS = 3
SPREAD = 0.6
"""Share of a push that neighbours follow."""
FACE_SHARE = 0.75
"""How near the inside of a triangle may come, as a share of the gap."""
CENTRE, MIDDLE = np.full(3, 1 / 3), np.full(2, 0.5)
"""Where in a triangle, and on an edge, the distance is asked: weights of the corners."""
TRUED_ROWS, TRUED_FADE_ROWS, TRUED_TIMES = 4, 2.0, 3
SMALL_M, TIGHT_M = 0.0005, 0.03
"""A girth off by less is left; by more, the cloth is tight there and the body's girth is what it shows."""
LEAST_FREE = 0.15
TRUED_NEAR_M, TRUED_GAP = 0.02, 0.8
"""How far along a limb the girth of a section is put right, and how near to the skin, as a share of the gap."""
MIDDLE_M, TOUCHING_M = 0.00002, 0.001
"""How near to the middle the cloth of a leg may come; what is nearer than the second comes that near."""
SQUEEZED_M = 0.0035
"""Cloth nearer than this to skin and to the middle is between two thighs."""
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
        self._tree = cKDTree(points, leafsize=32, balanced_tree=False)

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


@dataclass(frozen=True, eq=False)
class Sheet:
    """Triangles of cloth with what is derived from them once.

    faces      : (F, 3)
    edges      : (E, 2) each once
    face_edges : (F, 3) rows of `edges`
    neighbours : (N, N) operator: the mean of each point's neighbours
    """

    faces: Ints
    edges: Ints
    face_edges: Ints
    neighbours: "sparse.csr_array[np.float64]"

    @classmethod
    def of(cls, faces: Ints, count: int) -> "Sheet":
        """Of `count` points."""
        pairs = np.sort(np.stack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]], axis=1), axis=2)
        keys, place = np.unique(pairs[..., 0].astype(np.int64) * count + pairs[..., 1], return_inverse=True)
        edges = np.stack([keys // count, keys % count], axis=1).astype(np.int32)
        ends = np.concatenate([edges, edges[:, ::-1]])
        share = 1 / np.bincount(ends[:, 0], minlength=count)[ends[:, 0]]
        neighbours = sparse.csr_array(sparse.coo_array((share, (ends[:, 0], ends[:, 1])), shape=(count, count)))
        return cls(faces, edges, place.reshape(-1, 3).astype(np.int32), neighbours)

    def edges_in(self, chosen: Bools) -> Ints:
        """(n, 2) edges of the chosen faces, each once."""
        used = np.zeros(len(self.edges), bool)
        used[self.face_edges[chosen]] = True
        return self.edges[used]


def push_out(points: Floats, sheet: Sheet, skin: Skin, gap_m: float = GAP_M) -> Floats:
    """Move cloth that is nearer than the gap outwards, triangles too; neighbours follow a little."""
    pushed = points.copy()
    distance, normal = skin.distance(pushed)
    along = pushed[sheet.edges[:, 1]] - pushed[sheet.edges[:, 0]]
    longest = np.einsum("ij,ij->i", along, along)[sheet.face_edges].max(axis=1)
    reach = NEAR_GAPS * gap_m + longest / (8 * SHARPEST_M)
    close = distance[sheet.faces].min(axis=1) < reach
    asked = np.flatnonzero(distance < ASKED_GAPS * gap_m)
    vertices = Probes(asked[:, None], np.ones(1), distance[asked], normal[asked])
    probes = [Probes.of(sheet.faces[close], CENTRE)]
    for turn in range(ROUNDS):
        if turn == ROUNDS - 2:
            probes.append(Probes.of(sheet.edges_in(close), MIDDLE))
        wanted = gap_m * (0.9 if turn < ROUNDS - 1 else 0.7)
        move = np.zeros_like(pushed)
        vertices.ask(pushed, skin)
        move[asked] = np.maximum(wanted - vertices.distance, 0)[:, None] * vertices.normal
        for inside in probes:
            inside.ask(pushed, skin)
            inside.raise_to(FACE_SHARE * wanted, move)
        if not move.any():
            break
        own = move.any(axis=1, keepdims=True)
        step = np.where(own, move, SPREAD * np.asarray(sheet.neighbours @ move))
        pushed += step
        moved: Bools = np.asarray(step.any(axis=1))
        for inside in (vertices, *probes):
            inside.forget(moved)
    return pushed


class Probes:
    """Points between a mesh's vertices, and how far from the skin each was when it last moved."""

    def __init__(self, corners: Edges | Ints, weights: Floats, distance: Floats, normal: Floats) -> None:
        self.corners, self.weights = corners, weights
        self.distance, self.normal = distance, normal
        self._is_stale = np.zeros(len(corners), bool)

    @classmethod
    def of(cls, corners: Ints, weights: Floats) -> "Probes":
        """Not asked yet. corners : (S, K) rows of the mesh's points, weights : (K,)."""
        probes = cls(corners, weights, np.zeros(len(corners)), np.zeros((len(corners), 3)))
        probes._is_stale[:] = True
        return probes

    def ask(self, points: Floats, skin: Skin) -> None:
        """Bring the distances of what moved up to date."""
        stale = np.flatnonzero(self._is_stale)
        if len(stale):
            where = np.einsum("skd,k->sd", points[self.corners[stale]], self.weights)
            self.distance[stale], self.normal[stale] = skin.distance(where)
            self._is_stale[stale] = False

    def forget(self, moved: Bools) -> None:
        self._is_stale |= moved[self.corners].any(axis=1)

    def raise_to(self, gap_m: float, move: Floats) -> None:
        """Raise `move` (N, 3) of the corners to what these points need."""
        short = np.maximum(gap_m - self.distance, 0)
        needy = np.flatnonzero(short)
        for corner in range(self.corners.shape[1]):
            rows = self.corners[needy, corner]
            bigger = short[needy] > np.sqrt((move[rows] ** 2).sum(axis=1))
            chosen = needy[bigger]
            move[rows[bigger]] = short[chosen, None] * self.normal[chosen]


def true_up(points: Floats, skin: Skin, rings: Sequence[ChartedRing | ChartedSection]) -> Floats:
    """Take back what the push added to charted girths, where cloth stands off the skin and has room to give."""
    trued = points.copy()
    for ring in rings:
        if isinstance(ring, ChartedSection):
            trued = _true_up_section(trued, skin, ring)
            continue
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


def _true_up_section(points: Floats, skin: Skin, section: ChartedSection) -> Floats:
    """The same for a girth that is measured between rows, square to a limb's axis."""
    trued, grid = points.copy(), section.grid
    local = (trued - section.origin) @ section.axes
    mark = float(local[grid[0], 2].max()) + section.beyond
    above = local[section.faces, 2] > mark
    faces = section.faces[above.any(axis=1) & ~above.all(axis=1)]
    ids = grid[1:][np.abs(local[grid[1:], 2] - mark) < 2 * TRUED_NEAR_M]
    fade = np.exp(-(((local[ids, 2] - mark) / TRUED_NEAR_M) ** 2))
    for _ in range(TRUED_TIMES):
        excess = section_length(local, faces, mark) - section.girth
        if not SMALL_M < excess < TIGHT_M:
            break
        out = local[ids, :2] - local[faces, :2].mean(axis=(0, 1))
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        room = np.maximum(skin.distance(trued[ids])[0] - TRUED_GAP * GAP_M, 0)
        share = max(float(fade[room > 0].sum() / fade.sum()), LEAST_FREE)
        local[ids, :2] -= (np.clip(excess / (2 * np.pi) / share, 0, room) * fade)[:, None] * out
        trued[ids] = section.origin + local[ids] @ section.axes.T
    return trued


def parted(points: Floats, skin: Skin, leg: Ints, sign: float) -> Floats:
    """One leg's cloth on its own side; between thighs that all but touch, in the middle.

    leg : (K,) its points; sign : 1 on the left, -1 on the right
    """
    moved = points.copy()
    beside = sign * moved[leg, 0]
    squeezed = leg[beside < 2 * SQUEEZED_M]
    distance, _ = skin.distance(moved[squeezed])
    moved[squeezed[distance < SQUEEZED_M / 2], 0] = sign * MIDDLE_M
    beside = sign * moved[leg, 0]
    moved[leg, 0] = sign * np.where(beside < TOUCHING_M, MIDDLE_M, beside)
    return moved
