"""What becomes of an upload: put right and said so, or refused with the reason a brand can act on."""

import io

import numpy as np
import pytest
from PIL import Image

from gpu_worker.body.arrays import Floats
from gpu_worker.body.canonical import YOUNG, Shape
from gpu_worker.garments.brand.garment import BrandRefused, BrandTailor, PreparedGarment
from gpu_worker.garments.brand.reference import References
from gpu_worker.garments.brand.source import Prepared, prepare_source
from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import Wardrobe

from .conftest import CHARTS
from .uploads import Part, glb_of

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
HALF_TURN = np.diag([-1.0, 1, -1])
UPSIDE_DOWN = np.diag([-1.0, -1, 1])
QUARTER = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
SAME_PLACE_M = 0.012


@pytest.fixture(scope="module")
def references(tailor: BrandTailor) -> References:
    return tailor.references


def prepare(references: References, category: Category, parts: list[Part]) -> Prepared:
    return prepare_source(category, glb_of(parts), references, length_m=None, first=None)


def refusal(references: References, category: Category, parts: list[Part]) -> BrandRefused:
    with pytest.raises(BrandRefused) as refused:
        prepare(references, category, parts)
    return refused.value


def changed(part: Part, points: Floats) -> Part:
    return Part(points, part.faces, part.texture, part.name)


def is_picture(png: bytes | None) -> bool:
    assert png is not None
    with Image.open(io.BytesIO(png)) as picture:
        return picture.width >= 400 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 50


class TestPlace:
    @pytest.mark.parametrize("name", ["jumper", "trousers"])
    def test_a_garment_moved_anywhere_comes_back_to_where_its_maker_had_it(
        self, name: str, references: References, parts: dict[str, Part], sources: dict[str, Prepared]
    ) -> None:
        category: Category = "trousers" if name == "trousers" else "long-sleeve shirt"
        part = parts[name]
        moved = changed(part, part.points + np.array([0.4, -0.9, 2.0]))
        made = prepare_source(category, glb_of([moved]), references, length_m=None, first=None)
        np.testing.assert_allclose(made.source.mesh.points, sources[name].source.mesh.points, atol=1e-3)
        assert made.report["overlap"] < 0.05

    @pytest.mark.parametrize("scale", [100.0, 1 / 0.0254])
    def test_units_are_told_by_the_size(self, scale: float, references: References, parts: dict[str, Part]) -> None:
        made = prepare(references, "trousers", [changed(parts["trousers"], parts["trousers"].points * scale)])
        assert made.report["scale_fixed"] == pytest.approx(1 / scale)
        assert np.ptp(made.source.mesh.points[:, 2]) == pytest.approx(np.ptp(parts["trousers"].points[:, 1]), abs=1e-3)

    @pytest.mark.parametrize(
        ("turn", "field", "value"),
        [
            (Z_UP, "up_fixed", "+z"),
            (HALF_TURN, "turned_degrees", 180),
            (UPSIDE_DOWN, "up_fixed", "upside down"),
            (QUARTER, "turned_degrees", 270),
        ],
        ids=["z-up", "back-to-front", "upside-down", "quarter"],
    )
    def test_axes_are_put_right_and_reported(
        self,
        turn: Floats,
        field: str,
        value: object,
        references: References,
        parts: dict[str, Part],
        sources: dict[str, Prepared],
    ) -> None:
        right = sources["jumper"]
        made = prepare(references, "long-sleeve shirt", [changed(parts["jumper"], parts["jumper"].points @ turn.T)])
        assert right.report[field] in {None, 0}
        assert made.report[field] == value
        off = np.abs(made.source.bound.points - right.source.bound.points)
        assert np.median(off) < SAME_PLACE_M

    def test_arms_held_out_are_lowered_to_the_bodys(
        self, references: References, parts: dict[str, Part], sources: dict[str, Prepared]
    ) -> None:
        right = sources["loose tee"]
        raised = changed(parts["loose tee"], _arms_raised(parts["loose tee"].points, 35.0))
        made = prepare(references, "t-shirt", [raised])
        assert made.report["arms_turned_degrees"] == pytest.approx(-35, abs=9)
        count = len(raised.points)  # cut edges come after the file's own vertices
        there, here = right.source.mesh.points[:count], made.source.mesh.points[:count]
        cuffs = np.abs(there[:, 0]) > 0.27
        assert np.abs(here - there)[cuffs].mean() < SAME_PLACE_M

    @pytest.mark.parametrize("scale", [0.05, 4000.0])
    def test_no_plausible_scale_is_asked_about(
        self, scale: float, references: References, parts: dict[str, Part]
    ) -> None:
        refused = refusal(references, "trousers", [changed(parts["trousers"], parts["trousers"].points * scale)])
        assert (refused.code, refused.field) == ("garment_unclear", "scale")

    def test_two_plausible_scales_are_asked_about_unless_the_chart_decides(
        self, references: References, wrinkled: dict[Category, Part]
    ) -> None:
        skirt = wrinkled["skirt"]
        short = changed(skirt, skirt.points * np.array([80.0, 70.0, 80.0]))
        refused = refusal(references, "skirt", [short])
        assert (refused.code, refused.field) == ("garment_unclear", "scale")
        assert "0.01 or 0.0254" in refused.reason
        made = prepare_source("skirt", glb_of([short]), references, length_m=0.42, first=None)
        assert made.report["scale_fixed"] == 0.01


def _arms_raised(points: Floats, degrees: float) -> Floats:
    """glTF axes; sleeves turned up about the default man's shoulder joints."""
    raised = points.copy()
    for sign in (1.0, -1.0):
        joint = np.array([sign * 0.163, 0.751])
        rel = (points[:, :2] - joint) * np.array([sign, 1.0])
        share = np.clip((rel[:, 0] + 0.04) / 0.06, 0, 1) * (rel[:, 1] > -0.24)
        angle = np.radians(degrees) * share
        raised[:, 0] += np.where(
            share > 0, sign * (np.cos(angle) * rel[:, 0] - np.sin(angle) * rel[:, 1] - rel[:, 0]), 0
        )
        raised[:, 1] += np.where(share > 0, np.sin(angle) * rel[:, 0] + np.cos(angle) * rel[:, 1] - rel[:, 1], 0)
    return raised


class TestRepair:
    def test_flaws_are_put_right_and_counted(
        self, references: References, parts: dict[str, Part], sources: dict[str, Prepared]
    ) -> None:
        part = parts["loose tee"]
        rng = np.random.default_rng(8)
        faces = part.faces.copy()
        flipped = rng.choice(len(faces), 300, replace=False)
        faces[flipped] = faces[flipped][:, ::-1]
        degenerate = np.stack([faces[:40, 0], faces[:40, 0], faces[:40, 1]], axis=1)
        faces = np.concatenate([faces, faces[100:150], degenerate]).astype(np.int32)
        button = np.array([[0.01, 0.2, 0.2], [0.02, 0.2, 0.2], [0.015, 0.21, 0.2]])
        loose = np.array([[0, 1, 2]], np.int32) + len(part.points)
        broken = Part(
            np.concatenate([part.points, button]),
            np.concatenate([faces, loose]).astype(np.int32),
            np.zeros((len(part.points) + 3, 2)),
        )
        clean = sources["loose tee"]
        made = prepare(references, "t-shirt", [broken])
        repairs = made.report["repairs"]
        assert repairs["flipped_faces"] > 300
        assert repairs["duplicate_faces"] >= 50
        assert repairs["degenerate_faces"] >= 40
        assert repairs["riding_parts"] == 1
        assert clean.report["repairs"]["flipped_faces"] == 0
        assert len(made.source.bound.faces) == pytest.approx(len(clean.source.bound.faces), rel=0.01)

    def test_the_outside_faces_outwards_even_if_all_was_flipped(
        self, references: References, parts: dict[str, Part], sources: dict[str, Prepared]
    ) -> None:
        part = parts["loose tee"]
        inside_out = Part(part.points, part.faces[:, ::-1].copy(), part.texture)
        for source in (sources["loose tee"].source, prepare(references, "t-shirt", [inside_out]).source):
            corners = source.mesh.points[source.mesh.faces]
            across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            assert (across * (corners.mean(axis=1) - np.array([0, 0, 0.3]))).sum() > 0

    def test_a_garment_stored_twice_over_is_one(
        self, references: References, parts: dict[str, Part], sources: dict[str, Prepared]
    ) -> None:
        part = parts["loose tee"]
        again = part.faces[:, ::-1] + len(part.points)
        points, texture = np.tile(part.points, (2, 1)), np.zeros((2 * len(part.points), 2))
        twice = Part(points, np.concatenate([part.faces, again]).astype(np.int32), texture)
        made = prepare(references, "t-shirt", [twice])
        assert made.report["repairs"]["duplicate_faces"] >= len(part.faces)
        assert len(made.source.bound.faces) == len(sources["loose tee"].source.bound.faces)

    def test_holes_do_no_harm(
        self, references: References, parts: dict[str, Part], sources: dict[str, Prepared]
    ) -> None:
        part = parts["trousers"]
        kept = np.random.default_rng(4).random(len(part.faces)) > 0.03
        made = prepare(references, "trousers", [Part(part.points, part.faces[kept], part.texture)])
        whole = sources["trousers"]
        for name, tube in whole.source.bound.tubes.items():
            middle = float(tube.rows.mean())
            other = made.source.bound.tubes[name]
            girths = [float(np.interp(middle, t.rows, t.hull)) for t in (tube, other)]
            assert girths[0] == pytest.approx(girths[1], abs=0.01)

    def test_a_heavy_mesh_moves_by_a_light_one_and_is_drawn_whole(
        self, references: References, parts: dict[str, Part]
    ) -> None:
        part = parts["loose tee"]
        points, faces, texture = part.points, part.faces, part.texture
        for _ in range(2):
            points, faces, texture = _quartered(points, faces, texture)
        made = prepare(references, "t-shirt", [Part(points, faces, texture)])
        assert len(points) > 12_000
        assert made.report["repairs"]["decimated_to"] <= 12_000
        assert len(made.source.mesh.points) == len(points)
        np.testing.assert_allclose(made.source.drawn(made.source.bound.points), made.source.mesh.points)

    def test_a_mesh_of_nothing_but_flat_triangles_is_refused(
        self, references: References, parts: dict[str, Part]
    ) -> None:
        part = parts["loose tee"]
        flat = np.stack([part.faces[:, 0], part.faces[:, 0], part.faces[:, 1]], axis=1)
        assert refusal(references, "t-shirt", [Part(part.points, flat)]).field == "meshes"


def _quartered(points: Floats, faces: "np.ndarray", texture: Floats | None) -> tuple[Floats, "np.ndarray", Floats]:
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2)
    pairs, row = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    middle = row.reshape(faces.shape) + len(points)
    a, b, c = faces.T
    ab, bc, ca = middle.T
    new = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    assert texture is not None
    return (
        np.concatenate([points, points[pairs].mean(axis=1)]),
        new.astype(np.int32),
        np.concatenate([texture, texture[pairs].mean(axis=1)]),
    )


class TestWhatIsInTheFile:
    def test_a_named_mannequin_is_left_out_with_a_warning(
        self, references: References, parts: dict[str, Part], mannequin: Part, sources: dict[str, Prepared]
    ) -> None:
        made = prepare(references, "long-sleeve shirt", [parts["jumper"], mannequin])
        assert made.report["warnings"] == ["Left out as mannequin: Mannequin_01."]
        np.testing.assert_allclose(made.source.bound.points, sources["jumper"].source.bound.points, atol=1e-4)

    def test_an_unnamed_body_is_asked_about_with_a_picture(
        self, references: References, parts: dict[str, Part], mannequin: Part
    ) -> None:
        nameless = Part(mannequin.points, mannequin.faces, None, "Object_7")
        refused = refusal(references, "long-sleeve shirt", [parts["jumper"], nameless])
        assert refused.code == "garment_unclear"
        assert "Object_7" in refused.reason
        assert is_picture(refused.picture_png)

    def test_a_mannequin_alone_is_no_garment(self, references: References, mannequin: Part) -> None:
        assert "no garment" in refusal(references, "dress", [mannequin]).reason

    def test_a_suit_is_more_than_one_garment(self, references: References, parts: dict[str, Part]) -> None:
        refused = refusal(references, "long-sleeve shirt", [parts["jumper"], parts["trousers"]])
        assert (refused.code, refused.field) == ("garment_unclear", "meshes")
        assert is_picture(refused.picture_png)

    def test_what_cuts_into_every_body_is_refused_with_a_picture_and_how_much(
        self, references: References, parts: dict[str, Part]
    ) -> None:
        part = parts["leggings"]
        squeezed = changed(part, part.points * np.array([0.72, 1.0, 0.75]))
        refused = refusal(references, "trousers", [squeezed])
        assert (refused.code, refused.field) == ("garment_unclear", "overlap")
        assert "%" in refused.reason
        assert is_picture(refused.picture_png)

    def test_a_close_garment_moves_to_a_body_it_does_not_cut(
        self, references: References, parts: dict[str, Part]
    ) -> None:
        made = prepare(references, "trousers", [parts["leggings"]])
        assert made.report["overlap"] <= 0.05
        assert made.report["reference_body"]["weight"] < 0.45


@pytest.fixture(scope="module")
def mannequin(wardrobe: Wardrobe) -> Part:
    vertices, _ = wardrobe.body.rest(Shape(gender=0.0, age=YOUNG))
    return Part(
        np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1), wardrobe.body.faces, None, "Mannequin_01"
    )


class TestSizes:
    def test_chart_sizes_without_a_file_are_graded(self, prepared: dict[str, PreparedGarment]) -> None:
        sizes = prepared["trousers"].sizes
        assert {size: state.status for size, state in sizes.items()} == {"S": "graded", "M": "ok", "L": "graded"}
        assert sizes["L"].reason == "graded from M"

    def test_one_refused_file_leaves_the_others(self, tailor: BrandTailor, parts: dict[str, Part]) -> None:
        whole = glb_of([parts["cropped top"]])
        rows = {"S": {"chest": 90.0}, "M": {"chest": 96.0}, "L": {"chest": 104.0}, "XL": {"length": 60.0}}
        made = tailor.prepare("t-shirt", rows, {"S": whole[:900], "M": whole})
        states = [state.status for state in made.sizes.values()]
        assert states == ["unavailable", "ok", "graded", "unavailable"]
        assert (made.sizes["S"].code, made.sizes["S"].field) == ("garment_invalid", "length")
        assert "no chart row" in str(made.sizes["XL"].reason)

    def test_no_usable_file_is_a_refusal(self, tailor: BrandTailor) -> None:
        with pytest.raises(BrandRefused, match="begin with glTF"):
            tailor.prepare("t-shirt", CHARTS["t-shirt"], {"M": b"PK\x03\x04 a zip"})
        with pytest.raises(BrandRefused, match="No size has a file"):
            tailor.prepare("t-shirt", CHARTS["t-shirt"], {})

    def test_a_mesh_that_is_not_the_charts_size_is_warned_of(self, prepared: dict[str, PreparedGarment]) -> None:
        assert prepared["jumper"].report["M"]["warnings"] == []
        (warning,) = prepared["close tee"].report["M"]["warnings"]
        assert "chest" in warning
        assert "108" in warning

    def test_the_preview_shows_the_garment(self, prepared: dict[str, PreparedGarment]) -> None:
        with Image.open(io.BytesIO(prepared["jumper"].preview_png)) as picture:
            pixels = np.asarray(picture.convert("RGB"), np.float64)
        is_red = (pixels[:, :, 0] > pixels[:, :, 1] * 1.3) & (pixels[:, :, 0] > pixels[:, :, 2] * 1.3)
        for pane in np.array_split(is_red, 3, axis=1):
            assert 0.05 < pane.mean() < 0.5


class TestKeeping:
    def test_bytes_come_back_the_same(self, prepared: dict[str, PreparedGarment]) -> None:
        npz = prepared["jumper"].to_npz()
        again = PreparedGarment.load(npz)
        assert again.to_npz() == npz
        assert again.sizes == prepared["jumper"].sizes
        assert again.report == prepared["jumper"].report
        assert again.preview_png == prepared["jumper"].preview_png

    def test_other_bytes_are_none(self, prepared: dict[str, PreparedGarment]) -> None:
        for wrong in (b"", b"PK", prepared["close tee"].to_npz()[:-2000]):
            with pytest.raises(ValueError, match="prepared garment"):
                PreparedGarment.load(wrong)
