"""The cloth-simulated picture: outside the body, level at the hem, the same each time."""

import numpy as np
import pytest

from gpu_worker.garments.chart import CATEGORIES, Category
from gpu_worker.garments.drape import repaired
from gpu_worker.garments.dress import Dressed, WornSize, chart_rows, sheet_of
from gpu_worker.garments.winding import inside, samples

from .conftest import Person

FACE_SAMPLES = 5000
HEM_TILT_M, LONGER_M = 0.0052, 0.010
MOVED_M = 0.001
"""Cloth that moves less on average was not let go."""


def draped(person: Person, category: Category, ease_cm: float) -> tuple[Dressed, WornSize]:
    row = {"chest": person.chest_cm + ease_cm, "waist": person.waist_cm + ease_cm, "hip": person.hip_cm + ease_cm}
    if category in {"skirt", "trousers", "shorts"}:
        del row["chest"]
    dressed = person.dressed.dress(category, chart_rows(category, {"M": row}))
    return dressed, person.dressed.drape(dressed, "M")


class TestDrape:
    @pytest.mark.parametrize("category", CATEGORIES)
    @pytest.mark.parametrize(("number", "ease_cm"), [(1, 10.0), (2, -3.0)])
    def test_comes_to_rest_outside_the_body_with_a_level_hem(
        self, category: Category, number: int, ease_cm: float, people: list[Person]
    ) -> None:
        person = people[number]
        dressed, worn = draped(person, category, ease_cm)
        first = dressed.sizes["M"].points
        points = dressed.pattern.with_hems(worn.points)
        checked = samples(points, dressed.pattern.all_faces, FACE_SAMPLES, np.random.default_rng(4))
        assert not inside(person.winding, checked).any()
        edge, _ = dressed.pattern.hems["hem" if "hem" in dressed.pattern.hems else "hem.L"]
        assert np.ptp(worn.points[edge, 2]) - np.ptp(first[edge, 2]) < HEM_TILT_M
        assert (first - worn.points)[edge, 2].max() < LONGER_M
        moved = np.linalg.norm(worn.points - first, axis=1)
        assert moved.mean() > MOVED_M

    def test_goes_back_to_the_first_picture_where_it_would_touch(self, people: list[Person]) -> None:
        dressed, _ = draped(people[1], "t-shirt", 10.0)
        first, sheet = dressed.sizes["M"].points, sheet_of("t-shirt")
        pushed_in = first.copy()
        chosen = dressed.pattern.panels["front"][30, 20:28]
        pushed_in[chosen] += np.array([0.0, 0.10, 0.0])
        mended = repaired(pushed_in, first, dressed.pattern, sheet, people[1].dressed.skin)
        points = dressed.pattern.with_hems(mended)
        checked = samples(points, dressed.pattern.all_faces, FACE_SAMPLES, np.random.default_rng(5))
        assert not inside(people[1].winding, checked).any()

    def test_gives_the_same_for_the_same(self, people: list[Person]) -> None:
        first, second = (draped(people[0], "t-shirt", 10.0)[1].points for _ in range(2))
        assert np.array_equal(first, second)

    def test_leaves_what_speaks_of_fit_alone(self, people: list[Person]) -> None:
        dressed, worn = draped(people[0], "t-shirt", 10.0)
        assert np.array_equal(worn.ease, dressed.sizes["M"].ease)
