"""A shopper's body: what is known of it now, and where its mesh lies."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, one_of, tenant_key, tenant_ref, tenant_root

PENDING, READY, FAILED = "pending", "ready", "failed"
STATUSES = (PENDING, READY, FAILED)
BY_SHOPPER, BY_BRAND = "shopper", "brand"


class Avatar(BrandOwned):
    """One for each shopper of a brand. `processing` is not stored: it is `pending` while its job runs."""

    __tablename__ = "avatars"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        tenant_ref("user_id", "users"),
        UniqueConstraint("brand_id", "user_id"),
        Index("ix_avatars_status", "status", "updated_at"),
        one_of("status", STATUSES),
        one_of("made_by", (BY_SHOPPER, BY_BRAND)),
        CheckConstraint("status <> 'ready' OR glb_key IS NOT NULL", name="ready_has_mesh"),
        CheckConstraint(
            "status = 'pending' OR (photo_key IS NULL AND photo_side_key IS NULL)", name="settled_has_no_photo"
        ),
    )

    user_id: Mapped[UUID]
    made_by: Mapped[str]
    """`shopper` once a shopper has given anything: then a brand's key reads neither measurements nor mesh."""
    status: Mapped[str]
    facts: Mapped[dict[str, object]] = mapped_column(Json())
    """What was stated last: `AvatarParams`."""
    measurements: Mapped[dict[str, dict[str, float]]] = mapped_column(Json())
    covariance: Mapped[list[list[float]]] = mapped_column(Json())
    """13 × 13; never on the wire."""
    evidence: Mapped[list[str]] = mapped_column(Json())
    flags: Mapped[list[str]] = mapped_column(Json())
    estimator: Mapped[str]
    job_id: Mapped[UUID | None]
    """The newest order; an older one's result counts only while there is no mesh at all."""
    photo_key: Mapped[str | None]
    photo_side_key: Mapped[str | None]
    glb_key: Mapped[str | None]
    body_key: Mapped[str | None]
    """`body.npz`: never signed for a browser."""
    body_sha256: Mapped[str | None]
    body_bytes: Mapped[int | None]
    error_code: Mapped[str | None]
    """Of the newest order; an avatar can be ready and have one."""
    consent_id: Mapped[UUID | None]
    """What its photo rests on."""
    last_used_at: Mapped[datetime]
