"""A garment bound to the body it was made on: which skin each vertex follows, and what its tubes measure.

Convention: canonical axes, metres; rows of a tube go away from its landmark.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Bools, Edges, Floats, Ints
from gpu_worker.body.tape import edges_of
from gpu_worker.garments.brand.repair import Proxy
from gpu_worker.garments.brand.tubes import Frame
from gpu_worker.garments.chart import TOPS, Category
from gpu_worker.garments.collide import Sheet, Skin
from gpu_worker.garments.support import at, centre, girth, radius, section_supports, smoothstep
from gpu_worker.garments.tables import BodyTables

NEIGHBOURS = 12
SKIN_FALLOFF_M = 0.01
SIDE_FALLOFF = 0.35
"""How fast skin of another limb loses its say over cloth."""
ROW_STEP_M, INSET_M = 0.010, 0.006
"""Between rows, and from a tube's open ends: a row on an open edge would meet one triangle only."""
FEWEST_ROWS, FEWEST_CUTS = 2, 6
WIDEST_GAP = np.radians(28)
WHOLE_SHARE = 0.93
"""A row with a wider gap, seen from its middle, or shorter than this share of its hull, does not go round."""
WIDEST_SHARE = 1.15
BLEND_ABOVE_M = (-0.02, 0.05)
"""From this far above the armpit's row to this, cloth passes from the trunk's rows to the skin it lies on."""
YOKE_M, YOKE_BORDER_M, YOKE_ARM = (-0.035, 0.13), 0.04, 0.6
"""About the armpit's height: where a top's cloth turns from hanging round the chest to lying on the shoulders."""
ARM_START_M = (0.05, 0.10)
ARMHOLE = (0.25, 0.7)
"""How much of an arm cloth about the armhole is."""
LAYER_REACH_M, LAYER_LEAST_M = 0.015, 0.0005


@dataclass(frozen=True, eq=False)
class BoundTube:
    """A garment's cloth round one tube.

    index, weight       : (n,) vertices, and how far each is placed by this tube
    along, angle, share : (n,) s, direction about the row's middle, and distance as a share of the row's hull
    rows                : (L,) s ascending
    offset              : (L, D) hull of the cloth less the reference body's bridged shape
    hull                : (L,) girth of the hull, metres
    perimeter           : (L,) length of the cut cloth; folds and layers make it longer than the hull
    cut, cut_row        : (2 S, P) both ends of every cut triangle's segment by its vertices; the segments' rows (S,)
    """

    index: Ints
    weight: Floats
    along: Floats
    angle: Floats
    share: Floats
    rows: Floats
    offset: Floats
    hull: Floats
    perimeter: Floats
    cut: "sparse.csr_array[np.float64]"
    cut_row: Ints

    def perimeters(self, points: Floats) -> Floats:
        """(L,) length of the cut cloth with the vertices at `points`."""
        ends = np.asarray(self.cut @ points)
        count = len(self.cut_row)
        lengths = np.linalg.norm(ends[:count] - ends[count:], axis=1)
        return np.asarray(np.bincount(self.cut_row, lengths, len(self.rows)))


@dataclass(frozen=True, eq=False)
class Bound:
    """One size of a garment, ready to be put on any body.

    points, faces, part : the proxy on its reference body
    skin_weights        : (P, V) which skin each vertex follows; base : (P, 3) where that skin is on the reference body
    arm                 : (P,) 0 on the trunk to 1 on an arm
    yoke                : (P,) 2 where cloth passes from the trunk's rows to the skin, 1 close to there, else 0
    underarm            : lowest vertex between trunk and sleeve on the left, and on the right; empty without sleeves
    above, below, gap   : (K,) vertices that lie over others of the garment itself, and how far
    """

    points: Floats
    faces: Ints
    part: Ints
    skin_weights: "sparse.csr_array[np.float64]"
    base: Floats
    arm: Floats
    tubes: Mapping[str, BoundTube]
    yoke: Ints
    underarm: Ints
    above: Ints
    below: Ints
    gap: Floats

    def with_tubes(self, tubes: Mapping[str, BoundTube]) -> "Bound":
        return replace(self, tubes=tubes)


def bind(
    category: Category, proxy: Proxy, tables: BodyTables, skin: Skin, frames: Mapping[str, Frame], arm_share: Floats
) -> Bound:
    """Bind a proxy to the reference body it stands on.

    arm_share : (V,) skinning weight of the body's vertices on arm bones
    """
    neighbours = Sheet.of(proxy.faces, len(proxy.points)).neighbours
    weights = _skin_weights(proxy, tables, arm_share, neighbours)
    arm = np.clip(np.asarray(weights @ arm_share), 0, 1)
    for _ in range(6):
        arm = 0.5 * arm + 0.5 * np.asarray(neighbours @ arm)
    tubes = {}
    for name, frame in frames.items():
        region, weight = _region(name, category, proxy, tables, arm, frames)
        tube = _bound_tube(proxy, frame, region, weight)
        if tube is not None:
            tubes[name] = tube
    above, below, gap = _layers(proxy, skin)
    base = np.asarray(weights @ tables.vertices)
    underarm = _underarm(proxy.points, arm) if category in TOPS else np.zeros(0, np.int32)
    height = proxy.points[:, 2] - tables.armpit
    inner = (height > YOKE_M[0]) & (height < YOKE_M[1])
    outer = (height > YOKE_M[0] - YOKE_BORDER_M) & (height < YOKE_M[1] + YOKE_BORDER_M)
    yoke = np.where((arm < YOKE_ARM) & (category in TOPS), inner.astype(np.int32) + outer, 0).astype(np.int32)
    return Bound(proxy.points, proxy.faces, proxy.part, weights, base, arm, tubes, yoke, underarm, above, below, gap)


def _underarm(points: Floats, arm: Floats) -> Ints:
    found = []
    for sign in (1.0, -1.0):
        between = np.flatnonzero((arm > ARMHOLE[0]) & (arm < ARMHOLE[1]) & (points[:, 0] * sign > 0))
        if len(between):
            found.append(between[points[between, 2].argmin()])
    return np.array(found, np.int32)


def _skin_weights(
    proxy: Proxy, tables: BodyTables, arm_share: Floats, neighbours: "sparse.csr_array[np.float64]"
) -> "sparse.csr_array[np.float64]":
    """(P, V) the nearest skin, that of the limb a vertex belongs to before others."""
    used = np.unique(tables.regions.faces[~tables.regions.hidden])
    found = cKDTree(tables.vertices[used]).query(proxy.points, NEIGHBOURS)
    near: Edges = used[np.asarray(found[1], np.intp)].astype(np.intp)
    weight = 1 / (np.asarray(found[0], np.float64) + SKIN_FALLOFF_M) ** 2
    theirs = arm_share[near]
    own = (theirs * weight).sum(axis=1) / weight.sum(axis=1)
    for _ in range(4):
        own = 0.5 * own + 0.5 * np.asarray(neighbours @ own)
    weight *= np.exp(-(((theirs - own[:, None]) / SIDE_FALLOFF) ** 2))
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(near)), NEIGHBOURS)
    entries = (weight.reshape(-1), (rows, near.reshape(-1)))
    return sparse.csr_array(sparse.coo_array(entries, shape=(len(near), len(tables.vertices))))


def _region(
    name: str, category: Category, proxy: Proxy, tables: BodyTables, arm: Floats, frames: Mapping[str, Frame]
) -> tuple[Bools, Floats]:
    """Vertices whose triangles make up a tube's rows, and how far each vertex is placed by it."""
    height = proxy.points[:, 2]
    if name.startswith("arm"):
        sign = 1.0 if name.endswith(".L") else -1.0
        side = proxy.points[:, 0] * sign > 0
        along, _ = frames[name].coordinates(proxy.points)
        return (arm > 0.6) & side, smoothstep(arm, 0.45, 0.8) * smoothstep(along, *ARM_START_M) * side
    if category in TOPS:
        top = tables.armpit - 0.01
        weight = 1 - smoothstep(height, top + BLEND_ABOVE_M[0], top + BLEND_ABOVE_M[1])
        return (arm < 0.35) & (height < top + 0.01), weight * (1 - smoothstep(arm, 0.05, 0.4))
    if category == "skirt":
        return np.ones(len(height), np.bool_), np.ones(len(height))
    fork = fork_of(proxy.points, proxy.faces, tables)
    if name == "trunk":
        return height > fork - 0.005, smoothstep(height, fork - 0.02, fork + 0.03)
    sign = 1.0 if name.endswith(".L") else -1.0
    side = proxy.points[:, 0] * sign > 0
    return (height < fork + 0.005) & side, (1 - smoothstep(height, fork - 0.05, fork + 0.0)) * side


def fork_of(points: Floats, faces: Ints, tables: BodyTables) -> float:
    """Height at which trousers part into legs."""
    edges = edges_of(faces)
    first, second = points[edges[:, 0]], points[edges[:, 1]]
    crossing = (first[:, 0] > 0) != (second[:, 0] > 0)
    if not crossing.any():
        return tables.crotch
    return float(np.minimum(first[crossing, 2], second[crossing, 2]).min())


def _bound_tube(proxy: Proxy, frame: Frame, region: Bools, weight: Floats) -> BoundTube | None:
    """None where the garment has no such tube, or too little of it."""
    along, across = frame.coordinates(proxy.points)
    faces = proxy.faces[region[proxy.faces].all(axis=1)]
    if not len(faces):
        return None
    used = np.unique(faces)
    low, high = float(along[used].min()) + INSET_M, float(along[used].max()) - INSET_M
    count = int((high - low) / ROW_STEP_M) + 1
    if count < FEWEST_ROWS:
        return None
    rows = np.linspace(low, high, count)
    whole = _whole_rows(along, across, faces, rows)
    if whole.stop - whole.start < FEWEST_ROWS:
        return None
    rows = rows[whole]
    support, _ = section_supports(along, across, edges_of(faces), rows)
    cut, cut_row, perimeter = _cuts(along, across, faces, rows)
    index = np.flatnonzero(weight > 1e-3)
    middle = at(rows, centre(support), along[index])
    rel = across[index] - middle
    angle = np.arctan2(rel[:, 1], rel[:, 0])
    hull_here = radius(at(rows, support, along[index]), middle, angle[:, None])[:, 0]
    share = np.minimum(np.linalg.norm(rel, axis=1) / np.maximum(hull_here, 1e-3), WIDEST_SHARE)
    _, bridge = frame.shapes(rows)
    return BoundTube(
        index.astype(np.int32),
        weight[index],
        along[index],
        angle,
        share,
        rows,
        support - bridge,
        girth(support),
        perimeter,
        cut,
        cut_row,
    )


def _whole_rows(along: Floats, across: Floats, faces: Ints, rows: Floats) -> slice:
    """The longest run of rows that go all the way round: a slanted edge or an armhole is cut in part only."""
    cut, row, perimeter = _cuts(along, across, faces, rows)
    support, _ = section_supports(along, across, edges_of(faces), rows)
    ends = np.asarray(cut @ across)
    middles = (ends[: len(row)] + ends[len(row) :]) / 2
    is_whole = perimeter > WHOLE_SHARE * girth(support)
    for number in np.flatnonzero(is_whole):
        here = middles[row == number]
        is_whole[number] = len(here) >= FEWEST_CUTS and _widest_gap(here) < WIDEST_GAP
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], is_whole, [False]]).astype(np.int8)))
    if not len(bounds):
        return slice(0, 0)
    longest = int((bounds[1::2] - bounds[::2]).argmax())
    return slice(int(bounds[2 * longest]), int(bounds[2 * longest + 1]))


def _widest_gap(points: Floats) -> float:
    """Widest angle without a point (n, 2), seen from their middle."""
    rel = points - (points.min(axis=0) + points.max(axis=0)) / 2
    angles = np.sort(np.arctan2(rel[:, 1], rel[:, 0]))
    return float(np.diff(angles, append=angles[0] + 2 * np.pi).max())


def _cuts(
    along: Floats, across: Floats, faces: Ints, rows: Floats
) -> tuple["sparse.csr_array[np.float64]", Ints, Floats]:
    """Both ends of the segment in which each row cuts each triangle, by vertices; the row; and the rows' lengths."""
    step = rows[1] - rows[0]
    corner = along[faces]
    first = np.clip(np.ceil((corner.min(axis=1) - rows[0]) / step), 0, len(rows)).astype(np.intp)
    last = np.clip(np.floor((corner.max(axis=1) - rows[0]) / step) + 1, 0, len(rows)).astype(np.intp)
    count = np.maximum(last - first, 0)
    face = np.repeat(np.arange(len(faces)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[face]
    over = corner[face] - rows[row][:, None]
    beyond = over > 0
    mixed = beyond.any(axis=1) & ~beyond.all(axis=1)
    face, row, over, beyond = face[mixed], row[mixed], over[mixed], beyond[mixed]
    lone = np.where(beyond.sum(axis=1) == 1, beyond.argmax(axis=1), (~beyond).argmax(axis=1))
    segments = np.arange(len(face))
    entries, columns, ends = [], [], []
    for turn in (1, 2):
        other = (lone + turn) % 3
        share = over[segments, lone] / (over[segments, lone] - over[segments, other])
        entries += [1 - share, share]
        columns += [faces[face, lone], faces[face, other]]
        ends += [segments + (turn - 1) * len(face)] * 2
    shape = (2 * len(face), len(along))
    where = (np.concatenate(ends), np.concatenate(columns))
    cut = sparse.csr_array(sparse.coo_array((np.concatenate(entries), where), shape=shape))
    flat = np.asarray(cut @ across)
    lengths = np.linalg.norm(flat[: len(face)] - flat[len(face) :], axis=1)
    return cut, row.astype(np.int32), np.asarray(np.bincount(row, lengths, len(rows)))


def _layers(proxy: Proxy, skin: Skin) -> tuple[Ints, Ints, Floats]:
    """Vertices that lie over other cloth of the same garment: pockets, collars, linings, folds."""
    points = proxy.points
    distance, outwards = skin.distance(points)
    count = min(NEIGHBOURS, len(points) - 1)
    found = cKDTree(points).query(points, count + 1, distance_upper_bound=LAYER_REACH_M)
    near = np.asarray(found[1], np.int32)
    is_there = near < len(points)
    near = np.where(is_there, near, 0)
    rel = points[:, None] - points[near]
    height = (rel * outwards[:, None]).sum(axis=2)
    aside = np.linalg.norm(rel - height[:, :, None] * outwards[:, None], axis=2)
    adjacent = _adjacent(proxy, near)
    usable = is_there & ~adjacent & (height > LAYER_LEAST_M) & (aside < 0.7 * height + 0.002)
    aside = np.where(usable, aside, np.inf)
    best = aside.argmin(axis=1)
    above = np.flatnonzero(np.isfinite(aside.min(axis=1)))
    above = above[np.argsort(distance[above], kind="stable")]
    below = near[above, best[above]]
    return above.astype(np.int32), below.astype(np.int32), height[above, best[above]]


def _adjacent(proxy: Proxy, near: Ints) -> Bools:
    """(P, k) whether two vertices share a triangle."""
    pairs = np.concatenate([proxy.faces[:, [0, 1]], proxy.faces[:, [1, 2]], proxy.faces[:, [2, 0]]]).astype(np.int64)
    count = len(proxy.points)
    keys = np.unique(np.concatenate([pairs[:, 0] * count + pairs[:, 1], pairs[:, 1] * count + pairs[:, 0]]))
    asked = np.arange(count)[:, None] * count + near
    place = np.clip(np.searchsorted(keys, asked), 0, len(keys) - 1)
    return np.asarray(keys[place] == asked)
