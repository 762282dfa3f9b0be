"""The mesh that is shown: what can be seen of the canonical body, with a base layer cut along smooth borders.

Made once, at the bake, on the template; every display vertex lies on an edge (or at a vertex) of the canonical mesh, so
the borders follow every shape. Convention: template metres, z up, facing -y.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Bools, Floats, Ints

HEM_Z = -0.13
"""Legs are covered to here, 9 cm below the template's crotch."""
NECK_TOP_Z, NECK_HALF_WIDTH = 0.575, 0.072
"""Level of the shoulder straps, and where their inner edges run."""
FRONT_DEPTH, BACK_DEPTH, FRONT_Y, BACK_Y = 0.115, 0.05, -0.07, 0.01
ARMPIT_Z, ARMPIT_X, STRAP_X = 0.44, 0.152, 0.128
STRAP_RISE = 0.03
ARM_BORDER, ARM_SOFTNESS_M = 0.5, 0.1
"""Share of arm in a vertex's skinning from which it is arm, and how many metres the skinning takes to change."""
SNAP = 0.06
"""A border nearer than this share of an edge to a vertex runs through the vertex: no slivers."""
BISECTIONS = 20

CREASE_HALF_WIDTH, CREASE_LOW_Z, CREASE_HIGH_Z = 0.045, -0.06, 0.07
"""Round the crotch and the cleft the cloth spans instead of following."""
BUST_HALF_WIDTH, BUST_LOW_Z, BUST_HIGH_Z, BUST_Y = 0.14, 0.28, 0.44, -0.08
"""Over the bust it is drawn flatter; in front of BUST_Y."""
CLOTH, CREASE, BUST = 1, 2, 3

VIEWS = 96
"""Directions from which the head is looked at."""
CELL_M = 0.0015
SAMPLES_PER_SIDE = 7
SEEN_WITHIN_M = 0.004


@dataclass(frozen=True, eq=False)
class DisplayMesh:
    """Arrays of the bake; display vertex = (1 - split) * v[ends[:, 0]] + split * v[ends[:, 1]].

    ends       : (N, 2) canonical vertices; split : (N,)
    skin       : (S, 3) and base : (P, 3) triangles of display vertices; they share none
    base_inner : (N,) 0 off the base layer and on its border, else CLOTH, CREASE or BUST: how it is smoothed
    base_lift  : (N,) 1 where the base layer is lifted off the body, 0 on skin and at the foot of its hem
    """

    ends: Ints
    split: Floats
    skin: Ints
    base: Ints
    base_inner: NDArray[np.uint8]
    base_lift: NDArray[np.uint8]


def cover(at: Floats, arm_share: Floats) -> Floats:
    """(N,) signed field, metres, at points of the template: positive where the base layer covers."""
    x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
    back = np.clip((y - FRONT_Y) / (BACK_Y - FRONT_Y), 0, 1)
    back = back * back * (3 - 2 * back)
    depth = FRONT_DEPTH + (BACK_DEPTH - FRONT_DEPTH) * back
    neckline = np.hypot(x / NECK_HALF_WIDTH, np.maximum(NECK_TOP_Z - z, 0) / depth) - 1
    armhole_x = np.where(
        z > ARMPIT_Z,
        ARMPIT_X + (STRAP_X - ARMPIT_X) * (z - ARMPIT_Z) / (NECK_TOP_Z - ARMPIT_Z),
        ARMPIT_X + (ARMPIT_Z - z),
    )
    field: Floats = np.minimum.reduce(
        [
            z - HEM_Z,
            NECK_TOP_Z + STRAP_RISE - z,
            neckline * NECK_HALF_WIDTH,
            armhole_x - x,
            np.where(z > ARMPIT_Z, 1.0, ARM_BORDER - arm_share) * ARM_SOFTNESS_M,
        ]
    )
    return field


def build(template: Floats, faces: Ints, arm_share: Floats) -> DisplayMesh:
    """Cut `faces` along the border of `cover` and dress the covered side.

    arm_share : (V,) share of arm bones in each vertex's skinning
    """
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    side, split = _crossings(template, edges, arm_share)
    points = _Points(side, {(a, b): s for (a, b), s in zip(edges.tolist(), split.tolist(), strict=True)})
    triangles, on_base = _split(points, faces)
    skin, base = triangles[~on_base], triangles[on_base]
    return _with_hem(template, points, skin, base)


def _crossings(template: Floats, edges: Ints, arm_share: Floats) -> tuple[Ints, Floats]:
    """Side of every vertex (1 covered, -1 bare, 0 on the border), and where on each edge (E,) the border runs."""
    side = np.sign(cover(template, arm_share)).astype(np.int32)
    first, second = edges.T
    crossed = side[first] * side[second] < 0
    low, high = np.zeros(len(edges)), np.ones(len(edges))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        at = template[first] + middle[:, None] * (template[second] - template[first])
        before = cover(at, arm_share[first] + middle * (arm_share[second] - arm_share[first])) * side[first] > 0
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    split = (low + high) / 2
    side[first[crossed & (split < SNAP)]] = 0
    side[second[crossed & (split > 1 - SNAP)]] = 0
    return side, split


class _Points:
    """Display vertices as they are asked for: canonical vertices, and crossings made once per edge."""

    def __init__(self, side: Ints, split: dict[tuple[int, int], float]) -> None:
        self.side = side
        self._split = split
        self.rows: list[tuple[int, int, float]] = []
        self._index: dict[tuple[int, int], int] = {}

    def vertex(self, v: int) -> int:
        return self._at((v, v), 0.0)

    def crossing(self, a: int, b: int) -> int:
        a, b = min(a, b), max(a, b)
        return self._at((a, b), self._split[a, b])

    def _at(self, ends: tuple[int, int], split: float) -> int:
        if ends not in self._index:
            self._index[ends] = len(self.rows)
            self.rows.append((*ends, split))
        return self._index[ends]


def _split(points: _Points, faces: Ints) -> tuple[Ints, Bools]:
    """Triangles that the border crosses become two or three; each lies on one side."""
    triangles: list[tuple[int, int, int]] = []
    on_base: list[bool] = []
    for face in faces.tolist():
        for piece, side in _pieces(points, face):
            triangles.append(piece)
            on_base.append(side)
    return np.array(triangles, np.int32), np.array(on_base)


def _pieces(points: _Points, face: list[int]) -> list[tuple[tuple[int, int, int], bool]]:
    """One triangle cut along the border, each piece with whether it is base layer."""
    signs = [int(points.side[v]) for v in face]
    if min(signs) >= 0 or max(signs) <= 0:
        whole = (points.vertex(face[0]), points.vertex(face[1]), points.vertex(face[2]))
        return [(whole, max(signs) > 0)]
    loops: dict[bool, list[int]] = {True: [], False: []}
    for (a, sign_a), (b, sign_b) in zip(
        zip(face, signs, strict=True), zip(face[1:] + face[:1], signs[1:] + signs[:1], strict=True), strict=True
    ):
        for side in (True, False):
            if sign_a == 0 or (sign_a > 0) is side:
                loops[side].append(points.vertex(a))
            if sign_a * sign_b < 0:
                loops[side].append(points.crossing(a, b))
    return [((loop[0], loop[k], loop[k + 1]), side) for side, loop in loops.items() for k in range(1, len(loop) - 1)]


def _with_hem(template: Floats, points: _Points, skin: Ints, base: Ints) -> DisplayMesh:
    """Give the base layer its own border vertices, and a strip from the skin's border up to them."""
    rows = list(points.rows)
    border = np.intersect1d(skin, base)
    top = {}
    foot = {}
    for v in border.tolist():
        top[v], foot[v] = len(rows), len(rows) + 1
        rows += [points.rows[v], points.rows[v]]
    shared = set(border.tolist())
    lifted = np.array([[top.get(v, v) for v in face] for face in base.tolist()], np.int32)
    hem = []
    for a, b in _border_edges(base):
        if a in shared and b in shared:
            hem += [(foot[a], top[b], top[a]), (foot[a], foot[b], top[b])]
    base = np.concatenate([lifted, np.array(hem, np.int32)])
    table = np.array(rows)
    ends, split = table[:, :2].astype(np.int32), table[:, 2]
    inner = np.zeros(len(rows), np.uint8)
    inside = np.setdiff1d(lifted, list(top.values()))
    inner[inside] = _kind_of_cloth(template[ends[inside, 0]])
    lift = np.zeros(len(rows), np.uint8)
    lift[np.unique(lifted)] = 1
    return _compact(DisplayMesh(ends, split, skin, base, inner, lift))


def _border_edges(triangles: Ints) -> list[tuple[int, int]]:
    """Directed edges that only one triangle has, along its winding."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).tolist()
    present = {(a, b) for a, b in directed}
    return [(a, b) for a, b in directed if (b, a) not in present]


def _kind_of_cloth(at: Floats) -> NDArray[np.uint8]:
    x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
    crease = (x < CREASE_HALF_WIDTH) & (z > CREASE_LOW_Z) & (z < CREASE_HIGH_Z)
    bust = (x < BUST_HALF_WIDTH) & (z > BUST_LOW_Z) & (z < BUST_HIGH_Z) & (y < BUST_Y)
    kind: NDArray[np.uint8] = np.where(crease, CREASE, np.where(bust, BUST, CLOTH)).astype(np.uint8)
    return kind


def _compact(mesh: DisplayMesh) -> DisplayMesh:
    """Drop vertices that no triangle uses."""
    used = np.unique(np.concatenate([mesh.skin.reshape(-1), mesh.base.reshape(-1)]))
    place = np.full(len(mesh.ends), -1, np.int32)
    place[used] = np.arange(len(used))
    return DisplayMesh(
        mesh.ends[used],
        mesh.split[used],
        place[mesh.skin],
        place[mesh.base],
        mesh.base_inner[used],
        mesh.base_lift[used],
    )


def visible_faces(vertices: Floats, faces: Ints) -> Bools:
    """(F,) faces with a point that some far viewer sees: depth maps of sampled points, from all round."""
    seen = np.zeros(len(faces), np.bool_)
    for direction in _sphere(VIEWS):
        hidden = np.flatnonzero(~seen)
        if not len(hidden):
            break
        seen[hidden] |= _seen_from(direction, vertices, faces)[hidden]
    return seen


def _seen_from(direction: Floats, vertices: Floats, faces: Ints) -> Bools:
    weights = _barycentric(SAMPLES_PER_SIDE)
    samples = np.einsum("sc,fci->fsi", weights, vertices[faces])
    right = np.cross(direction, [0.31, 0.17, 0.93])
    right /= np.linalg.norm(right)
    plane = np.stack([right, np.cross(direction, right)])
    cells = np.floor((samples @ plane.T) / CELL_M).astype(np.int64)
    cells -= cells.min(axis=(0, 1))
    cell = cells[..., 0] * (cells[..., 1].max() + 1) + cells[..., 1]
    depth = samples @ direction
    nearest = np.full(int(cell.max()) + 1, np.inf)
    np.minimum.at(nearest, cell, depth)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    seen: Bools = (depth <= nearest[cell] + SEEN_WITHIN_M).any(axis=1) & (normal @ direction < 0)
    return seen


def _barycentric(side: int) -> Floats:
    steps = [(i, j) for i in range(side) for j in range(side - i)]
    weights = np.array([(i, j, side - 1 - i - j) for i, j in steps], np.float64) + 1 / 3
    normalised: Floats = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def _sphere(count: int) -> Floats:
    """Directions spread evenly (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    turn = np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
