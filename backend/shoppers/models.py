"""The shopper (anonymous unless the brand names one), what they agreed to, and what is to be erased."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_key, tenant_ref, tenant_root


class Shopper(BrandOwned):
    """One person at one brand; never linked across brands."""

    __tablename__ = "users"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        UniqueConstraint("brand_id", "external_ref"),
        UniqueConstraint("brand_id", "email"),
        at_most("external_ref", 200),
    )

    external_ref: Mapped[str | None]
    """The brand's own `user_ref`."""
    email: Mapped[str | None]
    last_seen_at: Mapped[datetime | None]
    tokens_valid_after: Mapped[datetime | None]
    """Tokens whose `auth_time` is older are void: set on deletion or revocation."""


class EmbedCode(BrandOwned):
    """A one-use code: all that a store page ever sees. Only its hash is stored."""

    __tablename__ = "embed_codes"
    __table_args__ = (
        tenant_root(),
        tenant_ref("user_id", "users"),
        UniqueConstraint("code_sha256"),
        Index("ix_embed_codes_user_id", "brand_id", "user_id"),
        Index("ix_embed_codes_expires_at", "expires_at"),
    )

    user_id: Mapped[UUID]
    code_sha256: Mapped[str]
    origin: Mapped[str]
    install_id: Mapped[UUID | None]
    """Of the shop's installation, where the code came through an app proxy."""
    product_id: Mapped[int | None] = mapped_column(BigInteger)
    """The shop's product on whose page it was asked for."""
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Consent(BrandOwned):
    """What a shopper agreed to, when and in which language; written with what rests on it."""

    __tablename__ = "consents"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        tenant_ref("user_id", "users"),
        Index("ix_consents_user_id", "brand_id", "user_id"),
        at_most("version", 32),
        at_most("purpose", 64),
        at_most("locale", 35),
    )

    user_id: Mapped[UUID]
    avatar_id: Mapped[UUID | None]
    """No foreign key: the record of a consent outlives the avatar it was given for."""
    version: Mapped[str]
    purpose: Mapped[str]
    locale: Mapped[str]
    given_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class Erasure(BrandOwned):
    """An object or prefix to delete after the commit that made it unwanted, proven by a receipt."""

    __tablename__ = "erasures"
    __table_args__ = (
        tenant_root(),
        Index("ix_erasures_due", "done_at", "next_try_at"),
        Index("ix_erasures_brand_id", "brand_id"),
        one_of("target", ("object", "prefix")),
    )

    bucket: Mapped[str]
    target: Mapped[str]
    key: Mapped[str]
    reason: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[UUID]
    requested_at: Mapped[datetime]
    repeat_after: Mapped[datetime | None]
    """A live upload address could bring the object back: the deletion runs again after this time."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    objects_deleted: Mapped[int | None]
    receipt: Mapped[dict[str, object] | None] = mapped_column(Json())
