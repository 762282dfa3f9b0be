"""What one event must be to be stored: pure, one verdict each, so that a bad one never fails its neighbours."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from analytics.vocabulary import (
    MAX_METADATA_BYTES,
    VOCABULARY,
    MetadataRefused,
    Source,
    clean_metadata,
    natural_key,
)

MAX_DELAY = timedelta(days=7)
"""How long a frame may hold an event back."""
MAX_SKEW = timedelta(minutes=5)
MAX_IMPORT_AGE = timedelta(days=761)
"""25 months: how far back a brand's own server may report."""
BOT_WORDS = ("bot", "crawl", "spider", "headless", "lighthouse", "preview", "facebookexternalhit")

ClockName = Literal["client", "corrected", "server"]


class EventRefused(Exception):
    """Carries the stable code for `rejected`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Occurrence(msgspec.Struct, frozen=True):
    """A checked event; its session is not looked up yet."""

    dedup_key: str
    event_type: str
    occurred_at: datetime
    clock: ClockName
    session_id: UUID | None
    metadata: dict[str, object]


def check_event(raw: object, source: Source, received_at: datetime, sent_at: datetime | None) -> Occurrence:
    """Raises `EventRefused` with the first thing that is wrong."""
    if not isinstance(raw, dict):
        raise EventRefused("bad_event")
    event_id = _uuid(raw.get("id"), "bad_id")
    kind = VOCABULARY.get(str(raw.get("type")))
    if kind is None:
        raise EventRefused("unknown_type")
    if source not in kind.sources:
        raise EventRefused("type_not_allowed")
    occurred_at, clock = settle_time(_time(raw.get("occurred_at")), source, received_at, sent_at)
    named = raw.get("session_id")
    session_id = None if named is None else _uuid(named, "unknown_session")
    metadata = raw.get("metadata") or {}
    if not isinstance(metadata, Mapping) or len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        raise EventRefused("bad_metadata")
    try:
        kept = clean_metadata(kind, metadata)
    except MetadataRefused as refusal:
        raise EventRefused(refusal.code) from refusal
    return Occurrence(
        dedup_key=natural_key(kind, kept, session_id) or str(event_id),
        event_type=kind.name,
        occurred_at=occurred_at,
        clock=clock,
        session_id=session_id,
        metadata=kept,
    )


def settle_time(
    occurred_at: datetime, source: Source, received_at: datetime, sent_at: datetime | None
) -> tuple[datetime, ClockName]:
    """The time to store and whose it is.

    With `sent_at` only the client's elapsed time is used, so a wrong wall clock does no harm. A brand's own server is
    believed about the past, for imports.
    """
    if sent_at is not None:
        delay = sent_at - occurred_at
        if delay > MAX_DELAY and source is not Source.BRAND_KEY:
            raise EventRefused("too_old")
        if timedelta(0) <= delay <= MAX_DELAY:
            return received_at - delay, "corrected"
    age = received_at - occurred_at
    if abs(age) <= MAX_SKEW:
        return occurred_at, "client"
    if source is Source.BRAND_KEY and age > timedelta(0):
        if age > MAX_IMPORT_AGE:
            raise EventRefused("too_old")
        return occurred_at, "client"
    return received_at, "server"


def is_bot(user_agent: str) -> bool:
    """Marked, not dropped; only by what exists before anything is shown."""
    lowered = user_agent.lower()
    return not lowered or any(word in lowered for word in BOT_WORDS)


def _uuid(value: object, code: str) -> UUID:
    try:
        return UUID(value) if isinstance(value, str) else _refuse(code)
    except ValueError as error:
        raise EventRefused(code) from error


def _time(value: object) -> datetime:
    try:
        moment = msgspec.convert(value, datetime, strict=True)
        if moment.tzinfo is None:
            _refuse("bad_time")
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError, ValueError) as error:
        raise EventRefused("bad_time") from error


def _refuse(code: str) -> UUID:
    raise EventRefused(code)
