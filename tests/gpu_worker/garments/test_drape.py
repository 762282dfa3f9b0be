"""The cloth-simulated picture: outside the body, level at the hem, the same each time."""

import numpy as np
import pytest

from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import Dressed, WornSize, chart_rows
from gpu_worker.garments.winding import inside, samples

from .conftest import Person

FACE_SAMPLES = 5000
HEM_TILT_M = 0.010
MOVED_M = 0.001
"""Cloth that moves less on average was not let go."""


def draped(person: Person, category: Category, ease_cm: float) -> tuple[Dressed, WornSize]:
    row = {"chest": person.chest_cm + ease_cm, "waist": person.waist_cm + ease_cm, "hip": person.hip_cm + ease_cm}
    if category == "trousers":
        del row["chest"]
    dressed = person.dressed.dress(category, chart_rows(category, {"M": row}))
    return dressed, person.dressed.drape(dressed, "M")


class TestDrape:
    @pytest.mark.parametrize("category", ["t-shirt", "hoodie", "dress", "skirt", "trousers"])
    def test_comes_to_rest_outside_the_body_with_a_level_hem(self, category: Category, people: list[Person]) -> None:
        for person in people[1:3]:
            dressed, worn = draped(person, category, 10.0)
            points = dressed.pattern.with_hems(worn.points)
            checked = samples(points, dressed.pattern.all_faces, FACE_SAMPLES, np.random.default_rng(4))
            assert not inside(person.winding, checked).any()
            edge = dressed.pattern.hems.get("hem", dressed.pattern.hems.get("hem.L"))
            assert edge is not None
            assert np.ptp(worn.points[edge[0], 2]) < HEM_TILT_M
            moved = np.linalg.norm(worn.points - dressed.sizes["M"].points, axis=1)
            assert moved.mean() > MOVED_M

    def test_gives_the_same_for_the_same(self, people: list[Person]) -> None:
        first, second = (draped(people[0], "t-shirt", 10.0)[1].points for _ in range(2))
        assert np.array_equal(first, second)

    def test_leaves_what_speaks_of_fit_alone(self, people: list[Person]) -> None:
        dressed, worn = draped(people[0], "t-shirt", 10.0)
        assert np.array_equal(worn.ease, dressed.sizes["M"].ease)
