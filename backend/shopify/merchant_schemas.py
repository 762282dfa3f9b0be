"""What the merchant's page reads and writes. Outside the public contract: only our own page speaks it."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from analytics.funnel import FunnelReport
from backend.brands.models import MAX_RETENTION_DAYS
from backend.garments.categories import Category, Stretch
from backend.garments.schemas import GarmentView, SizeChart
from backend.shopify.catalogue import CatalogueEntry
from backend.shopify.sales_report import SalesReport
from backend.shopify.size_options import Attention

MAX_CHART_TEXT = 20_000


class Picked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the resource picker."""

    product_ids: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1, max_length=250)]


class ProductView(msgspec.Struct, frozen=True):
    """A product of the shop; `garment` once it has a category and a chart."""

    product_id: int
    title: str
    image_url: str | None
    status: str
    sizes: list[str]
    size_option: str | None
    option_names: list[str]
    attention: list[Attention]
    is_ready: bool
    """Shoppers see the button."""
    suggested_chart: dict[str, object] | None
    garment: GarmentView | None

    @classmethod
    def of(cls, entry: CatalogueEntry, ready: set[int]) -> "ProductView":
        product = entry.product
        return cls(
            product_id=product.product_id,
            title=product.title,
            image_url=product.image_url,
            status=product.status,
            sizes=product.sizes,
            size_option=product.size_option,
            option_names=[str(option["name"]) for option in product.options],
            attention=entry.attention,
            is_ready=product.product_id in ready,
            suggested_chart=product.suggested_chart,
            garment=GarmentView.of(entry.garment) if entry.garment else None,
        )


class ImportProgress(msgspec.Struct, frozen=True):
    is_running: bool
    done: int
    total: int
    error_code: str | None


class ProductList(msgspec.Struct, frozen=True):
    products: list[ProductView]
    next_after: int | None
    progress: ImportProgress


class NeedsAttention(msgspec.Struct, frozen=True):
    title: str
    attention: list[Attention]


class CatalogueSummary(msgspec.Struct, frozen=True):
    """For the first page; the lists are turned over elsewhere."""

    products: int
    ready: int
    attention: list[NeedsAttention]
    """The first few."""
    further: int
    """How many more need attention."""


class GarmentDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: Category
    size_chart: SizeChart
    stretch: Stretch | None = None


class SizeOptionChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255)]


class ChartText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=MAX_CHART_TEXT)]


class Results(msgspec.Struct, frozen=True):
    days: int
    funnel: FunnelReport
    sales: SalesReport


class MerchantSettings(msgspec.Struct, frozen=True):
    is_enabled: bool
    retention_days: int


class SettingsChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    is_enabled: bool | None = None
    retention_days: Annotated[int, Meta(ge=1, le=MAX_RETENTION_DAYS)] | None = None


class PlanView(msgspec.Struct, frozen=True):
    """Fittings are metered by Shopify; here is what was reported to it."""

    is_open: bool
    fittings: int
    waiting: int
    plans_url: str
    """Shopify's own page, on which plans are chosen and bills are seen."""


class Created(msgspec.Struct, frozen=True):
    new: int


class GarmentSaved(msgspec.Struct, frozen=True):
    garment_id: UUID
    product: ProductView
