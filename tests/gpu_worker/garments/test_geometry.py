"""The mathematics under the garments, on shapes whose answers are known."""

import numpy as np
import pytest

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.chart import ChartUnusable, complete
from gpu_worker.garments.dress import Wardrobe
from gpu_worker.garments.rings import Fill, Folds, Shapes, perimeter, place, solve_fill
from gpu_worker.garments.support import ANGLES, CIRCLE, girth, radius
from gpu_worker.garments.winding import WindingNumber

from .conftest import Person


def ellipse(across: float, deep: float) -> Floats:
    """(1, D) support."""
    support: Floats = np.sqrt((across * CIRCLE[0]) ** 2 + (deep * CIRCLE[1]) ** 2)[None]
    return support


class TestSupport:
    def test_a_circles_girth_is_its_circumference(self) -> None:
        assert girth(ellipse(0.2, 0.2))[0] == pytest.approx(2 * np.pi * 0.2)

    def test_lifting_off_adds_two_pi_times_the_distance(self) -> None:
        before, after = girth(ellipse(0.2, 0.1)), girth(ellipse(0.2, 0.1) + 0.03)
        assert (after - before)[0] == pytest.approx(2 * np.pi * 0.03)

    def test_radius_of_an_ellipse(self) -> None:
        found = radius(ellipse(0.2, 0.1), np.zeros((1, 2)), np.array([0.0, np.pi / 2]))
        assert found[0] == pytest.approx([0.2, 0.1], rel=1e-3)


class TestRings:
    def cylinder(self, heights: Floats) -> Shapes:
        levels = np.linspace(-0.2, 1.2, 60)
        return Shapes.of(levels, np.repeat(ellipse(0.15, 0.11), 60, axis=0), heights, slope=0.08)

    @pytest.mark.parametrize("extra_m", [0.05, 0.20, 0.60])
    def test_a_loose_girth_is_met_to_a_tenth_of_a_millimetre(self, extra_m: float) -> None:
        heights = np.linspace(1.0, 0.4, 20)
        shapes = self.cylinder(heights)
        angle = np.linspace(-np.pi, np.pi, 96, endpoint=False)
        folds, share = Folds(7, 0.6), np.ones(20)
        target = float(girth(ellipse(0.15, 0.11))[0]) + extra_m
        fill = solve_fill(shapes, {1.0: target, 0.4: target}, angle, folds, share)
        rings = perimeter(place(shapes, fill, angle, folds, share))
        assert rings[[0, -1]] == pytest.approx([target, target], abs=1e-4)

    def test_a_tight_girth_lies_on_the_skin_and_says_how_far_it_stretches(self) -> None:
        heights = np.linspace(1.0, 0.4, 20)
        shapes = self.cylinder(heights)
        angle = np.linspace(-np.pi, np.pi, 96, endpoint=False)
        fill = solve_fill(shapes, {1.0: 0.5, 0.4: 0.5}, angle, Folds(7, 0.6), np.ones(20))
        assert fill.surplus.max() == 0.0
        assert fill.stretch.min() > 1.5

    def test_a_cone_that_narrows_faster_than_cloth_falls_hangs_free(self) -> None:
        levels = np.linspace(0.0, 1.2, 100)
        body = ellipse(1.0, 1.0) * (0.1 + 0.15 * levels[:, None])
        shapes = Shapes.of(levels, body, np.linspace(1.0, 0.2, 40), slope=0.05)
        assert shapes.hang[-1, 0] > shapes.skin[-1, 0] + 0.05
        assert shapes.hang[0, 0] == pytest.approx(shapes.skin[0, 0], abs=0.004)

    def test_folds_are_even_on_the_whole(self) -> None:
        wave = Folds(9, 1.0, 0.7).wave(ANGLES.astype(np.float64))
        assert wave.mean() == pytest.approx(1.0, abs=0.1)
        assert wave.min() >= -0.01
        empty = Fill(np.zeros(1), np.zeros(1), np.ones(1))
        assert empty.surplus[0] == 0


class TestWindingNumber:
    def cube(self) -> tuple[Floats, Ints]:
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
        sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        return corners, np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))], np.int32)

    def test_one_inside_and_none_outside(self) -> None:
        vertices, faces = self.cube()
        rng = np.random.default_rng(3)
        points = rng.uniform(-0.5, 1.5, (2000, 3))
        expected = ((points > 0) & (points < 1)).all(axis=1)
        assert np.array_equal(np.abs(WindingNumber(vertices, faces).at(points)) == 1, expected)

    def test_agrees_with_the_sum_of_solid_angles_on_a_body(self, people: list[Person], wardrobe: Wardrobe) -> None:
        person = people[1]
        rng = np.random.default_rng(3)
        chosen = rng.choice(len(wardrobe.body.faces), 24, replace=False)
        corners = person.vertices[wardrobe.body.faces[chosen]]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        points = corners.mean(axis=1) + across * rng.choice([-0.002, 0.002], 24)[:, None]
        found = person.winding.at(points)
        expected = np.round(solid_angles(person.vertices, wardrobe.body.faces, points) / (4 * np.pi))
        assert np.array_equal(found, expected)
        assert set(found) >= {0, 1}


def solid_angles(vertices: Floats, faces: Ints, points: Floats) -> Floats:
    """(n,) the angle under which each point sees the whole surface (van Oosterom and Strackee)."""
    total = np.zeros(len(points))
    for row, point in enumerate(points):
        a, b, c = np.moveaxis(vertices[faces] - point, 1, 0)
        lengths = [np.linalg.norm(side, axis=1) for side in (a, b, c)]
        above = (a * np.cross(b, c)).sum(axis=1)
        below = lengths[0] * lengths[1] * lengths[2] + (a * b).sum(axis=1) * lengths[2]
        below += (b * c).sum(axis=1) * lengths[0] + (c * a).sum(axis=1) * lengths[1]
        total[row] = 2 * np.arctan2(above, below).sum()
    return total


class TestChart:
    def test_what_is_missing_is_graded_and_said(self) -> None:
        row = complete("t-shirt", "M", {"chest": 104.0, "length": 70.0})
        assert row.metres["chest"] == pytest.approx(1.04)
        assert {"waist", "hip", "hem", "sleeve", "upper_arm", "shoulder"} <= set(row.estimated)
        assert not {"chest", "length"} & set(row.estimated)

    def test_a_row_without_any_girth_is_refused(self) -> None:
        with pytest.raises(ChartUnusable) as refused:
            complete("trousers", "32", {"inseam": 80.0})
        assert refused.value.size == "32"
