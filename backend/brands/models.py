"""The tenant and its API keys."""

import secrets
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, Row, at_most, tenant_root

DEFAULT_RETENTION_DAYS = MAX_RETENTION_DAYS = 30
"""The frame tells every shopper that no figure is kept for longer."""
CACHE_SECRET_BYTES = 32
EMBED_KEY_BYTES = 16


def new_embed_key() -> str:
    return f"pk_{secrets.token_hex(EMBED_KEY_BYTES)}"


def new_cache_secret() -> str:
    return secrets.token_hex(CACHE_SECRET_BYTES)


class Brand(Row):
    """A shop or brand. No API key stands in the row; `embed_key` is publishable and opens nothing by itself."""

    __tablename__ = "brands"
    __table_args__ = (
        UniqueConstraint("embed_key"),
        UniqueConstraint("shopify_shop_domain"),
        at_most("name", 200),
        CheckConstraint("shopify_shop_domain LIKE '%.myshopify.com'", name="shop_domain"),
        CheckConstraint(f"retention_days BETWEEN 1 AND {MAX_RETENTION_DAYS}", name="retention_days"),
    )

    name: Mapped[str]
    embed_key: Mapped[str] = mapped_column(default=new_embed_key)
    allowed_origins: Mapped[list[str]] = mapped_column(Json(), default=list)
    """Exact origins whose pages may show the frame and receive one-use codes."""
    shopify_shop_domain: Mapped[str | None]
    retention_days: Mapped[int] = mapped_column(default=DEFAULT_RETENTION_DAYS)
    cache_secret: Mapped[str] = mapped_column(default=new_cache_secret)
    """256 random bits in hex; keys the hash under which a brand's finished work is found again."""
    uninstalled_at: Mapped[datetime | None]


class ApiKey(BrandOwned):
    """`tryon_<live|test>_<prefix>_<secret>`: shown once, found by prefix, compared by hash in constant time."""

    __tablename__ = "api_keys"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("prefix"),
        Index("ix_api_keys_brand_id", "brand_id"),
        at_most("label", 100),
    )

    label: Mapped[str]
    prefix: Mapped[str]
    last_four: Mapped[str]
    secret_sha256: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """Kept to the minute."""
