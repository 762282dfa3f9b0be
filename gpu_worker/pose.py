"""Landmarks and mask of a person by MediaPipe, on the CPU.

MediaPipe's models are inside its wheel; nothing is downloaded. A graph is not thread-safe: one `PoseDetector` for
each process and thread.
"""

import os
import sys
import types
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_worker.photo import Pixels

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

    def at(self, *landmarks: int) -> NDArray[np.float64]:
        """(2,) mean pixel position of some landmarks."""
        mean: NDArray[np.float64] = self.landmarks[list(landmarks), :2].astype(np.float64).mean(axis=0)
        return mean


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
