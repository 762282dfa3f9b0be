"""What a merchant's home page says of sales: credited revenue, and how much came back with and without a try-on."""

from datetime import datetime
from math import sqrt
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.shopify.order_models import Order, OrderLine

Z_95 = 1.96


class Revenue(msgspec.Struct, frozen=True):
    """Of lines credited to a try-on, after all discounts, refunds taken off. Currencies are never added."""

    currency: str
    net_minor: int
    orders: int


class ReturnRate(msgspec.Struct, frozen=True):
    """Units that came back of units bought; the interval is Wilson's at 95 %. None where nothing was bought."""

    units: int
    returned: int
    rate: float | None
    low: float | None
    high: float | None


class SalesReport(msgspec.Struct, frozen=True):
    revenue: list[Revenue]
    tried_on: ReturnRate
    not_tried_on: ReturnRate


class SalesService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def report(self, brand_id: UUID, since: datetime, until: datetime) -> SalesReport:
        revenue = await self.session.execute(
            select(Order.currency, func.sum(OrderLine.net_minor), func.count(func.distinct(OrderLine.order_id)))
            .join(Order, (Order.brand_id == OrderLine.brand_id) & (Order.id == OrderLine.order_id))
            .where(
                OrderLine.brand_id == brand_id,
                OrderLine.is_direct,
                Order.paid_at >= since,
                Order.paid_at < until,
                Order.cancelled_at.is_(None),
            )
            .group_by(Order.currency)
            .order_by(Order.currency)
        )
        units = await self.session.execute(
            select(
                OrderLine.is_direct,
                func.sum(OrderLine.quantity - OrderLine.cancelled_units),
                func.sum(OrderLine.returned_units),
            )
            .join(Order, (Order.brand_id == OrderLine.brand_id) & (Order.id == OrderLine.order_id))
            .where(
                OrderLine.brand_id == brand_id,
                OrderLine.garment_id.is_not(None),
                Order.ordered_at >= since,
                Order.ordered_at < until,
                Order.cancelled_at.is_(None),
            )
            .group_by(OrderLine.is_direct)
        )
        bought = {bool(is_direct): (int(count or 0), int(back or 0)) for is_direct, count, back in units}
        return SalesReport(
            revenue=[Revenue(currency, int(net or 0), orders) for currency, net, orders in revenue],
            tried_on=return_rate(*bought.get(True, (0, 0))),
            not_tried_on=return_rate(*bought.get(False, (0, 0))),
        )


def return_rate(units: int, returned: int) -> ReturnRate:
    if units <= 0:
        return ReturnRate(0, returned, None, None, None)
    share = min(returned, units) / units
    shrink = 1 + Z_95**2 / units
    middle = (share + Z_95**2 / (2 * units)) / shrink
    half = Z_95 * sqrt(share * (1 - share) / units + Z_95**2 / (4 * units**2)) / shrink
    return ReturnRate(units, returned, share, max(0.0, middle - half), min(1.0, middle + half))
