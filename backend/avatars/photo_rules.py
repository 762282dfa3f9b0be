"""What a photo must be before anything is computed: judged by its header alone, never decoded. Pure.

The one importer of Pillow, whose `Image.open` is lazy: it reads the dimensions and no pixel.
"""

import io
import warnings

import msgspec
from PIL import Image, UnidentifiedImageError

from backend.avatars.errors import WORDS, PhotoTooLarge, PhotoUnreadable
from backend.core.magic import image_type

MAX_PHOTO_BYTES = 10_000_000
MAX_PHOTO_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP")


class PhotoHeader(msgspec.Struct, frozen=True):
    media_type: str
    width: int
    height: int


def check_photo(body: bytes, field: str) -> PhotoHeader:
    """The type its own bytes speak of and its size, or a refusal that names `field`."""
    if len(body) > MAX_PHOTO_BYTES:
        raise PhotoTooLarge(WORDS["photo_too_large"], field=field, max_bytes=MAX_PHOTO_BYTES)
    media_type = image_type(body[:12])
    if media_type is None:
        raise PhotoUnreadable(WORDS["photo_unreadable"], field=field)
    width, height = _dimensions(body, field)
    if width * height > MAX_PHOTO_PIXELS:
        raise PhotoTooLarge(WORDS["photo_too_large"], field=field, max_pixels=MAX_PHOTO_PIXELS)
    return PhotoHeader(media_type, width, height)


def _dimensions(body: bytes, field: str) -> tuple[int, int]:
    """Pillow's own warning of a decompression bomb is off: our limit is lower and answers with words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                return image.size
    except Image.DecompressionBombError as error:
        raise PhotoTooLarge(WORDS["photo_too_large"], field=field, max_pixels=MAX_PHOTO_PIXELS) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise PhotoUnreadable(WORDS["photo_unreadable"], field=field) from error
