"""An avatar in a garment: the answer about its size, and the size looked at."""

from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_key, tenant_ref, tenant_root

DRESSINGS = ("queued", "draft", "final")


class TryonSession(BrandOwned):
    """Goes when its avatar or its garment goes."""

    __tablename__ = "tryon_sessions"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        tenant_ref("user_id", "users"),
        ForeignKeyConstraint(["brand_id", "avatar_id"], ["avatars.brand_id", "avatars.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["brand_id", "garment_id"], ["garments.brand_id", "garments.id"], ondelete="CASCADE"),
        Index("ix_tryon_sessions_avatar_id", "brand_id", "avatar_id"),
        Index("ix_tryon_sessions_garment_id", "brand_id", "garment_id"),
        Index("ix_tryon_sessions_user_id", "brand_id", "user_id"),
        one_of("dressing", DRESSINGS),
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
    worn_key: Mapped[str | None]
    dressing: Mapped[str | None]
    """NULL: no garment has been ordered on this body."""
