"""What is done for shops in the background, beside the jobs: the inbox, chores, and the bills."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Loop
from backend.core.storage import ObjectStore
from backend.garments.models import Garment
from backend.settings import Settings
from backend.shopify.billing import Billing, Plans
from backend.shopify.catalogue import SHARDS_AFTER, Catalogue
from backend.shopify.chores import Chore, ChoreBook, Chores, ChoreSpec
from backend.shopify.compliance import Compliance
from backend.shopify.inbox_work import Handler, InboxWork
from backend.shopify.installs import InstallService
from backend.shopify.models import ACTIVE, ShopifyInstall
from backend.shopify.order_book import OrderBook
from backend.shopify.orders import Orders
from backend.shopify.probe import AppNews, Probe
from backend.shopify.readiness import Readiness
from backend.shopify.reconcile import Reconcile
from backend.shopify.shop import Shopify
from backend.shopify.topics import Kind
from backend.shoppers.erasures import Eraser

TICK_S, LONG_TICK_S = 1.0, 3.0
GATHER_S = 0.2
"""Webhooks come in bursts; a shop's own page is not kept waiting by them."""
LONG_AT_ONCE = 3
"""Catalogues and nights of large shops; a fourth shop's waits for one of them, and nothing else does."""
NIGHTLY, WEEKLY = timedelta(days=1), timedelta(days=7)
LOOK_ROUND_EVERY = timedelta(seconds=30)
PURGE_EVERY = timedelta(hours=1)


class ShopifyWork:
    def __init__(
        self, database: Database, clock: Clock, settings: Settings, shopify: Shopify, store: ObjectStore, eraser: Eraser
    ) -> None:
        self.database = database
        self.clock = clock
        probe = Probe(shopify.admin)
        orders = Orders(database, clock, shopify.admin)
        catalogue = Catalogue(database, clock, shopify.admin, shopify.bulk)
        reconcile = Reconcile(database, clock, shopify.admin, orders, catalogue)
        handlers: Mapping[Kind, Handler] = {
            Kind.COMPLIANCE: Compliance(database, clock, store, eraser, probe).handle,
            Kind.APP: AppNews(database, clock, probe, shopify.setup).handle,
            Kind.ORDER: orders.handle,
            Kind.PRODUCT: catalogue.handle,
        }
        self.inbox = InboxWork(database, clock, handlers)
        self.chores = Chores(database, clock, self._chores(settings, shopify, catalogue, reconcile))
        self.billing = Billing(database, clock, settings, shopify.http, shopify.addresses)
        self._garments: dict[UUID, tuple[int, datetime | None]] = {}
        self._looked_at: datetime | None = None
        self._purged_at: datetime | None = None
        self.loop = Loop("shopify", (self.inbox.run_due, self.look_round, self.purge), tick_s=TICK_S, gather_s=GATHER_S)
        self.loops = (
            self.loop,
            Loop("shopify-chores", (self.chores.run_quick,), tick_s=TICK_S),
            Loop("shopify-bills", (self.send_bills,), tick_s=TICK_S),
            *(Loop("shopify-long", (self.chores.run_a_long_one,), tick_s=LONG_TICK_S) for _ in range(LONG_AT_ONCE)),
        )
        """Side by side, so that one shop's catalogue or a silent billing host holds up no webhook."""

    def _chores(
        self, settings: Settings, shopify: Shopify, catalogue: Catalogue, reconcile: Reconcile
    ) -> dict[str, ChoreSpec]:
        async def import_products(chore: Chore) -> None:
            await catalogue.import_picked(chore, self.chores)

        async def write_switches(chore: Chore) -> None:
            await shopify.setup.write_switches(chore.shop)

        async def import_catalogue(chore: Chore) -> None:
            await catalogue.import_all(chore, self.chores)

        async def reconcile_orders(chore: Chore) -> None:
            await reconcile.orders_of(chore, self.chores)

        async def reconcile_products(chore: Chore) -> None:
            await reconcile.products_of(chore, self.chores)

        return {
            "import_catalogue": ChoreSpec(import_catalogue, is_long=True),
            "import_products": ChoreSpec(import_products),
            "write_shards": ChoreSpec(Readiness(self.database, self.clock, shopify.app_data).write_shards),
            "write_switches": ChoreSpec(write_switches),
            "reconcile_orders": ChoreSpec(reconcile_orders, NIGHTLY, is_long=True),
            "reconcile_products": ChoreSpec(reconcile_products, NIGHTLY, is_long=True),
            "check_reasons": ChoreSpec(reconcile.reasons_of, WEEKLY),
            "read_plan": ChoreSpec(Plans(self.database, self.clock, settings, shopify.http).read_plan, NIGHTLY),
        }

    async def step(self) -> int:
        """Everything that is due, once, one after the other."""
        return await self.loop.step() + await self.chores.run_due() + await self.send_bills()

    async def send_bills(self) -> int:
        return await self.billing.collect_if_due() + await self.billing.send_due()

    async def look_round(self) -> int:
        """Shops new to the regular chores, and garments that came, changed or went by whatever road."""
        now = self.clock.now()
        if self._looked_at is not None and now - self._looked_at < LOOK_ROUND_EVERY:
            return 0
        self._looked_at = now
        return await self.chores.plan() + await self._notice_garments()

    async def purge(self) -> int:
        now = self.clock.now()
        if self._purged_at is not None and now - self._purged_at < PURGE_EVERY:
            return 0
        self._purged_at = now
        return await self.inbox.purge()

    async def _notice_garments(self) -> int:
        """By their number and newest time; after a start everything counts as changed, and nothing is written twice."""
        async with self.database.transaction(read_only=True) as session:
            rows = await session.execute(
                select(Garment.brand_id, func.count(), func.max(Garment.updated_at))  # tenant: all shops, by brand
                .join(ShopifyInstall, ShopifyInstall.brand_id == Garment.brand_id)
                .where(ShopifyInstall.status == ACTIVE, Garment.shopify_product_id.is_not(None))
                .group_by(Garment.brand_id)
            )
            present: dict[UUID, tuple[int, datetime | None]] = {row[0]: (row[1], row[2]) for row in rows}
        changed = [
            brand_id
            for brand_id in present.keys() | self._garments.keys()
            if present.get(brand_id) != self._garments.get(brand_id)
        ]
        self._garments = present
        for brand_id in changed:
            async with self.database.transaction() as session:
                if await InstallService(session, self.clock).of_brand(brand_id) is not None:
                    await ChoreBook(session, self.clock).ask(brand_id, "write_shards", after=SHARDS_AFTER)
        return len(changed)


class CheckoutLinks:
    """What `create_app` gives to the events, which may not know of orders: a pixel named sessions for some."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def linked(self, session: AsyncSession, brand_id: UUID, order_ids: set[str]) -> None:
        await OrderBook(session, self.clock).link_checkouts(brand_id, order_ids)
