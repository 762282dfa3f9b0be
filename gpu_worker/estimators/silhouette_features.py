"""Landmarks and mask of one standing person → 78 numbers about the silhouette.

Convention: pixels have x to the right and y down. Features are in centimetres for a stature of 1 cm; `scaled` brings
them to a person: lengths grow with stature, areas with its square, ratios not at all.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Bools, Floats
from gpu_worker.pose import (
    ANKLES,
    ELBOWS,
    HIPS,
    INDEX_FINGERS,
    KNEES,
    MASK_LEVEL,
    NOSE,
    SHOULDERS,
    WRISTS,
    Detection,
    Silhouette,
)

TORSO_LEVELS = np.linspace(0.0, 1.25, 18)
"""Where widths are read: 0 at the line of the shoulders, 1 at that of the hip joints."""
LEG_LEVELS = np.linspace(0.12, 1.9, 12)
"""0 at the hip joint, 1 at the knee, 2 at the ankle."""

ARM_THICKNESS = 0.17
"""Of the arm that is erased, as a share of the distance from shoulders to hips."""
ARM_ERASED_FROM = 0.45
"""Share of the upper arm, from the shoulder, that stays: further up the arm is part of the chest."""
CROTCH_STRIP = 0.25
"""Half width of the strip between the legs in which background shows the crotch, as a share of the knees' distance."""

NECK_LEVELS = np.linspace(0.12, 0.55, 6)
"""0 at the line of the shoulders, 1 at the crown."""
UPPER_ARM_LEVELS = np.array([0.3, 0.5, 0.7, 0.9])
FOREARM_LEVELS = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
OUTER_LEVELS = np.linspace(0.0, 0.4, 5)
"""Where the whole mask is read, arms and all; as TORSO_LEVELS."""

NECK_REACH, ARM_REACH = 0.45, 0.3
"""How far to both sides a neck's or arm's edge is looked for, as a share of the distance shoulders to hips."""
REACH_STEPS = 64

LENGTH, AREA, RATIO = 1, 2, 0
POWERS = np.array([LENGTH] * (18 + 12 + 1 + 12) + [AREA] * 2 + [RATIO] * 7 + [LENGTH] * (1 + 6 + 9 + 5 + 3 + 2))
"""How each feature grows with stature."""
COUNT = len(POWERS)


def measure(detection: Detection, silhouette: Silhouette) -> Floats:
    """(78,) features for a stature of 1 cm."""
    body = _without_arms(detection, silhouette.mask)
    torso = _torso_widths(detection, silhouette, body)
    scale = 1 / silhouette.height_px
    lengths = [
        *torso,
        *_leg_widths(detection, silhouette, body),
        _crotch_height(detection, silhouette, body),
        *_lengths(detection, silhouette),
    ]
    areas = [body.sum() / 100, (torso**2).sum() / 100]
    return np.concatenate(
        [
            np.array(lengths) * scale,
            np.array(areas) * scale**2,
            _world_ratios(detection),
            np.array([_slant(detection), *_limbs(detection, silhouette), *_outline(detection, silhouette)]) * scale,
        ]
    )


def scaled(features: Floats, height_cm: Floats | float) -> Floats:
    """(..., 78) features for a stature of `height_cm` (...)."""
    grown: Floats = features * np.asarray(height_cm)[..., None] ** POWERS
    return grown


def _without_arms(detection: Detection, mask: Bools) -> Bools:
    """The mask with both arms erased, from the middle of the upper arm down."""
    points = detection.landmarks[:, :2].astype(np.float64)
    torso_px = float(np.linalg.norm(detection.at(*HIPS) - detection.at(*SHOULDERS)))
    thickness = int(max(3, ARM_THICKNESS * torso_px))
    body = mask.astype(np.uint8)
    for shoulder, elbow, wrist, finger in zip(SHOULDERS, ELBOWS, WRISTS, INDEX_FINGERS, strict=True):
        start = points[shoulder] + ARM_ERASED_FROM * (points[elbow] - points[shoulder])
        for a, b in ((start, points[elbow]), (points[elbow], points[wrist]), (points[wrist], points[finger])):
            cv2.line(body, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 0, thickness)
    return body.astype(bool)


def _width(silhouette: Silhouette, body: Bools, at: Floats) -> float:
    """Length of the run of body pixels through a point, its ends where the probability crosses one half; pixels."""
    height, width = body.shape
    row = int(np.clip(round(at[1]), 0, height - 1))
    column = int(np.clip(round(at[0]), 0, width - 1))
    if not body[row, column]:
        return 0.0
    gaps = np.flatnonzero(~body[row])
    place = int(np.searchsorted(gaps, column))
    left = int(gaps[place - 1]) + 1 if place else 0
    right = int(gaps[place]) - 1 if place < len(gaps) else width - 1
    probability = silhouette.mask_probability[row]
    return right + _overhang(probability, right, 1) - (left - _overhang(probability, left, -1))


def _overhang(probability: NDArray[np.float32], end: int, step: int) -> float:
    """How far beyond its last pixel a run reaches, 0 to 1; 0 where an erased arm ends it."""
    beyond = end + step
    if not 0 <= beyond < len(probability) or probability[beyond] >= MASK_LEVEL or probability[end] < MASK_LEVEL:
        return 0.0
    return float((probability[end] - MASK_LEVEL) / (probability[end] - probability[beyond] + 1e-9))


def _torso_widths(detection: Detection, silhouette: Silhouette, body: Bools) -> Floats:
    shoulders, hips = detection.at(*SHOULDERS), detection.at(*HIPS)
    return np.array([_width(silhouette, body, shoulders + t * (hips - shoulders)) for t in TORSO_LEVELS])


def _leg_widths(detection: Detection, silhouette: Silhouette, body: Bools) -> Floats:
    """Mean of left and right at each level."""
    widths = np.zeros((2, len(LEG_LEVELS)))
    for side, joints in enumerate(zip(HIPS, KNEES, ANKLES, strict=True)):
        hip, knee, ankle = (detection.at(joint) for joint in joints)
        for index, t in enumerate(LEG_LEVELS):
            at = hip + t * (knee - hip) if t <= 1 else knee + (t - 1) * (ankle - knee)
            widths[side, index] = _width(silhouette, body, at)
    mean: Floats = widths.mean(axis=0)
    return mean


def crotch_row(detection: Detection, body: Bools) -> int | None:
    """First row from the hips to the knees with background between the legs."""
    hips, knees = detection.at(*HIPS), detection.at(*KNEES)
    apart = abs(float(detection.landmarks[KNEES[0], 0] - detection.landmarks[KNEES[1], 0]))
    height, width = body.shape
    left = int(np.clip(hips[0] - CROTCH_STRIP * apart, 0, width - 1))
    right = int(np.clip(hips[0] + CROTCH_STRIP * apart, 0, width - 1))
    first, last = (int(np.clip(row, 0, height)) for row in (hips[1], knees[1]))
    rows = np.flatnonzero((~body[first:last, left : right + 1]).any(axis=1))
    return first + int(rows[0]) if len(rows) else None


def _crotch_height(detection: Detection, silhouette: Silhouette, body: Bools) -> float:
    row = crotch_row(detection, body)
    return 0.0 if row is None else float(silhouette.bottom - row)


def _lengths(detection: Detection, silhouette: Silhouette) -> list[float]:
    """Distances between landmarks, and of landmarks from the mask's ends; pixels."""

    def between(a: int, b: int) -> float:
        return float(np.linalg.norm(detection.at(a) - detection.at(b)))

    shoulders, hips, knees, ankles = (detection.at(*pair) for pair in (SHOULDERS, HIPS, KNEES, ANKLES))
    return [
        between(*SHOULDERS),
        between(*HIPS),
        float(np.linalg.norm(shoulders - hips)),
        silhouette.bottom - float(hips[1]),
        silhouette.bottom - float(shoulders[1]),
        float(knees[1] - hips[1]),
        float(ankles[1] - knees[1]),
        sum(between(s, e) for s, e in zip(SHOULDERS, ELBOWS, strict=True)) / 2,
        sum(between(e, w) for e, w in zip(ELBOWS, WRISTS, strict=True)) / 2,
        float(detection.landmarks[NOSE, 1]) - silhouette.top,
        between(*KNEES),
        between(*ANKLES),
    ]


def _world_ratios(detection: Detection) -> Floats:
    """Lengths of limbs in MediaPipe's own space, in percent of trunk and legs together."""

    def between(pair_a: tuple[int, int], pair_b: tuple[int, int]) -> float:
        return float(np.linalg.norm(detection.world[list(pair_a)] - detection.world[list(pair_b)], axis=1).sum())

    across = [float(np.linalg.norm(detection.world[a] - detection.world[b])) for a, b in (SHOULDERS, HIPS)]
    chain = [(SHOULDERS, HIPS), (HIPS, KNEES), (KNEES, ANKLES), (SHOULDERS, ELBOWS), (ELBOWS, WRISTS)]
    along = [between(a, b) for a, b in chain]
    return np.array([*across, *along]) / max(sum(along[:3]), 1e-6) * 100


def _slant(detection: Detection) -> float:
    """How far shoulders and hips are shifted sideways, pixels."""
    columns = detection.landmarks[:, 0]
    return float(np.abs(columns[list(SHOULDERS)] - columns[list(HIPS)]).sum())


def _limbs(detection: Detection, silhouette: Silhouette) -> list[float]:
    """Widths across the neck and across the arms (the thinner one of left and right); pixels."""
    shoulders = detection.at(*SHOULDERS)
    trunk_px = float(np.linalg.norm(detection.at(*HIPS) - shoulders))
    crown = np.array([float(np.flatnonzero(silhouette.mask[silhouette.top]).mean()), float(silhouette.top)])
    along = shoulders + NECK_LEVELS[:, None] * (crown - shoulders)
    necks = _across(silhouette, along, np.array([1.0, 0.0]), NECK_REACH * trunk_px)
    arms = []
    for starts, ends, levels in ((SHOULDERS, ELBOWS, UPPER_ARM_LEVELS), (ELBOWS, WRISTS, FOREARM_LEVELS)):
        sides = []
        for start, end in zip(starts, ends, strict=True):
            a, b = detection.at(start), detection.at(end)
            bone = (b - a) / (np.linalg.norm(b - a) + 1e-9)
            points = a + levels[:, None] * (b - a)
            sides.append(_across(silhouette, points, np.array([-bone[1], bone[0]]), ARM_REACH * trunk_px))
        arms += np.minimum(*sides).tolist()
    return [*necks.tolist(), *arms]


def _across(silhouette: Silhouette, points: Floats, direction: Floats, reach: float) -> Floats:
    """(n,) widths through (n, 2) points along a unit direction, each end where the probability falls to one half."""
    steps = np.linspace(0.0, reach, REACH_STEPS)
    width = np.zeros(len(points))
    for sign in (1.0, -1.0):
        x, y = (points[:, axis, None] + sign * direction[axis] * steps for axis in (0, 1))
        inside = cv2.remap(
            silhouette.mask_probability, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR
        ).astype(np.float64)
        width += [_first_fall(row, steps) for row in inside]
    return width


def _first_fall(probability: Floats, steps: Floats) -> float:
    outside = np.flatnonzero(probability < MASK_LEVEL)
    if len(outside) == 0:
        return float(steps[-1])
    first = int(outside[0])
    if first == 0:
        return 0.0
    before, after = probability[first - 1], probability[first]
    return float(steps[first - 1] + steps[1] * (before - MASK_LEVEL) / (before - after + 1e-9))


def _outline(detection: Detection, silhouette: Silhouette) -> list[float]:
    """Widths of the whole mask, roots of the areas above, between and below shoulders and hips, spread of the arms."""
    shoulders, hips = detection.at(*SHOULDERS), detection.at(*HIPS)
    last = len(silhouette.mask) - 1
    rows = np.clip(np.round(shoulders[1] + OUTER_LEVELS * (hips - shoulders)[1]), 0, last).astype(int)
    filled = silhouette.mask.sum(axis=1)
    upper, lower = (int(np.clip(row, 0, last)) for row in (shoulders[1], hips[1]))
    areas = (filled[:upper].sum(), filled[upper:lower].sum(), filled[lower:].sum())
    spread = [abs(float(detection.at(w)[0] - detection.at(s)[0])) for w, s in zip(WRISTS, SHOULDERS, strict=True)]
    return [*filled[rows].tolist(), *np.sqrt(areas).tolist(), *spread]
