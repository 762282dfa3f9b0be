"""Charts for benches and pictures: five sizes round a body's own measures, from tight to loose."""

import numpy as np

from gpu_worker.garments.chart import Category
from gpu_worker.garments.dress import DressedBody

SIZES = {"XS": -6.0, "S": 0.0, "M": 6.0, "L": 12.0, "XL": 19.0}
"""Size -> ease at chest and hip, cm."""
SLEEVE_ABOVE_WRIST_CM = 7.0
INSEAM_OF_LEG: dict[Category, float] = {"trousers": 0.86, "shorts": 0.22}
"""Inseam over the height of the crotch."""


def chart_for(category: Category, body: DressedBody, ease_cm: float) -> dict[str, float]:
    """A row round the body's own girths and limbs, cm."""
    tables = body.tables
    levels = np.array([tables.armpit - 0.045, tables.waist, tables.navel, tables.hip])
    chest, waist, navel, hip = (float(value) * 100 for value in tables.girth_at(levels))
    if category == "skirt":
        return {"waist": waist + ease_cm * 0.7, "hip": hip + ease_cm}
    if category in INSEAM_OF_LEG:
        inseam = (tables.crotch - tables.floor) * 100 * INSEAM_OF_LEG[category]
        return {"waist": navel + ease_cm * 0.7, "hip": hip + ease_cm, "inseam": inseam}
    if category == "dress":
        return {"chest": chest + ease_cm, "waist": waist + ease_cm, "hip": hip + ease_cm}
    row = {
        "chest": chest + ease_cm + 2,
        "waist": max(chest - 4, waist) + ease_cm,
        "hip": max(chest, hip - 2) + ease_cm,
    }
    if category != "t-shirt":
        row["sleeve"] = float(tables.arms[".L"].along[-1]) * 100 - SLEEVE_ABOVE_WRIST_CM
    return row
