from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from backend.tryons.models import TryonSession
from backend.tryons.sizing import FitResult

SizeName = Annotated[str, Meta(min_length=1, max_length=32)]
Dressing = Literal["queued", "draft", "final"]


class NewTryonSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The garment by our id or by the shop's product: one of the two."""

    avatar_id: UUID
    garment_id: UUID | None = None
    shopify_product_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    selected_size: SizeName | None = None


class SessionChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    selected_size: SizeName | None


class TryonSessionView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    avatar_id: UUID
    garment_id: UUID
    selected_size: str | None
    fit_result: FitResult
    garment_glb_url: str | None
    """Null until a garment is dressed on this body."""
    dressing: Dressing | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, session: TryonSession, *, shows_body: bool) -> "TryonSessionView":
        """Ease less a known chart is the body: a brand that may not read the body gets verdicts alone."""
        fit = msgspec.convert(session.fit_result, FitResult)
        return cls(
            id=session.id,
            avatar_id=session.avatar_id,
            garment_id=session.garment_id,
            selected_size=session.selected_size,
            fit_result=fit if shows_body else _without_ease(fit),
            garment_glb_url=None,
            dressing=msgspec.convert(session.dressing, Dressing | None),
            created_at=session.created_at,
            updated_at=session.updated_at,
        )


def _without_ease(fit: FitResult) -> FitResult:
    hidden = [
        msgspec.structs.replace(
            size, regions=[msgspec.structs.replace(region, ease_cm=None, sd=None) for region in size.regions]
        )
        for size in fit.sizes
    ]
    return msgspec.structs.replace(fit, sizes=hidden)
