"""A chart as the worker builds it: every measure of the garment itself, in centimetres. Pure."""

from collections.abc import Sequence
from typing import cast

import msgspec

from backend.garments.categories import Category
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from gpu_worker.contract import GarmentParams, LookParams, SizeRow


def garment_params(garment: Garment, uploads: Sequence[str] = ()) -> GarmentParams:
    """`uploads`: sizes that the brand has modelled itself, in the chart's order."""
    chart = msgspec.convert(garment.size_chart, Chart)
    category = cast("Category", garment.category)
    rows = [SizeRow(row.size, {name: round(chart.value_cm(row, name), 2) for name in row.values}) for row in chart.rows]
    return GarmentParams(category, rows, msgspec.convert(garment.look, LookParams), list(uploads))
