"""From a body to the surface that is shown: skin without hidden parts, and the base layer over chest to upper thigh.

The base layer is always there. Its cloth is smoothed, so that the apex of the breast and other detail do not show, and
lifted off the body; the skin under it is left out. Convention: metres, z up, as the canonical body.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Floats, Ints, check_shape
from gpu_worker.body.canonical import CanonicalBody

LIFT_M = 0.002
ROUNDS = np.array([0, 6, 14, 6])
"""Rounds of Taubin smoothing by `base_inner`: border none, cloth, where it spans crotch and cleft, over the bust."""
SHRINK, SWELL = 0.5, 0.52
"""Taubin's two half rounds: detail goes, girth stays."""
BUST, BUST_REACH_M = 3, 0.014
"""Over the bust the cloth is first averaged over this distance on the template (standard deviation), which flattens the
apex. By distance, because neighbours near the apex are 3 mm apart and elsewhere 20."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What is drawn. `skin` and `base` index the same vertices and share none.

    vertices, normals : (N, 3) metres; unit length
    skin, base        : (S, 3) and (P, 3) triangles
    """

    vertices: Floats
    normals: Floats
    skin: Ints
    base: Ints


class Arrangement(Protocol):
    """Puts triangles and vertices in another order: new order of the vertices (N,), and both sets of triangles."""

    def __call__(self, skin: Ints, base: Ints, vertex_count: int) -> tuple[Ints, Ints, Ints]: ...


def as_baked(skin: Ints, base: Ints, vertex_count: int) -> tuple[Ints, Ints, Ints]:
    return np.arange(vertex_count, dtype=np.int32), skin, base


class Display:
    """Makes the shown surface of any body of the canonical topology."""

    def __init__(self, body: CanonicalBody, arrange: Arrangement = as_baked) -> None:
        self._vertex_count = body.vertex_count
        baked = body.arrays
        skin, base = baked["skin_faces"].astype(np.int32), baked["base_faces"].astype(np.int32)
        order, self.skin, self.base = arrange(skin, base, len(baked["display_ends"]))
        ends, split = baked["display_ends"][order].astype(np.int32), baked["display_split"][order].astype(np.float64)
        self._first, self._second, self._split = ends[:, 0], ends[:, 1], split[:, None]
        inner = baked["base_inner"][order]
        self._lifted = (baked["base_lift"][order] > 0)[:, None]
        self._faces = np.concatenate([self.skin, self.base])
        self._cloth_faces = self.base[self._lifted[self.base, 0].all(axis=1)]
        self._cloth = np.unique(self._cloth_faces)
        self._to_neighbours = _mean_difference(np.searchsorted(self._cloth, self._cloth_faces), len(self._cloth))
        kind = inner[self._cloth]
        self._rounds = ROUNDS[kind][:, None]
        on_template = body.template[self._first[self._cloth]].astype(np.float64)
        self._flatten = _blur(on_template, np.searchsorted(self._cloth, self._cloth_faces), kind == BUST)

    def surface(self, vertices: Floats) -> Surface:
        """The surface over canonical vertices (V, 3)."""
        check_shape(vertices, (self._vertex_count, 3), "vertices")
        points = vertices[self._first] * (1 - self._split) + vertices[self._second] * self._split
        points[self._cloth] = self._smoothed(points[self._cloth])
        points = points + LIFT_M * self._lifted * normals_of(points, self._cloth_faces)
        return Surface(points, normals_of(points, self._faces), self.skin, self.base)

    def _smoothed(self, cloth: Floats) -> Floats:
        cloth = np.asarray(self._flatten @ cloth)
        for done in range(ROUNDS.max()):
            moves = self._rounds > done
            cloth = cloth + moves * SHRINK * (self._to_neighbours @ cloth)
            cloth = cloth - moves * SWELL * (self._to_neighbours @ cloth)
        return cloth


def normals_of(points: Floats, faces: Ints) -> Floats:
    """(N, 3) unit vertex normals; zero where no face is."""
    mesh = trimesh.Trimesh(points, faces, process=False, validate=False)
    normals: Floats = np.asarray(mesh.vertex_normals, np.float64)
    return normals


def _blur(points: Floats, faces: NDArray[np.intp], blurred: NDArray[np.bool_]) -> "sparse.csr_array[np.float64]":
    """Operator (N, N): area-weighted Gaussian mean at the blurred points, the point itself elsewhere."""
    corners = points[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    area = _totals(faces.reshape(-1), np.repeat(areas, 3), len(points))
    chosen = np.flatnonzero(blurred)
    pairs = cKDTree(points[chosen]).sparse_distance_matrix(cKDTree(points), 3 * BUST_REACH_M, output_type="coo_matrix")
    rows, columns = chosen[pairs.row], pairs.col.astype(np.intp)
    distance = pairs.data.astype(np.float64)
    weight = area[columns] * np.exp(-0.5 * (distance / BUST_REACH_M) ** 2)
    weight = weight / _totals(rows, weight, len(points))[rows]
    kept = np.flatnonzero(~blurred)
    entries = (np.concatenate([weight, np.ones(len(kept))]), (np.append(rows, kept), np.append(columns, kept)))
    return sparse.csr_array(sparse.coo_array(entries, shape=(len(points), len(points))))


def _totals(at: NDArray[np.intp], amounts: Floats, count: int) -> Floats:
    """(count,) sums of the amounts that fall on each place."""
    return np.bincount(at, weights=amounts, minlength=count).astype(np.float64)


def _mean_difference(faces: NDArray[np.intp], count: int) -> "sparse.csr_array[np.float64]":
    """Operator (N, N): from each point to the mean of its neighbours."""
    pairs = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    share: NDArray[np.float64] = 1 / np.bincount(rows, minlength=count)[rows]
    mean = sparse.coo_array((share, (rows, columns)), shape=(count, count)).tocsr()
    return sparse.csr_array(mean - sparse.eye_array(count))
