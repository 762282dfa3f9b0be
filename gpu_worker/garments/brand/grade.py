"""A size without a file of its own: the nearest size's cloth, with the chart's differences of girth and length."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.brand.bind import BoundTube
from gpu_worker.garments.chart import TOPS, Category

FULL_TUBE_M = 0.08
"""Where a sleeve begins to take a difference of length: nearer the shoulder it stays as it is."""
SHORTEST, LONGEST = 0.4, 2.5
NARROWEST_M = 0.05


@dataclass(frozen=True)
class Step:
    """From a size with a file to one without. metres : every measure of the category, of both."""

    metres_from: Mapping[str, float]
    metres_to: Mapping[str, float]

    def by(self, measure: str) -> float:
        return self.metres_to[measure] - self.metres_from[measure]

    def ratio(self, measure: str, fixed_m: float = 0.0) -> float:
        """How much longer a length gets beyond `fixed_m` that stay."""
        before = max(self.metres_from[measure] - fixed_m, 0.02)
        return float(np.clip((self.metres_to[measure] - fixed_m) / before, SHORTEST, LONGEST))


@dataclass(frozen=True)
class Levels:
    """Where on the body a garment's charted girths lie, as s of the trunk (metres from its landmark)."""

    chest: float
    waist: float
    hip: float


def graded(category: Category, tubes: Mapping[str, BoundTube], step: Step, levels: Levels) -> dict[str, BoundTube]:
    """The tubes of the other size."""
    return {name: _graded(category, name, tube, step, levels) for name, tube in tubes.items()}


def _graded(category: Category, name: str, tube: BoundTube, step: Step, levels: Levels) -> BoundTube:
    first, last = float(tube.rows[0]), float(tube.rows[-1])
    if name.startswith("arm"):
        fixed = FULL_TUBE_M
        return _changed(
            tube, fixed, step.ratio("sleeve", fixed), {first: step.by("upper_arm"), last: step.by("sleeve_open")}
        )
    if name.startswith("leg"):
        knee = (first + last) / 2
        girths = {first: step.by("thigh"), last: step.by("hem")}
        if category == "trousers":
            girths[knee] = step.by("knee")
        return _changed(tube, first, step.ratio("inseam", first), girths)
    if category in TOPS:
        girths = {levels.chest: step.by("chest"), levels.waist: step.by("waist"), last: step.by("hem")}
        if levels.waist < levels.hip < last - 0.03:
            girths[levels.hip] = step.by("hip")
        return _changed(tube, first, step.ratio("length", first), girths)
    if category == "skirt":
        girths = {first: step.by("waist"), levels.hip: step.by("hip"), last: step.by("hem")}
        return _changed(tube, 0.0, step.ratio("length"), girths)
    return _changed(tube, first, 1.0, {first: step.by("waist"), levels.hip: step.by("hip"), last: step.by("hip")})


def _changed(tube: BoundTube, fixed: float, ratio: float, girths: Mapping[float, float]) -> BoundTube:
    """The tube with its length beyond `fixed` times `ratio`, and girths changed by interpolation between levels."""
    levels = np.array(sorted(girths))
    change = np.interp(tube.rows, levels, np.array([girths[level] for level in levels]))
    hull = np.maximum(tube.hull + change, NARROWEST_M)

    def longer(along: Floats) -> Floats:
        return np.where(along > fixed, fixed + (along - fixed) * ratio, along)

    return replace(
        tube,
        along=longer(tube.along),
        rows=longer(tube.rows),
        hull=hull,
        perimeter=tube.perimeter * hull / tube.hull,
    )
