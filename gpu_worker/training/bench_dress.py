"""`python -m gpu_worker.training.bench_dress`: garments on unseen bodies: girths, penetrations, times, a contact sheet.

Bodies are drawn from the population with a seed that nothing was tuned on. Each kind comes in five sizes round the
body's own measures, from tight to loose.
"""

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.chart import CATEGORIES, Category
from gpu_worker.garments.dress import Dressed, DressedBody, Wardrobe, WornSize, chart_rows
from gpu_worker.garments.rings import GAP_M
from gpu_worker.garments.section import (
    measured_girths,
    measured_lengths,
    measured_sleeve,
    opening_along,
    upper_arm_mark,
)
from gpu_worker.garments.support import girth
from gpu_worker.garments.template import pattern_of
from gpu_worker.garments.winding import WindingNumber, inside, samples
from gpu_worker.training.bench_dress_sheet import SHEET, contact_sheet
from gpu_worker.training.charts import SIZES, chart_for
from gpu_worker.training.population import Population

SEED = 20261203
FACE_SAMPLES = 5000
GAP_GIRTH_M = 2 * np.pi * (GAP_M + 0.0003)
"""A girth smaller than the skin's by this is tight: cloth has a distance to keep."""
LEGS = frozenset({"thigh", "knee", "hem"})


@dataclass
class Points:
    """Points that were checked by winding number, and what was found."""

    count: int = 0
    garments: int = 0
    penetrating: list[str] = field(default_factory=list)

    def add(self, name: str, winding: WindingNumber, dressed: Dressed, points: Floats, seed: int) -> None:
        full = dressed.pattern.with_hems(points)
        checked = samples(full, dressed.pattern.all_faces, FACE_SAMPLES, np.random.default_rng(seed))
        found = int(inside(winding, checked).sum())
        self.count += len(checked)
        self.garments += 1
        if found:
            self.penetrating.append(f"{name}: {found}")

    def report(self, name: str) -> list[str]:
        said = f"{name}: {len(self.penetrating)} of {self.garments} garments, {self.count:,} points, have any inside"
        return [said, *self.penetrating]


class Tally:
    """What was measured, over all garments."""

    def __init__(self) -> None:
        self.errors_cm: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.first_ms: list[float] = []
        self.five_ms: list[float] = []
        self.drape_ms: list[float] = []
        self.hem_tilt_mm: list[float] = []
        self.lengthening_mm: list[float] = []
        self.kept = 0
        self.geometric, self.draped = Points(), Points()

    def add_measures(self, category: Category, body: DressedBody, dressed: Dressed, size: str) -> None:
        worn = dressed.sizes[size]
        chart = dict(worn.row.metres)
        for measure, metres in measured_girths(dressed, size).items():
            if chart[measure] > _skin_girth(body, dressed, measure, worn.marks[measure]) + GAP_GIRTH_M:
                self.errors_cm[category, measure].append((metres - chart[measure]) * 100)
        found = measured_lengths(dressed, size)
        if "rise" in chart:
            chart["rise + inseam"] = chart["rise"] + chart["inseam"]
        if "sleeve" in chart:
            along = {
                "upper_arm": upper_arm_mark(dressed, size, body.tables),
                "sleeve_open": opening_along(dressed, size, body.tables),
            }
            for name, metres in measured_sleeve(dressed, size, body.tables).items():
                if name == "sleeve" or _is_loose(body, chart[name], along[name]):
                    found[name] = metres
        for measure, metres in found.items():
            self.errors_cm[category, measure].append((metres - chart[measure]) * 100)

    def add_drape(self, dressed: Dressed, size: str, draped: WornSize) -> None:
        first = dressed.sizes[size].points
        hem, _ = dressed.pattern.hems.get("hem", dressed.pattern.hems.get("hem.L", (np.zeros(0, np.int32),) * 2))
        self.hem_tilt_mm.append(float(np.ptp(draped.points[hem, 2]) - np.ptp(first[hem, 2])) * 1000)
        self.lengthening_mm.append(float((first - draped.points)[hem, 2].max()) * 1000)
        self.kept += int(np.array_equal(first, draped.points))

    def report(self) -> str:
        lines = ["| kind | measure | loose | mean error | largest error |", "|-|-|-|-|-|"]
        for (category, measure), errors in sorted(self.errors_cm.items()):
            sizes = np.abs(errors)
            lines.append(f"| {category} | {measure} | {len(sizes)} | {sizes.mean():.2f} cm | {sizes.max():.2f} cm |")
        lines += ["", *self.geometric.report("Geometric, by winding number")]
        lines += [
            f"First size, with the body's tables: {_spread(self.first_ms)} of processor time",
            f"Five sizes: {_spread(self.five_ms)} of processor time",
        ]
        if self.drape_ms:
            tilt, drop = max(self.hem_tilt_mm), max(self.lengthening_mm)
            lines += [
                *self.draped.report("Draped, by winding number"),
                f"Draped, one size: {_spread(self.drape_ms)} of processor time; {self.kept} kept the first picture",
                f"Draped hems tilt by at most {tilt:.1f} mm more, and hang at most {drop:.1f} mm lower",
            ]
        return "\n".join(lines)


def _spread(times_ms: list[float]) -> str:
    return f"p50 {np.median(times_ms):.0f} ms, p95 {np.percentile(times_ms, 95):.0f} ms"


def _skin_girth(body: DressedBody, dressed: Dressed, measure: str, height: float) -> float:
    if measure in LEGS and "leg.L" in dressed.pattern.panels:
        levels, support = body.tables.legs[".L"]
        return float(np.interp(height, levels, girth(support)))
    return float(body.tables.girth_at(np.array([height]))[0])


def _is_loose(body: DressedBody, girth_m: float, along: float) -> bool:
    """Whether a sleeve's girth leaves room for the arm, `along` metres down it."""
    tube = body.tables.arms[".L"]
    return girth_m > float(np.interp(along, tube.along, girth(tube.support))) + GAP_GIRTH_M


def measure(bodies: int, seed: int, *, kinds: tuple[Category, ...] = CATEGORIES, drape: bool = True) -> Tally:
    """Dress `bodies` people in every kind and size, and let each size go as cloth."""
    wardrobe, population, tally = Wardrobe.load(), Population.load(), Tally()
    for category in kinds:
        pattern_of(category)  # a worker has made its patterns before the first job
    for number, person in enumerate(population.sample(np.random.default_rng(seed), bodies)):
        vertices, _ = wardrobe.body.rest(person.shape)
        winding = WindingNumber(vertices, wardrobe.body.faces)
        for category in kinds:
            dressed, body = _timed_dressing(tally, wardrobe, vertices, category)
            for size, worn in dressed.sizes.items():
                name = f"body {number} {category} {size}"
                tally.add_measures(category, body, dressed, size)
                tally.geometric.add(name, winding, dressed, worn.points, number)
                if drape and worn.fits_on:
                    start = time.process_time()
                    draped = body.drape(dressed, size)
                    tally.drape_ms.append((time.process_time() - start) * 1000)
                    tally.add_drape(dressed, size, draped)
                    tally.draped.add(name, winding, dressed, draped.points, number)
        found = len(tally.geometric.penetrating), len(tally.draped.penetrating)
        print(f"body {number + 1}/{bodies}: garments with points inside {found[0]}, draped {found[1]}", flush=True)
    return tally


def _timed_dressing(
    tally: Tally, wardrobe: Wardrobe, vertices: Floats, category: Category
) -> tuple[Dressed, DressedBody]:
    """One size on a body not seen before, then five."""
    known = wardrobe.body_of(vertices)
    rows = chart_rows(category, {size: chart_for(category, known, ease) for size, ease in SIZES.items()})
    start = time.process_time()
    body = wardrobe.body_of(vertices)
    body.dress(category, rows[2:3])
    tally.first_ms.append((time.process_time() - start) * 1000)
    start = time.process_time()
    dressed = body.dress(category, rows)
    tally.five_ms.append((time.process_time() - start) * 1000)
    return dressed, body


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bodies", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--sheet", type=Path, default=SHEET)
    arguments.add_argument("--no-sheet", action="store_true")
    arguments.add_argument("--no-drape", action="store_true")
    chosen = arguments.parse_args()
    start = time.perf_counter()
    if chosen.bodies:
        print(measure(chosen.bodies, chosen.seed, drape=not chosen.no_drape).report())
    if not chosen.no_sheet:
        contact_sheet(chosen.sheet, chosen.seed)
        print(f"Pictures: {chosen.sheet}")
    print(f"Took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
