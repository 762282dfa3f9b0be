"""What a dressed garment promises: its chart's girths, never inside the body, layers in order, sizes that differ."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from gpu_worker.garments.chart import CATEGORIES, Category
from gpu_worker.garments.collide import parted
from gpu_worker.garments.dress import BodyUnusable, Dressed, Layer, Wardrobe, chart_rows
from gpu_worker.garments.pattern import quads, vertex_normals
from gpu_worker.garments.rings import perimeter
from gpu_worker.garments.section import measured_girths, measured_lengths, measured_sleeve
from gpu_worker.garments.template import TOP_STYLES
from gpu_worker.garments.top import TopPattern
from gpu_worker.garments.winding import inside, samples

from .conftest import Person

GIRTH_ERROR_CM, SLEEVE_ERROR_M = 1.0, 0.005
STEEPEST_SEAT = 0.65
"""How far the seat may go in for each metre down to the fork; a ledge takes 1."""
BEND_STEP_M, MOST_BEND_M = 0.02, 0.028
"""How much a waist's girth may turn over two steps up or down; a crease takes .033."""
FACE_SAMPLES = 5000
LOOSE = (12.0, 20.0)
"""Ease that leaves every charted girth loose, cm."""


def chart(category: Category, person: Person, ease_cm: float) -> dict[str, float]:
    if category in {"skirt", "trousers", "shorts"}:
        return {"waist": person.waist_cm + ease_cm, "hip": person.hip_cm + ease_cm}
    return {
        "chest": person.chest_cm + ease_cm,
        "waist": person.waist_cm + ease_cm,
        "hip": person.hip_cm + ease_cm,
    }


def worn(category: Category, person: Person, *eases_cm: float) -> Dressed:
    sizes = {f"{ease:g}": chart(category, person, ease) for ease in eases_cm}
    return person.dressed.dress(category, chart_rows(category, sizes))


@pytest.mark.parametrize("category", CATEGORIES)
class TestEveryKind:
    def test_is_never_inside_the_body(self, category: Category, people: list[Person]) -> None:
        rng = np.random.default_rng(11)
        for person in people:
            dressed = worn(category, person, -4.0, 8.0)
            for size in dressed.sizes.values():
                points = dressed.pattern.with_hems(size.points)
                checked = samples(points, dressed.pattern.all_faces, FACE_SAMPLES, rng)
                assert not inside(person.winding, checked).any()

    def test_has_the_charts_girths_where_it_is_loose(self, category: Category, people: list[Person]) -> None:
        for person in people:
            dressed = worn(category, person, *LOOSE)
            for name, size in dressed.sizes.items():
                girths = measured_girths(dressed, name)
                for measure in set(girths) & {"chest", "waist", "hip"}:
                    error_cm = (girths[measure] - size.row.metres[measure]) * 100
                    assert abs(error_cm) <= GIRTH_ERROR_CM, (measure, error_cm)

    def test_is_finite_and_faces_outwards(self, category: Category, people: list[Person]) -> None:
        dressed = worn(category, people[0], 8.0)
        points = dressed.sizes["8"].points
        assert np.isfinite(points).all()
        normals = vertex_normals(points, dressed.pattern.faces)
        middle = points.mean(axis=0)
        front = dressed.pattern.panels["front"]
        facing = (normals[front] * (points[front] - middle))[..., 1].sum()
        assert facing > 0

    def test_gives_the_same_for_the_same(self, category: Category, people: list[Person]) -> None:
        first, second = (worn(category, people[1], 6.0).sizes["6"].points for _ in range(2))
        assert np.array_equal(first, second)


class TestSleeves:
    @pytest.mark.parametrize(
        ("category", "sleeve_cm"), [("t-shirt", 22.0), ("long-sleeve shirt", 42.0), ("hoodie", 42.0)]
    )
    def test_have_the_charts_girths_and_length(
        self, category: Category, sleeve_cm: float, people: list[Person]
    ) -> None:
        for person in people:
            upper_arm = person.chest_cm * 0.30 + 11.0
            row = {**chart(category, person, 12.0), "sleeve": sleeve_cm, "upper_arm": upper_arm}
            row["sleeve_open"] = upper_arm - 1 if category == "t-shirt" else 34.0
            dressed = person.dressed.dress(category, chart_rows(category, {"M": row}))
            found = measured_sleeve(dressed, "M", person.dressed.tables)
            for measure, metres in found.items():
                assert abs(metres * 100 - row[measure]) <= GIRTH_ERROR_CM, (measure, metres * 100, row[measure])

    @pytest.mark.parametrize("ease_cm", [-6.0, 6.0])
    def test_keep_their_length_above_a_deep_armhole(self, ease_cm: float, drawn: dict[str, Person]) -> None:
        person = drawn["short sleeve, deep armhole"]
        dressed = worn("dress", person, ease_cm)
        (name, size), *_ = dressed.sizes.items()
        length = measured_sleeve(dressed, name, person.dressed.tables)["sleeve"]
        assert length * 100 == pytest.approx(size.row.metres["sleeve"] * 100, abs=GIRTH_ERROR_CM)

    @pytest.mark.parametrize("category", ["t-shirt", "hoodie"])
    def test_have_the_charts_upper_arm_where_the_arm_lies_at_the_trunk(
        self, category: Category, drawn: dict[str, Person]
    ) -> None:
        person = drawn["arm at the trunk"]
        dressed = worn(category, person, 8.0)
        found = measured_sleeve(dressed, "8", person.dressed.tables)["upper_arm"]
        assert found == pytest.approx(dressed.sizes["8"].row.metres["upper_arm"], abs=SLEEVE_ERROR_M)

    @pytest.mark.parametrize("side", [".L", ".R"])
    def test_are_measured_on_the_triangles_that_are_drawn(self, side: str) -> None:
        top = TopPattern(TOP_STYLES["t-shirt"])
        measured = top.sleeves[side].reshape(-1)[top.sleeve_faces[side]]
        drawn_faces = quads(top.pattern.panels[f"sleeve{side}"])
        assert {tuple(sorted(face)) for face in measured} == {tuple(sorted(face)) for face in drawn_faces}


class TestTrousers:
    def test_fork_where_the_chart_says_between_thighs_that_touch(self, drawn: dict[str, Person]) -> None:
        person = drawn["thighs that touch"]
        sizes = {f"{ease:g}": chart("trousers", person, ease) | {"inseam": 62.0} for ease in (0.0, 12.0)}
        dressed = person.dressed.dress("trousers", chart_rows("trousers", sizes))
        for name, size in dressed.sizes.items():
            found = measured_lengths(dressed, name)
            for measure in ("rise", "inseam"):
                error_cm = (found[measure] - size.row.metres[measure]) * 100
                assert abs(error_cm) <= GIRTH_ERROR_CM, (measure, error_cm)
            points = dressed.pattern.with_hems(size.points)
            checked = samples(points, dressed.pattern.all_faces, FACE_SAMPLES, np.random.default_rng(12))
            assert not inside(person.winding, checked).any()

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_keep_each_legs_cloth_on_its_own_side(self, sign: float, drawn: dict[str, Person]) -> None:
        person = drawn["thighs that touch"]
        fork = person.dressed.tables.crotch - 0.04
        across = sign * np.array([-0.004, 0.0002, 0.30])
        points = np.stack([across, np.full(3, -0.04), np.full(3, fork)], axis=1)
        apart = parted(points, person.dressed.skin, np.arange(3, dtype=np.int32), sign)
        assert (sign * apart[:, 0] > 0).all()
        assert apart[2, 0] == across[2]

    def test_hang_from_the_seat_without_a_ledge(self, people: list[Person]) -> None:
        dressed = worn("trousers", people[1], 12.0)
        size = dressed.sizes["12"]
        back = size.points[dressed.pattern.panels["back"]]
        below_hip = back[:, :, 2].mean(axis=1) < size.marks["hip"]
        depth, height = back[below_hip][:, :, 1].max(axis=1), back[below_hip][:, :, 2].mean(axis=1)
        assert (np.diff(depth) / np.diff(height)).max() < STEEPEST_SEAT


class TestWaist:
    def test_turns_softly_on_a_heavy_body(self, people: list[Person]) -> None:
        dressed = worn("dress", people[2], 6.0)
        size, panels = dressed.sizes["6"], dressed.pattern.panels
        rows = TOP_STYLES["dress"].rows
        rings = size.points[np.concatenate([panels["front"][:rows], panels["back"][:rows, 1:-1]], axis=1)]
        levels = size.marks["waist"] + np.arange(-3, 4) * BEND_STEP_M
        girths = np.interp(levels, rings[:, :, 2].mean(axis=1), perimeter(rings))
        assert np.diff(girths, 2).max() < MOST_BEND_M


class TestLengths:
    @pytest.mark.parametrize(
        ("category", "row"),
        [
            ("t-shirt", {"length": 66.0}),
            ("hoodie", {"length": 62.0}),
            ("dress", {"length": 95.0}),
            ("skirt", {"length": 58.0}),
            ("trousers", {"rise": 26.0, "inseam": 55.0}),
            ("shorts", {"rise": 26.0, "inseam": 14.0}),
        ],
    )
    def test_are_the_charts(self, category: Category, row: dict[str, float], people: list[Person]) -> None:
        for person in people[:2]:
            rows = chart_rows(category, {"M": {**chart(category, person, 12.0), **row}})
            found = measured_lengths(person.dressed.dress(category, rows), "M")
            for measure, wanted in row.items():
                assert found[measure] * 100 == pytest.approx(wanted, abs=GIRTH_ERROR_CM)


class TestSizes:
    def test_length_is_counted_from_the_high_point_of_the_shoulder(self, people: list[Person]) -> None:
        sizes = {"M": {"chest": 110.0, "length": 66.0}, "L": {"chest": 116.0, "length": 70.0}}
        dressed = people[0].dressed.dress("t-shirt", chart_rows("t-shirt", sizes))
        hem = dressed.pattern.hems["hem"][0]
        levels = [dressed.sizes[name].points[hem, 2] for name in ("M", "L")]
        assert np.ptp(levels[0]) < 0.003
        assert levels[0].mean() - levels[1].mean() == pytest.approx(0.04, abs=0.003)

    def test_a_size_far_too_small_is_not_shown(self, people: list[Person]) -> None:
        heavy = people[2]
        rows = chart_rows("t-shirt", {"XS": {"chest": heavy.chest_cm / 1.5}, "XL": {"chest": heavy.chest_cm + 5}})
        dressed = heavy.dressed.dress("t-shirt", rows)
        assert [dressed.sizes[size].fits_on for size in ("XS", "XL")] == [False, True]


class TestLayers:
    def test_a_top_lies_over_the_trousers(self, people: list[Person]) -> None:
        person = people[1]
        trousers = worn("trousers", person, 10.0)
        beneath = Layer(trousers.sizes["10"].points, trousers.pattern.faces)
        rows = chart_rows("t-shirt", {"M": chart("t-shirt", person, 6.0)})
        alone = person.dressed.dress("t-shirt", rows).sizes["M"].points
        over = person.dressed.dress("t-shirt", rows, beneath).sizes["M"].points
        normals = vertex_normals(beneath.points, beneath.faces)

        under = cKDTree(beneath.points)

        def deepest(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
            nearest, closest = under.query(points)
            height = ((points - beneath.points[closest]) * normals[closest]).sum(axis=1)
            return float(height[nearest < 0.015].min())

        low = alone[:, 2] < person.dressed.tables.waist
        assert deepest(over[low]) > deepest(alone[low])
        assert deepest(over[low]) > -0.002


class TestBody:
    @pytest.mark.parametrize("broken", ["shape", "nan", "giant"])
    def test_what_is_no_body_is_refused(self, wardrobe: Wardrobe, people: list[Person], broken: str) -> None:
        vertices = people[0].vertices.copy()
        if broken == "shape":
            vertices = vertices[:-1]
        elif broken == "nan":
            vertices[5, 1] = np.nan
        else:
            vertices *= 2
        with pytest.raises(BodyUnusable):
            wardrobe.body_of(vertices)
