"""What a brand sells: a category, its size chart, its fabric, its look."""

from typing import get_args
from uuid import UUID

from sqlalchemy import BigInteger, UniqueConstraint
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
    look: Mapped[dict[str, str]] = mapped_column(Json())
    """`contract.LookParams`."""
    status: Mapped[str]
    """Of the mesh; sizes are recommended from the chart whatever it says."""
    job_id: Mapped[UUID | None]
    """The newest order; an older one's result does not count."""
    size_reports: Mapped[list[dict[str, object]]] = mapped_column(Json())
    """`contract.SizeReport` for each size, once the worker has looked."""
    preview_key: Mapped[str | None]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
