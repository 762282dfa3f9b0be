"""The shop's products as garments in draft: taken in, kept as the shop has them, and offered when they are ready."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.core.problems import InvalidRequest, NotFound
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from backend.shopify.admin import Admin
from backend.shopify.bulk import BulkOperations, Progress
from backend.shopify.chores import Chore, ChoreBook, Chores
from backend.shopify.documents import BULK_PRODUCTS, PRODUCT
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.inbox_work import Outcome
from backend.shopify.installs import InstallService
from backend.shopify.product_facts import ProductFacts, read_product
from backend.shopify.size_options import Attention, compare
from backend.shopify.work_models import ShopifyProduct

log = structlog.get_logger()

SHARDS_AFTER = timedelta(seconds=5)
"""News of one shop comes in bursts; the storefront's list is written once for all of them."""
PICKED, DELETED = "PICKED", "DELETED"
"""Ours: not read yet; gone from the shop."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MAX_PICKED = 250
KEPT_AT_ONCE = 100
MAX_VARIANT_PAGES = 10
"""Shopify's own limit is 2,048 variants."""


class ProductNotFound(NotFound):
    code = "product_not_found"
    title = "Product not found"


class CatalogueEntry(msgspec.Struct, frozen=True):
    """A product with what it lacks; `garment` once it has a category and a chart."""

    product: ShopifyProduct
    garment: Garment | None
    attention: list[Attention]


class Summary(msgspec.Struct, frozen=True):
    products: int
    charted: list[CatalogueEntry]


class CatalogueService:
    """What the merchant's pages ask for; each in the request's transaction."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def pick(self, brand_id: UUID, product_ids: Iterable[int]) -> int:
        """Products from the resource picker, read in the background; how many are new."""
        wanted = sorted(set(product_ids))
        if len(wanted) > MAX_PICKED:
            raise InvalidRequest(f"At most {MAX_PICKED} products are taken at once.", field="product_ids")
        new = await insert_new(
            self.session,
            ShopifyProduct,
            [self._blank(brand_id, product_id) for product_id in wanted],
            unique=("brand_id", "product_id"),
            returning=ShopifyProduct.product_id,
        )
        if new:
            await ChoreBook(self.session, self.clock).ask(brand_id, "import_products")
        return len(new)

    async def summary(self, brand_id: UUID) -> Summary:
        """Of the whole catalogue: how many, and those that have a chart."""
        products = await self.session.scalar(
            select(func.count()).select_from(ShopifyProduct).where(ShopifyProduct.brand_id == brand_id)
        )
        rows = await self.session.execute(
            _with_garment(brand_id).where(Garment.id.is_not(None)).order_by(ShopifyProduct.product_id)
        )
        charted = [CatalogueEntry(product, garment, attention_of(product, garment)) for product, garment in rows]
        return Summary(products or 0, charted)

    async def entries(
        self, brand_id: UUID, *, after: int = 0, limit: int = 50, search: str = ""
    ) -> list[CatalogueEntry]:
        """By product id; `after` is the last one seen, `search` a part of the title."""
        rows = await self.session.execute(
            _with_garment(brand_id)
            .where(ShopifyProduct.product_id > after, ShopifyProduct.title.icontains(search, autoescape=True))
            .order_by(ShopifyProduct.product_id)
            .limit(limit)
        )
        return [CatalogueEntry(product, garment, attention_of(product, garment)) for product, garment in rows]

    async def entry(self, brand_id: UUID, product_id: int) -> CatalogueEntry:
        rows = await self.session.execute(_with_garment(brand_id).where(ShopifyProduct.product_id == product_id))
        row = rows.one_or_none()
        if row is None:
            raise ProductNotFound("This product was not taken in.")
        return CatalogueEntry(row[0], row[1], attention_of(row[0], row[1]))

    async def choose_size_option(self, brand_id: UUID, product_id: int, name: str) -> CatalogueEntry:
        """The merchant's word; the variants' sizes follow with the next reading, which is asked for."""
        entry = await self.entry(brand_id, product_id)
        values = {str(option["name"]): option["values"] for option in entry.product.options}
        if name not in values:
            raise InvalidRequest("The product has no such option.", field="size_option")
        entry.product.size_option, entry.product.is_option_chosen = name, True
        entry.product.sizes = [str(value) for value in _listed(values[name])]
        entry.product.changed_at = LONG_AGO
        await self.session.flush()
        await ChoreBook(self.session, self.clock).ask(brand_id, "import_products")
        return await self.entry(brand_id, product_id)

    async def let_go(self, brand_id: UUID, product_id: int) -> None:
        """Out of the list; its garment, if it has one, is the merchant's to delete."""
        entry = await self.entry(brand_id, product_id)
        await self.session.delete(entry.product)
        await ChoreBook(self.session, self.clock).ask(brand_id, "write_shards", after=SHARDS_AFTER)

    async def keep(self, brand_id: UUID, facts: ProductFacts) -> bool:
        """False for older news than what is here."""
        row = self._blank(brand_id, facts.product_id)
        await insert_new(
            self.session,
            ShopifyProduct,
            [row],
            unique=("brand_id", "product_id"),
            returning=ShopifyProduct.product_id,
        )
        product = (
            await self.session.scalars(
                select(ShopifyProduct)
                .where(ShopifyProduct.brand_id == brand_id, ShopifyProduct.product_id == facts.product_id)
                .with_for_update()
            )
        ).one()
        if product.changed_at > facts.changed_at:
            return False
        await self._rename_garment(brand_id, product, facts.title)
        option = facts.size_option(product.size_option if product.is_option_chosen else None)
        product.title, product.handle, product.status = facts.title, facts.handle, facts.status
        product.product_type, product.image_url = facts.product_type, facts.image_url
        product.options = [msgspec.to_builtins(one) for one in facts.options]
        product.size_option = option.name if option else None
        product.is_option_chosen = product.is_option_chosen and option is not None
        product.sizes = list(option.values) if option else []
        product.variants = facts.sizes_by_variant(option)
        product.suggested_chart, product.changed_at = facts.chart, facts.changed_at
        await ChoreBook(self.session, self.clock).ask(brand_id, "write_shards", after=SHARDS_AFTER)
        return True

    async def mark_deleted(self, brand_id: UUID, product_id: int) -> None:
        await self.session.execute(
            update(ShopifyProduct)
            .where(ShopifyProduct.brand_id == brand_id, ShopifyProduct.product_id == product_id)
            .values(status=DELETED, updated_at=self.clock.now())
        )
        await ChoreBook(self.session, self.clock).ask(brand_id, "write_shards", after=SHARDS_AFTER)

    async def is_held(self, brand_id: UUID, product_id: int) -> bool:
        """Picked, or a garment that the brand made for it by itself."""
        for query in (
            select(ShopifyProduct.id).where(
                ShopifyProduct.brand_id == brand_id, ShopifyProduct.product_id == product_id
            ),
            select(Garment.id).where(Garment.brand_id == brand_id, Garment.shopify_product_id == product_id),
        ):
            if await self.session.scalar(query) is not None:
                return True
        return False

    async def _rename_garment(self, brand_id: UUID, product: ShopifyProduct, title: str) -> None:
        """Follows the product's title as long as the merchant has given the garment no name of its own."""
        await self.session.execute(
            update(Garment)
            .where(
                Garment.brand_id == brand_id,
                Garment.shopify_product_id == product.product_id,
                Garment.name == product.title[:200],
            )
            .values(name=title[:200], updated_at=self.clock.now())
            .execution_options(synchronize_session=False)
        )

    def _blank(self, brand_id: UUID, product_id: int) -> dict[str, object]:
        now = self.clock.now()
        return {
            "id": uuid7(),
            "brand_id": brand_id,
            "product_id": product_id,
            "title": "",
            "handle": "",
            "status": PICKED,
            "product_type": "",
            "options": [],
            "is_option_chosen": False,
            "sizes": [],
            "variants": {},
            "changed_at": LONG_AGO,
            "created_at": now,
            "updated_at": now,
        }


class Catalogue:
    """What the background does for it."""

    def __init__(self, database: Database, clock: Clock, admin: Admin, bulk: BulkOperations) -> None:
        self.database = database
        self.clock = clock
        self.admin = admin
        self.bulk = bulk

    async def handle(self, delivery: WebhookDelivery, body: dict[str, Any] | None) -> Outcome:  # noqa: ARG002
        """A hint: the product is read with the shop's own token, and only if we hold it."""
        product_id = int((delivery.resource or "product:0").partition(":")[2])
        async with self.database.transaction(read_only=True) as session:
            brand_id = (await InstallService(session, self.clock).get(delivery.shop)).brand_id
            if not await CatalogueService(session, self.clock).is_held(brand_id, product_id):
                return Outcome("ignored", "nothing_of_ours")
        await self.refresh(delivery.shop, brand_id, product_id)
        return Outcome(answers_waiting=True)

    async def refresh(self, shop: str, brand_id: UUID, product_id: int) -> None:
        facts = await self._read(shop, product_id)
        async with self.database.transaction() as session:
            service = CatalogueService(session, self.clock)
            if facts is None:
                await service.mark_deleted(brand_id, product_id)
            else:
                await service.keep(brand_id, facts)

    async def import_picked(self, chore: Chore, chores: Chores) -> None:
        """Every product that waits to be read, with progress for the merchant's page."""
        done = 0
        async for product_id, left in self._unread(chore.brand_id):
            await self.refresh(chore.shop, chore.brand_id, product_id)
            done += 1
            await chores.note(chore, {"done": done, "total": done + left})

    async def import_all(self, chore: Chore, chores: Chores) -> None:
        """The whole catalogue by one bulk operation; a child comes after its parent, though not next to it."""
        products: dict[str, dict[str, Any]] = {}

        async def on_progress(progress: Progress) -> None:
            await chores.note(chore, {"stage": "reading", "done": progress.objects, "total": None})

        async for row in self.bulk.read(chore.shop, BULK_PRODUCTS, on_progress):
            parent = products.get(row.get("__parentId", ""))
            if parent is None:
                products[row["id"]] = row | {"variants": [], "metafields": []}
            else:
                parent["variants" if "selectedOptions" in row else "metafields"].append(row)
        nodes = list(products.values())
        for start in range(0, len(nodes), KEPT_AT_ONCE):
            async with self.database.transaction() as session:
                service = CatalogueService(session, self.clock)
                for node in nodes[start : start + KEPT_AT_ONCE]:
                    await service.keep(chore.brand_id, read_product(node))
            done = min(start + KEPT_AT_ONCE, len(nodes))
            await chores.note(chore, {"stage": "keeping", "done": done, "total": len(nodes)})
        log.info("catalogue.imported", shop=chore.shop, products=len(nodes))

    async def _unread(self, brand_id: UUID) -> AsyncIterator[tuple[int, int]]:
        """Each with how many follow it; asked anew, so that what was picked meanwhile is among them."""
        seen = 0
        while True:
            async with self.database.transaction(read_only=True) as session:
                found = await session.scalars(
                    select(ShopifyProduct.product_id)
                    .where(
                        ShopifyProduct.brand_id == brand_id,
                        ShopifyProduct.changed_at <= LONG_AGO,
                        ShopifyProduct.status != DELETED,
                        ShopifyProduct.product_id > seen,
                    )
                    .order_by(ShopifyProduct.product_id)
                )
                waiting = list(found)
            if not waiting:
                return
            seen = waiting[0]
            yield seen, len(waiting) - 1

    async def _read(self, shop: str, product_id: int) -> ProductFacts | None:
        product: dict[str, Any] | None = None
        after: str | None = None
        for _ in range(MAX_VARIANT_PAGES):
            variables = {"id": f"gid://shopify/Product/{product_id}", "after": after}
            page = (await self.admin.run(shop, PRODUCT, variables))["product"]
            if page is None:
                return None
            if product is None:
                product = page
            else:
                product["variants"]["nodes"] += page["variants"]["nodes"]
            if not page["variants"]["pageInfo"]["hasNextPage"]:
                break
            after = page["variants"]["pageInfo"]["endCursor"]
        return read_product(product) if product else None


class FirstImport:
    """The step of a first visit that has the whole catalogue read in the background, and what is ready told at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def ask(self, shop: str) -> None:
        async with self.database.transaction() as session:
            install = await InstallService(session, self.clock).get(shop)
            chores = ChoreBook(session, self.clock)
            await chores.ask(install.brand_id, "write_shards")
            await chores.ask(install.brand_id, "import_catalogue")
            await chores.ask(install.brand_id, "read_plan")  # it may have ended while the app was out


def attention_of(product: ShopifyProduct, garment: Garment | None) -> list[Attention]:
    """Nothing is wrong with a draft; a garment's chart is held against what the shop sells."""
    if garment is None or product.status == PICKED:
        return []
    chart_sizes = [row.size for row in msgspec.convert(garment.size_chart, Chart).rows]
    return compare(product.size_option, product.sizes, chart_sizes)


def _with_garment(brand_id: UUID) -> Any:
    return (
        select(ShopifyProduct, Garment)
        .outerjoin(
            Garment,
            (Garment.brand_id == ShopifyProduct.brand_id) & (Garment.shopify_product_id == ShopifyProduct.product_id),
        )
        .where(ShopifyProduct.brand_id == brand_id)
    )


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
