"""The book of record: what was sold of the brand's garments, what came back, and what a try-on may be credited with.

No name, address or contact of anyone. Money in minor units of the order's currency; currencies are never added.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.db import BrandOwned, at_most, one_of, tenant_key, tenant_root

BY_SHOPIFY, BY_BRAND = "shopify", "brand"


class Order(BrandOwned):
    """Real orders only: test orders never come here."""

    __tablename__ = "orders"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        UniqueConstraint("brand_id", "order_ref"),
        Index("ix_orders_ordered_at", "brand_id", "ordered_at"),
        Index("ix_orders_paid_at", "brand_id", "paid_at"),
        one_of("source", (BY_SHOPIFY, BY_BRAND)),
        at_most("order_ref", 64),
        at_most("currency", 3),
    )

    source: Mapped[str]
    """Shopify's own record, or the brand's server."""
    order_ref: Mapped[str]
    ordered_at: Mapped[datetime]
    """What attribution is judged by."""
    paid_at: Mapped[datetime | None]
    """What revenue is counted by."""
    cancelled_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
    """The seller's own time of this state: an older one never replaces it."""
    currency: Mapped[str]


class OrderLine(BrandOwned):
    __tablename__ = "order_lines"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        ForeignKeyConstraint(["brand_id", "order_id"], ["orders.brand_id", "orders.id"], ondelete="CASCADE"),
        UniqueConstraint("brand_id", "order_id", "line_ref"),
        Index("ix_order_lines_session_id", "brand_id", "session_id"),
        Index("ix_order_lines_user_id", "brand_id", "user_id"),
        Index("ix_order_lines_garment_id", "brand_id", "garment_id"),
        at_most("line_ref", 64),
        at_most("size", 32),
        at_most("recommended_size", 32),
        CheckConstraint("quantity >= 0 AND kept_units >= 0 AND returned_units >= 0", name="units"),
    )

    order_id: Mapped[UUID]
    line_ref: Mapped[str]
    product_id: Mapped[int | None] = mapped_column(BigInteger)
    variant_id: Mapped[int | None] = mapped_column(BigInteger)
    garment_id: Mapped[UUID | None]
    """No foreign key: the record of a sale outlives the garment."""
    size: Mapped[str | None]
    """Bought; as the garment's chart names it."""

    quantity: Mapped[int]
    gross_minor: Mapped[int] = mapped_column(BigInteger)
    net_minor: Mapped[int] = mapped_column(BigInteger)
    kept_units: Mapped[int]
    returned_units: Mapped[int]
    cancelled_units: Mapped[int]
    refund_only_units: Mapped[int]

    user_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    """The try-on that is credited; cleared when the shopper is erased, while the flags stay."""
    is_direct: Mapped[bool]
    is_assisted: Mapped[bool]
    property_fault: Mapped[str | None]
    """Why a `_tryon_session` on the line was ignored."""
    recommended_size: Mapped[str | None]
    """The session's last one before the order."""
    followed: Mapped[bool | None]
    """Bought as recommended; NULL without a credited session, or when that abstained."""


class OrderReturn(BrandOwned):
    """Units of one line that came back, or are on their way, with the reason."""

    __tablename__ = "order_returns"
    __table_args__ = (
        tenant_root(),
        ForeignKeyConstraint(["brand_id", "line_id"], ["order_lines.brand_id", "order_lines.id"], ondelete="CASCADE"),
        UniqueConstraint("brand_id", "line_id", "ref"),
        at_most("ref", 128),
        at_most("handle", 200),
    )

    line_id: Mapped[UUID]
    ref: Mapped[str]
    quantity: Mapped[int]
    handle: Mapped[str | None]
    """Shopify's own name of the reason, raw; NULL when none was given."""
    reason: Mapped[str]
    """Its class, by the table of `reasons_version`."""
    reasons_version: Mapped[str]
    net_minor: Mapped[int | None] = mapped_column(BigInteger)
    happened_at: Mapped[datetime]
