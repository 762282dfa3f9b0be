"""An avatar in a garment: the answer about its size, the size looked at, and the picture of it."""

from datetime import datetime
from typing import get_args
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_key, tenant_ref, tenant_root
from backend.garments.categories import Category, Stretch
from backend.garments.chart_rules import Measures


def of_avatar() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["brand_id", "avatar_id"], ["avatars.brand_id", "avatars.id"], ondelete="CASCADE")


def of_garment() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["brand_id", "garment_id"], ["garments.brand_id", "garments.id"], ondelete="CASCADE")


class TryonSession(BrandOwned):
    """Goes when its avatar or its garment goes."""

    __tablename__ = "tryon_sessions"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        tenant_ref("user_id", "users"),
        of_avatar(),
        of_garment(),
        Index("ix_tryon_sessions_avatar_id", "brand_id", "avatar_id"),
        Index("ix_tryon_sessions_garment_id", "brand_id", "garment_id"),
        Index("ix_tryon_sessions_user_id", "brand_id", "user_id"),
        at_most("selected_size", 32),
        at_most("recommended_size", 32),
    )

    user_id: Mapped[UUID]
    avatar_id: Mapped[UUID]
    garment_id: Mapped[UUID]
    selected_size: Mapped[str | None]
    recommended_size: Mapped[str | None]
    fit_result: Mapped[dict[str, object]] = mapped_column(Json())
    """`sizing.FitResult`, as of the newest evidence."""


class WornGarment(BrandOwned):
    """A garment on a body: one for all sessions of the two, and only as long as both are as they were."""

    __tablename__ = "worn_garments"
    __table_args__ = (
        tenant_root(),
        of_avatar(),
        of_garment(),
        UniqueConstraint("brand_id", "avatar_id", "garment_id"),
        Index("ix_worn_garments_garment_id", "brand_id", "garment_id"),
        Index("ix_worn_garments_job_id", "brand_id", "job_id"),
        Index("ix_worn_garments_last_used_at", "last_used_at"),
    )

    avatar_id: Mapped[UUID]
    garment_id: Mapped[UUID]
    what_sha256: Mapped[str]
    """Of body and garment: another value, and what is here shows something else."""
    job_id: Mapped[UUID | None]
    """The newest order; an older one's result does not count."""
    is_under_way: Mapped[bool]
    """That order is not over."""
    wanted: Mapped[list[str]] = mapped_column(Json())
    """Sizes that are looked at: those to drape."""
    worn_key: Mapped[str | None]
    """The newest picture; in the avatar's own folder, because it has the shape of the body."""
    polished: Mapped[list[str]] = mapped_column(Json())
    """Sizes that are draped cloth in it."""
    unavailable: Mapped[list[str]] = mapped_column(Json())
    """Sizes that are not in it."""
    base: Mapped[str | None]
    """The size whose mesh the others are told from."""
    error_code: Mapped[str | None]
    """Why there is no picture; or, beside one, why none better came."""
    last_used_at: Mapped[datetime]


class FitBands(BrandOwned):
    """How a brand judges one category in one kind of fabric, where it does so otherwise than we."""

    __tablename__ = "fit_bands"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "category", "stretch", "measures"),
        one_of("category", get_args(Category)),
        one_of("stretch", get_args(Stretch)),
        one_of("measures", get_args(Measures)),
    )

    category: Mapped[str]
    stretch: Mapped[str]
    measures: Mapped[str]
    limits_cm: Mapped[dict[str, list[float]]] = mapped_column(Json())
    """Girth → the four limits of `bands.Band`."""
