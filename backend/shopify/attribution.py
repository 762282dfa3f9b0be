"""Which order lines a try-on may be credited with. Pure, and strict: shoppers can type anything into a property."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

DIRECT_FOR = timedelta(days=30)
ASSISTED_FOR = timedelta(days=7)
WHOLE_SECOND = timedelta(seconds=1)
"""Shopify cuts an order's time off to the second: it may be as much later than it says."""

Attribution = Literal["direct", "assisted", "none"]
BadProperty = Literal["not_an_id", "unknown_session", "other_product", "session_later", "session_too_old"]


class SessionFacts(msgspec.Struct, frozen=True):
    """A try-on session of the order's own brand; another brand's is not among the facts and so unknown."""

    id: UUID
    user_id: UUID
    product_id: int | None
    created_at: datetime
    recommended_size: str | None


class Claim(msgspec.Struct, frozen=True):
    """What a line's property turned out to be: a session, or a fault; neither when there was none."""

    session: SessionFacts | None = None
    fault: BadProperty | None = None


def session_id_of(text: str) -> UUID | None:
    """Only the two usual ways of writing one; `uuid.UUID` itself takes braces and URNs."""
    try:
        parsed = UUID(text)
    except (ValueError, AttributeError):
        return None
    return parsed if text.lower() in {str(parsed), parsed.hex} else None


def judge_property(
    text: str | None, product_id: int | None, ordered_at: datetime, sessions: Mapping[UUID, SessionFacts]
) -> Claim:
    """`direct` ⇔ the session exists, is of this product, and was made at most 30 days before the order."""
    if text is None:
        return Claim()
    session_id = session_id_of(text)
    if session_id is None:
        return Claim(fault="not_an_id")
    session = sessions.get(session_id)
    if session is None:
        return Claim(fault="unknown_session")
    fault = _fault(session, product_id, ordered_at)
    return Claim(fault=fault) if fault else Claim(session)


def _fault(session: SessionFacts, product_id: int | None, ordered_at: datetime) -> BadProperty | None:
    if product_id is None or session.product_id != product_id:
        return "other_product"
    if session.created_at >= ordered_at + WHOLE_SECOND:
        return "session_later"
    return "session_too_old" if ordered_at - session.created_at > DIRECT_FOR else None


def assisting(
    product_id: int | None, ordered_at: datetime, named_by_pixel: Iterable[SessionFacts]
) -> SessionFacts | None:
    """The last session before the order that a consented checkout names for this product, at most 7 days old."""
    fitting = [
        session
        for session in named_by_pixel
        if product_id is not None
        and session.product_id == product_id
        and -WHOLE_SECOND < ordered_at - session.created_at <= ASSISTED_FOR
    ]
    return max(fitting, key=lambda session: session.created_at, default=None)


def attribution_of(*, is_direct: bool, is_assisted: bool) -> Attribution:
    """Both flags may be set; `direct` wins in reports."""
    return "direct" if is_direct else "assisted" if is_assisted else "none"
