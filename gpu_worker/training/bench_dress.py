"""`python -m gpu_worker.training.bench_dress`: garments on unseen bodies: girths, penetrations, times, a contact sheet.

Bodies are drawn from the population with a seed that nothing was tuned on. Each kind comes in five sizes round the
body's own measures, from tight to loose.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.display import Display, Surface
from gpu_worker.garments.chart import CATEGORIES, Category
from gpu_worker.garments.dress import Dressed, DressedBody, Wardrobe, chart_rows
from gpu_worker.garments.rings import GAP_M
from gpu_worker.garments.section import measured_girths
from gpu_worker.garments.support import girth
from gpu_worker.garments.winding import WindingNumber, inside, samples
from gpu_worker.training.population import Population
from gpu_worker.training.render import Mesh, Picture, frame_person, join, paint

SEED = 20261125
SIZES = {"XS": -6.0, "S": 0.0, "M": 6.0, "L": 12.0, "XL": 19.0}
"""Size -> ease at chest and hip, cm."""
FACE_SAMPLES = 5000
GAP_GIRTH_M = 2 * np.pi * (GAP_M + 0.0003)
"""A girth smaller than the skin's by this is tight: cloth has a distance to keep."""
LEGS = frozenset({"thigh", "knee", "hem"})

SHEET = Path("docs/pictures/garments.jpg")
COLOURS: dict[Category, tuple[float, float, float]] = {
    "t-shirt": (86, 122, 172),
    "long-sleeve shirt": (214, 214, 208),
    "hoodie": (120, 128, 122),
    "dress": (172, 72, 88),
    "skirt": (88, 132, 104),
    "trousers": (84, 90, 116),
    "shorts": (164, 142, 110),
}
SKIN_COLOUR, BASE_COLOUR = (205.0, 182.0, 165.0), (98.0, 100.0, 106.0)
PANE_PX = (250, 420)
YAWS = {"front": 0.35, "back": np.pi + 0.5}
COVERED_M = 0.03
LINING = 0.8
FINE = 2
"""Panes are drawn this much larger and scaled down."""


def chart_for(category: Category, body: DressedBody, ease_cm: float) -> dict[str, float]:
    """A row round the body's own girths, cm."""
    tables = body.tables
    levels = np.array([tables.armpit - 0.045, tables.waist, tables.navel, tables.hip])
    chest, waist, navel, hip = (float(value) * 100 for value in tables.girth_at(levels))
    if category in {"skirt", "trousers", "shorts"}:
        return {"waist": (waist if category == "skirt" else navel) + ease_cm * 0.7, "hip": hip + ease_cm}
    if category == "dress":
        return {"chest": chest + ease_cm, "waist": waist + ease_cm, "hip": hip + ease_cm}
    return {
        "chest": chest + ease_cm + 2,
        "waist": max(chest - 4, waist) + ease_cm,
        "hip": max(chest, hip - 2) + ease_cm,
    }


class Tally:
    """What was measured, over all garments."""

    def __init__(self) -> None:
        self.girth_errors: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.first_ms: list[float] = []
        self.five_ms: list[float] = []
        self.points = 0
        self.penetrating: list[str] = []

    def add_girths(self, category: Category, body: DressedBody, dressed: Dressed, size: str) -> None:
        worn = dressed.sizes[size]
        for measure, metres in measured_girths(dressed, size).items():
            if worn.row.metres[measure] > _skin_girth(body, dressed, measure, worn.marks[measure]) + GAP_GIRTH_M:
                self.girth_errors[category, measure].append((metres - worn.row.metres[measure]) * 100)

    def add_points(self, name: str, winding: WindingNumber, dressed: Dressed, points: Floats, seed: int) -> None:
        full = dressed.pattern.with_hems(points)
        rng = np.random.default_rng(seed)
        checked = samples(full, dressed.pattern.all_faces, FACE_SAMPLES, rng)
        found = int(inside(winding, checked).sum())
        self.points += len(checked)
        if found:
            self.penetrating.append(f"{name}: {found}")

    def report(self) -> str:
        lines = ["| kind | measure | loose | mean error | largest error |", "|-|-|-|-|-|"]
        for (category, measure), errors in sorted(self.girth_errors.items()):
            sizes = np.abs(errors)
            lines.append(f"| {category} | {measure} | {len(sizes)} | {sizes.mean():.2f} cm | {sizes.max():.2f} cm |")
        lines += [
            "",
            f"Points checked by winding number: {self.points:,}; garments with any inside: {len(self.penetrating)}",
            *self.penetrating,
            f"First size, with the body's tables: {_spread(self.first_ms)} of processor time",
            f"Five sizes: {_spread(self.five_ms)} of processor time",
        ]
        return "\n".join(lines)


def _spread(times_ms: list[float]) -> str:
    return f"p50 {np.median(times_ms):.0f} ms, p95 {np.percentile(times_ms, 95):.0f} ms"


def _skin_girth(body: DressedBody, dressed: Dressed, measure: str, height: float) -> float:
    if measure in LEGS and "leg.L" in dressed.pattern.panels:
        levels, support = body.tables.legs[".L"]
        return float(np.interp(height, levels, girth(support)))
    return float(body.tables.girth_at(np.array([height]))[0])


def measure(bodies: int, seed: int, *, kinds: tuple[Category, ...] = CATEGORIES) -> Tally:
    """Dress `bodies` people in every kind and size."""
    wardrobe, population, tally = Wardrobe.load(), Population.load(), Tally()
    for number, person in enumerate(population.sample(np.random.default_rng(seed), bodies)):
        vertices, _ = wardrobe.body.rest(person.shape)
        winding = WindingNumber(vertices, wardrobe.body.faces)
        for category in kinds:
            start = time.process_time()
            body = wardrobe.body_of(vertices)
            rows = chart_rows(category, {size: chart_for(category, body, ease) for size, ease in SIZES.items()})
            body.dress(category, rows[2:3])
            tally.first_ms.append((time.process_time() - start) * 1000)
            start = time.process_time()
            dressed = body.dress(category, rows)
            tally.five_ms.append((time.process_time() - start) * 1000)
            for size, worn in dressed.sizes.items():
                tally.add_girths(category, body, dressed, size)
                tally.add_points(f"body {number} {category} {size}", winding, dressed, worn.points, number)
        print(f"body {number + 1}/{bodies}: {len(tally.penetrating)} garments with points inside", flush=True)
    return tally


def contact_sheet(path: Path, seed: int) -> None:
    """Every kind on three bodies: XS, M, XL from the front, M from the back."""
    wardrobe, population = Wardrobe.load(), Population.load()
    people = list(population.sample(np.random.default_rng(seed), 3))
    display = Display(wardrobe.body)
    rows = []
    for category in CATEGORIES:
        panes = []
        for person in people:
            vertices, _ = wardrobe.body.rest(person.shape)
            body = wardrobe.body_of(vertices)
            sizes = {size: chart_for(category, body, SIZES[size]) for size in ("XS", "M", "XL")}
            dressed = body.dress(category, chart_rows(category, sizes))
            for size, view in (("XS", "front"), ("M", "front"), ("XL", "front"), ("M", "back")):
                panes.append(_pane(display, vertices, dressed, dressed.sizes[size].points, YAWS[view]))
        rows.append(np.concatenate(panes, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate(rows)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 84])


def _pane(display: Display, vertices: Floats, dressed: Dressed, points: Floats, yaw: float) -> Picture:
    surface = display.surface(vertices)
    floor = np.array([0.0, 0.0, vertices[:, 2].min()])
    full, faces = dressed.pattern.with_hems(points), dressed.pattern.all_faces
    colours = np.tile(SKIN_COLOUR, (len(surface.vertices), 1))
    colours[np.unique(surface.base)] = BASE_COLOUR
    below = Mesh(surface.vertices - floor, _uncovered(surface, dressed, points), colours)
    cloth = Mesh(full - floor, faces, np.tile(COLOURS[dressed.category], (len(full), 1)))
    picture: Picture = np.full((PANE_PX[1] * FINE, PANE_PX[0] * FINE, 3), 243, np.uint8)
    size = (PANE_PX[0] * FINE, PANE_PX[1] * FINE)
    top = float(np.ptp(vertices[:, 2]))
    camera = frame_person(size, top, 0.92, distance_m=4.0, height_m=1.1, yaw=yaw)
    lining = Mesh(cloth.vertices, np.ascontiguousarray(faces[:, ::-1]), cloth.colours * LINING)
    paint(picture, join([below, lining, cloth]), camera, light_yaw=-yaw)
    small: Picture = cv2.resize(picture, PANE_PX, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def _uncovered(surface: Surface, dressed: Dressed, cloth: Floats) -> Ints:
    """The body's triangles that do not lie close under cloth: a painter's renderer cannot tell which is in front."""
    faces = np.concatenate([surface.skin, surface.base])
    distance, nearest = cKDTree(cloth).query(surface.vertices)
    outwards = ((cloth[nearest] - surface.vertices) * surface.normals).sum(axis=1) > 0
    edges = np.concatenate([np.concatenate(pair) for pair in dressed.pattern.hems.values()])
    covered = (distance < COVERED_M) & outwards & ~np.isin(nearest, edges)
    shown: Ints = faces[~covered[faces].all(axis=1)]
    return shown


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bodies", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--sheet", type=Path, default=SHEET)
    arguments.add_argument("--no-sheet", action="store_true")
    chosen = arguments.parse_args()
    start = time.perf_counter()
    if chosen.bodies:
        print(measure(chosen.bodies, chosen.seed).report())
    if not chosen.no_sheet:
        contact_sheet(chosen.sheet, chosen.seed)
        print(f"Pictures: {chosen.sheet}")
    print(f"Took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
