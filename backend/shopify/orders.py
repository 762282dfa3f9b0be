"""Hints about orders: is it ours to look at, read it from Shopify, keep it in the book.

A hint is never believed: the order is read with the shop's own token, so a foreign or invented id is not found.
"""

from typing import Any
from uuid import UUID

import structlog

from backend.core.clock import Clock
from backend.core.db import Database
from backend.shopify.admin import Admin
from backend.shopify.documents import ORDER, RETURN_ORDER
from backend.shopify.errors import DocumentRefused
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.inbox_work import Outcome
from backend.shopify.installs import InstallService
from backend.shopify.order_book import NOTHING, Kept, OrderBook
from backend.shopify.order_facts import last_segment, read_order
from backend.shopify.topics import OrderHint, order_hint

log = structlog.get_logger()

MAX_PAGES = 50
"""Of a hundred lines each."""


class OrderTooLarge(DocumentRefused):
    """Parts of it are not in the answer; counting half of it would be worse than counting none."""

    code = "order_too_large"


class Orders:
    def __init__(self, database: Database, clock: Clock, admin: Admin) -> None:
        self.database = database
        self.clock = clock
        self.admin = admin

    async def handle(self, delivery: WebhookDelivery, body: dict[str, Any] | None) -> Outcome:
        hint = _hint_of_resource(delivery.resource or "") if body is None else order_hint(delivery.topic, body)
        brand_id = await self._brand(delivery.shop)
        order_id = hint.order_id if hint.order_id is not None else await self._order_of(delivery.shop, hint)
        if order_id is None:
            return Outcome("ignored", "not_found")
        if not await self._is_ours(brand_id, order_id, hint):
            return Outcome("ignored", "nothing_of_ours")
        kept = await self.read_and_keep(delivery.shop, brand_id, order_id)
        if kept is None:
            return Outcome("ignored", "not_found")
        if kept == NOTHING:
            return Outcome("ignored", "nothing_new", answers_waiting=True)
        return Outcome(answers_waiting=True)

    async def read_and_keep(self, shop: str, brand_id: UUID, order_id: int) -> Kept | None:
        """None when the shop has no such order (any more)."""
        order = await self._read(shop, order_id)
        if order is None:
            return None
        facts = read_order(order)
        async with self.database.transaction() as session:
            kept = await OrderBook(session, self.clock).keep(brand_id, facts)
        if kept != NOTHING:
            log.info(
                "order.kept",
                brand_id=str(brand_id),
                lines=kept.lines,
                direct=kept.direct,
                assisted=kept.assisted,
                bad_property=kept.bad_property,
            )
        return kept

    async def _brand(self, shop: str) -> UUID:
        async with self.database.transaction(read_only=True) as session:
            return (await InstallService(session, self.clock).get(shop)).brand_id

    async def _is_ours(self, brand_id: UUID, order_id: int, hint: OrderHint) -> bool:
        """Anything else is dropped unread."""
        async with self.database.transaction(read_only=True) as session:
            book = OrderBook(session, self.clock)
            if await book.is_known(brand_id, str(order_id)):
                return True
            if not hint.has_lines:
                return False
            return bool(hint.sessions) or await book.has_garment(brand_id, hint.product_ids)

    async def _order_of(self, shop: str, hint: OrderHint) -> int | None:
        gid = f"gid://shopify/Return/{hint.return_id}"
        found = (await self.admin.run(shop, RETURN_ORDER, {"id": gid}))["return"]
        return int(last_segment(found["order"]["id"])) if found else None

    async def _read(self, shop: str, order_id: int) -> dict[str, Any] | None:
        """With all of its lines."""
        gid = f"gid://shopify/Order/{order_id}"
        order: dict[str, Any] | None = None
        after: str | None = None
        for _ in range(MAX_PAGES):
            page = (await self.admin.run(shop, ORDER, {"id": gid, "after": after}))["order"]
            if page is None:
                return None
            if order is None:
                order = page
            elif page["updatedAt"] != order["updatedAt"]:
                return await self._read(shop, order_id)
            else:
                order["lineItems"]["nodes"] += page["lineItems"]["nodes"]
            if not page["lineItems"]["pageInfo"]["hasNextPage"]:
                _check_whole(order)
                return order
            after = page["lineItems"]["pageInfo"]["endCursor"]
        raise OrderTooLarge("The order has more lines than we read.")


def _hint_of_resource(resource: str) -> OrderHint:
    """For a repetition by hand: whoever asks for it wants the order looked at."""
    kind, _, number = resource.partition(":")
    is_order = kind == "order"
    return OrderHint(
        order_id=int(number) if is_order else None,
        return_id=None if is_order else int(number),
        sessions=frozenset({number}),
        product_ids=frozenset(),
        has_lines=True,
    )


def _check_whole(order: dict[str, Any]) -> None:
    parts = [refund["refundLineItems"] for refund in order["refunds"]]
    parts += [order["returns"], *(one["returnLineItems"] for one in order["returns"]["nodes"])]
    if any(part["pageInfo"]["hasNextPage"] for part in parts):
        raise OrderTooLarge("The order has more refunds or returns than one answer holds.")
