"""Girths and lengths of an SMPL-format body from its betas alone, without posing it.

Two sets of definitions. `PeerTape` follows DavidBoja/SMPL-Anthropometry (MIT): fixed vertices and tilted planes; it
serves comparison. `CanonicalTape` follows the project's (ISO 8559-1 style, see `gpu_worker/body/tape.py`): horizontal
girths at searched levels; only its numbers leave the estimator. Vertex numbers of anatomical points on the public
topology are facts; all else is computed from the mounted model.

Convention: SMPL's frame, metres, y up; results in centimetres. A girth is the perimeter of the convex hull of the cut,
as a tape bridges hollows; NaN where the plane misses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Edges, Floats, Ints
from gpu_worker.body.smpl import JOINT_NAMES, SmplModel

DIRECTIONS = 256
"""In which each hull is looked at: short by at most 6e-4 cm."""
MIN_CROSSINGS = 3
HEELS = (3458, 6858)

PARTS = (
    "hips", "left_thigh", "right_thigh", "spine", "left_calf", "right_calf", "lower_chest", "left_foot", "right_foot",
    "upper_chest", "left_toes", "right_toes", "neck", "left_shoulder", "right_shoulder", "head", "left_arm",
    "right_arm", "left_forearm", "right_forearm", "left_hand", "right_hand", "left_fingers", "right_fingers",
)  # fmt: skip
"""What each joint moves, in the order of `JOINT_NAMES`."""


@dataclass(frozen=True)
class Length:
    """Distance between the means of two sets of vertices."""

    start: tuple[int, ...]
    end: tuple[int, ...]


@dataclass(frozen=True)
class Girth:
    """Round the faces of some parts, through the mean of some vertices, square to the line between two joints."""

    through: tuple[int, ...]
    joints: tuple[str, str]
    parts: tuple[str, ...]


PEER_LENGTHS = {
    "height": Length((412,), HEELS),
    "shoulder to crotch height": Length((3068,), (3149,)),
    "arm left length": Length((3011,), (2241,)),
    "arm right length": Length((6470,), (5559,)),
    "inside leg height": Length((3134,), (3325,)),
    "shoulder breadth": Length((3011,), (6470,)),
    "arm length (shoulder to elbow)": Length((5342,), (5090,)),
    "crotch height": Length((1210,), HEELS),
    "Hip circumference max height": Length((3145,), HEELS),
    "arm length (spine to wrist)": Length((829,), (5342,)),  # as published: only the first leg of four points
}
TRUNK = ("pelvis", "spine3")
PEER_GIRTHS = {
    "head circumference": Girth((166,), TRUNK, ("head",)),
    "neck circumference": Girth((3050,), ("spine2", "head"), ("neck",)),
    "chest circumference": Girth((3042, 6489), TRUNK, ("lower_chest", "upper_chest")),
    "waist circumference": Girth((3501, 3022), TRUNK, ("hips", "spine")),
    "hip circumference": Girth((3145,), TRUNK, ("hips",)),
    "wrist right circumference": Girth((5559,), ("right_wrist", "right_hand"), ("right_hand", "right_forearm")),
    "bicep right circumference": Girth((4855,), ("right_shoulder", "right_elbow"), ("right_arm",)),
    "forearm right circumference": Girth((5197,), ("right_elbow", "right_wrist"), ("right_forearm",)),
    "thigh left circumference": Girth((947,), TRUNK, ("left_thigh",)),
    "calf left circumference": Girth((1103,), TRUNK, ("left_calf",)),
    "ankle left circumference": Girth((3325,), TRUNK, ("left_calf",)),
}


def part_of_faces(model: SmplModel) -> NDArray[np.intp]:
    """(13776,) the part each face belongs to, by the joint that moves most of its corners most."""
    moved_by = model.skin_weights.argmax(axis=1)[model.faces]
    first, second, third = moved_by.T
    majority: NDArray[np.intp] = np.where(second == third, second, first)
    return majority


def edges_of(faces: Ints) -> Edges:
    """(E, 2) each edge once."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0).astype(np.intp)


class Cutter:
    """Girths by many planes at once, each through its own set of edges; all that depends on the mesh is done once."""

    def __init__(self, edge_sets: Sequence[Edges], directions: int = DIRECTIONS) -> None:
        used = [np.unique(edges) for edges in edge_sets]
        starts = np.cumsum([0, *map(len, used)])
        placed = [s + np.searchsorted(u, e) for s, u, e in zip(starts[:-1], used, edge_sets, strict=True)]
        self.planes = len(edge_sets)
        self._points = np.concatenate(used)
        self._plane_of_point = np.repeat(np.arange(self.planes), np.diff(starts))
        self._plane_of_edge = np.repeat(np.arange(self.planes), [len(e) for e in edge_sets])
        self._first, self._second = (np.ascontiguousarray(c) for c in np.concatenate(placed).T)
        angles = np.arange(directions) * (2 * np.pi / directions)
        self._circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def girths(self, vertices: Floats, origins: Floats, normals: Floats) -> Floats:
        """(P,) metres, for planes by a point (P, 3) and a normal (P, 3) of any length; NaN where a plane misses."""
        points = vertices[self._points]
        offset = np.einsum("pi,pi->p", origins, normals)
        above = np.einsum("ni,ni->n", points, normals[self._plane_of_point]) - offset[self._plane_of_point]
        side = above < 0
        crossed = np.flatnonzero(side[self._first] != side[self._second])
        first, second, plane = self._first[crossed], self._second[crossed], self._plane_of_edge[crossed]
        split = above[first] / (above[first] - above[second])
        cut = points[first] + split[:, None] * (points[second] - points[first])
        across, along = _basis(normals)
        flat = np.stack([np.einsum("ni,ni->n", cut, axis[plane]) for axis in (across, along)])
        reach = self._circle @ flat
        ends = np.searchsorted(plane, np.arange(self.planes + 1))
        return np.array([_perimeter(reach[:, a:b], flat[:, a:b]) for a, b in pairwise(ends)])


def _basis(normals: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors in each plane, square to each other."""
    across = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    across /= np.sqrt((across * across).sum(axis=1))[:, None]
    along = np.cross(normals, across)
    along /= np.sqrt((along * along).sum(axis=1))[:, None]
    return across, along


def _perimeter(reach: Floats, flat: Floats) -> float:
    """Of the hull of (2, n) points whose reach in each direction is (directions, n)."""
    if reach.shape[1] < MIN_CROSSINGS:
        return float("nan")
    touched = reach.argmax(axis=1)
    corners = flat[:, touched[np.flatnonzero(touched != np.roll(touched, 1))]]
    sides = corners - np.roll(corners, -1, axis=1)
    return float(np.sqrt((sides * sides).sum(axis=0)).sum())


class PeerTape:
    """The peer's 21 measurements from betas; touches only the vertices it needs.

    parts : (13776,) index into `PARTS` of each face; by default derived from the skin weights
    """

    def __init__(self, model: SmplModel, parts: NDArray[np.intp] | None = None) -> None:
        part = part_of_faces(model) if parts is None else parts
        self.names = (*PEER_LENGTHS, *PEER_GIRTHS)
        edge_sets = [
            edges_of(model.faces[np.isin(part, [PARTS.index(name) for name in girth.parts])])
            for girth in PEER_GIRTHS.values()
        ]
        named = [v for line in PEER_LENGTHS.values() for v in (*line.start, *line.end)]
        named += [v for girth in PEER_GIRTHS.values() for v in girth.through]
        needed = np.unique(np.concatenate([*(e.reshape(-1) for e in edge_sets), named]))
        self._cutter = Cutter([np.searchsorted(needed, e) for e in edge_sets])
        self._starts, self._ends, self._origins = (
            np.searchsorted(needed, _pairs(sets))
            for sets in (
                [line.start for line in PEER_LENGTHS.values()],
                [line.end for line in PEER_LENGTHS.values()],
                [girth.through for girth in PEER_GIRTHS.values()],
            )
        )
        joints = [[JOINT_NAMES.index(name) for name in girth.joints] for girth in PEER_GIRTHS.values()]
        self._joint_a, self._joint_b = np.array(joints).T
        self._needed = needed
        self._template = model.template[needed].reshape(-1)
        self._directions = np.ascontiguousarray(model.directions[needed].reshape(-1, model.directions.shape[2]))
        self._joint_template = model.joint_regressor @ model.template
        self._joint_directions = np.einsum("jv,vik->jik", model.joint_regressor, model.directions)

    def measure(self, betas: Floats) -> dict[str, float]:
        """Name -> centimetres."""
        vertices = (self._template + self._directions @ betas).reshape(-1, 3)
        return self._measure(vertices, self._joint_template + self._joint_directions @ betas)

    def measure_vertices(self, vertices: Floats, joints: Floats) -> dict[str, float]:
        """The same of any (6890, 3) vertices with their (24, 3) joints."""
        return self._measure(vertices[self._needed], joints)

    def _measure(self, vertices: Floats, joints: Floats) -> dict[str, float]:
        line = _middle(vertices, self._starts) - _middle(vertices, self._ends)
        lengths = np.sqrt((line * line).sum(axis=1))
        normals = joints[self._joint_a] - joints[self._joint_b]
        girths = self._cutter.girths(vertices, _middle(vertices, self._origins), normals)
        return dict(zip(self.names, (100 * np.concatenate([lengths, girths])).tolist(), strict=True))


def _pairs(sets: Sequence[tuple[int, ...]]) -> NDArray[np.intp]:
    """(n, 2) with single vertices twice: every set has one or two."""
    return np.array([(vertices[0], vertices[-1]) for vertices in sets], np.intp)


def _middle(vertices: Floats, pairs: NDArray[np.intp]) -> Floats:
    middle: Floats = (vertices[pairs[:, 0]] + vertices[pairs[:, 1]]) / 2
    return middle
