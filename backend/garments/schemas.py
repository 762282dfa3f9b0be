from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from backend.garments.categories import Category, Stretch, WaistAt
from backend.garments.chart_rules import Chart, Measures, Unit
from backend.garments.models import Garment

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
ProductId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class SizeChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sizes` maps a size to its measures, small to large: `{"S": {"chest": 96, "length": 68}, …}`.

    `measures` says whether they are of the garment or of the body it is meant for; `flat` that girths are half widths.
    """

    unit: Unit
    measures: Measures
    sizes: dict[str, Any]
    flat: bool = False


class Fabric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stretch: Stretch


class NewGarment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    category: Category
    size_chart: SizeChart
    fabric: Fabric | None = None
    shopify_product_id: ProductId | None = None
    waist_at: WaistAt | None = None
    """Which waist of the body the chart's `waist` means; the category's usual one if left out."""


class GarmentChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    size_chart: SizeChart | UnsetType = UNSET
    fabric: Fabric | UnsetType | None = UNSET
    shopify_product_id: ProductId | UnsetType | None = UNSET
    waist_at: WaistAt | UnsetType | None = UNSET


class GarmentView(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    category: str
    size_chart: SizeChart
    fabric: Fabric | None
    shopify_product_id: int | None
    waist_at: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, garment: Garment) -> "GarmentView":
        chart = msgspec.convert(garment.size_chart, Chart)
        return cls(
            id=garment.id,
            name=garment.name,
            category=garment.category,
            size_chart=SizeChart(
                chart.unit, chart.measures, {row.size: row.values for row in chart.rows}, chart.is_flat
            ),
            fabric=msgspec.convert({"stretch": garment.stretch}, Fabric) if garment.stretch else None,
            shopify_product_id=garment.shopify_product_id,
            waist_at=garment.waist_at,
            created_at=garment.created_at,
            updated_at=garment.updated_at,
        )


class GarmentPage(msgspec.Struct, frozen=True):
    """`next_cursor` is null on the last page; else it is passed back as `cursor`."""

    items: list[GarmentView]
    next_cursor: str | None
