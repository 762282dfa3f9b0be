"""What is sold, and which measurements a chart of it may hold. Pure."""

from typing import Literal

Category = Literal["t-shirt", "long-sleeve shirt", "hoodie", "dress", "skirt", "trousers", "shorts"]
Stretch = Literal["woven", "knit", "stretch"]
WaistAt = Literal["natural", "navel"]

GIRTHS = ("chest", "waist", "hip", "thigh", "upper_arm")
"""What a body is compared on."""

JUDGED: dict[Category, tuple[str, ...]] = {
    "t-shirt": ("chest", "waist", "hip", "upper_arm"),
    "long-sleeve shirt": ("chest", "waist", "hip", "upper_arm"),
    "hoodie": ("chest", "waist", "hip", "upper_arm"),
    "dress": ("chest", "waist", "hip", "upper_arm"),
    "skirt": ("waist", "hip"),
    "trousers": ("waist", "hip", "thigh"),
    "shorts": ("waist", "hip", "thigh"),
}
"""Girths that speak about fit, where the chart gives them."""

EXPECTED: dict[Category, tuple[str, ...]] = {
    "t-shirt": ("chest",),
    "long-sleeve shirt": ("chest",),
    "hoodie": ("chest",),
    "dress": ("chest", "waist", "hip"),
    "skirt": ("waist", "hip"),
    "trousers": ("waist", "hip"),
    "shorts": ("waist", "hip"),
}
"""Girths whose absence the shopper is told of."""

USUAL_STRETCH: dict[Category, Stretch] = {
    "t-shirt": "knit",
    "long-sleeve shirt": "woven",
    "hoodie": "knit",
    "dress": "woven",
    "skirt": "woven",
    "trousers": "woven",
    "shorts": "woven",
}
"""Taken when the brand says nothing of the fabric."""

USUAL_WAIST: dict[Category, WaistAt] = {
    "t-shirt": "natural",
    "long-sleeve shirt": "natural",
    "hoodie": "natural",
    "dress": "natural",
    "skirt": "natural",
    "trousers": "navel",
    "shorts": "navel",
}
"""Which waist of the body a chart's `waist` is compared with, unless the brand says otherwise."""
