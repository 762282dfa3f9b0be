"""The pictures of a garment's material: its colour with what is sewn on it, a brand's print, a product photo."""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.body.arrays import Bools, Floats
from gpu_worker.garments.atlas import Layout, Sewn, layout_of, sewn
from gpu_worker.garments.chart import Category
from gpu_worker.garments.look import Fabric, picture, to_light, to_screen

SHADES = 240
"""Entries of the palette that are shades of the cloth; those above are thread."""
DENIM_THREAD = (0.42, 0.20, 0.055)
DARK = 0.18
"""Cloth darker than this is sewn with lighter thread."""
PRINT_QUALITY, PHOTO_QUALITY = 88, 84
PHOTO_PX_PER_M = 800
GROUND_DIFFERENCE = 28.0
"""How far a pixel of a photo differs from its ground, 0 to 441, to be garment."""
LEAST_GARMENT = 0.04
"""Share of a photo that has to be garment."""
FEATHER_M = 0.03
MIDDLE_ROWS = (0.45, 0.8)
"""Where down the garment its trunk's width is read: below the sleeves."""
FRONTS: frozenset[Category] = frozenset({"t-shirt", "long-sleeve shirt", "hoodie", "dress", "skirt"})


@dataclass(frozen=True, eq=False)
class Picture:
    """A texture's bytes as they are delivered."""

    media_type: str
    data: bytes


@lru_cache(maxsize=32)
def sewn_picture(category: Category, fabric: Fabric, colour: tuple[float, float, float]) -> Picture:
    """The cloth in its colour, seams and thread drawn; sRGB, one byte a pixel."""
    out = io.BytesIO()
    drawing = Image.fromarray(_indexed(category, fabric))
    drawing.putpalette(_palette(fabric, np.array(colour)).tobytes())
    drawing.save(out, "PNG")
    return Picture("image/png", out.getvalue())


@lru_cache(maxsize=16)
def shade_picture(category: Category, fabric: Fabric) -> Picture:
    """What is sewn, as shade alone: for cloth whose colour comes from a print."""
    drawing = sewn(category, fabric)
    out = io.BytesIO()
    Image.fromarray(np.round(_shaded(drawing) * 255).astype(np.uint8)).save(out, "PNG")
    return Picture("image/png", out.getvalue())


@lru_cache(maxsize=8)
def print_picture(texture: bytes) -> Picture:
    """One tile of a brand's print."""
    out = io.BytesIO()
    picture(texture, "fabric texture").save(out, "JPEG", quality=PRINT_QUALITY)
    return Picture("image/jpeg", out.getvalue())


@lru_cache(maxsize=8)
def photo_picture(category: Category, fabric: Fabric, photo: bytes) -> Picture:
    """The cloth in the photo's commonest colour, with the photo's garment on its front panel."""
    shot = np.asarray(picture(photo, "product photo"), np.float64)
    garment = _garment_in(shot)
    colour = to_light(np.median(shot[garment], axis=0) / 255)
    layout, drawing = layout_of(category), sewn(category, fabric)
    width, height = (round(side * PHOTO_PX_PER_M) for side in layout.size_m)
    cloth = np.tile(to_screen(colour) * 255, (height, width, 1))
    if category in FRONTS:
        _lay_on_front(cloth, shot, garment, layout)
    cloth *= _resized(_shaded(drawing), width, height)[:, :, None]
    out = io.BytesIO()
    Image.fromarray(np.round(np.clip(cloth, 0, 255)).astype(np.uint8)).save(out, "JPEG", quality=PHOTO_QUALITY)
    return Picture("image/jpeg", out.getvalue())


@lru_cache(maxsize=16)
def _indexed(category: Category, fabric: Fabric) -> NDArray[np.uint8]:
    drawing = sewn(category, fabric)
    return np.where(drawing.thread, SHADES, np.round(drawing.shade * (SHADES - 1))).astype(np.uint8)


def _palette(fabric: Fabric, colour: Floats) -> NDArray[np.uint8]:
    """(256, 3) sRGB."""
    shades = np.linspace(0, 1, SHADES)[:, None] * colour
    if fabric == "denim":
        thread = np.array(DENIM_THREAD)
    else:
        thread = colour * 0.78 if colour.max() > DARK else colour * 1.5 + 0.012
    rows = np.concatenate([shades, np.tile(thread, (256 - SHADES, 1))])
    return np.round(to_screen(np.minimum(rows, 1)) * 255).astype(np.uint8)


def _shaded(drawing: Sewn) -> NDArray[np.float32]:
    return np.where(drawing.thread, np.float32(0.8), drawing.shade)


def _garment_in(shot: Floats) -> Bools:
    """(h, w) what is not the ground; everything where no plain ground is to be seen."""
    rim = np.concatenate([shot[0], shot[-1], shot[:, 0], shot[:, -1]])
    ground = np.median(rim, axis=0)
    differs = np.asarray(np.linalg.norm(shot - ground, axis=2) > GROUND_DIFFERENCE)
    return differs if differs.mean() > LEAST_GARMENT else np.ones_like(differs)


def _lay_on_front(cloth: Floats, shot: Floats, garment: Bools, layout: Layout) -> None:
    """The photo's trunk over the front panel, fading into plain cloth before its sides and where it shows ground."""
    rows = np.flatnonzero(garment.any(axis=1))
    top, low = int(rows[0]), int(rows[-1]) + 1
    band = garment[top + int((low - top) * MIDDLE_ROWS[0]) : top + int((low - top) * MIDDLE_ROWS[1])]
    columns = np.flatnonzero(band.mean(axis=0) > 0.5)
    if not len(columns):
        return
    left, right = int(columns[0]), int(columns[-1]) + 1
    panel, (x, y) = layout.panels["front"], layout.corners["front"]
    width, height = round(panel.width_m * PHOTO_PX_PER_M), round(panel.height_m * PHOTO_PX_PER_M)
    start, end = round(x * PHOTO_PX_PER_M), round((layout.size_m[1] - y) * PHOTO_PX_PER_M)
    front = _resized(shot[top:low, left:right], width, height)
    mask = _resized(garment[top:low, left:right].astype(np.float64), width, height)
    reach = FEATHER_M * PHOTO_PX_PER_M
    from_side = np.minimum(np.arange(width), np.arange(width)[::-1])
    mask = np.clip(mask * 2 - 1, 0, 1) * np.clip(from_side / reach, 0, 1)
    place = (slice(max(end - height, 0), end), slice(start, start + width))
    shown = cloth[place]
    mask, front = mask[-len(shown) :, :, None], front[-len(shown) :]
    cloth[place] = shown * (1 - mask) + front * mask


def _resized(values: "NDArray[np.floating]", width: int, height: int) -> Floats:
    """Rows and columns brought to a size, smoothly."""
    channels = values[:, :, None] if values.ndim == 2 else values
    parts = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(channels[:, :, channel], np.float32)).resize(
                (width, height), Image.Resampling.BILINEAR
            ),
            np.float64,
        )
        for channel in range(channels.shape[2])
    ]
    sized: Floats = parts[0] if values.ndim == 2 else np.stack(parts, axis=2)
    return sized
