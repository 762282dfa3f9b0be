"""The book of orders → the report on returns; the meaning of it is `analytics.returns`."""

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from analytics.returns import DEFINITION_VERSION, Incidence, Unit, days_to, incidence
from backend.core.clock import Clock
from backend.core.problems import InvalidRequest
from backend.shopify.order_models import Order, OrderLine, OrderReturn

USUAL_PERIOD = timedelta(days=180)
MAX_PERIOD = timedelta(days=761)
"""25 months: as long as rows are kept."""
MIN_SHOWN = 10
"""Smaller groups would lead to persons."""


class GarmentReturns(msgspec.Struct, frozen=True):
    """Of one garment in one size: the signal that its chart may be wrong. Groups under ten units are left out."""

    garment_id: UUID
    size: str
    units: int
    too_small: int
    too_large: int
    other: int


class ReturnsView(msgspec.Struct, frozen=True):
    definition_version: str
    as_of: datetime
    since: datetime
    until: datetime
    reasons_known: float | None
    """Share of returned units with a reason; null when nothing came back."""
    tried_on: Incidence
    """Lines that a try-on is credited with. Who tries on differs from who does not: no effect is shown here."""
    not_tried_on: Incidence
    garments: list[GarmentReturns]


class ReturnsService:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def report(self, brand_id: UUID, since: datetime | None, until: datetime | None) -> ReturnsView:
        """By the order's date. Cancelled units were never sent and are left out."""
        now = self.clock.now()
        if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
            raise InvalidRequest("A time needs its zone, as in 2026-03-01T00:00:00Z.")
        until = until or now
        since = since or until - USUAL_PERIOD
        if not timedelta(0) < until - since <= MAX_PERIOD:
            raise InvalidRequest(f"A period has up to {MAX_PERIOD.days} days.", field="since")
        lines = await self._lines(brand_id, since, until)
        returns = await self._returns(brand_id, since, until)
        units: dict[bool, list[Unit]] = {True: [], False: []}
        for line, order in lines:
            units[line.is_direct] += _units(line, order, returns[line.id], now)
        came_back = [one for some in returns.values() for one in some]
        known = sum(one.quantity for one in came_back if one.reason != "unknown")
        total = sum(one.quantity for one in came_back)
        return ReturnsView(
            definition_version=DEFINITION_VERSION,
            as_of=now,
            since=since,
            until=until,
            reasons_known=known / total if total else None,
            tried_on=await asyncio.to_thread(incidence, units[True]),  # the intervals take their time
            not_tried_on=await asyncio.to_thread(incidence, units[False]),
            garments=_garments(lines, returns),
        )

    async def _lines(self, brand_id: UUID, since: datetime, until: datetime) -> list[tuple[OrderLine, Order]]:
        rows = await self.session.execute(
            select(OrderLine, Order)
            .join(Order, (Order.brand_id == OrderLine.brand_id) & (Order.id == OrderLine.order_id))
            .where(
                OrderLine.brand_id == brand_id,
                OrderLine.garment_id.is_not(None),
                Order.ordered_at >= since,
                Order.ordered_at < until,
                Order.paid_at.is_not(None),
            )
            .order_by(OrderLine.id)
        )
        return [(row[0], row[1]) for row in rows]

    async def _returns(self, brand_id: UUID, since: datetime, until: datetime) -> dict[UUID, list[OrderReturn]]:
        rows = await self.session.scalars(
            select(OrderReturn)
            .join(OrderLine, (OrderLine.brand_id == OrderReturn.brand_id) & (OrderLine.id == OrderReturn.line_id))
            .join(Order, (Order.brand_id == OrderLine.brand_id) & (Order.id == OrderLine.order_id))
            .where(
                OrderReturn.brand_id == brand_id,
                OrderLine.garment_id.is_not(None),
                Order.ordered_at >= since,
                Order.ordered_at < until,
                Order.paid_at.is_not(None),
            )
            .order_by(OrderReturn.id)
        )
        by_line: dict[UUID, list[OrderReturn]] = defaultdict(list)
        for one in rows:
            by_line[one.line_id].append(one)
        return by_line


def _units(line: OrderLine, order: Order, returns: list[OrderReturn], now: datetime) -> list[Unit]:
    ref = str(order.id)
    units = [
        Unit(ref, days_to(one.happened_at, order.ordered_at), one.reason)
        for one in returns
        for _ in range(one.quantity)
    ]
    kept = max(0, line.quantity - line.cancelled_units - len(units))
    return units + [Unit(ref, days_to(now, order.ordered_at), None)] * kept


def _garments(lines: list[tuple[OrderLine, Order]], returns: dict[UUID, list[OrderReturn]]) -> list[GarmentReturns]:
    sold: dict[tuple[UUID, str], int] = defaultdict(int)
    back: dict[tuple[UUID, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line, _ in lines:
        if line.garment_id is None or line.size is None:
            continue
        key = line.garment_id, line.size
        sold[key] += line.quantity - line.cancelled_units
        for one in returns[line.id]:
            back[key][one.reason if one.reason in {"too_small", "too_large"} else "other"] += one.quantity
    return [
        GarmentReturns(key[0], key[1], units, back[key]["too_small"], back[key]["too_large"], back[key]["other"])
        for key, units in sorted(sold.items(), key=str)
        if units >= MIN_SHOWN
    ]
