"""From a file's units and axes to where the garment stands on the reference body: scale, up, facing, place, arms.

Convention: the file is glTF, y up, facing +z, metres, unless its box says otherwise; the result is canonical.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gpu_worker.body.arrays import Edges, Floats, Ints
from gpu_worker.body.tape import edges_of
from gpu_worker.garments.brand.mesh import edges_with_faces
from gpu_worker.garments.brand.refused import BrandRefused
from gpu_worker.garments.chart import TOPS, Category
from gpu_worker.garments.collide import Skin
from gpu_worker.garments.support import smoothstep
from gpu_worker.garments.tables import BodyTables
from gpu_worker.garments.winding import WindingNumber

SCALES = (1.0, 0.1, 0.01, 0.001, 0.0254)
UPS = {
    "+y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    "+z": np.eye(3),
    "-y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "-z": np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]),
}
"""The file's upward axis -> rotation to canonical axes. glTF's own comes first and wins where it fits."""
QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
HALF = np.diag([-1.0, -1.0, 1.0])

Range = tuple[float, float]
BOXES: Mapping[Category, tuple[Range, Range, Range]] = {
    "t-shirt": ((0.28, 0.95), (0.36, 1.25), (0.14, 0.60)),
    "long-sleeve shirt": ((0.30, 1.05), (0.50, 2.00), (0.14, 0.65)),
    "hoodie": ((0.40, 1.15), (0.50, 2.00), (0.16, 0.75)),
    "dress": ((0.60, 1.70), (0.34, 2.00), (0.16, 1.70)),
    "skirt": ((0.22, 1.15), (0.28, 1.70), (0.18, 1.70)),
    "trousers": ((0.65, 1.35), (0.28, 1.10), (0.16, 0.75)),
    "shorts": ((0.20, 0.75), (0.28, 1.00), (0.16, 0.75)),
}
"""Category -> plausible height, width and depth in metres, arms anywhere between A and T; a judgement of ours."""
LENGTH_TOLERANCE = 0.30
"""How far a box's height may be from the chart's length when two scales are plausible."""
SHOULDER_X_M = (0.10, 0.12, 0.14, 0.16)
SHOULDER_GAP_M, CROTCH_BELOW_M = 0.006, 0.012
BAND_BELOW_WAIST_M = 0.01
SAMPLED = 1500
SHIFTS_Y_M, SHIFTS_Z_M = np.arange(-0.03, 0.031, 0.01), np.arange(-0.01, 0.021, 0.01)
NEAR_M = 0.002
ARM_TURN_MIN, SHORTEST_SLEEVE_M = np.radians(6.0), 0.07
FEWEST_IN_OPENING = 6
CLEARLY_BETTER, CLEARLY_WRONG = 0.6, 0.08
"""Another orientation is taken when less than this share of the overlap is left, and only where there is any."""
NECK_DROP_M = 0.02
"""The file's upward axis -> rotation to canonical axes. glTF's own comes first and wins where it fits."""
SLEEVE_OFF_AXIS_M = (0.12, 0.18)
"""Cloth within the first distance of a sleeve's axis turns with it, beyond the second not at all."""


@dataclass(frozen=True)
class Fixed:
    """What was put right, as reported to the brand; None where the file was as it should be."""

    scale: float | None
    up: str | None
    turned_degrees: int | None


@dataclass(frozen=True, eq=False)
class Seated:
    """Where a garment stands on a body.

    points      : (P, 3) canonical
    overlap     : share of them inside the body
    arm_degrees : how far sleeves were turned
    turn        : (3, 3) how the garment was turned before, the identity where it stood right
    """

    points: Floats
    overlap: float
    arm_degrees: float
    turn: Floats


def scaled(points: Floats, category: Category, length_m: float | None) -> tuple[Floats, Fixed]:
    """Points in metres on canonical axes. Raises `BrandRefused` when no reading of the file is plausible, or two are.

    length_m : the chart's length of the garment, where it has one; decides between two scales
    """
    for up, turn in UPS.items():
        if up.startswith("-"):
            continue
        upright = points @ turn.T
        box = np.ptp(upright, axis=0)
        is_quarter = bool(box[1] > 1.25 * box[0])
        if is_quarter:
            upright, box = upright @ QUARTER.T, box[[1, 0, 2]]
        plausible = [scale for scale in SCALES if _is_plausible(box * scale, category)]
        if len(plausible) > 1 and length_m is not None:
            close = [scale for scale in plausible if abs(np.log(box[2] * scale / length_m)) < LENGTH_TOLERANCE]
            plausible = close if len(close) == 1 else plausible
        if len(plausible) > 1:
            raise BrandRefused(
                "scale",
                f"The mesh could be a {category} at scale {_listed(plausible)}; export in metres.",
                code="garment_unclear",
            )
        if plausible:
            fixed = Fixed(
                None if plausible[0] == 1.0 else plausible[0], None if up == "+y" else up, 90 if is_quarter else None
            )
            return upright * plausible[0], fixed
    sides = " x ".join(f"{side:.4g}" for side in np.ptp(points, axis=0))
    raise BrandRefused(
        "scale",
        f"A box of {sides} units is no {category} at any usual scale; export in metres.",
        code="garment_unclear",
    )


def _listed(scales: list[float]) -> str:
    return " or ".join(f"{scale:g}" for scale in scales)


def _is_plausible(box: Floats, category: Category) -> bool:
    height, width, depth = BOXES[category]
    pairs = ((box[2], height), (box[0], width), (box[1], depth))
    return all(low <= side <= high for side, (low, high) in pairs)


class Seat:
    """Puts a garment in metres onto one body."""

    def __init__(self, category: Category, tables: BodyTables, skin: Skin, winding: WindingNumber) -> None:
        self.category = category
        self.tables = tables
        self.skin = skin
        self.winding = winding

    def best(self, points: Floats, faces: Ints) -> Seated:
        """A welded garment as the file turns it, or upside down or back to front where that was clearly meant."""
        edges = edges_of(faces)
        found = self.seated(points, faces, edges, np.eye(3))
        back, front = _middle_tops(found.points, edges)
        is_reversed = back < front - NECK_DROP_M
        if found.overlap < CLEARLY_WRONG and not is_reversed:
            return found
        turns = (HALF, UPS["-z"], HALF @ UPS["-z"])
        others = [self.seated(points @ turn.T, faces, edges, turn) for turn in turns]
        if is_reversed and others[0].overlap <= found.overlap + 0.01:
            return others[0]
        best = min(others, key=lambda seated: seated.overlap)
        return best if best.overlap < CLEARLY_BETTER * found.overlap and found.overlap > CLEARLY_WRONG else found

    def seated(self, points: Floats, faces: Ints, edges: Edges, turn: Floats) -> Seated:
        """Placed on the body without turning; `turn` is what was done before."""
        placed = self._placed(points, edges)
        degrees = 0.0
        if self.category in TOPS:
            placed, degrees = self._arms_turned(placed, faces)
        sampled = placed[:: max(len(placed) // SAMPLED, 1)]
        placed += self._nudge(sampled)
        return Seated(placed, self.overlap(placed), degrees, turn)

    def overlap(self, points: Floats) -> float:
        """Share of the points that lie inside the body."""
        return float((self.winding.at(points) > 0).mean())

    def _placed(self, points: Floats, edges: Edges) -> Floats:
        """Centred, and at the height of the body's shoulders, crotch or waist."""
        low, high = points.min(axis=0), points.max(axis=0)
        centred = points - np.array([(low[0] + high[0]) / 2, 0.0, 0.0])
        shift_z = self._rise(centred, edges)
        heights = np.linspace(low[2], high[2], 9)[2:7] + shift_z
        body = self.tables.torso_at(heights)
        quarter = body.shape[1] // 4
        middle = (body[:, quarter] - body[:, 3 * quarter]) / 2
        band = np.abs(centred[:, 0]) < 0.14
        sections = [centred[band & (np.abs(centred[:, 2] + shift_z - height) < 0.05), 1] for height in heights]
        offsets = [
            m - (section.min() + section.max()) / 2 for m, section in zip(middle, sections, strict=True) if len(section)
        ]
        shift_y = float(np.median(offsets)) if offsets else -float(centred[:, 1].mean())
        placed: Floats = centred + np.array([0.0, shift_y, shift_z])
        return placed

    def _rise(self, points: Floats, edges: Edges) -> float:
        tables = self.tables
        if self.category in TOPS:
            body = tables.vertices
            pairs = [
                (_top_at(points, edges, side * x), _top_at(body, tables.regions.yoke, side * x))
                for x in SHOULDER_X_M
                for side in (-1.0, 1.0)
            ]
            rises = [theirs - own for own, theirs in pairs if own is not None and theirs is not None]
            if rises:
                # a hood lies on the shoulders: where least of it does is the shoulder's own cloth
                rise = max(rises) if self.category == "hoodie" else float(np.median(rises))
                return rise + SHOULDER_GAP_M
            return tables.armpit + 0.03 - float(points[:, 2].max())
        if self.category == "skirt":
            return tables.waist - BAND_BELOW_WAIST_M - float(np.percentile(points[:, 2], 99))
        crotch = _lowest_at(points, edges, 0.0)
        if crotch is None or crotch > points[:, 2].max() - 0.08:
            return tables.waist - BAND_BELOW_WAIST_M - float(points[:, 2].max())
        return tables.crotch - CROTCH_BELOW_M - crotch

    def _nudge(self, points: Floats) -> Floats:
        """(3,) small shift after which the garment cuts least into the body."""
        best, least = np.zeros(3), np.inf
        shifts = [np.array([0.0, y, z]) for y in SHIFTS_Y_M for z in SHIFTS_Z_M]
        for shift in sorted(shifts, key=lambda s: float(np.abs(s).sum())):
            distance, _ = self.skin.distance(points + shift)
            cost = float(np.maximum(NEAR_M - distance, 0).mean()) + 2e-3 * float(np.abs(shift).sum())
            if cost < least:
                best, least = shift, cost
        return best

    def _arms_turned(self, points: Floats, faces: Ints) -> tuple[Floats, float]:
        """Sleeves turned about the shoulder joints to the angle of the body's arms, and by how many degrees."""
        turned, most = points.copy(), 0.0
        for side, sign in ((".L", 1.0), (".R", -1.0)):
            joint = self.tables.joint["shoulder" + side]
            opening = _opening(points, faces, sign, float(joint[0]))
            if opening is None:
                continue
            mirror = np.array([sign, 1.0])
            flat = (points[:, [0, 2]] - joint[[0, 2]]) * mirror
            sleeve = (opening[[0, 2]] - joint[[0, 2]]) * mirror
            arm = (self._arm_at(side, float(np.linalg.norm(sleeve))) - joint[[0, 2]]) * mirror
            angle = float(np.arctan2(arm[1], arm[0]) - np.arctan2(sleeve[1], sleeve[0]))
            if abs(angle) < ARM_TURN_MIN or np.linalg.norm(sleeve) < SHORTEST_SLEEVE_M:
                continue
            axis = sleeve / np.linalg.norm(sleeve)
            off = np.abs(flat[:, 0] * axis[1] - flat[:, 1] * axis[0])
            share = smoothstep(flat[:, 0], -0.05, 0.03) * (1 - smoothstep(off, *SLEEVE_OFF_AXIS_M))
            cos, sin = np.cos(angle * share), np.sin(angle * share)
            turned[:, 0] = joint[0] + sign * (cos * flat[:, 0] - sin * flat[:, 1])
            turned[:, 2] = joint[2] + sin * flat[:, 0] + cos * flat[:, 1]
            points = turned.copy()
            most = angle if abs(angle) > abs(most) else most
        return turned, float(np.degrees(most))

    def _arm_at(self, side: str, reach_m: float) -> Floats:
        """(2,) x and z of the arm's middle at a distance from the shoulder joint."""
        tube = self.tables.arms[side]
        middles = tube.origin + ((tube.support[:, [0]] - tube.support[:, [32]]) / 2) * tube.first
        middles += ((tube.support[:, [16]] - tube.support[:, [48]]) / 2) * tube.second
        row = int(np.abs(np.linalg.norm(middles - self.tables.joint["shoulder" + side], axis=1) - reach_m).argmin())
        found: Floats = middles[row, [0, 2]]
        return found


def _opening(points: Floats, faces: Ints, sign: float, joint_x: float) -> Floats | None:
    """(3,) middle of the open edge that lies furthest out on one side and no further in than the shoulder joint."""
    ends, _, _ = edges_with_faces(faces)
    edges, count = np.unique(ends, axis=0, return_counts=True)
    loose = edges[count == 1]
    links = sparse.coo_array((np.ones(len(loose)), (loose[:, 0], loose[:, 1])), shape=(len(points), len(points)))
    _, label = connected_components(links, directed=False)
    best, furthest = None, 0.0
    for name in np.unique(label[loose]):
        loop = points[label == name]
        if len(loop) >= FEWEST_IN_OPENING and (loop[:, 0] * sign).min() > abs(joint_x) - 0.03:
            middle = (loop.min(axis=0) + loop.max(axis=0)) / 2
            if middle[0] * sign > furthest:
                best, furthest = middle, middle[0] * sign
    return best


def _cut(points: Floats, edges: Edges, x: float) -> Floats:
    """(n, 2) where the plane at x cuts the edges: y and z."""
    first, second = points[edges[:, 0]], points[edges[:, 1]]
    crossing = (first[:, 0] > x) != (second[:, 0] > x)
    first, second = first[crossing], second[crossing]
    share = ((x - first[:, 0]) / (second[:, 0] - first[:, 0]))[:, None]
    cut: Floats = (first * (1 - share) + second * share)[:, 1:]
    return cut


def _top_at(points: Floats, edges: Edges, x: float) -> float | None:
    cut = _cut(points, edges, x)
    return float(cut[:, 1].max()) if len(cut) else None


def _lowest_at(points: Floats, edges: Edges, x: float) -> float | None:
    cut = _cut(points, edges, x)
    return float(cut[:, 1].min()) if len(cut) else None


def _middle_tops(points: Floats, edges: Edges) -> tuple[float, float]:
    """How high the garment reaches in the middle of the back, and of the front."""
    cut = _cut(points, edges, 0.0)
    if len(cut) < 2:
        return 0.0, 0.0
    middle = (cut[:, 0].min() + cut[:, 0].max()) / 2
    back, front = cut[cut[:, 0] > middle, 1], cut[cut[:, 0] <= middle, 1]
    return (float(back.max()), float(front.max())) if len(back) and len(front) else (0.0, 0.0)
