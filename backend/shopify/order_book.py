"""The book of record: facts about an order → rows and events, whatever the order in which we heard of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from analytics.vocabulary import Source, checkout_key
from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.events.models import Event
from backend.events.service import EventService
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from backend.shopify.attribution import (
    Claim,
    SessionFacts,
    assisting,
    attribution_of,
    judge_property,
    session_id_of,
)
from backend.shopify.order_facts import LineFacts, OrderFacts
from backend.shopify.order_models import BY_BRAND, BY_SHOPIFY, Order, OrderLine, OrderReturn
from backend.shopify.return_reasons import REASONS_VERSION, is_mapped
from backend.tryons.models import TryonSession

log = structlog.get_logger()

SOURCE_OF = {BY_SHOPIFY: Source.SHOPIFY, BY_BRAND: Source.BRAND_KEY}


class Kept(msgspec.Struct, frozen=True):
    """What became of an order's news."""

    lines: int
    direct: int
    assisted: int
    bad_property: int


NOTHING = Kept(0, 0, 0, 0)


class OrderBook:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock
        self.events = EventService(session, clock)

    async def is_known(self, brand_id: UUID, order_ref: str) -> bool:
        found = await self.session.scalar(
            select(Order.id).where(Order.brand_id == brand_id, Order.order_ref == order_ref)
        )
        return found is not None

    async def has_garment(self, brand_id: UUID, product_ids: Iterable[int]) -> bool:
        found = await self.session.scalar(
            select(Garment.id)
            .where(Garment.brand_id == brand_id, Garment.shopify_product_id.in_(set(product_ids)))
            .limit(1)
        )
        return found is not None

    async def keep(self, brand_id: UUID, facts: OrderFacts, source: str = BY_SHOPIFY) -> Kept:
        """Idempotent. Older news than what is here changes nothing; test orders never come in."""
        if facts.is_test:
            return NOTHING
        garments = await self._garments(brand_id, facts.lines)
        new = {
            line.line_ref for line in facts.lines if line.product_id in garments or line.session_property is not None
        }
        if not new and not await self.is_known(brand_id, facts.order_ref):
            return NOTHING
        order = await self._order(brand_id, facts, source)
        if order.changed_at > facts.changed_at:
            return NOTHING
        order.changed_at, order.cancelled_at, order.currency = facts.changed_at, facts.cancelled_at, facts.currency
        order.paid_at = order.paid_at or facts.paid_at
        present = await self._lines(brand_id, order.id)
        ours = [line for line in facts.lines if line.line_ref in new or line.line_ref in present]
        sessions = await self._claimed(brand_id, ours)
        named = await self._named_by_pixel(brand_id, facts.order_ref)
        lines = []
        for line in ours:
            row = present.get(line.line_ref) or self._new_line(brand_id, order, line)
            self._write(row, line, garments.get(line.product_id))
            self._credit(row, line, facts.ordered_at, sessions, named)
            lines.append((row, line))
        await self.session.flush()
        for row, line in lines:
            await self._keep_returns(row, line)
            await self._report(order, row, line)
        return Kept(
            len(lines),
            sum(row.is_direct for row, _ in lines),
            sum(row.is_assisted for row, _ in lines),
            sum(row.property_fault is not None for row, _ in lines),
        )

    async def link_checkouts(self, brand_id: UUID, order_ids: set[str]) -> None:
        """A pixel named sessions for orders that may be here already; what comes later finds the link itself."""
        for order_id in sorted(order_ids):
            order = await self.session.scalar(
                select(Order)
                .where(Order.brand_id == brand_id, Order.order_ref == order_id.rsplit("/", 1)[-1])
                .with_for_update()
            )
            if order is None:
                continue
            named = await self._named_by_pixel(brand_id, order.order_ref)
            for row in (await self._lines(brand_id, order.id)).values():
                _assist(row, order.ordered_at, named)

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def _garments(self, brand_id: UUID, lines: Iterable[LineFacts]) -> dict[int | None, Garment]:
        products = {line.product_id for line in lines if line.product_id is not None}
        found = await self.session.scalars(
            select(Garment).where(Garment.brand_id == brand_id, Garment.shopify_product_id.in_(products))
        )
        return {garment.shopify_product_id: garment for garment in found}

    async def _claimed(self, brand_id: UUID, lines: Iterable[LineFacts]) -> dict[UUID, SessionFacts]:
        named = {session_id_of(line.session_property) for line in lines if line.session_property is not None}
        return await self._sessions(brand_id, {one for one in named if one is not None})

    async def _named_by_pixel(self, brand_id: UUID, order_ref: str) -> list[SessionFacts]:
        links = await self.session.scalars(
            select(Event.session_id).where(
                Event.brand_id == brand_id,
                Event.event_type == "checkout_linked",
                Event.dedup_key.startswith(checkout_key(order_ref), autoescape=True),
                Event.session_id.is_not(None),
            )
        )
        return list((await self._sessions(brand_id, {one for one in links if one is not None})).values())

    async def _sessions(self, brand_id: UUID, ids: set[UUID]) -> dict[UUID, SessionFacts]:
        if not ids:
            return {}
        rows = await self.session.execute(
            select(TryonSession, Garment.shopify_product_id)
            .join(Garment, (Garment.brand_id == TryonSession.brand_id) & (Garment.id == TryonSession.garment_id))
            .where(TryonSession.brand_id == brand_id, TryonSession.id.in_(ids))
        )
        return {
            one.id: SessionFacts(one.id, one.user_id, product_id, one.created_at, one.recommended_size)
            for one, product_id in rows
        }

    async def _lines(self, brand_id: UUID, order_id: UUID) -> dict[str, OrderLine]:
        found = await self.session.scalars(
            select(OrderLine).where(OrderLine.brand_id == brand_id, OrderLine.order_id == order_id)
        )
        return {line.line_ref: line for line in found}

    # ---- writing ----------------------------------------------------------------------------------------------------

    async def _order(self, brand_id: UUID, facts: OrderFacts, source: str) -> Order:
        """The row, locked: two workers with news of one order come one after the other."""
        now = self.clock.now()
        row = {
            "id": uuid7(),
            "brand_id": brand_id,
            "source": source,
            "order_ref": facts.order_ref,
            "ordered_at": facts.ordered_at,
            "paid_at": None,
            "cancelled_at": None,
            "changed_at": facts.changed_at,
            "currency": facts.currency,
            "created_at": now,
            "updated_at": now,
        }
        await insert_new(self.session, Order, [row], unique=("brand_id", "order_ref"), returning=Order.id)
        found = await self.session.scalars(
            select(Order).where(Order.brand_id == brand_id, Order.order_ref == facts.order_ref).with_for_update()
        )
        return found.one()

    def _new_line(self, brand_id: UUID, order: Order, line: LineFacts) -> OrderLine:
        row = OrderLine(
            id=uuid7(),
            brand_id=brand_id,
            order_id=order.id,
            line_ref=line.line_ref,
            is_direct=False,
            is_assisted=False,
        )
        self.session.add(row)
        return row

    def _write(self, row: OrderLine, line: LineFacts, garment: Garment | None) -> None:
        row.product_id, row.variant_id = line.product_id, line.variant_id
        if garment is not None:  # what a deleted garment left behind stays
            row.garment_id, row.size = garment.id, size_bought(line.variant_title, garment)
        row.quantity, row.gross_minor, row.net_minor = line.quantity, line.gross_minor, line.net_minor
        row.kept_units, row.returned_units = line.kept_units, line.returned_units
        row.cancelled_units, row.refund_only_units = line.cancelled_units, line.refund_only_units

    def _credit(
        self,
        row: OrderLine,
        line: LineFacts,
        ordered_at: datetime,
        sessions: Mapping[UUID, SessionFacts],
        named: list[SessionFacts],
    ) -> None:
        """Credit once given is never taken back: a session may be erased, the sale it led to was still led to."""
        if row.is_direct:
            return
        claim: Claim = judge_property(line.session_property, line.product_id, ordered_at, sessions)
        row.property_fault = claim.fault
        if claim.session is not None:
            row.is_direct = True
            _name(row, claim.session)
        _assist(row, ordered_at, named)

    async def _keep_returns(self, row: OrderLine, line: LineFacts) -> None:
        """As they are now: a return that was called off is gone again."""
        await self.session.execute(
            delete(OrderReturn).where(OrderReturn.brand_id == row.brand_id, OrderReturn.line_id == row.id)
        )
        for one in line.returned:
            if one.handle is not None and not is_mapped(one.handle):
                log.warning("return_reason.unmapped", handle=one.handle, brand_id=str(row.brand_id))
            self.session.add(
                OrderReturn(
                    brand_id=row.brand_id,
                    line_id=row.id,
                    ref=one.ref,
                    quantity=one.quantity,
                    handle=one.handle,
                    reason=one.reason,
                    reasons_version=REASONS_VERSION,
                    net_minor=one.net_minor,
                    happened_at=one.happened_at,
                )
            )

    async def _report(self, order: Order, row: OrderLine, line: LineFacts) -> None:
        """Each fact once, by its natural key; what can change stands in the line alone.

        Only `direct` is told of, so that an event is the same whether the pixel or the webhook was quicker: a page's
        claim never names a shopper beside money.
        """
        named: dict[str, object] = {"order_id": order.order_ref, "line_id": row.line_ref}
        if order.paid_at is not None and row.quantity > 0:
            bought: dict[str, object] = {
                "quantity": row.quantity,
                "net_minor": row.net_minor,
                "currency": order.currency,
                "attribution": attribution_of(is_direct=row.is_direct, is_assisted=False),
                "garment_id": str(row.garment_id) if row.garment_id else None,
                "size": row.size,
                "followed": row.followed if row.is_direct else None,
            }
            await self._record("purchase_completed", order, row, named | bought, order.paid_at)
        if row.cancelled_units > 0:
            cancelled = named | {"quantity": row.cancelled_units}
            await self._record("purchase_cancelled", order, row, cancelled, order.cancelled_at or order.changed_at)
        for one in line.returned:
            returned: dict[str, object] = {
                "return_line_id": one.ref,
                "quantity": one.quantity,
                "reason": one.reason,
                "net_minor": one.net_minor,
            }
            await self._record("purchase_returned", order, row, named | returned, one.happened_at)

    async def _record(
        self, event_type: str, order: Order, row: OrderLine, metadata: dict[str, object], occurred_at: datetime
    ) -> None:
        await self.events.record(
            order.brand_id,
            event_type,
            key="",
            user_id=row.user_id if row.is_direct else None,
            session_id=row.session_id if row.is_direct else None,
            metadata=metadata,
            source=SOURCE_OF[order.source],
            occurred_at=occurred_at,
        )


def size_bought(variant_title: str | None, garment: Garment) -> str | None:
    """The part of `M / Blue` that is a size of the garment's chart; None when there is none or more than one."""
    sizes = {row.size.casefold(): row.size for row in msgspec.convert(garment.size_chart, Chart).rows}
    parts = [part.strip().casefold() for part in (variant_title or "").split(" / ")]
    found = {sizes[part] for part in parts if part in sizes}
    return found.pop() if len(found) == 1 else None


def _assist(row: OrderLine, ordered_at: datetime, named: list[SessionFacts]) -> None:
    if row.is_direct or row.is_assisted:
        return
    session = assisting(row.product_id, ordered_at, named)
    if session is not None:
        row.is_assisted = True
        _name(row, session)


def _name(row: OrderLine, session: SessionFacts) -> None:
    row.session_id, row.user_id, row.recommended_size = session.id, session.user_id, session.recommended_size
    row.followed = (
        None if session.recommended_size is None or row.size is None else row.size == session.recommended_size
    )
