"""From the body a garment was made on to any other, at its true size.

Cloth first follows the skin it lies on. Then every tube is placed anew: lengths along it are kept, and across it the
cloth keeps its shape and folds while its girth stays the garment's own, whatever the body's.
"""

import itertools
from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.brand.bind import Bound, BoundTube
from gpu_worker.garments.brand.tubes import Frame, arms_part
from gpu_worker.garments.chart import TOPS, WIDEST_STRETCH, Category
from gpu_worker.garments.collide import Sheet, Skin, parted, push_out
from gpu_worker.garments.rings import BRIDGE_M, GAP_M, TENSE_M
from gpu_worker.garments.support import at, centre, girth, radius
from gpu_worker.garments.tables import BodyTables

SMOOTHED, SPREAD_ROUNDS, SOFTENED = 6, 30, 14
"""Rounds of averaging with neighbours: of what follows the skin, of what passes from rows to skin, of its borders."""
HANG_SLOPE = 0.08
SAME_GIRTH_M = 1e-4
LEAST_SCALE, MOST_SCALE = 0.85, 1.2
TRUED = 2
FOLDED = 1.004
"""Rows longer than their hull by this factor lie in folds; rows stretched by less hang free."""
CREASED_M = 0.2
"""Over at least this much of a limb, cloth that is too long is pressed together."""
ARMHOLE_REACH_M = 0.06
"""How far round the bottom of an armhole cloth follows when that is lowered."""
SECOND_GAP_M = 1.25 * GAP_M
"""Of a second push: tight cloth on large triangles otherwise touches the skin with less than a millimetre."""
LEG = 0.2
"""Cloth that a leg's tube places by more than this share is that leg's."""
LAYER_M = 0.002
LAYER_ROUNDS = 3
BARE = 0.02
"""Cloth that no tube places by more than this share has the ease of the trunk's first row."""
CHEST_BELOW_ARMPIT_M = 0.045


def transferred(
    bound: Bound,
    tables: BodyTables,
    frames: Mapping[str, Frame],
    skin: Skin,
    sheet: Sheet,
) -> Floats:
    """(P, 3) the garment on another body, off its skin.

    tables, frames, skin : of that body; sheet : of the proxy
    """
    neighbours = sheet.neighbours
    follow = np.asarray(bound.skin_weights @ tables.vertices) - bound.base
    for _ in range(SMOOTHED):
        follow = 0.5 * follow + 0.5 * np.asarray(neighbours @ follow)
    points = bound.points + follow
    mixing = np.zeros(len(points))
    for name, tube in bound.tubes.items():
        points[tube.index] = _placed(tube, frames[name], points)
        mixing[tube.index] = np.maximum(mixing[tube.index], tube.weight * (1 - tube.weight))
    moved = points - bound.points
    is_mixed = np.asarray(neighbours @ (mixing > 0.01).astype(np.float64)) > 0
    for _ in range(SMOOTHED):
        moved[is_mixed] = 0.4 * moved[is_mixed] + 0.6 * np.asarray(neighbours @ moved)[is_mixed]
    inner, border = np.flatnonzero(bound.yoke == 2), np.flatnonzero(bound.yoke)
    for zone, share, rounds in ((inner, 1.0, SPREAD_ROUNDS), (border, 0.5, SOFTENED)):
        within = neighbours[zone]
        for _ in range(rounds):
            moved[zone] += share * (np.asarray(within @ moved) - moved[zone])
    placed = _armholes_lowered(bound, bound.points + moved, tables)
    pushed = push_out(push_out(placed, sheet, skin), sheet, skin, SECOND_GAP_M)
    for side, sign in (("leg.L", 1.0), ("leg.R", -1.0)):
        if side in bound.tubes:
            tube = bound.tubes[side]
            pushed = parted(pushed, skin, tube.index[tube.weight > LEG], sign)
    return _layered(bound, pushed, skin)


def _armholes_lowered(bound: Bound, points: Floats, tables: BodyTables) -> Floats:
    """Cloth about the armholes drawn down to where it fits between arm and trunk, and no less far than it hung."""
    if not len(bound.underarm):
        return points
    height, reach = arms_part(tables)
    lowered = points.copy()
    for vertex in bound.underarm:
        here = points[vertex]
        if here[2] > height:
            sign = 1.0 if here[0] > 0 else -1.0
            step = np.array([sign * reach - here[0], 0.0, height - here[2]])
            away = np.linalg.norm(bound.points - bound.points[vertex], axis=1)
            lowered += np.exp(-((away / ARMHOLE_REACH_M) ** 2))[:, None] * step
    return lowered


def _placed(tube: BoundTube, frame: Frame, points: Floats) -> Floats:
    """(n, 3) the tube's vertices on this body."""
    rows, along = _shortened(tube.rows, tube, frame.end), _shortened(tube.along, tube, frame.end)
    hull = _hull(tube, frame, rows)
    middle = centre(hull)
    here = at(rows, middle, along)
    reach = radius(at(rows, hull, along), here, tube.angle[:, None])[:, 0] * tube.share
    direction = np.stack([np.cos(tube.angle), np.sin(tube.angle)], axis=1)
    weight = tube.weight[:, None]
    start = points[tube.index]
    stretch = np.maximum(girth(hull) / tube.hull, 1.0)
    is_trued = (tube.perimeter > FOLDED * tube.hull) | (stretch < FOLDED)
    wanted = tube.perimeter * stretch
    moved = points.copy()
    for turn in range(TRUED + 1):
        target = frame.points(along, here + reach[:, None] * direction)
        moved[tube.index] = start * (1 - weight) + target * weight
        if turn == TRUED or not is_trued.any():
            break
        scale = np.clip(wanted / np.maximum(tube.perimeters(moved), 1e-3), LEAST_SCALE, MOST_SCALE)
        reach *= np.interp(along, rows, np.where(is_trued, scale, 1.0))
    placed: Floats = moved[tube.index]
    return placed


def _shortened(along: Floats, tube: BoundTube, end: float) -> Floats:
    """Places along a tube, the lower part pressed together where the garment is longer than the limb."""
    last = float(tube.along.max())
    if last <= end:
        return along
    start = max(end - max(CREASED_M, 2 * (last - end)), float(tube.along.min()))
    return np.where(along > start, start + (along - start) * (end - start) / (last - start), along)


def _hull(tube: BoundTube, frame: Frame, rows: Floats) -> Floats:
    """(L, D) hull of the cloth at the tube's rows: its own girth where it has room, the body's where not.

    Between the skin and the shape it was made in, cloth first bridges hollows; beyond, it hangs from what is wider.
    Near where it is tight it bridges them whatever its girth.
    """
    skin, bridge = frame.shapes(rows)
    tight = np.maximum(skin, bridge + np.minimum(tube.offset, 0.0))
    made = np.maximum(skin, bridge + tube.offset)
    shapes = (skin, tight, made, _hanging(made, rows))
    hull, least = skin.copy(), tension(girth(skin) - tube.hull, rows)
    for narrow, wide in itertools.pairwise(shapes):
        share = (tube.hull - girth(narrow)) / np.maximum(girth(wide) - girth(narrow), SAME_GIRTH_M)
        hull += np.maximum(gaussian_filter1d(np.clip(share, 0, 1), 1.0), least)[:, None] * (wide - narrow)
        least = np.zeros(len(rows))
    surplus = np.maximum(tube.hull - girth(hull), 0) / (2 * np.pi)
    lifted: Floats = hull + surplus[:, None]
    return lifted


def tension(missing_m: Floats, rows: Floats) -> Floats:
    """(L,) from 0 to 1, how tightly cloth is pulled over hollows by rows nearby whose girth is missing."""
    window = max(round(2 * BRIDGE_M / float(rows[1] - rows[0])), 1)
    tight = maximum_filter1d(np.clip(missing_m / TENSE_M, 0, 1), window)
    return np.asarray(gaussian_filter1d(tight, window / 8))


def _hanging(made: Floats, rows: Floats) -> Floats:
    """Each row at least as wide as the one above less a slope."""
    hanging = made.copy()
    drop = HANG_SLOPE * float(rows[1] - rows[0])
    for row in range(1, len(hanging)):
        np.maximum(hanging[row], hanging[row - 1] - drop, out=hanging[row])
    return hanging


def _layered(bound: Bound, points: Floats, skin: Skin) -> Floats:
    """Outer layers kept over inner ones, from the inside outwards, where the push brought them together."""
    if not len(bound.above):
        return points
    kept = points.copy()
    wanted = np.minimum(bound.gap, LAYER_M)
    _, outwards = skin.distance(points[bound.above])
    for _ in range(LAYER_ROUNDS):
        height = ((kept[bound.above] - kept[bound.below]) * outwards).sum(axis=1)
        short = np.maximum(wanted - height, 0)
        if not short.any():
            break
        kept[bound.above] += short[:, None] * outwards
    return kept


def ease_of(bound: Bound, frames: Mapping[str, Frame]) -> Floats:
    """(P,) girth of the cloth less the skin's beneath it; above the rows, that of the nearest row."""
    total, weight = np.zeros(len(bound.points)), np.full(len(bound.points), 1e-9)
    for name, tube in bound.tubes.items():
        rows = _shortened(tube.rows, tube, frames[name].end)
        skin, _ = frames[name].shapes(rows)
        slack = tube.hull - (girth(skin) - 2 * np.pi * GAP_M)
        total[tube.index] += tube.weight * np.interp(tube.along, tube.rows, slack)
        weight[tube.index] += tube.weight
    ease: Floats = total / weight
    bare = weight < BARE
    top = bound.tubes["trunk"]
    nearest = top.index[int(top.along.argmin())]
    ease[bare] = ease[nearest]
    return ease


def is_too_tight(category: Category, bound: Bound, tables: BodyTables, frame: Frame) -> bool:
    """Whether the cloth would have to stretch beyond `WIDEST_STRETCH` at the chest, or at the hip."""
    height = tables.armpit - CHEST_BELOW_ARMPIT_M if category in TOPS else tables.hip
    trunk = bound.tubes["trunk"]
    along, _ = frame.coordinates(np.array([[0.0, 0.0, height]]))
    cloth = float(np.interp(along[0], trunk.rows, trunk.hull))
    return float(tables.girth_at(np.array([height]))[0]) > WIDEST_STRETCH * cloth
