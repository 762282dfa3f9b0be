"""From a body to the surface that is shown: skin without hidden parts, and the base layer over chest to upper thigh.

The base layer is always there. Its cloth is smoothed, so that the apex of the breast and other detail do not show, and
lifted off the body; the skin under it is left out. Convention: metres, z up, as the canonical body.
"""

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import sparse

from gpu_worker.body.arrays import Floats, Ints, check_shape
from gpu_worker.body.canonical import CanonicalBody

LIFT_M = 0.002
SMOOTHING_ROUNDS, CREASE_ROUNDS = 6, 14
"""Rounds of Taubin smoothing: on the cloth, and where it spans crotch and cleft."""
SHRINK, SWELL = 0.5, -0.52
"""Taubin's two half rounds: detail goes, girth stays."""


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


class Display:
    """Makes the shown surface of any body of the canonical topology."""

    def __init__(self, body: CanonicalBody) -> None:
        self._vertex_count = body.vertex_count
        ends, split = body.arrays["display_ends"].astype(np.int32), body.arrays["display_split"].astype(np.float64)
        self._first, self._second, self._split = ends[:, 0], ends[:, 1], split[:, None]
        self.skin = body.arrays["skin_faces"].astype(np.int32)
        self.base = body.arrays["base_faces"].astype(np.int32)
        inner = body.arrays["base_inner"]
        self._lifted = (body.arrays["base_lift"] > 0)[:, None]
        self._cloth = self.base[self._lifted[self.base, 0].all(axis=1)]
        self._rounds = np.where(inner == 2, CREASE_ROUNDS, np.where(inner == 1, SMOOTHING_ROUNDS, 0))[:, None]
        self._to_neighbours = _mean_difference(self._cloth, len(ends))

    def surface(self, vertices: Floats) -> Surface:
        """The surface over canonical vertices (V, 3)."""
        check_shape(vertices, (self._vertex_count, 3), "vertices")
        points = vertices[self._first] * (1 - self._split) + vertices[self._second] * self._split
        points = self._smoothed(points)
        points = points + LIFT_M * self._lifted * normals_of(points, self._cloth)
        return Surface(points, normals_of(points, np.concatenate([self.skin, self.base])), self.skin, self.base)

    def _smoothed(self, points: Floats) -> Floats:
        for done in range(CREASE_ROUNDS):
            moves = self._rounds > done
            for amount in (SHRINK, SWELL):
                points = points + moves * amount * (self._to_neighbours @ points)
        return points


def normals_of(points: Floats, faces: Ints) -> Floats:
    """(N, 3) unit vertex normals; zero where no face is."""
    mesh = trimesh.Trimesh(points, faces, process=False, validate=False)
    normals: Floats = np.asarray(mesh.vertex_normals, np.float64)
    return normals


def _mean_difference(faces: Ints, count: int) -> "sparse.csr_array[np.float64]":
    """Operator (N, N): from each point to the mean of its neighbours; zero off the faces."""
    pairs = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    degree = np.bincount(rows, minlength=count)
    share: NDArray[np.float64] = 1 / degree[rows]
    mean = sparse.coo_array((share, (rows, columns)), shape=(count, count)).tocsr()
    identity = sparse.diags_array((degree > 0).astype(np.float64)).tocsr()
    return sparse.csr_array(mean - identity)
