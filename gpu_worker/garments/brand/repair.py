"""The cloth behind a render mesh: welded, cleaned and of one outside, small enough to be moved quickly.

The proxy is what is bound to a body; the render mesh follows it, so texture seams, flaws and detail stay as authored.

Convention: canonical axes, metres.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Bools, Edges, Floats, Ints
from gpu_worker.garments.brand.mesh import RenderMesh, areas, edges_with_faces, parts_of, welded
from gpu_worker.garments.brand.refused import BrandRefused

WELD_M = 1e-4
MOST_POINTS = 12_000
FEWEST_TRIANGLES = 20
SMALLEST_M = 0.03
"""Parts with fewer triangles, or smaller than this, ride along as they are: buttons, labels, rivets."""
DEGENERATE_M2 = 1e-10
FINEST_CELL_M = 0.002


@dataclass(frozen=True)
class Repairs:
    """What was put right, counted on the welded mesh."""

    welded_vertices: int
    degenerate_faces: int
    duplicate_faces: int
    flipped_faces: int
    non_manifold_edges: int
    open_edges: int
    riding_parts: int
    decimated_to: int | None

    def as_json(self) -> dict[str, int | None]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Proxy:
    """Cloth that moves.

    points : (P, 3); faces : (F, 3), outside out; part : (P,) connected part of each vertex
    carry  : (R, P) how much of each vertex's movement a render vertex takes; rows sum to 1
    flipped : (Fr,) render triangles that must be turned round
    """

    points: Floats
    faces: Ints
    part: Ints
    carry: "sparse.csr_array[np.float64]"
    flipped: Bools
    repairs: Repairs


def repaired(mesh: RenderMesh, outwards: Floats) -> Proxy:
    """The proxy of a render mesh. Raises `BrandRefused` when nothing of it is cloth.

    outwards : (R, 3) the direction away from the body at each render vertex
    """
    place = welded(mesh.points, WELD_M)
    count = int(place.max()) + 1
    points = _means(mesh.points, place, count)
    faces = place[mesh.faces]
    is_flat = (np.sort(faces, axis=1)[:, 1:] == np.sort(faces, axis=1)[:, :-1]).any(axis=1)
    is_flat |= areas(points, faces) < DEGENERATE_M2
    first = np.zeros(len(faces), np.bool_)
    first[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]] = True
    kept = np.flatnonzero(~is_flat & first)
    if not len(kept):
        raise BrandRefused("meshes", "Every triangle of the mesh is degenerate.")
    part = parts_of(faces[kept], count)
    turned = _consistent(faces[kept])
    turned ^= _inside_out(
        points, np.where(turned[:, None], faces[kept][:, ::-1], faces[kept]), part, _means(outwards, place, count)
    )
    oriented = np.where(turned[:, None], faces[kept][:, ::-1], faces[kept]).astype(np.int32)
    edges, _, _ = edges_with_faces(oriented)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    is_cloth, riding = _cloth_parts(points, oriented, part)
    if not is_cloth.any():
        raise BrandRefused("meshes", "The mesh has no connected piece of cloth, only loose bits.")
    proxy_points, proxy_faces, carry, decimated = _moving(
        points, oriented[is_cloth], oriented[~is_cloth], part[~is_cloth]
    )
    flipped = np.zeros(len(faces), np.bool_)
    flipped[kept] = turned
    of_face = parts_of(proxy_faces, len(proxy_points))
    proxy_part = np.zeros(len(proxy_points), np.int32)
    proxy_part[proxy_faces] = of_face[:, None]
    repairs = Repairs(
        len(mesh.points) - count,
        int(is_flat.sum()),
        int((~first & ~is_flat).sum()),
        int(turned.sum()),
        int((uses > 2).sum()),
        int((uses == 1).sum()),
        riding,
        decimated,
    )
    return Proxy(proxy_points, proxy_faces, proxy_part, sparse.csr_array(carry[place]), flipped, repairs)


def _means(values: Floats, place: Ints, count: int) -> Floats:
    total = np.stack([np.bincount(place, values[:, axis], count) for axis in range(3)], axis=1)
    mean: Floats = total / np.bincount(place, minlength=count)[:, None]
    return mean


def _consistent(faces: Ints) -> Bools:
    """(F,) triangles to turn round so that neighbours agree; over edges that two triangles share."""
    edges, face, direction = edges_with_faces(faces)
    _, edge, uses = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    edge = edge.reshape(-1)
    order = np.argsort(edge, kind="stable")
    starts = np.concatenate([[0], np.cumsum(uses)[:-1]])[uses == 2]
    one, two = order[starts], order[starts + 1]
    clash = (direction[one] == direction[two]).astype(np.int8)
    turned = np.zeros(len(faces), np.bool_)
    if not clash.any():
        return turned
    above, order_seen = _tree(face[one], face[two], len(faces))
    pairs = zip(face[one].tolist(), face[two].tolist(), strict=True)
    differs = dict(zip(pairs, clash.tolist(), strict=True))
    for here in order_seen:
        parent = int(above[here])
        if parent < len(faces):
            clashes = differs.get((parent, here), differs.get((here, parent), 0))
            turned[here] = bool(turned[parent]) ^ bool(clashes)
    return turned


def _tree(first: Ints, second: Ints, count: int) -> tuple[Ints, list[int]]:
    """Parent (count,) of each triangle and the order to walk them; every part hangs on a root `count`."""
    links = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    _, label = connected_components(links, directed=False)
    heads = np.unique(label, return_index=True)[1]
    rows, columns = np.concatenate([first, heads]), np.concatenate([second, np.full(len(heads), count)])
    rooted = sparse.csr_array(sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(count + 1, count + 1)))
    sequence, above = breadth_first_order(rooted, count, directed=False)
    return above.astype(np.int32), sequence[1:].tolist()


def _inside_out(points: Floats, faces: Ints, part: Ints, outwards: Floats) -> Bools:
    """(F,) triangles of parts whose outside faces the body."""
    corners = points[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agreement = np.bincount(part, (across * outwards[faces].mean(axis=1)).sum(axis=1))
    return np.asarray(agreement[part] < 0)


def _cloth_parts(points: Floats, faces: Ints, part: Ints) -> tuple[Bools, int]:
    """(F,) triangles of parts large enough to be cloth, and how many parts are not."""
    names, row, triangles = np.unique(part, return_inverse=True, return_counts=True)
    low, high = np.full((len(names), 3), np.inf), np.full((len(names), 3), -np.inf)
    corners = points[faces]
    np.minimum.at(low, row, corners.min(axis=1))
    np.maximum.at(high, row, corners.max(axis=1))
    is_cloth = (triangles >= FEWEST_TRIANGLES) & ((high - low).max(axis=1) >= SMALLEST_M)
    return is_cloth[row], int((~is_cloth).sum())


def _moving(
    points: Floats, cloth: Ints, loose: Ints, loose_part: Ints
) -> tuple[Floats, Ints, "sparse.csr_array[np.float64]", int | None]:
    """Proxy points and faces, how every welded point follows them, and the proxy's size where it was reduced."""
    used = np.unique(cloth).astype(np.intp)
    number = np.zeros(len(points), np.intp)
    number[used] = np.arange(len(used))
    proxy, faces, decimated = points[used], number[cloth].astype(np.int32), None
    rows, columns, shares = used, number[used], np.ones(len(used))
    if len(used) > MOST_POINTS:
        proxy, faces = _clustered(proxy, faces)
        decimated = len(proxy)
        columns, shares = _followed(points[used], proxy, faces)
        rows = np.repeat(used, 3)
    riders, anchors = _riders(points, proxy, np.setdiff1d(np.arange(len(points)), used), loose, loose_part)
    rows, columns = np.concatenate([rows, riders]), np.concatenate([columns, anchors])
    shares = np.concatenate([shares, np.ones(len(riders))])
    carry = sparse.coo_array((shares, (rows, columns)), shape=(len(points), len(proxy)))
    return proxy, faces, sparse.csr_array(carry), decimated


def _riders(points: Floats, proxy: Floats, rest: Edges, loose: Ints, loose_part: Ints) -> tuple[Edges, Edges]:
    """Points that are no cloth, and the proxy vertex each follows; a whole part follows one, and keeps its shape."""
    if not len(rest):
        return rest, rest
    found = cKDTree(proxy).query(points[rest])
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    part = np.full(len(points), -1, np.int64)
    part[loose] = loose_part[:, None]
    part = np.where(part[rest] < 0, len(points) + np.arange(len(rest)), part[rest])
    order = np.lexsort((distance, part))
    _, first, row = np.unique(part[order], return_index=True, return_inverse=True)
    anchor = np.zeros(len(rest), np.intp)
    anchor[order] = near[order][first][row.reshape(-1)]
    return rest, anchor


def _clustered(points: Floats, faces: Ints) -> tuple[Floats, Ints]:
    """At most `MOST_POINTS` points: one a cell of the finest grid that suffices, and connected part."""
    part = np.zeros(len(points), np.int64)
    part[faces] = parts_of(faces, len(points))[:, None]
    cell = FINEST_CELL_M
    while True:
        keys = np.concatenate([np.floor(points / cell).astype(np.int64), part[:, None]], axis=1)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        group = group.reshape(-1)
        if group.max() < MOST_POINTS:
            break
        cell *= 1.15
    reduced = group[faces]
    whole = (reduced[:, 0] != reduced[:, 1]) & (reduced[:, 1] != reduced[:, 2]) & (reduced[:, 2] != reduced[:, 0])
    _, first = np.unique(np.sort(reduced[whole], axis=1), axis=0, return_index=True)
    kept = reduced[whole][np.sort(first)]
    used, rows = np.unique(kept, return_inverse=True)
    means = _means(points, group.astype(np.int32), int(group.max()) + 1)
    return means[used], rows.reshape(-1, 3).astype(np.int32)


def _followed(points: Floats, proxy: Floats, faces: Ints) -> tuple[Edges, Floats]:
    """(3 n,) proxy vertices and shares of the triangle whose middle is nearest to each point."""
    corners = proxy[faces]
    _, face = cKDTree(corners.mean(axis=1)).query(points)
    a, b, c = corners[face].transpose(1, 0, 2)
    one, two, rel = b - a, c - a, points - a
    d11, d12, d22 = (one * one).sum(1), (one * two).sum(1), (two * two).sum(1)
    e1, e2 = (rel * one).sum(1), (rel * two).sum(1)
    area = np.maximum(d11 * d22 - d12 * d12, 1e-18)
    second, third = (d22 * e1 - d12 * e2) / area, (d11 * e2 - d12 * e1) / area
    share = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, None)
    share /= share.sum(axis=1, keepdims=True)
    return faces[face].reshape(-1).astype(np.intp), share.reshape(-1)
