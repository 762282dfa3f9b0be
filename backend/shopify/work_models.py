"""What is to be done for a shop at its own time, what it sells, and what it is charged for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_root

WAITING, SENT, REFUSED = "waiting", "sent", "refused"
USAGE_STATES = (WAITING, SENT, REFUSED)


class ShopifyChore(BrandOwned):
    """One kind of work for one shop: at most one row, so that a hundred requests are one piece of work."""

    __tablename__ = "shopify_chores"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "kind"),
        Index("ix_shopify_chores_due_at", "due_at"),
        at_most("kind", 40),
    )

    kind: Mapped[str]
    due_at: Mapped[datetime | None]
    """NULL: nothing is wanted."""
    leased_until: Mapped[datetime | None]
    """A run is under way, or died there."""
    wanted: Mapped[int] = mapped_column(default=0)
    """Goes up with each request, so that one that comes while it runs is not lost."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Since the last success."""
    progress: Mapped[dict[str, object]] = mapped_column(Json(), default=dict)
    """Of the run under way, or the last: for the merchant's page, and to go on after a crash."""
    error_code: Mapped[str | None]
    done_at: Mapped[datetime | None]


class ShopifyProduct(BrandOwned):
    """A product that the merchant picked: a garment in draft until it has a category and a chart."""

    __tablename__ = "shopify_products"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "product_id"),
        at_most("title", 300),
        at_most("handle", 300),
        at_most("size_option", 255),
    )

    product_id: Mapped[int] = mapped_column(BigInteger)
    title: Mapped[str]
    handle: Mapped[str]
    status: Mapped[str]
    """Shopify's: ACTIVE, DRAFT, ARCHIVED, UNLISTED; DELETED is ours."""
    product_type: Mapped[str]
    image_url: Mapped[str | None]
    """Of Shopify's own CDN; shown to the merchant, never fetched by us."""
    options: Mapped[list[dict[str, object]]] = mapped_column(Json())
    """[{"name", "values"}], to ask the merchant which of them is the size."""
    size_option: Mapped[str | None]
    """NULL: none was recognised."""
    is_option_chosen: Mapped[bool] = mapped_column(default=False)
    """By the merchant; then it is not guessed again."""
    sizes: Mapped[list[str]] = mapped_column(Json())
    """Values of the size option, in the shop's order."""
    variants: Mapped[dict[str, str]] = mapped_column(Json())
    """Variant id → size."""
    suggested_chart: Mapped[dict[str, object] | None] = mapped_column(Json())
    """From the product's own metafields, for the merchant to accept; never used unasked."""
    changed_at: Mapped[datetime]
    """Shopify's `updatedAt`: older news never replaces it."""


class UsageEvent(BrandOwned):
    """A successful fitting, on its way to Shopify's billing."""

    __tablename__ = "usage_events"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "session_id"),
        Index("ix_usage_events_state", "state", "next_at"),
        Index("ix_usage_events_happened_at", "brand_id", "happened_at"),
        one_of("state", USAGE_STATES),
    )

    session_id: Mapped[UUID]
    """The try-on; its id is the idempotency key. No foreign key: a bill outlives the session."""
    happened_at: Mapped[datetime]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    error_code: Mapped[str | None]
    sent_at: Mapped[datetime | None]
