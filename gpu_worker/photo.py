"""A shopper's photo, from bytes to upright RGB pixels, or a refusal with a code.

Read from memory only; of its metadata nothing but the orientation. The picture is never written, logged or kept.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

PhotoRefusal = Literal[
    "photo_unreadable",
    "photo_no_person",
    "photo_several_people",
    "photo_cropped",
    "photo_too_small",
    "photo_too_large",
    "photo_pose",
]
Pixels = NDArray[np.uint8]

MAX_BYTES = 10_000_000
MAX_PIXELS = 50_000_000
LONG_SIDE_PX = 1280
"""Pictures are shrunk to this; MediaPipe looks at 256 x 256 crops, so more adds nothing."""

REDUCIBLE = {"RGB", "L", "RGBA", "CMYK"}
"""Modes in which neighbouring pixels may be averaged."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the orientation in its metadata."""

FORMATS = ("JPEG", "PNG", "WEBP")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")


class PhotoRefused(Exception):
    """A photo that cannot be used; the shopper can act on `code`."""

    def __init__(self, code: PhotoRefusal) -> None:
        super().__init__(code)
        self.code: PhotoRefusal = code


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """An upright photo.

    rgb : (H, W, 3) uint8, long side at most LONG_SIDE_PX
    """

    rgb: Pixels


def decode(data: bytes) -> DecodedPhoto:
    """Check and decode a JPEG, PNG or WebP; raises `PhotoRefused`. Dimensions are checked before any pixel is read."""
    if len(data) > MAX_BYTES:
        raise PhotoRefused("photo_too_large")
    if not data.startswith(MAGIC):
        raise PhotoRefused("photo_unreadable")
    with warnings.catch_warnings():
        # Pillow warns of large pictures by its own limit; ours is below
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # broken metadata, which nobody reads here
        return DecodedPhoto(rgb=_shrink(_read(data)))


def _read(data: bytes) -> Pixels:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PhotoRefused("photo_too_large")
            if image.format == "JPEG":
                image.draft("RGB", (2 * LONG_SIDE_PX, 2 * LONG_SIDE_PX))  # decodes at a half, quarter or eighth
            image.load()
            factor = max(image.size) // (2 * LONG_SIDE_PX)
            smaller = image.reduce(factor) if factor > 1 and image.mode in REDUCIBLE else image
            return np.asarray(_on_white(_upright(smaller, _orientation(image))), dtype=np.uint8)
    except Image.DecompressionBombError as error:
        raise PhotoRefused("photo_too_large") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        # what Pillow raises for files that are cut off, or are not what their header says
        raise PhotoRefused("photo_unreadable") from error


def _orientation(image: Image.Image) -> object:
    """As the camera noted it; nothing where its notes cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  cameras write what they like, and Pillow raises what it meets
        return None


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    """Not `ImageOps.exif_transpose`: that writes all other metadata anew, and faults over what is odd in it."""
    turn = next((turn for noted, turn in TURNS.items() if noted == orientation), None)
    return image if turn is None else image.transpose(turn)


def _on_white(image: Image.Image) -> Image.Image:
    """RGB, with transparent parts on white."""
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("RGB")


def _shrink(rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    scale = LONG_SIDE_PX / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(rgb)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
