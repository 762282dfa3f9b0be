"""The surface of a fabric, seen close: one tile of its threads as a normal map, made from waves and seeded noise."""

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.look import Fabric

TILE_PX = 128
SEED = 7


@dataclass(frozen=True, eq=False)
class Weave:
    """One tile. width_m : on the cloth; normals : (h, w, 3) unit, y up; png : the same as a picture."""

    width_m: float
    normals: Floats
    png: bytes


@cache
def weave_of(fabric: Fabric) -> Weave:
    width_m, steepness, height = _HEIGHTS[fabric]()
    down, right = (np.roll(height, -1, axis) - np.roll(height, 1, axis) for axis in (0, 1))
    normals = np.stack([-right * steepness, down * steepness, np.ones_like(height)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    steps = np.round((normals + 1) / 2 * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(steps).save(out, "PNG", optimize=True)
    return Weave(width_m, steps / 255 * 2 - 1, out.getvalue())


def _grid() -> tuple[Floats, Floats]:
    """X and y (h, w), one turn over the tile."""
    turn = np.arange(TILE_PX) * (2 * np.pi / TILE_PX)
    return np.broadcast_to(turn, (TILE_PX, TILE_PX)), np.broadcast_to(turn[:, None], (TILE_PX, TILE_PX))


def _noise(blur_px: float) -> Floats:
    noise = gaussian_filter(np.random.default_rng(SEED).standard_normal((TILE_PX, TILE_PX)), blur_px, mode="wrap")
    scaled: Floats = noise / noise.std()
    return scaled


def _jersey() -> tuple[float, float, Floats]:
    """Eight wales of little Vs."""
    x, y = _grid()
    bow = np.abs(np.sin(4 * x))
    return 0.010, 0.55, 0.6 * bow + 0.4 * np.cos(8 * y + 2.5 * bow)


def _poplin() -> tuple[float, float, Floats]:
    x, y = _grid()
    return 0.010, 0.35, np.cos(16 * x) * np.cos(16 * y)


def _twill() -> tuple[float, float, Floats]:
    x, y = _grid()
    return 0.012, 0.50, np.cos(8 * (x + y)) + 0.3 * np.cos(16 * y - 8 * x)


def _denim() -> tuple[float, float, Floats]:
    """Twill whose threads are not alike."""
    x, y = _grid()
    return 0.020, 0.55, np.cos(8 * (x + y)) * (1 + 0.35 * _noise(6)) + 0.3 * np.cos(16 * y - 8 * x)


def _crepe() -> tuple[float, float, Floats]:
    return 0.020, 0.30, _noise(2.5)


def _fleece() -> tuple[float, float, Floats]:
    return 0.040, 0.26, _noise(2.0) + 0.8 * _noise(5)


_HEIGHTS = {
    "jersey": _jersey,
    "poplin": _poplin,
    "twill": _twill,
    "denim": _denim,
    "crepe": _crepe,
    "fleece": _fleece,
}
