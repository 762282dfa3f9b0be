"""How cloth looks: what a brand's pictures become, what is refused, and what the garment's file carries of it."""

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.garments.atlas import layout_of, sewn
from gpu_worker.garments.chart import CATEGORIES, Category
from gpu_worker.garments.drawn import drawn, shade
from gpu_worker.garments.dress import Dressed, chart_rows, sheet_of
from gpu_worker.garments.garment_job import Dresser, DressRefused, GarmentSpec
from gpu_worker.garments.glb import encode_garment
from gpu_worker.garments.look import FABRIC_OF, FABRICS, Look
from gpu_worker.garments.pictures import photo_picture
from gpu_worker.garments.weave import weave_of

from .conftest import Person

RED, BLUE = (200, 30, 30), (30, 30, 200)


def png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def plain(width: int, height: int, colour: tuple[int, int, int] = RED) -> NDArray[np.uint8]:
    return np.tile(np.array(colour, np.uint8), (height, width, 1))


def shot() -> bytes:
    """A red garment with a blue print on its chest, on white."""
    pixels = np.full((300, 240, 3), 255, np.uint8)
    pixels[20:290, 60:180] = RED
    pixels[100:160, 100:140] = BLUE
    return png(pixels)


def described(glb: bytes) -> dict[str, Any]:
    size = struct.unpack_from("<I", glb, 12)[0]
    document: dict[str, Any] = json.loads(glb[20 : 20 + size])
    return document


@pytest.fixture(scope="module")
def tee(people: list[Person]) -> Dressed:
    rows = chart_rows("t-shirt", {"M": {"chest": people[0].chest_cm + 8}})
    return people[0].dressed.dress("t-shirt", rows)


@pytest.fixture(scope="module")
def dresser() -> Dresser:
    return Dresser()


class TestRefusals:
    @pytest.mark.parametrize(
        ("look", "code"),
        [
            (Look(fabric="chainmail"), "look_invalid"),
            (Look(colour=(1.4, 0.0, 0.0)), "look_invalid"),
            (Look(texture=b"not a picture"), "look_invalid"),
            (Look(texture=png(plain(64, 64))[:120]), "look_invalid"),
            (Look(texture=png(plain(4, 64))), "look_invalid"),
            (Look(texture=png(plain(4100, 8))), "look_too_large"),
            (Look(texture=png(plain(64, 64)), tile_cm=0.0), "look_invalid"),
            (Look(photo=b"\xff\xd8\xff"), "look_invalid"),
            (Look(photo=bytes(8_000_001)), "look_too_large"),
            (Look(texture=png(plain(64, 64)), photo=shot()), "look_invalid"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, dresser: Dresser, look: Look, code: str) -> None:
        with pytest.raises(DressRefused) as refused:
            dresser.check(GarmentSpec("t-shirt", {"M": {"chest": 104.0}}, look))
        assert refused.value.code == code

    def test_what_can_be_drawn_is_not(self, dresser: Dresser) -> None:
        for look in (Look(fabric="denim"), Look(texture=png(plain(64, 64))), Look(photo=shot())):
            dresser.check(GarmentSpec("t-shirt", {"M": {"chest": 104.0}}, look))


class TestFile:
    def test_seams_and_weave_are_in_it(self, tee: Dressed) -> None:
        document = described(encode_garment(tee, 0.0, base="M", look=Look(fabric="jersey"), compress=True))
        material = document["materials"][0]
        assert material["pbrMetallicRoughness"]["baseColorTexture"]["texCoord"] == 1
        assert "KHR_texture_transform" in material["normalTexture"]["extensions"]
        assert len(document["images"]) == 2

    def test_a_print_repeats_at_its_size_on_the_cloth(self, tee: Dressed) -> None:
        look = Look(texture=png(plain(64, 64)), tile_cm=5.0)
        document = described(encode_garment(tee, 0.0, base="M", look=look, compress=False))
        material = document["materials"][0]
        transform = material["pbrMetallicRoughness"]["baseColorTexture"]["extensions"]["KHR_texture_transform"]
        assert transform["scale"] == pytest.approx([0.0001 / 0.05] * 2)
        assert material["occlusionTexture"]["texCoord"] == 1

    def test_the_same_look_gives_the_same_bytes(self, tee: Dressed) -> None:
        first, second = (encode_garment(tee, 0.0, base="M", look=Look(photo=shot()), compress=True) for _ in range(2))
        assert first == second


class TestPhoto:
    def test_its_front_is_on_the_front_panel_and_its_colour_elsewhere(self) -> None:
        cloth = photo_picture("t-shirt", "jersey", shot())
        pixels = np.asarray(Image.open(io.BytesIO(cloth.data)).convert("RGB"), np.float64)
        layout = layout_of("t-shirt")

        def at(panel: str, x_share: float, y_share: float) -> NDArray[np.float64]:
            left, bottom = layout.corners[panel]
            x = (left + layout.panels[panel].width_m * x_share) / layout.size_m[0]
            y = 1 - (bottom + layout.panels[panel].height_m * y_share) / layout.size_m[1]
            colour: NDArray[np.float64] = pixels[int(y * len(pixels)), int(x * pixels.shape[1])]
            return colour

        assert at("front", 0.5, 0.6)[2] > 150
        for panel, x, y in (("front", 0.5, 0.2), ("back", 0.5, 0.6), ("sleeve.L", 0.5, 0.5)):
            assert at(panel, x, y)[0] > 150
            assert at(panel, x, y)[2] < 80


@pytest.mark.parametrize("category", CATEGORIES)
class TestPanels:
    def test_a_centimetre_of_print_is_a_centimetre_of_cloth(self, category: Category, people: list[Person]) -> None:
        person = people[1]
        rows = chart_rows(category, {"M": {"chest": person.chest_cm + 8, "waist": person.waist_cm + 8, "hip": 110.0}})
        dressed = person.dressed.dress(category, rows)
        points = dressed.pattern.with_hems(dressed.sizes["M"].points)
        render = drawn(dressed.pattern, layout_of(category), points)
        across = dressed.pattern.panels["front"].shape[1]
        placed, flat = points[render.source][: 10 * across], render.cloth[: 10 * across]
        step = np.linalg.norm(np.diff(placed.reshape(10, across, 3), axis=1), axis=2)
        assert np.diff(flat.reshape(10, across, 2)[..., 0], axis=1) == pytest.approx(step, abs=1e-6)

    def test_atlas_places_lie_in_the_picture(self, category: Category, people: list[Person]) -> None:
        rows = chart_rows(category, {"M": {"chest": 110.0, "waist": 90.0, "hip": 112.0}})
        dressed = people[0].dressed.dress(category, rows)
        points = dressed.pattern.with_hems(dressed.sizes["M"].points)
        atlas = drawn(dressed.pattern, layout_of(category), points).atlas
        assert atlas.min() >= 0
        assert atlas.max() <= 1

    def test_seams_and_stitches_are_drawn(self, category: Category) -> None:
        drawing = sewn(category, FABRIC_OF[category])
        assert 0.001 < (drawing.shade < 0.80).mean() < 0.2
        assert drawing.thread.any()

    def test_no_line_is_ink(self, category: Category) -> None:
        for fabric in FABRICS:
            assert sewn(category, fabric).shade.min() > 0.4


class TestShade:
    def test_folds_and_hems_keep_most_of_their_colour(self, tee: Dressed) -> None:
        points = tee.pattern.with_hems(tee.sizes["M"].points)
        seen = shade(tee.pattern, sheet_of("t-shirt"), points)
        inner, outer = seen[tee.pattern.count :], seen[: tee.pattern.count]
        assert outer.min() < outer.mean()
        assert min(inner.min(), outer.min()) > 0.75
        assert inner.max() < 1


class TestWeave:
    def test_every_fabric_is_a_tile_of_its_own(self) -> None:
        tiles = [weave_of(fabric) for fabric in FABRICS]
        assert len({tile.png for tile in tiles}) == len(FABRICS)
        for tile in tiles:
            assert np.linalg.norm(tile.normals, axis=2) == pytest.approx(1, abs=0.02)
            rim = np.abs(tile.normals[:, 0] - tile.normals[:, -1]).mean()
            assert rim < 3 * np.abs(np.diff(tile.normals, axis=1)).mean() + 0.01
