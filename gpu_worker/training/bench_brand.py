"""`python -m gpu_worker.training.bench_brand`: brand garments on unseen bodies: girths, penetrations, times, a picture.

The files are the artist-made suits of the tests, cut into garments and written as GLBs, each as size M; the others
are graded from it. Bodies come from the population, with a seed that nothing was tuned on.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.canonical import Shape
from gpu_worker.garments.brand.garment import BrandTailor, BrandWorn, PreparedGarment
from gpu_worker.garments.brand.preview import Figure, Figures
from gpu_worker.garments.brand.transfer import tension
from gpu_worker.garments.brand.tubes import frames_of
from gpu_worker.garments.brand.worn import worn_sizes
from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import DressedBody, Wardrobe
from gpu_worker.garments.raster import Picture, Shown, draw
from gpu_worker.garments.support import girth
from gpu_worker.garments.winding import WindingNumber, inside, samples
from gpu_worker.gltf import FLOAT, GltfFile
from gpu_worker.training.population import Population

SEED = 20261208
FACE_SAMPLES = 5000
SUITS = Path("tests/gpu_worker/brand_garments/artist_garments.npz")
PICTURE = Path("docs/pictures/brand_garments.jpg")
GARMENTS: dict[str, tuple[str, int, Category, float]] = {
    "close tee": ("female_casualsuit01", 0, "t-shirt", 92.0),
    "cropped top": ("female_sportsuit01", 0, "t-shirt", 96.0),
    "jumper": ("male_casualsuit02", 0, "long-sleeve shirt", 109.0),
    "loose tee": ("male_casualsuit04", 1, "t-shirt", 109.0),
    "leggings": ("female_casualsuit01", 1, "trousers", 105.0),
    "trousers": ("male_casualsuit02", 1, "trousers", 109.0),
}
"""Name -> suit, part of it, category, and the chest or hip of the mesh, cm."""
STEPS = {"XS": -10.0, "S": -5.0, "M": 0.0, "L": 6.0, "XL": 13.0}
FREE_M = 2 * np.pi * 0.002
"""Rows whose cloth is wider than the skin and its gap by this hang free, unless cloth nearby is tight."""
SLACK = 0.05
SHOWN = ("close tee", "jumper", "trousers")
PANE_PX = (330, 480)
COLOURS = {"close tee": (176.0, 84, 92), "jumper": (96.0, 122, 160), "trousers": (92.0, 98, 116)}
SHOWN_SIZES = ("S", "M", "XL")
PEOPLE = (
    Shape(gender=1.0, age=0.7, weight=0.45, muscle=0.5, height=0.30, cupsize=0.5),
    Shape(gender=0.0, age=0.7, weight=0.45, muscle=0.6, height=0.42),
    Shape(gender=1.0, age=0.75, weight=0.75, muscle=0.4, height=0.34, cupsize=0.6),
)
"""A woman and a man of middle build, and a heavier woman."""
YAW, SHEET_PX = 0.4, (1980, 960)


def upload(suits: "np.lib.npyio.NpzFile", suit: str, part: int) -> bytes:
    """One part of a suit as a plain GLB."""
    faces: Ints = suits[f"{suit}.faces"].astype(np.int32)
    faces = faces[suits[f"{suit}.parts"][faces[:, 0]] == part]
    used, rows = np.unique(faces, return_inverse=True)
    file = GltfFile()
    attributes = {
        "POSITION": file.add_vertices(suits[f"{suit}.points"][used], FLOAT, bounds=True),
        "TEXCOORD_0": file.add_vertices(suits[f"{suit}.texture"][used].astype(np.float32), FLOAT),
    }
    indices = file.add_triangles(rows.reshape(-1, 3).astype(np.int32))
    file.meshes = [{"name": suit, "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}]
    file.nodes = [{"name": suit, "mesh": 0}]
    file.materials = [{"name": "cloth"}]
    return file.to_glb()


def chart_for(category: Category, middle_cm: float) -> dict[str, dict[str, float]]:
    measure = "hip" if category == "trousers" else "chest"
    return {size: {measure: middle_cm + step} for size, step in STEPS.items()}


def prepared_garments(tailor: BrandTailor) -> dict[str, PreparedGarment]:
    with np.load(SUITS, allow_pickle=False) as suits:
        return {
            name: tailor.prepare(category, chart_for(category, middle), {"M": upload(suits, suit, part)})
            for name, (suit, part, category, middle) in GARMENTS.items()
        }


class Tally:
    """What was measured, over all garments, bodies and sizes."""

    def __init__(self) -> None:
        self.errors_cm: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.ms: dict[str, list[float]] = defaultdict(list)
        self.points = 0
        self.penetrating: list[str] = []
        self.not_shown = 0

    def add_rows(self, name: str, garment: PreparedGarment, size: str, body: DressedBody, worn: BrandWorn) -> None:
        """Rows that hang free: cut length of the worn mesh against the garment's own."""
        frames = frames_of(garment.category, body.tables)
        for tube_name, tube in garment.bound(size).tubes.items():
            skin, _ = frames[tube_name].shapes(tube.rows)
            is_free = (tube.hull > girth(skin) + FREE_M) & (tension(girth(skin) - tube.hull, tube.rows) < SLACK)
            wanted = tube.perimeter[is_free]
            self.errors_cm[name, tube_name.split(".")[0]] += list(
                (tube.perimeters(worn.points)[is_free] - wanted) * 100
            )

    def add_points(self, what: str, winding: WindingNumber, points: Floats, faces: Ints, seed: int) -> None:
        checked = samples(points, faces, FACE_SAMPLES, np.random.default_rng(seed))
        found = int(inside(winding, checked).sum())
        self.points += len(checked)
        if found:
            self.penetrating.append(f"{what}: {found}")

    def report(self) -> str:
        lines = ["| garment | tube | free rows | mean error | p95 | largest |", "|-|-|-|-|-|-|"]
        for (name, tube), errors in sorted(self.errors_cm.items()):
            sizes = np.abs(errors) if errors else np.zeros(1)
            lines.append(
                f"| {name} | {tube} | {len(errors)} | {sizes.mean():.2f} cm | {np.percentile(sizes, 95):.2f} cm "
                f"| {sizes.max():.2f} cm |"
            )
        lines.append("")
        lines.append(
            f"Points checked by winding number: {self.points:,}; sizes with any inside: {len(self.penetrating)}"
        )
        lines += self.penetrating
        lines.append(f"Sizes too small to be shown: {self.not_shown}")
        for name, times in self.ms.items():
            lines.append(
                f"{name}: {np.median(times):.0f} ms a size, p95 {np.percentile(times, 95):.0f} of processor time"
            )
        return "\n".join(lines)


def measure(bodies: int, seed: int) -> Tally:
    """Every garment in five sizes on `bodies` people."""
    wardrobe, population, tally = Wardrobe.load(), Population.load(), Tally()
    tailor = BrandTailor(wardrobe)
    garments = prepared_garments(tailor)
    for number, person in enumerate(population.sample(np.random.default_rng(seed), bodies)):
        vertices, _ = wardrobe.body.rest(person.shape)
        winding = WindingNumber(vertices, wardrobe.body.faces)
        body = wardrobe.body_of(vertices)
        for name, garment in garments.items():
            frames_of(garment.category, body.tables)
            for size in STEPS:
                start = time.process_time()
                dressed = worn_sizes(body, garment, [size])
                tally.ms[name].append((time.process_time() - start) * 1000)
                worn = dressed[size]
                tally.not_shown += not worn.fits_on
                tally.add_rows(name, garment, size, body, worn)
                faces = garment.sources[worn.source].mesh.faces
                tally.add_points(f"body {number} {name} {size}", winding, worn.drawn, faces, number)
        print(f"body {number + 1}/{bodies}: {len(tally.penetrating)} sizes with points inside", flush=True)
    return tally


def picture(path: Path) -> None:
    """Three garments, S, M and XL, on three people."""
    wardrobe = Wardrobe.load()
    tailor, figures = BrandTailor(wardrobe), Figures(wardrobe.body)
    garments = prepared_garments(tailor)
    rows = []
    for name in SHOWN:
        panes: list[Picture] = []
        for shape in PEOPLE:
            vertices, _ = wardrobe.body.rest(shape)
            worn = worn_sizes(wardrobe.body_of(vertices), garments[name], SHOWN_SIZES)
            figure = figures.of(vertices)
            panes += [_pane(figure, garments[name], worn[size], name) for size in SHOWN_SIZES]
        rows.append(np.concatenate(panes, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).resize(SHEET_PX, Image.Resampling.LANCZOS).save(path, quality=85)


def _pane(figure: Figure, garment: PreparedGarment, worn: BrandWorn, name: str) -> Picture:
    source = garment.sources[worn.source]
    colours = np.tile(COLOURS[name], (len(worn.drawn), 1))
    cloth = Shown(worn.drawn, source.mesh.faces, colours, normals=source.normals(worn.points))
    low, high = float(figure.outline[:, 2].min()) - 0.03, float(figure.outline[:, 2].max()) + 0.03
    return draw([figure.shown, cloth], PANE_PX, yaw=YAW, low_m=low, high_m=high, fill=1.0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bodies", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--picture", type=Path, default=PICTURE)
    chosen = arguments.parse_args()
    start = time.perf_counter()
    if chosen.bodies:
        print(measure(chosen.bodies, chosen.seed).report())
    picture(chosen.picture)
    print(f"Picture: {chosen.picture}")
    print(f"Took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
