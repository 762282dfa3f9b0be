"""Events in: the server's own in the transaction of what they report, others' in batches, each counted once."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Text, Uuid, case, cast, column, literal, or_, select, table, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from analytics.vocabulary import VOCABULARY, Source, clean_metadata, natural_key
from backend.core.auth import PixelContext, Principal, ShopperContext
from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.events.intake_rules import EventRefused, Occurrence, check_event
from backend.events.models import Event

SESSIONS = table("tryon_sessions", column("id", Uuid()), column("brand_id", Uuid()), column("user_id", Uuid()))
"""Named, not imported: the feature that owns it stands above this one."""


CheckoutLinked = Callable[[AsyncSession, UUID, set[str]], Awaitable[None]]
"""Told in the same transaction that a pixel named sessions for these orders of the brand."""


class Rejected(msgspec.Struct, frozen=True):
    index: int
    code: str


class IntakeResult(msgspec.Struct, frozen=True):
    accepted: int
    duplicates: int
    rejected: list[Rejected]


class EventService:
    def __init__(self, session: AsyncSession, clock: Clock, checkout_listeners: Sequence[CheckoutLinked] = ()) -> None:
        self.session = session
        self.clock = clock
        self.checkout_listeners = checkout_listeners

    async def record(
        self,
        brand_id: UUID,
        event_type: str,
        *,
        key: str,
        user_id: UUID | None = None,
        session_id: UUID | None = None,
        metadata: dict[str, object] | None = None,
        source: Source = Source.BACKEND,
        occurred_at: datetime | None = None,
    ) -> bool:
        """A fact the server itself made or read, in the caller's transaction; False when it was reported already.

        `key` is natural (`avatar:<id>:ready`), so that repeating the work never counts twice; empty for types that have
        a natural key of their own. `occurred_at` is now, unless the fact brings its own time.
        """
        kind = VOCABULARY[event_type]
        if source not in kind.sources:
            raise ValueError(f"{event_type} is not the server's to say.")
        unknown = (metadata or {}).keys() - kind.keys
        if unknown:
            raise ValueError(f"{event_type} has no {', '.join(sorted(unknown))}.")
        now = self.clock.now()
        kept = clean_metadata(kind, metadata or {})
        occurrence = Occurrence(
            natural_key(kind, kept, session_id) or key, event_type, occurred_at or now, "server", session_id, kept
        )
        inserted = await self._insert([self._row(brand_id, occurrence, source, now, user_id=user_id)])
        return bool(inserted)

    async def intake(
        self,
        principal: Principal | PixelContext,
        events: Sequence[object],
        *,
        sent_at: datetime | None = None,
        visitor_id: str | None = None,
        is_bot: bool = False,
    ) -> IntakeResult:
        """Store what is sound and new; every refusal names its place in the batch."""
        source = _source(principal)
        now = self.clock.now()
        sound: dict[int, Occurrence] = {}
        rejected: list[Rejected] = []
        for index, raw in enumerate(events):
            try:
                sound[index] = check_event(raw, source, now, sent_at)
            except EventRefused as refusal:
                rejected.append(Rejected(index, refusal.code))
        owners = await self._session_owners(principal, sound.values())
        rows: dict[str, dict[str, object]] = {}
        for index, event in sound.items():
            if event.session_id is not None and event.session_id not in owners:
                rejected.append(Rejected(index, "unknown_session"))
                continue
            user_id = principal.user_id if isinstance(principal, ShopperContext) else owners.get(event.session_id)
            row = self._row(principal.brand_id, event, source, now, user_id=user_id)
            rows.setdefault(event.dedup_key, row | {"visitor_id": visitor_id, "is_bot": is_bot})
        inserted = await self._insert(list(rows.values()))
        await self._tell_checkouts(principal.brand_id, [one for one in sound.values() if one.dedup_key in inserted])
        counted = len(events) - len(rejected)
        return IntakeResult(len(inserted), counted - len(inserted), sorted(rejected, key=lambda one: one.index))

    async def forget(self, brand_id: UUID, user_id: UUID) -> None:
        """Everything a shopper did stays counted and no longer leads to them: no id, no metadata.

        The server's own keys name sessions, avatars and consents, and a checkout's link names its session: they go too.
        Others' keys stay, or what is sent twice would count twice: a frame's are random, an order's the brand's own.
        """
        await self.session.execute(
            update(Event)
            .where(Event.brand_id == brand_id, Event.user_id == user_id)
            .values(
                user_id=None,
                session_id=None,
                visitor_id=None,
                payload={},
                dedup_key=case(
                    (
                        or_(Event.source == Source.BACKEND.value, Event.event_type == "checkout_linked"),
                        literal("erased:") + cast(Event.id, Text),
                    ),
                    else_=Event.dedup_key,
                ),
                updated_at=self.clock.now(),
            )
            .execution_options(synchronize_session=False)
        )

    async def _session_owners(
        self, principal: Principal | PixelContext, events: Iterable[Occurrence]
    ) -> dict[UUID | None, UUID | None]:
        """Sessions the caller may name, with their shopper; another's and unknown ones are alike absent."""
        named = {event.session_id for event in events if event.session_id is not None}
        if not named:
            return {}
        query = select(SESSIONS.c.id, SESSIONS.c.user_id).where(
            SESSIONS.c.brand_id == principal.brand_id, SESSIONS.c.id.in_(named)
        )
        if isinstance(principal, ShopperContext):
            query = query.where(SESSIONS.c.user_id == principal.user_id)
        return {row.id: row.user_id for row in await self.session.execute(query)}

    async def _tell_checkouts(self, brand_id: UUID, events: Iterable[Occurrence]) -> None:
        orders = {str(one.metadata["order_id"]) for one in events if one.event_type == "checkout_linked"}
        for listener in self.checkout_listeners if orders else ():
            await listener(self.session, brand_id, orders)

    def _row(
        self, brand_id: UUID, event: Occurrence, source: Source, received_at: datetime, *, user_id: UUID | None
    ) -> dict[str, object]:
        return {
            "id": uuid7(),
            "brand_id": brand_id,
            "user_id": user_id,
            "session_id": event.session_id,
            "visitor_id": None,
            "event_type": event.event_type,
            "payload": event.metadata,
            "occurred_at": event.occurred_at,
            "received_at": received_at,
            "dedup_key": event.dedup_key,
            "source": source.value,
            "clock": event.clock,
            "is_bot": False,
            "created_at": received_at,
            "updated_at": received_at,
        }

    async def _insert(self, rows: list[dict[str, object]]) -> set[str]:
        """The keys that were new. Sorted by key: two batches that share some must not deadlock on Postgres."""
        ordered = sorted(rows, key=lambda row: str(row["dedup_key"]))
        return set(
            await insert_new(self.session, Event, ordered, unique=("brand_id", "dedup_key"), returning=Event.dedup_key)
        )


def _source(principal: Principal | PixelContext) -> Source:
    match principal:
        case ShopperContext():
            return Source.EMBED
        case PixelContext():
            return Source.PIXEL
        case _:
            return Source.BRAND_KEY
