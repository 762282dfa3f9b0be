"""How much room is too tight, close, regular, loose, too loose: by girth, fabric and kind of chart. Pure.

Centimetres. Ease is the chart's girth less the body's. The tables are a synthesis of pattern-making texts and are not
validated on wearers; no published standard of ease is known to us.
"""

from collections.abc import Sequence
from typing import NamedTuple

from backend.garments.categories import GIRTHS, Category, Stretch
from backend.garments.chart_rules import Measures


class Band(NamedTuple):
    """Where verdicts change: too_tight < tight <= snug < snug_to <= regular < regular_to <= loose < loose_to."""

    tight: float
    snug_to: float
    regular_to: float
    loose_to: float

    @property
    def centre(self) -> float:
        return (self.snug_to + self.regular_to) / 2

    @property
    def half_width(self) -> float:
        return (self.regular_to - self.snug_to) / 2


GARMENT_BANDS: dict[Stretch, dict[str, tuple[float, float, float]]] = {
    "woven": {
        "chest": (3, 6, 14),
        "waist": (1, 3, 12),
        "hip": (3, 5, 13),
        "thigh": (2, 4, 10),
        "upper_arm": (2, 4, 9),
    },
    "knit": {
        "chest": (-5, 0, 9),
        "waist": (-5, 0, 10),
        "hip": (-5, 0, 9),
        "thigh": (-3, 1, 7),
        "upper_arm": (-3, 1, 7),
    },
    "stretch": {
        "chest": (-12, -6, 3),
        "waist": (-10, -5, 4),
        "hip": (-12, -6, 3),
        "thigh": (-8, -4, 2),
        "upper_arm": (-5, -2, 3),
    },
}
"""Charts of the garment's own measures."""

LOOSE_CM: dict[Category, float] = {
    "t-shirt": 10,
    "long-sleeve shirt": 10,
    "hoodie": 14,
    "dress": 10,
    "skirt": 8,
    "trousers": 7,
    "shorts": 8,
}
"""From loose to too loose. Guess."""

MOST_EASE_CM = 80.0
LOOSE_WAISTBAND_CM = 4.0
"""A waistband any looser would slide down. Guess."""
HANGS_FROM_WAIST = frozenset({"skirt", "trousers", "shorts"})
LIMBS = frozenset({"thigh", "upper_arm"})

BODY_BANDS: dict[Stretch, dict[bool, Band]] = {
    "woven": {False: Band(-4, -2, 3, 8), True: Band(-3, -1, 2, 5)},
    "knit": {False: Band(-6, -3, 4, 10), True: Band(-4, -2, 3, 6)},
    "stretch": {False: Band(-8, -4, 4, 10), True: Band(-5, -3, 3, 6)},
}
"""Charts of body measures, by whether the girth is a limb's: about half a size step is regular. Guess."""


class BandRefused(Exception):
    """Limits that cannot be judged by; the text says why."""


def own_band(girth: str, limits_cm: Sequence[float]) -> Band:
    """A brand's own. Raises `BandRefused`."""
    if girth not in GIRTHS:
        raise BandRefused(f"{girth!r} is not one of {', '.join(GIRTHS)}.")
    if len(limits_cm) != len(Band._fields) or list(limits_cm) != sorted(set(limits_cm)):
        raise BandRefused(f"{girth} needs four rising limits: tight, snug, regular, loose.")
    if max(map(abs, limits_cm)) > MOST_EASE_CM:
        raise BandRefused(f"No limit of {girth} is beyond {MOST_EASE_CM:g} cm.")
    return Band(*limits_cm)


def band(category: Category, stretch: Stretch, measures: Measures, girth: str) -> Band:
    if measures == "body":
        return BODY_BANDS[stretch][girth in LIMBS]
    tight, snug_to, regular_to = GARMENT_BANDS[stretch][girth]
    return Band(tight, snug_to, regular_to, regular_to + _loose_cm(category, girth))


def _loose_cm(category: Category, girth: str) -> float:
    if girth == "waist" and category in HANGS_FROM_WAIST:
        return LOOSE_WAISTBAND_CM
    return LOOSE_CM[category] / (2 if girth in LIMBS else 1)
