"""Rendered people, good and bad. No photograph of anybody enters the repository."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from gpu_worker.body.canonical import CanonicalBody, Shape
from gpu_worker.pipeline import Pipeline
from gpu_worker.pose import PoseDetector
from gpu_worker.training.render import Picture
from gpu_worker.training.scenes import Shot, Stance, Studio, background, encode_jpeg, take
from gpu_worker.training.wardrobe import Outfit

MAN = Shape(gender=0.0, weight=0.6, height=0.36)
WOMAN = Shape(gender=1.0, weight=0.5, height=0.4)
PLAIN = Outfit()
UPRIGHT = Stance()
SHOT = Shot(size_px=(540, 720), fill=0.85)

Draw = Callable[..., Picture]


def needs_mediapipe() -> None:
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("MediaPipe has no build for this platform")


@pytest.fixture(scope="session")
def studio() -> Studio:
    cv2.setNumThreads(1)
    return Studio(CanonicalBody.load())


@pytest.fixture(scope="session")
def detector() -> PoseDetector:
    needs_mediapipe()
    return PoseDetector()


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    needs_mediapipe()
    return Pipeline.load()


@pytest.fixture(scope="session")
def draw(studio: Studio) -> Draw:
    """A person in a room; fixed seed, so the same arguments draw the same picture."""

    def picture(
        shape: Shape = MAN, stance: Stance = UPRIGHT, outfit: Outfit = PLAIN, shot: Shot = SHOT, seed: int = 0
    ) -> Picture:
        return studio.picture(shape, stance, outfit, shot, np.random.default_rng(seed))

    return picture


@pytest.fixture(scope="session")
def couple(studio: Studio) -> Picture:
    """Two people side by side."""
    rng = np.random.default_rng(0)
    shot = Shot(size_px=(720, 720), fill=0.8)
    canvas = background(shot.size_px, rng)
    studio.draw(canvas, WOMAN, UPRIGHT, PLAIN, replace(shot, fill=0.72, shift=(0.22, 0.0)), rng)
    studio.draw(canvas, MAN, UPRIGHT, PLAIN, replace(shot, shift=(-0.22, 0.0)), rng)
    return take(canvas, rng)


@pytest.fixture(scope="session")
def good_jpeg(draw: Draw) -> bytes:
    return encode_jpeg(draw())
