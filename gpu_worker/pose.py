"""Landmarks and mask of a person by MediaPipe, on the CPU.

MediaPipe's models are inside its wheel; nothing is downloaded. A graph is not thread-safe: one `PoseDetector` for
each process and thread.
"""

import os
import sys
import types
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Bools, Floats
from gpu_worker.photo import PhotoRefused, Pixels

Floats32 = NDArray[np.float32]

LANDMARKS: Final = 33
NOSE: Final = 0
SHOULDERS: Final = (11, 12)
ELBOWS: Final = (13, 14)
WRISTS: Final = (15, 16)
INDEX_FINGERS: Final = (19, 20)
HIPS: Final = (23, 24)
KNEES: Final = (25, 26)
ANKLES: Final = (27, 28)
HEELS: Final = (29, 30)
TOES: Final = (31, 32)
"""BlazePose landmark numbers, (left, right) of the person."""

MODEL_COMPLEXITY = 1
"""The only landmark model inside the wheel (`pose_landmark_full`)."""

MIN_DETECTION_CONFIDENCE = 0.5
MASK_LEVEL = 0.5
"""Probability from which a pixel belongs to the person."""

# Quality gates. Each is far on the lenient side of what good pictures show, because a good photo refused costs more
# than a poor one measured: its standard deviation says so. Lengths are shares of the distance shoulders to hips.

MIN_HEIGHT_PX = 450
"""Of the person; nobody smaller was trained."""
MIN_TRUNK_VISIBILITY = 0.5
MIN_LANDMARKS_IN_MASK = 0.6
"""Share of shoulders, hips and knees that lie on the mask; a hallucinated person has its mask elsewhere."""
MIN_FOOT_VISIBILITY = 0.2
FRAME_MARGIN = 0.005
"""Feet lower than this above the picture's lower edge (share of its height) are cut."""
MIN_TOUCH = 0.02
"""Share of the picture's width along which the mask must touch an edge to be cut by it."""
MIN_SECOND_AREA = 0.15
"""Of a second person, as a share of the first."""
MIN_SECOND_VISIBILITY = 0.6
SECOND_LOOK_PX = 720
"""Height from which the second look takes every second pixel."""
MIN_SHOULDER_WIDTH = 0.42
"""Facing the camera shows .55 to .9; turned by 45°, .5; by 60°, .4."""
MAX_TURN = 35.0
"""Degrees, by MediaPipe's own depth of the shoulders."""
MIN_KNEE_ANGLE = 115.0
"""Degrees in MediaPipe's own space; standing shows 140 to 180, sitting 70 to 110."""
MIN_THIGH = 0.45
"""Height of the thigh as a share of the lower leg's; sitting foreshortens it."""
MAX_ANKLES_CROSSED = 0.02
MAX_WRIST_ABOVE_SHOULDER = 0.3
WRIST_INSIDE, WRIST_INSIDE_CHEST, CHEST_SHARE = 0.7, 1.3, 0.4
"""A wrist nearer to the middle line than this share of the half shoulder width lies across the body; before the chest,
the upper .4 of the trunk, it hides more."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One person as MediaPipe sees it.

    landmarks        : (33, 3) pixel x, pixel y, visibility
    world            : (33, 3) metres about the middle of the hips, x right, y down, z away from the camera
    mask_probability : (H, W) float32, of each pixel to belong to the person
    """

    landmarks: Floats32
    world: Floats32
    mask_probability: Floats32

    def at(self, *landmarks: int) -> Floats:
        """(2,) mean pixel position of some landmarks."""
        mean: Floats = self.landmarks[list(landmarks), :2].astype(np.float64).mean(axis=0)
        return mean


@dataclass(frozen=True, eq=False)
class Silhouette:
    """One person cut out.

    mask             : (H, W) the largest connected part
    mask_probability : (H, W)
    top, bottom      : first and last row of the mask
    second_area      : pixels of the second largest part, as a share of the largest
    """

    mask: Bools
    mask_probability: Floats32
    top: int
    bottom: int
    second_area: float

    @property
    def height_px(self) -> int:
        return self.bottom - self.top + 1


def cut_out(mask_probability: Floats32) -> Silhouette | None:
    """The largest connected part of the mask, or None where there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (mask_probability > MASK_LEVEL).astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    part = 1 + int(np.argmax(areas))
    second = float(np.sort(areas)[-2] / areas.max()) if count > 2 else 0.0
    top = int(stats[part, cv2.CC_STAT_TOP])
    bottom = top + int(stats[part, cv2.CC_STAT_HEIGHT]) - 1
    return Silhouette(labels == part, mask_probability, top, bottom, second)


def _import_pose_solution() -> Any:
    """Import MediaPipe. Its drawing module wants pyplot, which nothing here uses: an empty module does."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    names = ("matplotlib", "matplotlib.pyplot")
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        sys.modules[name] = types.ModuleType(name)
    try:
        from mediapipe.python.solutions import pose  # noqa: PLC0415 – after the stand-ins, and only where photos are read
    finally:
        for name in missing:
            del sys.modules[name]
    return pose


class PoseDetector:
    """Holds the loaded graph (170 MB); `detect` takes 40 ms."""

    def __init__(self) -> None:
        self._graph = _import_pose_solution().Pose(
            static_image_mode=True,
            model_complexity=MODEL_COMPLEXITY,
            enable_segmentation=True,
            min_detection_confidence=MIN_DETECTION_CONFIDENCE,
        )

    def detect(self, rgb: Pixels) -> Detection | None:
        """The most prominent person, or None."""
        found = self._graph.process(rgb)
        if found.pose_landmarks is None or found.segmentation_mask is None:
            return None
        height, width = rgb.shape[:2]
        landmarks = [(p.x * width, p.y * height, p.visibility) for p in found.pose_landmarks.landmark]
        world = [(p.x, p.y, p.z) for p in found.pose_world_landmarks.landmark]
        return Detection(
            np.array(landmarks, np.float32),
            np.array(world, np.float32),
            np.asarray(found.segmentation_mask, np.float32),
        )

    def close(self) -> None:
        self._graph.close()


# --- quality gates ---------------------------------------------------------------------------------------------------


def read_person(detector: PoseDetector, rgb: Pixels) -> tuple[Detection, Silhouette]:
    """The one upright person of a front photo; raises `PhotoRefused`."""
    detection = detector.detect(rgb)
    silhouette = None if detection is None else cut_out(detection.mask_probability)
    if detection is None or silhouette is None or not _is_person(detection, silhouette):
        raise PhotoRefused("photo_no_person")
    if _is_second_person(detector, rgb, silhouette):
        raise PhotoRefused("photo_several_people")
    check(detection, silhouette)
    return detection, silhouette


def check(detection: Detection, silhouette: Silhouette) -> None:
    """Refuse what can be seen from landmarks and mask alone; raises `PhotoRefused`."""
    if not _is_person(detection, silhouette):
        raise PhotoRefused("photo_no_person")
    if silhouette.second_area > MIN_SECOND_AREA:
        raise PhotoRefused("photo_several_people")
    if _is_cropped(detection, silhouette):
        raise PhotoRefused("photo_cropped")
    if silhouette.height_px < MIN_HEIGHT_PX:
        raise PhotoRefused("photo_too_small")
    if not (_is_facing(detection) and _is_standing(detection) and _are_limbs_clear(detection)):
        raise PhotoRefused("photo_pose")


def is_side_view(detection: Detection | None) -> bool:
    """Whether somebody stands with one side to the camera."""
    return detection is not None and shoulder_turn(detection) > 90 - MAX_TURN


def shoulder_turn(detection: Detection) -> float:
    """Degrees by which the line of the shoulders is turned away from the picture, 0 to 90."""
    across = detection.world[SHOULDERS[0]] - detection.world[SHOULDERS[1]]
    return float(np.degrees(np.arctan2(abs(across[2]), abs(across[0]))))


def _trunk_px(detection: Detection) -> float:
    return max(1.0, float(np.linalg.norm(detection.at(*SHOULDERS) - detection.at(*HIPS))))


def _is_person(detection: Detection, silhouette: Silhouette) -> bool:
    trunk = detection.landmarks[[*SHOULDERS, *HIPS]]
    if trunk[:, 2].mean() < MIN_TRUNK_VISIBILITY:
        return False
    height, width = silhouette.mask.shape
    points = detection.landmarks[[*SHOULDERS, *HIPS, *KNEES], :2]
    inside = (points >= 0).all(axis=1) & (points < [width, height]).all(axis=1)
    columns, rows = points[inside].astype(int).T
    return bool(inside.any() and silhouette.mask[rows, columns].mean() >= MIN_LANDMARKS_IN_MASK)


def _is_second_person(detector: PoseDetector, rgb: Pixels, first: Silhouette) -> bool:
    """Look again at the picture without the first person."""
    step = -(-len(rgb) // SECOND_LOOK_PX)
    smaller, mask = np.ascontiguousarray(rgb[::step, ::step]), first.mask[::step, ::step]
    second = detector.detect(_without(smaller, mask))
    if second is None or second.landmarks[[*SHOULDERS, *HIPS], 2].mean() < MIN_SECOND_VISIBILITY:
        return False
    other = (second.mask_probability > MASK_LEVEL) & ~_grown(mask)
    return bool(other.sum() > MIN_SECOND_AREA * mask.sum())


def _grown(mask: Bools) -> Bools:
    """The mask with a margin of 2 % of the picture's height."""
    radius = max(2, mask.shape[0] // 50)
    grown: Bools = cv2.dilate(mask.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0
    return grown


def _without(rgb: Pixels, mask: Bools) -> Pixels:
    """The picture with the masked part replaced, row by row, by what is left and right of it."""
    hidden = _grown(mask)
    filled = rgb.copy()
    for row in np.flatnonzero(hidden.any(axis=1)):
        gone = np.flatnonzero(hidden[row])
        kept = np.flatnonzero(~hidden[row])
        if len(kept):
            for channel in range(3):
                filled[row, gone, channel] = np.interp(gone, kept, rgb[row, kept, channel])
    return np.where(hidden[..., None], np.asarray(cv2.GaussianBlur(filled, (0, 0), 2), np.uint8), rgb)


def _is_cropped(detection: Detection, silhouette: Silhouette) -> bool:
    height = len(silhouette.mask)
    feet = detection.landmarks[[*ANKLES, *HEELS, *TOES]]
    if feet[:, 1].max() > (1 - FRAME_MARGIN) * height or feet[:, 2].mean() < MIN_FOOT_VISIBILITY:
        return True
    edges = silhouette.mask[[0, -1]].mean(axis=1)
    return bool((edges > MIN_TOUCH).any() or detection.landmarks[NOSE, 1] <= silhouette.top)


def _is_facing(detection: Detection) -> bool:
    """Front to the camera: shoulders broad, the person's left on the picture's right."""
    across = detection.landmarks[SHOULDERS[0], 0] - detection.landmarks[SHOULDERS[1], 0]
    return bool(across > MIN_SHOULDER_WIDTH * _trunk_px(detection)) and shoulder_turn(detection) < MAX_TURN


def _is_standing(detection: Detection) -> bool:
    hips, knees, ankles = (detection.at(*pair)[1] for pair in (HIPS, KNEES, ANKLES))
    if knees - hips < MIN_THIGH * max(ankles - knees, 1.0):
        return False
    angles = [_angle(detection.world[[h, k, a]]) for h, k, a in zip(HIPS, KNEES, ANKLES, strict=True)]
    return float(np.mean(angles)) > MIN_KNEE_ANGLE


def _angle(points: Floats32) -> float:
    """Degrees at the middle one of three points."""
    a, b = points[0] - points[1], points[2] - points[1]
    cos = float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cos, -1, 1))))


def _are_limbs_clear(detection: Detection) -> bool:
    """Legs uncrossed, arms neither raised nor across the body."""
    trunk = _trunk_px(detection)
    points = detection.landmarks[:, :2]
    for left, right in (KNEES, ANKLES):
        if points[right, 0] - points[left, 0] > MAX_ANKLES_CROSSED * trunk:
            return False
    shoulders, hips = detection.at(*SHOULDERS), detection.at(*HIPS)
    half = abs(points[SHOULDERS[0], 0] - points[SHOULDERS[1], 0]) / 2
    for wrist in WRISTS:
        if points[wrist, 1] < shoulders[1] - MAX_WRIST_ABOVE_SHOULDER * trunk:
            return False
        level = (points[wrist, 1] - shoulders[1]) / trunk
        allowed = WRIST_INSIDE_CHEST if level < CHEST_SHARE else WRIST_INSIDE
        if level < 1 and abs(points[wrist, 0] - (shoulders[0] + hips[0]) / 2) < allowed * half:
            return False
    return True
