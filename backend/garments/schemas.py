from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from backend.garments.categories import GIRTHS, Category, Stretch, WaistAt
from backend.garments.chart_rules import Chart, ChartProblem, Measures, Unit, chart_warnings
from backend.garments.errors import FAULT, REFUSALS
from backend.garments.models import Garment
from gpu_worker.contract import LookParams, SizeReport

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200)]
MAX_PRODUCT_ID = 2**63 - 1
ProductId = Annotated[int, Meta(ge=1, le=MAX_PRODUCT_ID)]


class SizeChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sizes` maps a size to its measures, small to large: `{"S": {"chest": 96, "length": 68}, …}`.

    `measures` says whether they are of the garment or of the body it is meant for; `flat` that girths are half widths.
    """

    measures: Measures
    sizes: dict[str, Any]
    unit: Unit | None = None
    """Left out, it is taken where the values can be of one unit alone."""
    flat: bool = False


class Fabric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stretch: Stretch


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the cloth looks in the picture; what is left out is the category's own."""

    colour: Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$")] = LookParams().colour
    fabric: Literal["", "jersey", "poplin", "twill", "denim", "fleece", "crepe"] = ""
    tile_cm: Annotated[float, Meta(ge=0.5, le=100)] = LookParams().tile_cm
    """How wide one tile of the texture is on the cloth."""


class NewGarment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    category: Category
    size_chart: SizeChart
    fabric: Fabric | None = None
    shopify_product_id: ProductId | None = None
    waist_at: WaistAt | None = None
    """Which waist of the body the chart's `waist` means; the category's usual one if left out."""
    look: Look = Look()
    external_id: ExternalId | None = None
    """The brand's own name for it."""
    fit_bands: dict[str, list[float]] | None = None
    """Girth → where verdicts change, in cm of ease: too tight, snug, regular, loose, too loose lie between the four."""
    design_ease_cm: dict[str, float] | None = None
    """For a chart of body measures: girth → by how much the garment is wider."""


class GarmentChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    size_chart: SizeChart | UnsetType = UNSET
    fabric: Fabric | UnsetType | None = UNSET
    shopify_product_id: ProductId | UnsetType | None = UNSET
    waist_at: WaistAt | UnsetType | None = UNSET
    look: Look | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    fit_bands: dict[str, list[float]] | UnsetType | None = UNSET
    design_ease_cm: dict[str, float] | UnsetType | None = UNSET


class GarmentError(msgspec.Struct, frozen=True):
    """Why no mesh can be built; `detail` says what to change."""

    code: str
    detail: str


class SizeMesh(msgspec.Struct, frozen=True):
    """What became of one size's mesh. `estimated`: measures it was built from that the chart does not give."""

    size: str
    state: Literal["pending", "ok", "graded", "unavailable"]
    reason: str | None
    detail: str | None
    estimated: list[str]


class GarmentView(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    category: str
    size_chart: SizeChart
    fabric: Fabric | None
    shopify_product_id: int | None
    waist_at: str | None
    look: Look
    look_pictures: list[str]
    """Which of `photo` and `texture` there are."""
    external_id: str | None
    fit_bands: dict[str, list[float]] | None
    design_ease_cm: dict[str, float] | None
    warnings: list[ChartProblem]
    """What was taken as it stands, and may be a slip in the chart all the same."""
    status: Literal["pending", "ready", "refused"]
    """Of the mesh; sizes are recommended from the chart whatever it says."""
    error: GarmentError | None
    sizes: list[SizeMesh]
    preview_url: str | None
    """The garment on a mannequin, a GLB; signed for a quarter of an hour."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, garment: Garment, preview_url: str | None = None) -> "GarmentView":
        chart = msgspec.convert(garment.size_chart, Chart)
        return cls(
            id=garment.id,
            name=garment.name,
            category=garment.category,
            size_chart=given(chart),
            fabric=msgspec.convert({"stretch": garment.stretch}, Fabric) if garment.stretch else None,
            shopify_product_id=garment.shopify_product_id,
            waist_at=garment.waist_at,
            look=msgspec.convert(garment.look, Look),
            look_pictures=sorted(garment.look_pictures or {}),
            external_id=garment.external_id,
            fit_bands=garment.fit_bands,
            design_ease_cm=garment.design_ease_cm,
            warnings=chart_warnings(cast("Category", garment.category), chart),
            status=msgspec.convert(garment.status, Literal["pending", "ready", "refused"]),
            error=GarmentError(garment.error_code, garment.error_detail or REFUSALS.get(garment.error_code, FAULT))
            if garment.error_code
            else None,
            sizes=_sizes(garment, chart),
            preview_url=preview_url,
            created_at=garment.created_at,
            updated_at=garment.updated_at,
        )


def given(chart: Chart) -> SizeChart:
    """The chart in the form in which a brand sends it."""
    return SizeChart(chart.measures, {row.size: row.values for row in chart.rows}, chart.unit, chart.is_flat)


def _sizes(garment: Garment, chart: Chart) -> list[SizeMesh]:
    """In the chart's order, whatever the worker has looked at yet."""
    made_up = [girth for girth in GIRTHS if chart.measures == "body" and girth in chart.rows[0].values]
    reports = {report.size: report for report in msgspec.convert(garment.size_reports, list[SizeReport])}
    return [
        SizeMesh(report.size, report.state, report.reason, report.detail, [*report.estimated, *made_up])
        if (report := reports.get(row.size))
        else SizeMesh(row.size, "pending", None, None, [])
        for row in chart.rows
    ]


class GarmentPage(msgspec.Struct, frozen=True):
    """`next_cursor` is null on the last page; else it is passed back as `cursor`."""

    items: list[GarmentView]
    next_cursor: str | None
