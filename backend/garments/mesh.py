"""A chart as the worker builds it: every measure of the garment itself, in centimetres. Pure."""

from collections.abc import Sequence
from typing import cast

import msgspec

from backend.garments.bands import band
from backend.garments.categories import GIRTHS, USUAL_STRETCH, Category, Stretch
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from backend.jobs.work import ObjectInput
from gpu_worker.contract import GarmentParams, LookParams, SizeRow


def pictures(garment: Garment) -> dict[str, ObjectInput]:
    """Of its look."""
    return msgspec.convert(garment.look_pictures or {}, dict[str, ObjectInput])


def _design_ease_cm(garment: Garment, category: Category) -> dict[str, float]:
    """Garment less the body it is meant for: the brand's word, else the middle of what fits well."""
    stretch = cast("Stretch", garment.stretch or USUAL_STRETCH[category])
    usual = {girth: band(category, stretch, "garment", girth).centre for girth in GIRTHS}
    return usual | (garment.design_ease_cm or {})


def garment_params(garment: Garment, uploads: Sequence[str] = ()) -> GarmentParams:
    """`uploads`: sizes that the brand has modelled itself, in the chart's order."""
    chart = msgspec.convert(garment.size_chart, Chart)
    category = cast("Category", garment.category)
    ease_cm = _design_ease_cm(garment, category) if chart.measures == "body" else {}
    rows = [
        SizeRow(row.size, {name: round(chart.value_cm(row, name) + ease_cm.get(name, 0.0), 2) for name in row.values})
        for row in chart.rows
    ]
    return GarmentParams(category, rows, msgspec.convert(garment.look, LookParams), list(uploads))
