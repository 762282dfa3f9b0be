"""A brand's garment on bodies it was not made for: outside the skin, at its true size, in a file a viewer can show."""

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.canonical import YOUNG, Shape
from gpu_worker.garments.brand.garment import BrandDressed, BrandRefused, BrandTailor, PreparedGarment
from gpu_worker.garments.brand.read_glb import read_glb
from gpu_worker.garments.brand.transfer import tension
from gpu_worker.garments.brand.tubes import frames_of
from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import Layer, Wardrobe, chart_rows
from gpu_worker.garments.pattern import section_length
from gpu_worker.garments.support import girth
from gpu_worker.garments.winding import inside, samples

from .conftest import PREPARED, Person, make_person
from .uploads import Part, glb_of

FACE_SAMPLES = 5000
ROOM_M = 0.012
"""Rows whose cloth is wider than the skin by this hang free."""
MEAN_GIRTH_ERROR_M = 0.007


def json_of(glb: bytes) -> dict[str, Any]:
    size = struct.unpack_from("<I", glb, 12)[0]
    document: dict[str, Any] = json.loads(glb[20 : 20 + size])
    return document


def trunk_faces(garment: PreparedGarment, faces: Ints) -> Ints:
    """The triangles that are no sleeve."""
    return faces[(garment.sources["M"].bound.arm[faces] < 0.35).all(axis=1)]


def points_inside(dressed: BrandDressed, person: Person) -> int:
    found = 0
    for worn in dressed.sizes.values():
        faces = dressed.prepared.sources[worn.source].mesh.faces
        points = samples(worn.drawn, faces, FACE_SAMPLES, np.random.default_rng(6))
        found += int(inside(person.winding, points).sum())
    return found


class TestOnBodies:
    @pytest.mark.parametrize("name", PREPARED)
    def test_nothing_of_any_size_is_inside_the_body(
        self, name: str, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        for person in people:
            dressed = tailor.dress(person.body, prepared[name])
            assert len(dressed.sizes) == 3
            assert points_inside(dressed, person) == 0

    @pytest.mark.parametrize("name", ["jumper", "trousers"])
    def test_girths_are_the_garments_own_where_it_hangs_free(
        self, name: str, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        garment = prepared[name]
        trunk = garment.sources["M"].bound.tubes["trunk"]
        for person in people:
            worn = tailor.dress(person.body, garment, ["M"]).sizes["M"]
            frame = frames_of(garment.category, person.body.tables)["trunk"]
            slack = trunk.hull - girth(frame.shapes(trunk.rows)[0])
            room = (slack > ROOM_M) & (tension(-slack, trunk.rows) < 0.01)
            heights = frame.points(trunk.rows, np.zeros((len(trunk.rows), 2)))[:, 2]
            kept = trunk_faces(garment, worn.faces)
            # nearer to the armpit a plane would cut the sleeves as well
            room &= heights < person.body.tables.armpit - 0.06
            errors = [
                section_length(worn.points, kept, float(height)) - authored
                for height, authored in zip(heights[room][2:-2], trunk.perimeter[room][2:-2], strict=True)
            ]
            if errors:
                assert np.abs(errors).mean() < MEAN_GIRTH_ERROR_M

    def test_length_stays_the_garments_own(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        lengths = []
        for person in (people[0], people[2]):
            worn = tailor.dress(person.body, prepared["jumper"], ["M"]).sizes["M"]
            anchor = frames_of("long-sleeve shirt", person.body.tables)["trunk"].points(np.zeros(1), np.zeros((1, 2)))
            lengths.append(anchor[0, 2] - worn.points[:, 2].min())
        assert lengths[0] == pytest.approx(lengths[1], abs=0.004)

    def test_on_its_own_body_it_is_as_it_was_made(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], wardrobe: Wardrobe
    ) -> None:
        build = prepared["jumper"].report["M"]["reference_body"]
        owner = make_person(wardrobe, Shape(age=YOUNG, **build))
        worn = tailor.dress(owner.body, prepared["jumper"], ["M"]).sizes["M"]
        moved = np.linalg.norm(worn.points - prepared["jumper"].sources["M"].bound.points, axis=1)
        assert np.median(moved) < 0.001

    def test_a_larger_size_is_larger_by_the_chart(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        dressed = tailor.dress(people[2].body, prepared["jumper"])
        tables = people[2].body.tables
        girths = {}
        for size, worn in dressed.sizes.items():
            faces = trunk_faces(prepared["jumper"], worn.faces)
            girths[size] = section_length(worn.points, faces, tables.armpit - 0.09)
        assert girths["L"] - girths["M"] == pytest.approx(0.08, abs=0.015)
        assert girths["M"] - girths["S"] == pytest.approx(0.06, abs=0.015)

    def test_a_size_far_too_small_is_not_shown(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], wardrobe: Wardrobe, parts: dict[str, Part]
    ) -> None:
        large = make_person(wardrobe, Shape(gender=1.0, age=0.8, weight=1.0, muscle=0.3, height=0.4, cupsize=1.0))
        rows = {"XXS": {"chest": 70.0}, "M": {"chest": 108.0}}
        two = tailor.prepare("t-shirt", rows, {"M": glb_of([parts["loose tee"]])})
        dressed = tailor.dress(large.body, two)
        assert dressed.unavailable == {"XXS": "Too small for this body."}
        with pytest.raises(BrandRefused) as refused:
            tailor.dress(large.body, two, ["XXS"])
        assert refused.value.code == "does_not_fit"

    def test_worn_over_another_garment_it_lies_outside_that(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        person = people[2]
        beneath = person.body.dress("trousers", chart_rows("trousers", {"M": {"hip": 112.0}}))
        under = beneath.sizes["M"]
        over = tailor.dress(person.body, prepared["jumper"], ["M"], Layer(under.points, beneath.pattern.faces))
        skin = person.body.skin.under(under.points, beneath.pattern.faces, 0.004)
        hips = np.abs(over.sizes["M"].points[:, 2] - person.body.tables.hip) < 0.05
        distance, _ = skin.distance(over.sizes["M"].points[hips])
        assert hips.sum() > 50
        assert distance.min() > 0


class TestOwnGarments:
    @pytest.mark.parametrize("category", ["dress", "skirt", "hoodie"])
    def test_wrinkles_girth_and_clearance_survive(
        self, category: Category, tailor: BrandTailor, wrinkled: dict[Category, Part], people: list[Person]
    ) -> None:
        garment = tailor.prepare(category, {}, {"M": glb_of([wrinkled[category]])})
        assert garment.report["M"]["scale_fixed"] is None
        trunk = garment.sources["M"].bound.tubes["trunk"]
        for person in people[:2]:
            dressed = tailor.dress(person.body, garment)
            assert points_inside(dressed, person) == 0
            frame = frames_of(category, person.body.tables)["trunk"]
            slack = trunk.hull - girth(frame.shapes(trunk.rows)[0])
            room = (slack > 3 * ROOM_M) & (tension(-slack, trunk.rows) < 0.01)
            got = trunk.perimeters(dressed.sizes["M"].points)
            if room[3:-3].any():
                assert np.abs(got - trunk.perimeter)[3:-3][room[3:-3]].mean() < 2 * MEAN_GIRTH_ERROR_M

    def test_a_pocket_stays_on_the_outside(
        self, tailor: BrandTailor, wrinkled: dict[Category, Part], people: list[Person]
    ) -> None:
        hoodie = wrinkled["hoodie"]
        middle = hoodie.points[hoodie.faces].mean(axis=1)
        on_front = (np.abs(middle[:, 0]) < 0.09) & (np.abs(middle[:, 1] - 0.12) < 0.07) & (middle[:, 2] > 0.05)
        used, rows = np.unique(hoodie.faces[on_front], return_inverse=True)
        pocket = Part(
            hoodie.points[used] + np.array([0, 0, 0.006]), rows.reshape(-1, 3).astype(np.int32), None, "pocket"
        )
        garment = tailor.prepare("hoodie", {}, {"M": glb_of([hoodie, pocket])})
        assert len(np.unique(garment.sources["M"].bound.part)) == 2
        for person in people:
            worn = tailor.dress(person.body, garment).sizes["M"]
            front = worn.drawn[len(hoodie.points) : len(hoodie.points) + len(used)]
            under = worn.drawn[used]
            assert (under - front)[:, 1].min() > 0.0005


class TestFile:
    def test_one_upload_gives_morph_targets(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        dressed = tailor.dress(people[0].body, prepared["trousers"])
        document = json_of(tailor.encode(people[0].body, dressed, "L"))
        (mesh,) = document["meshes"]
        assert mesh["extras"]["layout"] == "morphs"
        assert mesh["extras"]["base"] == "L"
        assert mesh["extras"]["targetNames"] == ["S", "M"]
        assert mesh["extras"]["graded"] == ["S", "L"]
        attributes = mesh["primitives"][0]["attributes"]
        assert {"POSITION", "NORMAL", "TEXCOORD_0", "_EASE_S", "_EASE_M", "_EASE_L"} == set(attributes)

    def test_several_uploads_give_a_node_each_with_their_texture_once(
        self, tailor: BrandTailor, parts: dict[str, Part], people: list[Person]
    ) -> None:
        out = io.BytesIO()
        Image.effect_noise((64, 64), 90).save(out, "PNG")
        glbs = {
            "S": glb_of([parts["close tee"]], out.getvalue()),
            "2X/3X": glb_of([parts["loose tee"]], out.getvalue()),
        }
        garment = PreparedGarment.load(tailor.prepare("t-shirt", {}, glbs).to_npz())
        dressed = tailor.dress(people[0].body, garment)
        glb = tailor.encode(people[0].body, dressed)
        document = json_of(glb)
        root, *nodes = document["nodes"]
        assert [node["name"] for node in nodes] == ["S", "2X/3X"]
        assert root["extras"]["layout"] == "nodes"
        assert root["extras"]["ease"] == {"S": "_EASE_S", "2X/3X": "_EASE_2X_3X"}
        assert len(document["images"]) == 1
        assert document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"] == {"index": 0}
        drawn = {piece.name: piece.points for piece in read_glb(glb).pieces}
        for size, worn in dressed.sizes.items():
            np.testing.assert_allclose(drawn[size], _y_up(worn.drawn, people[0].body.tables.floor), atol=2e-4)

    def test_ease_tells_the_sizes_apart(
        self, tailor: BrandTailor, prepared: dict[str, PreparedGarment], people: list[Person]
    ) -> None:
        dressed = tailor.dress(people[2].body, prepared["jumper"])
        ease = {size: float(np.median(worn.ease)) for size, worn in dressed.sizes.items()}
        assert ease["S"] < ease["M"] < ease["L"]
        worn, tables = dressed.sizes["M"], people[2].body.tables
        height = tables.armpit - 0.06
        near = (np.abs(worn.points[:, 2] - height) < 0.01) & (prepared["jumper"].sources["M"].bound.arm < 0.05)
        cloth = section_length(worn.points, trunk_faces(prepared["jumper"], worn.faces), height)
        body = float(tables.girth_at(np.array([height]))[0])
        assert float(np.median(worn.ease[near])) == pytest.approx(cloth - body, abs=0.015)


def _y_up(points: Floats, floor_m: float) -> Floats:
    return np.stack([points[:, 0], points[:, 2] - floor_m, -points[:, 1]], axis=1)
