"""What a brand sells: a category, its size chart, its fabric, its look."""

from typing import get_args
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_key, tenant_root
from backend.garments.categories import Category, Stretch, WaistAt

PENDING, READY, REFUSED = "pending", "ready", "refused"
STATUSES = (PENDING, READY, REFUSED)


class Garment(BrandOwned):
    __tablename__ = "garments"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        UniqueConstraint("brand_id", "shopify_product_id"),
        one_of("category", get_args(Category)),
        one_of("stretch", get_args(Stretch)),
        one_of("waist_at", get_args(WaistAt)),
        one_of("status", STATUSES),
        Index("ix_garments_external_id", "brand_id", "external_id", unique=True),
        at_most("external_id", 200),
        at_most("name", 200),
    )

    name: Mapped[str]
    category: Mapped[str]
    shopify_product_id: Mapped[int | None] = mapped_column(BigInteger)
    size_chart: Mapped[dict[str, object]] = mapped_column(Json())
    """`chart_rules.Chart`: as the brand gave it, checked, rows in order."""
    stretch: Mapped[str | None]
    """NULL: the category's usual fabric."""
    waist_at: Mapped[str | None]
    """NULL: the category's usual waist."""
    external_id: Mapped[str | None]
    """The brand's own name for it; an import finds it by this."""
    fit_bands: Mapped[dict[str, list[float]] | None] = mapped_column(Json())
    """Girth → four limits of ease, cm, where this garment is judged otherwise than its brand's others."""
    design_ease_cm: Mapped[dict[str, float] | None] = mapped_column(Json())
    """Girth → garment less body, for a chart of body measures; NULL: the middle of what fits well."""
    look: Mapped[dict[str, str]] = mapped_column(Json())
    """`contract.LookParams`."""
    look_pictures: Mapped[dict[str, dict[str, object]] | None] = mapped_column(Json())
    """`photo` and `texture` → `work.ObjectInput`, where the brand has sent them."""
    status: Mapped[str]
    """Of the mesh; sizes are recommended from the chart whatever it says."""
    job_id: Mapped[UUID | None]
    """The newest order; an older one's result does not count."""
    size_reports: Mapped[list[dict[str, object]]] = mapped_column(Json())
    """`contract.SizeReport` for each size, once the worker has looked."""
    preview_key: Mapped[str | None]
    prepared_key: Mapped[str | None]
    """`garment.npz`: the brand's own models, ready to be put on bodies. NULL: the chart is all there is."""
    prepared_sha256: Mapped[str | None]
    prepared_bytes: Mapped[int | None]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]


class GarmentUpload(BrandOwned):
    """One size as the brand has modelled it: the newest file."""

    __tablename__ = "garment_uploads"
    __table_args__ = (
        tenant_root(),
        ForeignKeyConstraint(["brand_id", "garment_id"], ["garments.brand_id", "garments.id"], ondelete="CASCADE"),
        UniqueConstraint("brand_id", "garment_id", "size"),
        at_most("size", 32),
    )

    garment_id: Mapped[UUID]
    size: Mapped[str]
    source_key: Mapped[str]
    source_sha256: Mapped[str]
    source_bytes: Mapped[int]


RUNNING, DONE = "running", "done"


class GarmentImport(BrandOwned):
    """A file of garments, worked off garment by garment; the same file again goes on where it stood."""

    __tablename__ = "garment_imports"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "file_sha256"),
        Index("ix_garment_imports_state", "state"),
        one_of("state", (RUNNING, DONE)),
    )

    file_sha256: Mapped[str]
    garments: Mapped[list[dict[str, object]]] = mapped_column(Json())
    """`csv_rows.GarmentRows`, in the order of the file; emptied once all are done."""
    total: Mapped[int]
    next_place: Mapped[int]
    """The first that is not done."""
    made: Mapped[int]
    changed: Mapped[int]
    failed: Mapped[int]
    problems: Mapped[list[dict[str, object]]] = mapped_column(Json())
    """`csv_rows.RowProblem`, by line."""
    state: Mapped[str]
