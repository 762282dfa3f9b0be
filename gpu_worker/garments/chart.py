"""A size chart as a builder needs it: every measure of the category, in metres; what the brand left out is graded.

The shares are grading practice as pattern books give it, unmeasured; what they filled is named, and nothing about fit
is said from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Category = Literal["t-shirt", "long-sleeve shirt", "hoodie", "dress", "skirt", "trousers", "shorts"]
CATEGORIES: tuple[Category, ...] = ("t-shirt", "long-sleeve shirt", "hoodie", "dress", "skirt", "trousers", "shorts")

TOPS = frozenset({"t-shirt", "long-sleeve shirt", "hoodie", "dress"})
WIDEST_STRETCH = 1.35
"""Beyond this a size does not fit, and no picture pretends it does."""


class ChartUnusable(Exception):
    """No girth to build from; `size` says in which row."""

    def __init__(self, size: str, detail: str) -> None:
        super().__init__(detail)
        self.size = size


@dataclass(frozen=True)
class SizeRow:
    """One size. `metres`: every measure the category is built from; `estimated`: those the chart did not give."""

    size: str
    metres: Mapping[str, float]
    estimated: tuple[str, ...]


@dataclass(frozen=True)
class Grading:
    """A missing measure = share * another + constant (metres)."""

    measure: str
    share: float
    of: str
    plus_m: float = 0.0


_SLEEVE_SHORT = (Grading("upper_arm", 0.30, "chest", 0.06), Grading("sleeve_open", 0.94, "upper_arm"))
_SLEEVE_LONG = (Grading("upper_arm", 0.30, "chest", 0.06), Grading("sleeve_open", 0.30, "upper_arm", 0.125))
_SHOULDER = Grading("shoulder", 0.30, "chest", 0.145)
_LEGS = (
    Grading("thigh", 0.60, "hip", 0.02),
    Grading("rise", 0.16, "hip", 0.09),
)

GRADINGS: Mapping[Category, tuple[Grading, ...]] = {
    "t-shirt": (
        Grading("waist", 0.97, "chest"),
        Grading("hip", 1.0, "chest"),
        Grading("hem", 1.0, "hip"),
        Grading("length", 0.30, "chest", 0.40),
        Grading("sleeve", 0.08, "chest", 0.13),
        *_SLEEVE_SHORT,
        _SHOULDER,
    ),
    "long-sleeve shirt": (
        Grading("waist", 0.95, "chest"),
        Grading("hip", 0.99, "chest"),
        Grading("hem", 1.0, "hip"),
        Grading("length", 0.25, "chest", 0.49),
        Grading("sleeve", 0.05, "chest", 0.575),
        *_SLEEVE_LONG,
        _SHOULDER,
    ),
    "hoodie": (
        Grading("waist", 0.98, "chest"),
        Grading("hip", 0.96, "chest"),
        Grading("hem", 0.90, "hip"),
        Grading("length", 0.25, "chest", 0.42),
        Grading("sleeve", 0.05, "chest", 0.59),
        *_SLEEVE_LONG,
        _SHOULDER,
    ),
    "dress": (
        Grading("waist", 0.84, "chest"),
        Grading("hip", 1.05, "chest", 0.03),
        Grading("hem", 1.22, "hip"),
        Grading("length", 0.10, "chest", 0.87),
        Grading("sleeve", 0.06, "chest", 0.10),
        *_SLEEVE_SHORT,
        _SHOULDER,
    ),
    "skirt": (
        Grading("waist", 1.0, "hip", -0.26),
        Grading("hip", 1.0, "waist", 0.26),
        Grading("hem", 1.28, "hip"),
        Grading("length", 0.10, "hip", 0.50),
    ),
    "trousers": (
        Grading("waist", 1.0, "hip", -0.19),
        Grading("hip", 1.0, "waist", 0.19),
        *_LEGS,
        Grading("knee", 0.62, "thigh", 0.045),
        Grading("hem", 0.45, "thigh", 0.10),
        Grading("inseam", 0.0, "hip", 0.80),
    ),
    "shorts": (
        Grading("waist", 1.0, "hip", -0.19),
        Grading("hip", 1.0, "waist", 0.19),
        *_LEGS,
        Grading("hem", 0.96, "thigh"),
        Grading("knee", 0.62, "thigh", 0.045),
        Grading("inseam", 0.05, "hip", 0.13),
    ),
}
_CHEST_FROM = (Grading("chest", 1.0, "waist", 0.03), Grading("chest", 0.97, "hip"))
_ALIASES = {"cuff": "sleeve_open", "rib_hem": "hem"}


def complete(category: Category, size: str, row_cm: Mapping[str, float]) -> SizeRow:
    """The row in metres with every measure the category needs. Raises `ChartUnusable` when it names no girth.

    row_cm : garment girths and lengths, whole girths (not flat)
    """
    metres = {name: value / 100 for name, value in row_cm.items() if name not in _ALIASES}
    metres |= {_ALIASES[name]: value / 100 for name, value in row_cm.items() if name in _ALIASES}
    given = set(metres)
    gradings = GRADINGS[category]
    if category in TOPS:
        gradings = (*_CHEST_FROM, *gradings)
        if category == "t-shirt" and "hip" not in given and "hem" in given:
            metres["hip"] = metres["hem"]
    for grading in gradings:
        if grading.measure not in metres and grading.of in metres:
            metres[grading.measure] = grading.share * metres[grading.of] + grading.plus_m
    missing = {grading.measure for grading in GRADINGS[category]} - set(metres)
    if missing:
        girth = "chest" if category in TOPS else "waist or hip"
        raise ChartUnusable(size, f"Size {size} of a {category} needs at least its {girth}.")
    return SizeRow(size, metres, tuple(sorted(set(metres) - given)))
