"""One mesh out of an upload's pieces, and what is known of its connections.

A render mesh has a vertex for each texture coordinate; vertices at one place are the same point of cloth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.garments.brand.scene import Piece


@dataclass(frozen=True, eq=False)
class RenderMesh:
    """What is drawn.

    points : (R, 3); faces : (F, 3); material : (F,) row of the look's materials, -1 for none
    texture : (R, 2) or None; colour : (R, 4), 0 to 1, or None; piece : (F,) which piece of the upload
    """

    points: Floats
    faces: Ints
    material: Ints
    piece: Ints
    texture: Floats | None
    colour: Floats | None

    def keep(self, faces: Bools | Ints) -> "RenderMesh":
        """Only these triangles, and the vertices they use."""
        kept = self.faces[faces]
        used, rows = np.unique(kept, return_inverse=True)
        return RenderMesh(
            self.points[used],
            rows.reshape(kept.shape).astype(np.int32),
            self.material[faces],
            self.piece[faces],
            None if self.texture is None else self.texture[used],
            None if self.colour is None else self.colour[used],
        )

    def at(self, points: Floats) -> "RenderMesh":
        return replace(self, points=points)


def merged(pieces: Sequence[Piece]) -> RenderMesh:
    """All pieces as one mesh; a piece without texture coordinates or colours gets zeros or white."""
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    has_texture = any(piece.texture is not None for piece in pieces)
    has_colour = any(piece.colour is not None for piece in pieces)
    textures = [np.zeros((len(p.points), 2)) if p.texture is None else p.texture for p in pieces]
    colours = [np.ones((len(p.points), 4)) if p.colour is None else p.colour for p in pieces]
    lengths = [len(piece.faces) for piece in pieces]
    return RenderMesh(
        np.concatenate([piece.points for piece in pieces]),
        np.concatenate([p.faces + start for p, start in zip(pieces, starts[:-1], strict=True)]).astype(np.int32),
        np.repeat([-1 if p.material is None else p.material for p in pieces], lengths).astype(np.int32),
        np.repeat(np.arange(len(pieces)), lengths).astype(np.int32),
        np.concatenate(textures) if has_texture else None,
        np.concatenate(colours) if has_colour else None,
    )


def welded(points: Floats, tolerance: float) -> Ints:
    """(R,) number of the place of each vertex, by first use; vertices closer than `tolerance` share one."""
    snapped = np.round(points / (tolerance / 2)).astype(np.int64)
    cells, first, inverse = np.unique(snapped, axis=0, return_index=True, return_inverse=True)
    pairs = cKDTree(points[first]).query_pairs(tolerance, output_type="ndarray")
    links = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(cells), len(cells)))
    _, label = connected_components(links, directed=False)
    place = label[inverse.reshape(-1)]
    _, first_use, row = np.unique(place, return_index=True, return_inverse=True)
    rank = np.zeros(len(first_use), np.int32)
    rank[np.argsort(first_use)] = np.arange(len(first_use))
    return rank[row.reshape(-1)]


def parts_of(faces: Ints, count: int) -> Ints:
    """(F,) number of the connected part of each triangle."""
    first, second = faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1)
    links = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    _, label = connected_components(links, directed=False)
    return label[faces[:, 0]].astype(np.int32)


def edges_with_faces(faces: Ints) -> tuple[Ints, Ints, Ints]:
    """Edges (E, 2) sorted within, the triangle of each (E,), and +1 where the triangle runs from low to high (E,)."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    face = np.tile(np.arange(len(faces), dtype=np.int32), 3)
    direction = np.where(ends[:, 0] < ends[:, 1], 1, -1).astype(np.int32)
    return np.sort(ends, axis=1), face, direction


def open_length(points: Floats, faces: Ints) -> float:
    """Length of the edges that only one triangle has."""
    edges, count = np.unique(edges_with_faces(faces)[0], axis=0, return_counts=True)
    along = points[edges[count == 1]]
    return float(np.linalg.norm(along[:, 0] - along[:, 1], axis=1).sum())


def areas(points: Floats, faces: Ints) -> Floats:
    corners = points[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(across, axis=1) / 2)


def without_doubles(mesh: RenderMesh, tolerance: float) -> tuple[RenderMesh, int]:
    """Only the first of triangles that lie in one place, and how many others there were."""
    places = np.sort(welded(mesh.points, tolerance)[mesh.faces], axis=1)
    first = np.sort(np.unique(places, axis=0, return_index=True)[1])
    doubled = len(places) - len(first)
    return (mesh.keep(first.astype(np.int32)), doubled) if doubled else (mesh, 0)


def refined(mesh: RenderMesh, longest_m: float, most: int) -> RenderMesh:
    """Cut edges longer than `longest_m` in half, until none is left or the mesh has `most` vertices.

    A flat triangle stays flat; it can bend once it is put on another body.
    """
    for _ in range(5):
        place = welded(mesh.points, 1e-4)
        ends = np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=2)
        lengths = np.linalg.norm(mesh.points[ends[..., 0]] - mesh.points[ends[..., 1]], axis=2)
        is_long = lengths > longest_m
        # both sides of a texture seam must agree: an edge is cut where any of its copies is long
        pairs = np.sort(place[ends].reshape(-1, 2), axis=1)
        _, edge = np.unique(pairs, axis=0, return_inverse=True)
        edge = edge.reshape(-1)
        is_cut = np.zeros(edge.max() + 1, np.bool_)
        is_cut[edge[is_long.reshape(-1)]] = True
        cut = is_cut[edge].reshape(is_long.shape)
        if not cut.any() or len(mesh.points) + int(is_cut.sum()) > most:
            return mesh
        mesh = _split(mesh, cut)
    return mesh


def _split(mesh: RenderMesh, cut: Bools) -> RenderMesh:
    """Insert the middles of the cut edges. cut : (F, 3), of the edge from each corner to the next."""
    ends = np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=2), axis=2)
    pairs, row = np.unique(ends[cut], axis=0, return_inverse=True)
    middle = np.full(cut.shape, -1, np.int32)
    middle[cut] = len(mesh.points) + row.reshape(-1)
    faces, source = [mesh.faces[~cut.any(axis=1)]], [np.flatnonzero(~cut.any(axis=1))]
    for turn in range(3):
        corner = [np.roll(mesh.faces, -turn, axis=1)[:, k] for k in range(3)]
        between = [np.roll(middle, -turn, axis=1)[:, k] for k in range(3)]
        turned = np.roll(cut, -turn, axis=1)
        one = np.flatnonzero(turned[:, 0] & ~turned[:, 1] & ~turned[:, 2])
        two = np.flatnonzero(turned[:, 0] & turned[:, 1] & ~turned[:, 2])
        all_three = np.flatnonzero(cut.all(axis=1)) if turn == 0 else np.zeros(0, np.intp)
        a, b, c = corner
        ab, bc, ca = between
        for rows, triangles in (
            (one, [(a, ab, c), (ab, b, c)]),
            (two, [(ab, b, bc), (a, ab, bc), (a, bc, c)]),
            (all_three, [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]),
        ):
            for triangle in triangles:
                faces.append(np.stack([corners[rows] for corners in triangle], axis=1))
                source.append(rows)
    origin = np.concatenate(source)
    return RenderMesh(
        np.concatenate([mesh.points, mesh.points[pairs].mean(axis=1)]),
        np.concatenate(faces).astype(np.int32),
        mesh.material[origin],
        mesh.piece[origin],
        None if mesh.texture is None else np.concatenate([mesh.texture, mesh.texture[pairs].mean(axis=1)]),
        None if mesh.colour is None else np.concatenate([mesh.colour, mesh.colour[pairs].mean(axis=1)]),
    )
