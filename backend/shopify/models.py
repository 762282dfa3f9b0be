"""A shop that has the app, and what may be presented only once."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_key, tenant_root

ACTIVE, NEEDS_VISIT, UNINSTALLED = "active", "needs_visit", "uninstalled"
STATUSES = (ACTIVE, NEEDS_VISIT, UNINSTALLED)
SPENT_KINDS = ("proxy_signature", "document_token", "request")
DEFAULT_PROXY_PATH = "apps/tryon"


class ShopifyInstall(BrandOwned):
    """One shop, one brand. Tokens are sealed with a key that is not in the database and bound to the shop."""

    __tablename__ = "shopify_installs"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        UniqueConstraint("brand_id"),
        UniqueConstraint("shop"),
        Index("ix_shopify_installs_status", "status"),
        CheckConstraint("shop LIKE '%.myshopify.com'", name="shop"),
        CheckConstraint("status <> 'active' OR access_token_sealed IS NOT NULL", name="active_has_token"),
        CheckConstraint(
            "status <> 'uninstalled' OR (access_token_sealed IS NULL AND refresh_token_sealed IS NULL)",
            name="uninstalled_has_no_token",
        ),
        one_of("status", STATUSES),
        at_most("proxy_path", 200),
    )

    shop: Mapped[str]
    """The permanent `….myshopify.com` address."""
    status: Mapped[str]
    """`needs_visit`: only the merchant's next visit to the admin page brings a token."""
    scopes: Mapped[str] = mapped_column(default="")
    """As granted, joined with commas."""

    access_token_sealed: Mapped[str | None]
    refresh_token_sealed: Mapped[str | None]
    access_expires_at: Mapped[datetime | None]
    refresh_expires_at: Mapped[datetime | None]
    token_version: Mapped[int] = mapped_column(default=0)
    """Goes up with each token; every change of tokens names the version that it replaces."""
    refreshing_until: Mapped[datetime | None]
    """A lease: until then one process alone asks for the next token."""

    shop_gid: Mapped[str | None]
    app_installation_gid: Mapped[str | None]
    currency: Mapped[str | None]
    """ISO 4217, of the shop."""
    iana_timezone: Mapped[str | None]
    domains: Mapped[list[str]] = mapped_column(Json(), default=list)
    """Hosts with TLS under which the storefront stands, the permanent one included."""
    domains_read_at: Mapped[datetime | None]
    proxy_path: Mapped[str] = mapped_column(default=DEFAULT_PROXY_PATH)
    """Merchants can rename it; without slashes around."""
    proxy_checked_at: Mapped[datetime | None]
    """When the path last answered as ours."""
    is_enabled: Mapped[bool] = mapped_column(default=True)
    """The merchant's own switch; false: the block renders nothing."""
    is_plan_open: Mapped[bool] = mapped_column(default=True)
    """As Shopify says; false: the same."""
    web_pixel_gid: Mapped[str | None]
    setup: Mapped[dict[str, str]] = mapped_column(Json(), default=dict)
    """First-visit steps by name: `done`, or the code of what went wrong; an absent one has not been tried."""
    installed_at: Mapped[datetime]
    """Of the present installation; a reinstall sets it anew."""
    uninstalled_at: Mapped[datetime | None]


class SpentCredential(BrandOwned):
    """Seen once and therefore never again: only its hash, until it would be refused for its age anyway."""

    __tablename__ = "shopify_spent"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "kind", "value_sha256"),
        Index("ix_shopify_spent_expires_at", "expires_at"),
        one_of("kind", SPENT_KINDS),
    )

    kind: Mapped[str]
    value_sha256: Mapped[str]
    expires_at: Mapped[datetime]
