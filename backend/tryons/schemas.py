from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from backend.core.storage import SignedUrl
from backend.garments.categories import Category, Stretch
from backend.garments.chart_rules import Measures
from backend.tryons.dressing import looked_at
from backend.tryons.errors import WORDS, WORDS_OF_A_FAULT
from backend.tryons.fit_words import length_words
from backend.tryons.models import FitBands, TryonSession, WornGarment
from backend.tryons.sizing import FitResult

SizeName = Annotated[str, Meta(min_length=1, max_length=32)]
Dressing = Literal["queued", "draft", "final"]


class BandsView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Girth → where verdicts change, in cm of ease: too tight, snug, regular, loose, too loose lie between the four."""

    category: Category
    stretch: Stretch
    measures: Measures
    limits_cm: dict[str, list[float]]

    @classmethod
    def of(cls, row: FitBands) -> "BandsView":
        content = {name: getattr(row, name) for name in cls.__struct_fields__}
        return msgspec.convert(content, cls)


class BandsList(msgspec.Struct, frozen=True):
    items: list[BandsView]


class NewTryonSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The garment by our id or by the shop's product: one of the two."""

    avatar_id: UUID
    garment_id: UUID | None = None
    shopify_product_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    selected_size: SizeName | None = None


class SessionChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    selected_size: SizeName | None


class DressingError(msgspec.Struct, frozen=True):
    """Why there is no picture, or none better than this one; `detail` is for the shopper."""

    code: str
    detail: str


class TryonSessionView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    avatar_id: UUID
    garment_id: UUID
    selected_size: str | None
    fit_result: FitResult
    garment_glb_url: str | None
    """The garment on this body: a draft in the sizes looked at, then every size in one GLB; signed for a quarter of an
    hour."""
    garment_glb_expires_at: datetime | None
    dressing: Dressing | None
    """`draft` is geometry, `final` draped cloth in the size looked at. Null: there is no picture, and none to come
    before the avatar has a mesh, or `dressing_error` says why."""
    is_dressing: bool
    """Work is under way that will change it: ask again after `Retry-After`. A `draft` without it stays one."""
    dressing_error: DressingError | None
    unavailable_sizes: list[str]
    """Sizes that cannot be put on this body."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(
        cls, session: TryonSession, worn: WornGarment | None, signed: SignedUrl | None, *, shows_body: bool
    ) -> "TryonSessionView":
        """Ease less a known chart is the body: a brand that may not read the body gets verdicts alone."""
        fit = msgspec.convert(session.fit_result, FitResult)
        return cls(
            id=session.id,
            avatar_id=session.avatar_id,
            garment_id=session.garment_id,
            selected_size=session.selected_size,
            fit_result=fit if shows_body else _without_ease(fit),
            garment_glb_url=signed.url if signed else None,
            garment_glb_expires_at=signed.expires_at if signed else None,
            dressing=_dressing(session, worn),
            is_dressing=worn is not None and worn.is_under_way,
            dressing_error=DressingError(worn.error_code, WORDS.get(worn.error_code, WORDS_OF_A_FAULT))
            if worn and worn.error_code
            else None,
            unavailable_sizes=worn.unavailable if worn else [],
            created_at=session.created_at,
            updated_at=session.updated_at,
        )


def _dressing(session: TryonSession, worn: WornGarment | None) -> Dressing | None:
    if worn is None:
        return None
    if worn.worn_key is None:
        return "queued" if worn.is_under_way else None
    left = set(looked_at(session)) - set(worn.unavailable) - set(worn.polished)
    return "draft" if left or not worn.polished else "final"


def _without_ease(fit: FitResult) -> FitResult:
    hidden = [
        msgspec.structs.replace(
            size,
            regions=[msgspec.structs.replace(region, ease_cm=None, sd=None) for region in size.regions],
            lengths=[msgspec.structs.replace(length, off_cm=None) for length in size.lengths],
        )
        for size in fit.sizes
    ]
    return msgspec.structs.replace(fit, sizes=hidden, sentences=[_without_lengths(fit, said) for said in fit.sentences])


def _without_lengths(fit: FitResult, sentence: str) -> str:
    for length in (length for size in fit.sizes for length in size.lengths):
        bare = msgspec.structs.replace(length, off_cm=None)
        sentence = sentence.replace(length_words(length), length_words(bare))
    return sentence
