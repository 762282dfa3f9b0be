"""Every night two days are looked at again: what a lost webhook would have said of an order or product is known.

More than two, when the night before last did not succeed: webhooks are given up after a day without a usable token.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog

from backend.core.clock import Clock
from backend.core.db import Database
from backend.shopify.admin import Admin
from backend.shopify.catalogue import Catalogue, CatalogueService
from backend.shopify.chores import Chore, Chores
from backend.shopify.documents import ORDERS_UPDATED, PRODUCTS, RETURN_REASONS
from backend.shopify.order_book import OrderBook
from backend.shopify.order_facts import last_segment
from backend.shopify.orders import Orders
from backend.shopify.return_reasons import is_mapped
from backend.shopify.topics import SESSION_PROPERTY

log = structlog.get_logger()

LOOK_BACK = timedelta(hours=48)
MARGIN = timedelta(hours=24)
"""Before the last success: what changed while that run was reading."""
MAX_LOOK_BACK = timedelta(days=60)
"""Shopify shows no older orders to an app without `read_all_orders`."""


class Reconcile:
    def __init__(self, database: Database, clock: Clock, admin: Admin, orders: Orders, catalogue: Catalogue) -> None:
        self.database = database
        self.clock = clock
        self.admin = admin
        self.orders = orders
        self.catalogue = catalogue

    async def orders_of(self, chore: Chore, chores: Chores) -> None:
        since = self._since(chore.done_at)
        after: str | None = None
        read = 0
        while True:
            query = {"query": f"updated_at:>='{since}'", "after": after}
            page = (await self.admin.run(chore.shop, ORDERS_UPDATED, query))["orders"]
            for node in page["nodes"]:
                if await self._is_ours(chore, node):
                    await self.orders.read_and_keep(chore.shop, chore.brand_id, int(last_segment(node["id"])))
                    read += 1
            await chores.note(chore, {"done": read})
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
        log.info("orders.reconciled", shop=chore.shop, read=read)

    async def products_of(self, chore: Chore, chores: Chores) -> None:
        after: str | None = None
        read = 0
        since = self._since(chore.done_at)
        while True:
            page = (await self.admin.run(chore.shop, PRODUCTS, {"query": f"updated_at:>='{since}'", "after": after}))[
                "products"
            ]
            for node in page["nodes"]:
                product_id = int(last_segment(node["id"]))
                async with self.database.transaction(read_only=True) as session:
                    is_held = await CatalogueService(session, self.clock).is_held(chore.brand_id, product_id)
                if is_held:
                    await self.catalogue.refresh(chore.shop, chore.brand_id, product_id)
                    read += 1
            await chores.note(chore, {"done": read})
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def _since(self, done_at: datetime | None) -> str:
        now = self.clock.now()
        since = min(now - LOOK_BACK, (done_at or now) - MARGIN)
        return max(since, now - MAX_LOOK_BACK).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def reasons_of(self, chore: Chore) -> None:
        """Reasons that merchants may meet and our table does not know: told to the operator, counted as `other`."""
        after: str | None = None
        while True:
            page = (await self.admin.run(chore.shop, RETURN_REASONS, {"after": after}))["returnReasonDefinitions"]
            for node in page["nodes"]:
                if not node["deleted"] and not is_mapped(node["handle"]):
                    log.info("return_reason.unmapped", handle=node["handle"])
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    async def _is_ours(self, chore: Chore, node: dict[str, Any]) -> bool:
        """By the little that the list shows; what is of no concern is not read."""
        lines = node["lineItems"]
        if lines["pageInfo"]["hasNextPage"]:
            return True
        if any(one["key"] == SESSION_PROPERTY for line in lines["nodes"] for one in line["customAttributes"]):
            return True
        products = {int(last_segment(line["product"]["id"])) for line in lines["nodes"] if line["product"]}
        async with self.database.transaction(read_only=True) as session:
            book = OrderBook(session, self.clock)
            ref = last_segment(node["id"])
            return await book.is_known(chore.brand_id, ref) or await book.has_garment(chore.brand_id, products)
