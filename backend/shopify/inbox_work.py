"""Working through the inbox: once each, in order for each resource, until it succeeds or an operator is needed.

A row stays `new` until its work is committed, so a crash anywhere only means that the work is done again; every handler
bears that.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import aliased

from backend.core.clock import Clock
from backend.core.db import Database
from backend.shopify.errors import NotInstalled, ShopifyError
from backend.shopify.inbox_models import DEAD, IGNORED, NEW, WebhookDelivery
from backend.shopify.topics import HINTS, TOPICS, BadBody, Kind, read_body, resource_of

log = structlog.get_logger()

BACKOFF = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
)
"""After the last of them a delivery is dead."""
LEASE = timedelta(minutes=5)
"""How long a crashed worker's resource rests; longer than any handler may take."""
HANDLER_TIMEOUT_S = 240
BATCH = 100
AT_ONCE = 10
KEPT_FOR = timedelta(days=7)
"""Finished rows, and with them the memory of repeated bodies."""


class Outcome(msgspec.Struct, frozen=True):
    state: Literal["done", "ignored"] = "done"
    reason: str | None = None
    receipt: dict[str, object] | None = None
    answers_waiting: bool = False
    """The resource was read anew: hints that were waiting behind this one are answered too."""
    again_at: datetime | None = None
    """The work is to be repeated once more at that time, and is not over before."""


class Handler(Protocol):
    async def __call__(self, delivery: WebhookDelivery, body: dict[str, object] | None) -> Outcome:
        """`body` is None when an operator has it done again after the body was deleted."""
        ...


class InboxWork:
    def __init__(self, database: Database, clock: Clock, handlers: Mapping[Kind, Handler]) -> None:
        self.database = database
        self.clock = clock
        self.handlers = handlers

    async def run_due(self) -> int:
        """A few at a time, each few begun and ended in one transaction: the answers want the database too."""
        await self._sort()
        ids = await self._due()
        for start in range(0, len(ids), AT_ONCE):
            claimed = await self._claim(ids[start : start + AT_ONCE])
            endings = await asyncio.gather(*(self._work_on(one) for one in claimed))
            await self._end(endings)
        return len(ids)

    async def _work_on(self, claimed: "Claimed") -> "Ending":
        delivery = claimed.delivery
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                body = None if delivery.body is None else read_body(delivery.body)
                outcome = await self.handlers[TOPICS[delivery.topic]](delivery, body)
        except BadBody as fault:
            return self._finished(claimed, Outcome("ignored", f"bad_body: {fault}"))
        except NotInstalled:
            return self._finished(claimed, Outcome("ignored", NotInstalled.code))
        except ShopifyError as fault:
            return self._put_off(delivery, fault.code)
        except Exception as fault:
            log.exception("webhook.faulted", delivery_id=str(delivery.id), topic=delivery.topic)
            return self._put_off(delivery, type(fault).__name__)
        return self._finished(claimed, outcome)

    async def purge(self) -> int:
        """Finished rows after a week. A right that could not be granted stays, whatever its age."""
        oldest_kept = self.clock.now() - KEPT_FOR
        compliance = [topic for topic, kind in TOPICS.items() if kind is Kind.COMPLIANCE]
        async with self.database.transaction() as session:
            gone = await session.scalars(
                delete(WebhookDelivery)
                .where(
                    WebhookDelivery.state != NEW,
                    WebhookDelivery.received_at < oldest_kept,
                    WebhookDelivery.receipt.is_(None),
                    or_(WebhookDelivery.state != DEAD, WebhookDelivery.topic.not_in(compliance)),
                )
                .returning(WebhookDelivery.id)
            )
            return len(gone.all())

    async def _sort(self) -> None:
        """Read which resource each new delivery is about."""
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(WebhookDelivery)
                .where(WebhookDelivery.state == NEW, WebhookDelivery.resource.is_(None))
                .order_by(WebhookDelivery.id)
                .limit(BATCH)
            )
            rows = found.all()
        if not rows:
            return
        now = self.clock.now()
        async with self.database.transaction() as session:
            for row in rows:
                await session.execute(
                    update(WebhookDelivery)
                    .where(WebhookDelivery.id == row.id, WebhookDelivery.resource.is_(None))
                    .values(**self._sorted(row, now), updated_at=now)
                )

    def _sorted(self, row: WebhookDelivery, now: datetime) -> dict[str, object]:
        try:
            return {"resource": resource_of(row.topic, read_body(row.body or b""))}
        except BadBody as fault:
            log.warning("webhook.not_understood", delivery_id=str(row.id), topic=row.topic)
            return {"state": IGNORED, "error_code": f"bad_body: {fault}", "body": None, "finished_at": now}

    async def _due(self) -> Sequence[UUID]:
        """The oldest delivery of each resource, where its time has come."""
        now = self.clock.now()
        older = aliased(WebhookDelivery)
        is_first = ~(
            select(older.id)
            .where(
                older.shop == WebhookDelivery.shop,
                older.resource == WebhookDelivery.resource,
                older.state == NEW,
                older.id < WebhookDelivery.id,
            )
            .exists()
        )
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(WebhookDelivery.id)
                .where(
                    WebhookDelivery.state == NEW,
                    WebhookDelivery.resource.is_not(None),
                    WebhookDelivery.next_at <= now,
                    _is_free(now),
                    is_first,
                )
                .order_by(WebhookDelivery.next_at)
                .limit(BATCH)
            )
            return found.all()

    async def _claim(self, ids: Sequence[UUID]) -> "list[Claimed]":
        """Those that nobody else took meanwhile, with the hints that one look at their resource answers too."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            taken = await session.scalars(
                update(WebhookDelivery)
                .where(
                    WebhookDelivery.id.in_(ids),
                    WebhookDelivery.state == NEW,
                    WebhookDelivery.next_at <= now,
                    _is_free(now),
                )
                .values(leased_until=now + LEASE, attempts=WebhookDelivery.attempts + 1, updated_at=now)
                .returning(WebhookDelivery.id)
            )
            rows = await session.scalars(select(WebhookDelivery).where(WebhookDelivery.id.in_(taken.all())))
            claimed = []
            for row in rows.all():
                waiting: Sequence[UUID] = ()
                if TOPICS[row.topic] in HINTS:
                    behind = await session.scalars(
                        select(WebhookDelivery.id).where(
                            WebhookDelivery.shop == row.shop,
                            WebhookDelivery.resource == row.resource,
                            WebhookDelivery.state == NEW,
                            WebhookDelivery.id > row.id,
                        )
                    )
                    waiting = behind.all()
                claimed.append(Claimed(row, tuple(waiting)))
            return claimed

    def _finished(self, claimed: "Claimed", outcome: Outcome) -> "Ending":
        now = self.clock.now()
        delivery, is_over = claimed.delivery, outcome.again_at is None
        values: dict[str, object] = {"leased_until": None, "error_code": outcome.reason, "updated_at": now}
        if outcome.receipt is not None:
            values["receipt"] = outcome.receipt
        if is_over:
            values |= {"state": outcome.state, "body": None, "finished_at": now}
        else:
            values |= {"next_at": outcome.again_at, "attempts": 0}
        covered = claimed.waiting if outcome.answers_waiting and is_over else ()
        log.info(
            "webhook.handled",
            delivery_id=str(delivery.id),
            topic=delivery.topic,
            shop=delivery.shop,
            state=outcome.state if is_over else NEW,
            reason=outcome.reason,
            covered=1 + len(covered),
        )
        return Ending((delivery.id, *covered), values)

    def _put_off(self, delivery: WebhookDelivery, code: str) -> "Ending":
        """To the next try; after the last one an operator hears of it."""
        now = self.clock.now()
        tries = delivery.attempts
        is_dead = tries > len(BACKOFF)
        values: dict[str, object] = {"leased_until": None, "error_code": code, "updated_at": now}
        values |= {"state": DEAD, "finished_at": now} if is_dead else {"next_at": now + BACKOFF[tries - 1]}
        tell = log.error if is_dead else log.warning
        tell(
            "webhook.died" if is_dead else "webhook.put_off",
            delivery_id=str(delivery.id),
            topic=delivery.topic,
            shop=delivery.shop,
            code=code,
            tries=tries,
        )
        return Ending((delivery.id,), values)

    async def _end(self, endings: "Sequence[Ending]") -> None:
        if not endings:
            return
        async with self.database.transaction() as session:
            for ending in endings:
                await session.execute(
                    update(WebhookDelivery)
                    .where(WebhookDelivery.id.in_(ending.ids), WebhookDelivery.state == NEW)
                    .values(**ending.values)
                )


class Claimed(msgspec.Struct, frozen=True):
    delivery: WebhookDelivery
    waiting: tuple[UUID, ...]
    """Hints behind it about the same resource."""


class Ending(msgspec.Struct, frozen=True):
    """What becomes of rows when the work on one of them is over for now."""

    ids: tuple[UUID, ...]
    values: dict[str, object]


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(WebhookDelivery.leased_until.is_(None), WebhookDelivery.leased_until <= now)


def replayable(topics: Sequence[str] = tuple(TOPICS)) -> ColumnElement[bool]:
    """Finished deliveries that can be worked on again: hints always, others while their body is there."""
    hints = [topic for topic in topics if TOPICS[topic] in HINTS]
    return and_(
        WebhookDelivery.state != NEW,
        WebhookDelivery.resource.is_not(None),
        or_(WebhookDelivery.topic.in_(hints), WebhookDelivery.body.is_not(None)),
    )
