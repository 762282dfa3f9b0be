"""From bytes to upright pixels, or a refusal."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from gpu_worker.photo import LONG_SIDE_PX, MAX_BYTES, PhotoRefused, decode

ORIENTATION, MAKE = 0x0112, 0x010F


def encoded(width: int, height: int, form: str = "JPEG", mode: str = "RGB", orientation: int | None = None) -> bytes:
    """A picture whose upper half is red and lower half blue."""
    image = Image.new("RGB", (width, height), (20, 20, 220))
    image.paste((220, 20, 20), (0, 0, width, height // 2))
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, form, exif=exif)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def refusal(data: bytes) -> str:
    with pytest.raises(PhotoRefused) as refused:
        decode(data)
    return refused.value.code


class TestGoodFiles:
    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    def test_each_format_is_read(self, form: str) -> None:
        rgb = decode(encoded(300, 400, form)).rgb
        assert rgb.shape == (400, 300, 3)
        assert rgb[10, 150, 0] > 200
        assert rgb[390, 150, 0] < 100

    @pytest.mark.parametrize(("orientation", "red_row"), [(1, 10), (3, 390), (None, 10)])
    def test_orientation_is_applied(self, orientation: int | None, red_row: int) -> None:
        assert decode(encoded(300, 400, orientation=orientation)).rgb[red_row, 150, 0] > 200

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_every_turn_is_the_one_that_pillow_makes(self, orientation: int) -> None:
        exif, buffer = Image.Exif(), io.BytesIO()
        exif[ORIENTATION] = orientation
        picture = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
        Image.fromarray(picture).save(buffer, "PNG", exif=exif)
        with Image.open(buffer) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(decode(buffer.getvalue()).rgb, expected)

    def test_odd_notes_of_a_camera_do_no_harm(self) -> None:
        """A width given as a word: Pillow reads it and cannot write it again."""
        exif = Image.Exif()
        exif[ORIENTATION], exif[MAKE] = 6, "Maker"
        buffer = io.BytesIO()
        Image.new("RGB", (300, 400)).save(buffer, "JPEG", exif=exif)
        odd = buffer.getvalue().replace(b"\x01\x0f\x00\x02", b"\x01\x00\x00\x02")
        assert decode(odd).rgb.shape == (300, 400, 3)

    @pytest.mark.parametrize("width", [400, 6000])
    def test_a_quarter_turn_swaps_the_sides_of_large_pictures_too(self, width: int) -> None:
        rgb = decode(encoded(width, width * 3 // 4, orientation=6)).rgb
        assert rgb.shape[0] > rgb.shape[1]
        assert rgb[200, -5, 0] > 200 > rgb[200, 5, 0]

    def test_large_pictures_are_shrunk(self) -> None:
        assert max(decode(encoded(4000, 6000)).rgb.shape) == LONG_SIDE_PX

    def test_small_pictures_are_left_alone(self) -> None:
        assert decode(encoded(64, 48)).rgb.shape == (48, 64, 3)

    @pytest.mark.parametrize("mode", ["L", "CMYK"])
    def test_other_colour_modes_become_rgb(self, mode: str) -> None:
        assert decode(encoded(60, 80, mode=mode)).rgb.shape == (80, 60, 3)

    def test_transparency_becomes_white(self) -> None:
        buffer = io.BytesIO()
        Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(buffer, "PNG")
        assert (decode(buffer.getvalue()).rgb == 255).all()


class TestRefusals:
    @pytest.mark.parametrize(
        "data", [b"", b"hello", b"GIF89a" + bytes(100), b"%PDF-1.7", b"\xff\xd8\xff", b"RIFF1234WEBP"]
    )
    def test_what_is_no_picture_is_unreadable(self, data: bytes) -> None:
        assert refusal(data) == "photo_unreadable"

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
    def test_a_cut_off_file_is_unreadable(self, form: str, kept: float) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, form)
        assert refusal(buffer.getvalue()[: int(kept * buffer.tell())]) == "photo_unreadable"

    def test_a_header_that_claims_more_than_there_is_is_unreadable(self) -> None:
        assert refusal(png_header(4000, 4000)) == "photo_unreadable"

    def test_more_than_ten_megabytes_are_too_large_whatever_they_are(self) -> None:
        assert refusal(bytes(MAX_BYTES + 1)) == "photo_too_large"

    @pytest.mark.parametrize(("width", "height"), [(10_000, 5_001), (60_000, 60_000)])
    def test_a_bomb_is_refused_by_its_header(self, width: int, height: int) -> None:
        assert refusal(png_header(width, height)) == "photo_too_large"
