"""Artist-made suits cut into garments, a tailor, and bodies that no file was made for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.body.arrays import Floats
from gpu_worker.body.canonical import YOUNG, Shape
from gpu_worker.garments.brand.garment import BrandTailor, PreparedGarment
from gpu_worker.garments.brand.source import Prepared, prepare_source
from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import DressedBody, Wardrobe, chart_rows
from gpu_worker.garments.pattern import vertex_normals
from gpu_worker.garments.winding import WindingNumber

from .uploads import Part, glb_of

SUITS = Path(__file__).with_name("artist_garments.npz")
GARMENTS: dict[str, tuple[str, int, Category]] = {
    "close tee": ("female_casualsuit01", 0, "t-shirt"),
    "cropped top": ("female_sportsuit01", 0, "t-shirt"),
    "jumper": ("male_casualsuit02", 0, "long-sleeve shirt"),
    "loose tee": ("male_casualsuit04", 1, "t-shirt"),
    "leggings": ("female_casualsuit01", 1, "trousers"),
    "trousers": ("male_casualsuit02", 1, "trousers"),
}
"""Name -> suit, part of it, category."""
PREPARED = ("close tee", "jumper", "trousers")
CHARTS: dict[Category, dict[str, dict[str, float]]] = {
    "t-shirt": {"S": {"chest": 102.0}, "M": {"chest": 108.0}, "L": {"chest": 116.0}},
    "long-sleeve shirt": {"S": {"chest": 102.0}, "M": {"chest": 108.0}, "L": {"chest": 116.0}},
    "trousers": {"S": {"hip": 103.0}, "M": {"hip": 109.0}, "L": {"hip": 117.0}},
}
SHAPES = (
    Shape(gender=1.0, age=0.75, weight=0.5, muscle=0.4, height=0.27, cupsize=0.7),
    Shape(gender=1.0, age=0.7, weight=0.95, muscle=0.2, height=0.33, cupsize=0.8, firmness=0.3),
    Shape(gender=0.0, age=0.7, weight=0.4, muscle=0.6, height=0.45),
)
"""A woman of middle build, a heavy woman, a lean man; never used to tune."""


@dataclass(frozen=True, eq=False)
class Person:
    vertices: Floats
    body: DressedBody
    winding: WindingNumber


@pytest.fixture(scope="session")
def parts() -> dict[str, Part]:
    """Garment -> its mesh, glTF's axes, metres."""
    with np.load(SUITS, allow_pickle=False) as suits:
        return {name: _part(suits, suit, part) for name, (suit, part, _) in GARMENTS.items()}


def _part(suits: "np.lib.npyio.NpzFile", suit: str, number: int) -> Part:
    faces = suits[f"{suit}.faces"].astype(np.int32)
    faces = faces[suits[f"{suit}.parts"][faces[:, 0]] == number]
    used, rows = np.unique(faces, return_inverse=True)
    points, texture = suits[f"{suit}.points"].astype(np.float64), suits[f"{suit}.texture"].astype(np.float64)
    return Part(points[used], rows.reshape(-1, 3).astype(np.int32), texture[used], suit)


@pytest.fixture(scope="session")
def wardrobe() -> Wardrobe:
    return Wardrobe.load()


@pytest.fixture(scope="session")
def tailor(wardrobe: Wardrobe) -> BrandTailor:
    return BrandTailor(wardrobe)


@pytest.fixture(scope="session")
def sources(tailor: BrandTailor, parts: dict[str, Part]) -> dict[str, Prepared]:
    """Garments as their files are, to compare altered ones with."""
    return {
        name: prepare_source(GARMENTS[name][2], glb_of([parts[name]]), tailor.references, length_m=None, first=None)
        for name in ("jumper", "loose tee", "trousers")
    }


@pytest.fixture(scope="session")
def prepared(tailor: BrandTailor, parts: dict[str, Part]) -> dict[str, PreparedGarment]:
    """Garments from one file of size M; S and L are graded."""
    return {
        name: tailor.prepare(GARMENTS[name][2], CHARTS[GARMENTS[name][2]], {"M": glb_of([parts[name]])})
        for name in PREPARED
    }


@pytest.fixture(scope="session")
def people(wardrobe: Wardrobe) -> list[Person]:
    return [make_person(wardrobe, shape) for shape in SHAPES]


def make_person(wardrobe: Wardrobe, shape: Shape) -> Person:
    vertices, _ = wardrobe.body.rest(shape)
    return Person(vertices, wardrobe.body_of(vertices), WindingNumber(vertices, wardrobe.body.faces))


@pytest.fixture(scope="session")
def wrinkled(wardrobe: Wardrobe) -> dict[Category, Part]:
    """Garments of the project's own patterns on a default body, with wrinkles that no chart knows."""
    woman = make_person(wardrobe, Shape(gender=1.0, age=YOUNG, height=0.4, weight=0.45)).body
    charts: dict[Category, dict[str, float]] = {
        "dress": {"chest": 100.0, "waist": 88.0, "hip": 112.0},
        "skirt": {"waist": 78.0, "hip": 110.0, "length": 60.0},
        "hoodie": {"chest": 112.0},
    }
    return {category: _wrinkled(woman, category, row) for category, row in charts.items()}


def _wrinkled(body: DressedBody, category: Category, row: dict[str, float]) -> Part:
    dressed = body.dress(category, chart_rows(category, {"M": row}))
    points, faces = dressed.sizes["M"].points, dressed.pattern.faces
    wave = np.sin(60 * points[:, 2] + 25 * points[:, 0] + 9 * np.sin(20 * points[:, 1]))
    points = points + vertex_normals(points, faces) * (0.0035 * (1 + wave))[:, None]
    return Part(np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1), faces, None, category)
