"""The contact sheet: every kind draped on two women and a man, as a viewer shows it: XS, M, XL before, M behind."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from gpu_worker.body.arrays import Floats
from gpu_worker.body.display import Display
from gpu_worker.garments.atlas import layout_of
from gpu_worker.garments.chart import CATEGORIES, Category
from gpu_worker.garments.drape import DrapeFailed
from gpu_worker.garments.drawn import drawn, shade
from gpu_worker.garments.dress import Dressed, Wardrobe, chart_rows, sheet_of
from gpu_worker.garments.look import Look, fabric_of, to_light
from gpu_worker.garments.pattern import vertex_normals
from gpu_worker.garments.pictures import sewn_picture
from gpu_worker.garments.weave import TILE_PX, weave_of
from gpu_worker.training.charts import SIZES, chart_for
from gpu_worker.training.population import Person, Population
from gpu_worker.training.render import frame_person
from gpu_worker.training.studio import Model, Picture, photograph

SHEET = Path("docs/pictures/garments.jpg")
DRAWN = 12
"""People among whom the sitters are found."""
PANES = (("XS", "front"), ("M", "front"), ("XL", "front"), ("M", "back"))
PANE_PX = (250, 420)
FINE = 2
"""Panes are drawn this much larger and scaled down."""
YAWS = {"front": 0.35, "back": np.pi + 0.5}
FILL, QUALITY = 0.92, 86
SCREEN: dict[Category, tuple[int, int, int]] = {
    "t-shirt": (72, 104, 150),
    "long-sleeve shirt": (214, 222, 232),
    "hoodie": (120, 128, 120),
    "dress": (158, 52, 66),
    "skirt": (66, 104, 86),
    "trousers": (62, 82, 118),
    "shorts": (178, 158, 126),
}
"""SRGB."""
DENIM: frozenset[Category] = frozenset({"trousers"})
SKIN, BASE = (0.60, 0.47, 0.385), (0.122, 0.127, 0.14)
"""Linear; the base layer worn beneath."""


def look_of(category: Category) -> Look:
    red, green, blue = (float(share) for share in to_light(np.array(SCREEN[category]) / 255))
    return Look((red, green, blue), fabric="denim" if category in DENIM else "")


def _sitters(population: Population, seed: int) -> list[Person]:
    """Of a dozen drawn: the woman and the man of middle build, and the stoutest woman."""
    drawn_people = list(population.sample(np.random.default_rng(seed), DRAWN))
    women, men = (
        sorted((one for one in drawn_people if one.sex == sex), key=lambda one: one.weight_kg / one.height_cm**2)
        for sex in ("female", "male")
    )
    return [women[(len(women) - 1) // 2], men[(len(men) - 1) // 2], women[-1]]


def contact_sheet(path: Path, seed: int) -> None:
    """Write it, as a JPEG."""
    wardrobe, population = Wardrobe.load(), Population.load()
    people = [wardrobe.body.rest(person.shape)[0] for person in _sitters(population, seed)]
    display = Display(wardrobe.body)
    rows = []
    for category in CATEGORIES:
        panes = []
        for vertices in people:
            body = wardrobe.body_of(vertices)
            sizes = {size: chart_for(category, body, SIZES[size]) for size, _ in PANES}
            dressed = body.dress(category, chart_rows(category, sizes))
            points = {size: worn.points for size, worn in dressed.sizes.items()}
            for size in sizes:
                with suppress(DrapeFailed):
                    points[size] = body.drape(dressed, size).points
            panes += [pane(display, vertices, dressed, points[size], YAWS[view]) for size, view in PANES]
        rows.append(np.concatenate(panes, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path, "JPEG", quality=QUALITY)


def pane(display: Display, vertices: Floats, dressed: Dressed, points: Floats, yaw: float) -> Picture:
    """One size on one body."""
    floor = np.array([0.0, 0.0, vertices[:, 2].min()])
    size = (PANE_PX[0] * FINE, PANE_PX[1] * FINE)
    stature = float(np.ptp(vertices[:, 2]))
    camera = frame_person(size, stature, FILL, distance_m=4.0, height_m=1.1, yaw=yaw)
    pixel_m = stature / (FILL * size[1])
    models = [_figure(display, vertices, floor), _garment(dressed, points, floor, pixel_m)]
    picture = Image.fromarray(photograph(models, camera, size)).resize(PANE_PX, Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _figure(display: Display, vertices: Floats, floor: Floats) -> Model:
    surface = display.surface(vertices)
    colours = np.tile(SKIN, (len(surface.vertices), 1))
    colours[np.unique(surface.base)] = BASE
    return Model(surface.vertices - floor, surface.normals, np.concatenate([surface.skin, surface.base]), colours)


def _garment(dressed: Dressed, points: Floats, floor: Floats, pixel_m: float) -> Model:
    """The weave is softened to what a pixel shows, as a viewer's smaller textures do."""
    look = look_of(dressed.category)
    fabric, pattern = fabric_of(dressed.category, look), dressed.pattern
    full = pattern.with_hems(points)
    render = drawn(pattern, layout_of(dressed.category), full)
    cloth = Image.open(io.BytesIO(sewn_picture(dressed.category, fabric, look.colour).data)).convert("RGB")
    weave = weave_of(fabric)
    blur_px = 0.6 * pixel_m / weave.width_m * TILE_PX
    soft = gaussian_filter(weave.normals, (blur_px, blur_px, 0), mode="wrap")
    seen = shade(pattern, sheet_of(dressed.category), full)
    return Model(
        (full - floor)[render.source],
        vertex_normals(full, pattern.all_faces)[render.source],
        render.faces,
        np.repeat(seen[render.source, None], 3, axis=1),
        render.atlas,
        to_light(np.asarray(cloth, np.float64) / 255),
        render.cloth / weave.width_m,
        soft,
    )
