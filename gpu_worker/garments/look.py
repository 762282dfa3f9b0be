"""How a garment's cloth looks: colour, fabric, a brand's print or a product photo; and what of these is refused."""

import io
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.chart import Category

Fabric = Literal["jersey", "poplin", "twill", "denim", "fleece", "crepe"]
FABRICS: tuple[Fabric, ...] = ("jersey", "poplin", "twill", "denim", "fleece", "crepe")
FABRIC_OF: dict[Category, Fabric] = {
    "t-shirt": "jersey",
    "long-sleeve shirt": "poplin",
    "hoodie": "fleece",
    "dress": "crepe",
    "skirt": "crepe",
    "trousers": "twill",
    "shorts": "twill",
}
ROUGHNESS: dict[Fabric, float] = {
    "jersey": 0.92,
    "poplin": 0.80,
    "twill": 0.86,
    "denim": 0.90,
    "fleece": 1.0,
    "crepe": 0.78,
}
MAX_PICTURE_BYTES, MAX_PICTURE_PX, LEAST_PICTURE_PX = 8_000_000, 4096, 8
KEPT_PX = 1024
"""Pictures are delivered no larger than this."""
TILE_CM = (0.5, 200.0)


class LookRefused(Exception):
    """The look cannot be drawn; `code` is for a program: `look_invalid`, `look_too_large`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Look:
    """How cloth looks.

    colour    : linear RGB
    roughness : None for the fabric's own
    fabric    : one of `FABRICS`, "" for the category's own
    texture   : a tileable PNG or JPEG; it takes the colour's place
    tile_cm   : width of one tile on the cloth
    photo     : a PNG or JPEG of the garment's front on a plain ground, drawn on the front panel of tops, dresses and
                skirts; the rest takes its colour
    """

    colour: tuple[float, float, float] = (0.22, 0.30, 0.42)
    roughness: float | None = None
    fabric: str = ""
    texture: bytes | None = None
    tile_cm: float = 10.0
    photo: bytes | None = None


def fabric_of(category: Category, look: Look) -> Fabric:
    return next((fabric for fabric in FABRICS if fabric == look.fabric), FABRIC_OF[category])


def check_look(look: Look) -> None:
    """Raises `LookRefused` in words a brand can act on."""
    if look.fabric and look.fabric not in FABRICS:
        raise LookRefused("look_invalid", f"{look.fabric!r} is not one of the fabrics {', '.join(FABRICS)}.")
    if not all(0 <= shade <= 1 for shade in look.colour):
        raise LookRefused("look_invalid", "The colour's shares of red, green and blue must lie from 0 to 1.")
    if look.texture is not None and look.photo is not None:
        raise LookRefused("look_invalid", "A look has a fabric texture or a product photo, not both.")
    if look.texture is not None:
        if not TILE_CM[0] <= look.tile_cm <= TILE_CM[1]:
            raise LookRefused("look_invalid", f"tile_cm must lie from {TILE_CM[0]:g} to {TILE_CM[1]:g}.")
        picture(look.texture, "fabric texture")
    if look.photo is not None:
        picture(look.photo, "product photo")


@lru_cache(maxsize=4)
def picture(data: bytes, name: str) -> Image.Image:
    """The picture as RGB, at most `KEPT_PX` a side. Raises `LookRefused`."""
    if len(data) > MAX_PICTURE_BYTES:
        limit = MAX_PICTURE_BYTES // 1_000_000
        raise LookRefused("look_too_large", f"The {name} has {len(data):,} bytes; the limit is {limit} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        if max(opened.size) > MAX_PICTURE_PX:
            raise LookRefused("look_too_large", f"The {name} is {opened.size} pixels; the limit is {MAX_PICTURE_PX}.")
        if min(opened.size) < LEAST_PICTURE_PX:
            raise LookRefused("look_invalid", f"The {name} is {opened.size} pixels: too small to show anything.")
        plain = _flattened(opened)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombWarning) as broken:
        raise LookRefused("look_invalid", f"The {name} is no PNG or JPEG that can be read.") from broken
    plain.thumbnail((KEPT_PX, KEPT_PX))
    return plain


def _flattened(opened: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white."""
    if opened.mode in {"RGBA", "LA", "PA"} or "transparency" in opened.info:
        layer = opened.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return opened.convert("RGB")


def to_screen(light: Floats) -> Floats:
    """Linear light, 0 to 1, as sRGB from 0 to 1."""
    shown: Floats = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return shown


def to_light(shown: Floats) -> Floats:
    """SRGB from 0 to 1 as linear light."""
    light: Floats = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    return light
