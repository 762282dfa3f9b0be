"""The body a garment was made for: the category's default, or the nearest build that the garment does not cut into."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.canonical import YOUNG, Shape
from gpu_worker.body.tape import edges_of
from gpu_worker.garments.brand.align import Seat, Seated
from gpu_worker.garments.brand.preview import Figures, overlap_picture
from gpu_worker.garments.brand.refused import BrandRefused
from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import DressedBody, Wardrobe
from gpu_worker.garments.winding import WindingNumber

MOST_INSIDE = 0.05
"""Share of vertices inside the body from which another body is looked for."""
GENDERS, HEIGHTS, WEIGHTS = (0.0, 0.5, 1.0), (0.2, 0.3, 0.4, 0.55), (0.15, 0.25, 0.35, 0.45, 0.65)
DEFAULT_HEIGHT, DEFAULT_WEIGHT = 0.4, 0.45
FEMALE: frozenset[Category] = frozenset({"dress", "skirt"})
SWEEPS, HOPELESS = 3, 0.2
"""No body is looked for any further when the best of a round still has this share inside."""


@dataclass(frozen=True)
class Build:
    """What of a body is fitted, in Anny's phenotypes: 0 to 1 each; gender 0 is male."""

    gender: float
    height: float
    weight: float

    def shape(self) -> Shape:
        return Shape(gender=self.gender, age=YOUNG, height=self.height, weight=self.weight)


@dataclass(frozen=True, eq=False)
class ReferenceBody:
    """A build with its mesh and tables."""

    build: Build
    vertices: Floats
    body: DressedBody
    winding: WindingNumber


@dataclass(frozen=True, eq=False)
class Reference:
    """Where a garment stands, and on whom."""

    body: ReferenceBody
    seated: Seated


class References:
    """Finds reference bodies; each is made once."""

    def __init__(self, wardrobe: Wardrobe) -> None:
        self.wardrobe = wardrobe
        self.figures = Figures(wardrobe.body)
        self._made: dict[Build, ReferenceBody] = {}

    def body(self, build: Build) -> ReferenceBody:
        if build not in self._made:
            vertices, _ = self.wardrobe.body.rest(build.shape())
            winding = WindingNumber(vertices, self.wardrobe.body.faces)
            self._made[build] = ReferenceBody(build, vertices, self.wardrobe.body_of(vertices), winding)
        return self._made[build]

    def find(self, category: Category, points: Floats, faces: Ints, first: Build | None = None) -> Reference:
        """Seat a welded garment on the first body it does not cut into. Raises `BrandRefused` when there is none.

        first : the build to try before the category's default, say that of another size
        """
        start = first or Build(1.0 if category in FEMALE else 0.5, DEFAULT_HEIGHT, DEFAULT_WEIGHT)
        best = self._seat(category, points, faces, start)
        if best.seated.overlap <= MOST_INSIDE:
            return best
        turned = best.seated.turn
        upright = points @ turned.T
        tried = {start}
        for _ in range(SWEEPS):
            before = best.body.build
            for build in _around(before):
                if build in tried:
                    continue
                tried.add(build)
                body = self.body(build)
                seated = Seat(category, body.body.tables, body.body.skin, body.winding).seated(
                    upright, faces, edges_of(faces), turned
                )
                if seated.overlap < best.seated.overlap:
                    best = Reference(body, seated)
                if seated.overlap <= MOST_INSIDE:
                    return best
            if best.body.build == before or best.seated.overlap > HOPELESS:
                break
        raise self._refusal(best, faces)

    def _seat(self, category: Category, points: Floats, faces: Ints, build: Build) -> Reference:
        body = self.body(build)
        seat = Seat(category, body.body.tables, body.body.skin, body.winding)
        return Reference(body, seat.best(points, faces))

    def _refusal(self, best: Reference, faces: Ints) -> BrandRefused:
        inside = np.asarray(best.body.winding.at(best.seated.points) > 0)
        return BrandRefused(
            "overlap",
            f"{best.seated.overlap:.0%} of the garment lies inside every body it was tried on; at most "
            f"{MOST_INSIDE:.0%} may. Export it as worn by a standing person, arms between A and T.",
            code="garment_unclear",
            picture_png=overlap_picture(self.figures.of(best.body.vertices), best.seated.points, faces, inside),
        )


def _around(build: Build) -> Iterator[Build]:
    """Slimmer first: that is what usually helps; then other sexes and heights."""
    for weight in sorted(WEIGHTS, key=lambda w: abs(w - build.weight)):
        yield Build(build.gender, build.height, weight)
    for gender in GENDERS:
        yield Build(gender, build.height, build.weight)
    for height in sorted(HEIGHTS, key=lambda h: abs(h - build.height)):
        yield Build(build.gender, height, build.weight)
