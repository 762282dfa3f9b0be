# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""What the merchant's page does: products, charts, results, settings, plan. Every answer is of the token's shop."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.models import Brand
from backend.core.clock import Clock
from backend.core.problems import InvalidRequest
from backend.events.reports import ReportService
from backend.garments.chart_text import ReadChart, read_chart_text
from backend.garments.schemas import Fabric, GarmentChanges, NewGarment
from backend.garments.service import GarmentService
from backend.jobs.work import Priority
from backend.shopify.catalogue import CatalogueEntry, CatalogueService
from backend.shopify.chores import ChoreBook, ChoreKind
from backend.shopify.errors import RequestRepeated, ShopifyOff
from backend.shopify.installs import InstallService
from backend.shopify.merchant_schemas import (
    CatalogueSummary,
    ChartText,
    Created,
    GarmentDraft,
    GarmentSaved,
    ImportProgress,
    MerchantSettings,
    NeedsAttention,
    Picked,
    PlanView,
    ProductList,
    ProductView,
    Results,
    SettingsChanges,
    SizeOptionChoice,
)
from backend.shopify.merchants import MerchantContext, merchant_only, provide_merchant
from backend.shopify.readiness import ready_products
from backend.shopify.sales_report import SalesService
from backend.shopify.shop import Shopify
from backend.shopify.spent import spend
from backend.shopify.work_models import SENT, WAITING, UsageEvent

PAGE = 50
MAX_NOTED = 20
MAX_SEARCH = 100
MAX_DAYS = 365
REMEMBERED = timedelta(days=1)
KEY_HEADER = "Idempotency-Key"
MAX_KEY = 200
IMPORTS: tuple[ChoreKind, ...] = ("import_products", "import_catalogue")


async def provide_catalogue(db_session: NamedDependency[AsyncSession], state: State) -> CatalogueService:
    return CatalogueService(db_session, state.clock)


async def provide_garments(db_session: NamedDependency[AsyncSession], state: State) -> GarmentService:
    return GarmentService(db_session, state.clock, state.garment_listeners)


class Once:
    """A session token may be replayed within its minute: what changes something carries a key that is spent with it."""

    def __init__(self, session: AsyncSession, clock: Clock, brand_id: UUID, key: str) -> None:
        self._session = session
        self._clock = clock
        self._brand_id = brand_id
        self._key = key

    async def spend(self) -> None:
        """For the handler itself to call: a dependency that raises would leave the session open."""
        if not 0 < len(self._key) <= MAX_KEY:
            raise InvalidRequest(f"A change needs the header {KEY_HEADER}.", field=KEY_HEADER)
        if not await spend(self._session, self._clock, self._brand_id, "request", self._key, REMEMBERED):
            raise RequestRepeated("This change was made already.")


async def provide_once(
    request: Request[Any, Any, Any],
    db_session: NamedDependency[AsyncSession],
    merchant: NamedDependency[MerchantContext],
    state: State,
) -> Once:
    return Once(db_session, state.clock, merchant.brand_id, request.headers.get(KEY_HEADER, ""))


class MerchantController(Controller):
    path = "/admin/api"
    include_in_schema = False
    guards = [merchant_only]  # noqa: RUF012  Litestar's own form
    dependencies = {  # noqa: RUF012
        "merchant": Provide(provide_merchant),
        "catalogue": Provide(provide_catalogue),
        "garments": Provide(provide_garments),
        "once": Provide(provide_once),
    }

    @get("/products")
    async def list_products(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        catalogue: NamedDependency[CatalogueService],
        merchant: NamedDependency[MerchantContext],
        after: Annotated[int, QueryParameter(ge=0)] = 0,
        search: Annotated[str, QueryParameter(max_length=MAX_SEARCH)] = "",
    ) -> ProductList:
        entries = await catalogue.entries(merchant.brand_id, after=after, limit=PAGE + 1, search=search.strip())
        ready = await ready_products(db_session, merchant.brand_id, [entry.product.product_id for entry in entries])
        return ProductList(
            products=[ProductView.of(entry, ready) for entry in entries[:PAGE]],
            next_after=entries[PAGE - 1].product.product_id if len(entries) > PAGE else None,
            progress=await _import_progress(db_session, state.clock, merchant),
        )

    @get("/products/summary")
    async def sum_products_up(
        self,
        db_session: NamedDependency[AsyncSession],
        catalogue: NamedDependency[CatalogueService],
        merchant: NamedDependency[MerchantContext],
    ) -> CatalogueSummary:
        summary = await catalogue.summary(merchant.brand_id)
        ready = await ready_products(db_session, merchant.brand_id)
        noted = [NeedsAttention(one.product.title, one.attention) for one in summary.charted if one.attention]
        return CatalogueSummary(summary.products, len(ready), noted[:MAX_NOTED], max(0, len(noted) - MAX_NOTED))

    @post("/products")
    async def pick_products(
        self,
        catalogue: NamedDependency[CatalogueService],
        merchant: NamedDependency[MerchantContext],
        data: JSONBody[Picked],
        once: NamedDependency[Once],
    ) -> Created:
        """Read in the background; `GET /products` shows how far it is."""
        await once.spend()
        return Created(await catalogue.pick(merchant.brand_id, data.product_ids))

    @put("/products/{product_id:int}/garment")
    async def save_garment(
        self,
        db_session: NamedDependency[AsyncSession],
        catalogue: NamedDependency[CatalogueService],
        garments: NamedDependency[GarmentService],
        merchant: NamedDependency[MerchantContext],
        product_id: FromPath[int],
        data: JSONBody[GarmentDraft],
        once: NamedDependency[Once],
    ) -> GarmentSaved:
        """Category and chart: from now on the product is offered. A chart that cannot be is refused, cell by cell."""
        await once.spend()
        entry = await catalogue.entry(merchant.brand_id, product_id)
        fabric = Fabric(data.stretch) if data.stretch else None
        if entry.garment is None:
            new = NewGarment(
                name=entry.product.title[:200] or str(product_id),
                category=data.category,
                size_chart=data.size_chart,
                fabric=fabric,
                shopify_product_id=product_id,
            )
            garment = await garments.create(merchant.brand_id, new, Priority.WAITED_FOR)
        else:
            changes = GarmentChanges(category=data.category, size_chart=data.size_chart, fabric=fabric)
            garment = await garments.change(merchant.brand_id, entry.garment.id, changes)
        await ChoreBook(db_session, catalogue.clock).ask(merchant.brand_id, "write_shards")
        return GarmentSaved(garment.id, await _view(db_session, catalogue, merchant, product_id))

    @put("/products/{product_id:int}/size-option")
    async def choose_size_option(
        self,
        db_session: NamedDependency[AsyncSession],
        catalogue: NamedDependency[CatalogueService],
        merchant: NamedDependency[MerchantContext],
        product_id: FromPath[int],
        data: JSONBody[SizeOptionChoice],
        once: NamedDependency[Once],
    ) -> ProductView:
        await once.spend()
        await catalogue.choose_size_option(merchant.brand_id, product_id, data.name)
        return await _view(db_session, catalogue, merchant, product_id)

    @delete("/products/{product_id:int}")
    async def let_product_go(
        self,
        catalogue: NamedDependency[CatalogueService],
        garments: NamedDependency[GarmentService],
        merchant: NamedDependency[MerchantContext],
        product_id: FromPath[int],
        once: NamedDependency[Once],
    ) -> None:
        """The button goes, and with the garment its try-ons."""
        await once.spend()
        entry: CatalogueEntry = await catalogue.entry(merchant.brand_id, product_id)
        if entry.garment is not None:
            await garments.delete(merchant.brand_id, entry.garment.id)
        await catalogue.let_go(merchant.brand_id, product_id)

    @post("/charts", status_code=200)
    async def read_chart(self, data: JSONBody[ChartText]) -> ReadChart:
        """What was pasted, as sizes and measures; stores nothing."""
        return read_chart_text(data.text)

    @get("/results")
    async def get_results(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        merchant: NamedDependency[MerchantContext],
        days: Annotated[int, QueryParameter(ge=1, le=MAX_DAYS)] = 30,
    ) -> Results:
        """The last days' funnel and sales."""
        until = state.clock.now()
        since = until - timedelta(days=days)
        funnel = await ReportService(db_session).funnel(merchant.brand_id, "session", since, until)
        return Results(days, funnel, await SalesService(db_session).report(merchant.brand_id, since, until))

    @get("/settings")
    async def get_settings(
        self, db_session: NamedDependency[AsyncSession], state: State, merchant: NamedDependency[MerchantContext]
    ) -> MerchantSettings:
        return await _settings(db_session, state.clock, merchant)

    @patch("/settings")
    async def change_settings(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        merchant: NamedDependency[MerchantContext],
        data: JSONBody[SettingsChanges],
        once: NamedDependency[Once],
    ) -> MerchantSettings:
        """Pausing is written to the shop a moment later: the theme stops showing the button without asking us."""
        await once.spend()
        install = await InstallService(db_session, state.clock).get(merchant.shop)
        if data.is_enabled is not None and data.is_enabled != install.is_enabled:
            install.is_enabled = data.is_enabled
            await ChoreBook(db_session, state.clock).ask(merchant.brand_id, "write_switches")
        if data.retention_days is not None:
            brand = await _brand(db_session, merchant)
            brand.retention_days = data.retention_days
        await db_session.flush()
        return await _settings(db_session, state.clock, merchant)

    @get("/plan")
    async def get_plan(
        self, db_session: NamedDependency[AsyncSession], state: State, merchant: NamedDependency[MerchantContext]
    ) -> PlanView:
        """A closed plan is read anew: the merchant may come from the page where one is chosen."""
        install = await InstallService(db_session, state.clock).get(merchant.shop)
        if not install.is_plan_open:
            async with _shopify(state).database.transaction() as session:
                await ChoreBook(session, state.clock).ask(merchant.brand_id, "read_plan")
        month = state.clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        counted = await db_session.execute(
            select(UsageEvent.state, func.count())
            .where(UsageEvent.brand_id == merchant.brand_id, UsageEvent.happened_at >= month)
            .group_by(UsageEvent.state)
        )
        counts = {name: int(count) for name, count in counted}
        handle = merchant.shop.removesuffix(".myshopify.com")
        client_id = _shopify(state).settings.shopify_client_id
        return PlanView(
            is_open=install.is_plan_open,
            fittings=counts.get(SENT, 0) + counts.get(WAITING, 0),
            waiting=counts.get(WAITING, 0),
            plans_url=f"https://admin.shopify.com/store/{handle}/charges/{client_id}/pricing_plans",
        )


async def _view(
    session: AsyncSession, catalogue: CatalogueService, merchant: MerchantContext, product_id: int
) -> ProductView:
    ready = await ready_products(session, merchant.brand_id, [product_id])
    return ProductView.of(await catalogue.entry(merchant.brand_id, product_id), ready)


async def _import_progress(session: AsyncSession, clock: Clock, merchant: MerchantContext) -> ImportProgress:
    """Of the picked ones, else of the whole catalogue at the first visit."""
    book = ChoreBook(session, clock)
    found = [await book.find(merchant.brand_id, kind) for kind in IMPORTS]
    chore = next((one for one in found if one is not None and one.due_at is not None), None)
    if chore is None:
        return ImportProgress(is_running=False, done=0, total=0, error_code=None)
    done, total = (chore.progress.get(name, 0) for name in ("done", "total"))
    return ImportProgress(
        is_running=True,
        done=done if isinstance(done, int) else 0,
        total=total if isinstance(total, int) else 0,
        error_code=chore.error_code,
    )


async def _settings(session: AsyncSession, clock: Clock, merchant: MerchantContext) -> MerchantSettings:
    install = await InstallService(session, clock).get(merchant.shop)
    brand = await _brand(session, merchant)
    return MerchantSettings(is_enabled=install.is_enabled, retention_days=brand.retention_days)


async def _brand(session: AsyncSession, merchant: MerchantContext) -> Brand:
    found: Brand | None = await session.scalar(select(Brand).where(Brand.id == merchant.brand_id))
    if found is None:
        raise LookupError("An install's brand is never deleted before it.")
    return found


def _shopify(state: State) -> Shopify:
    if state.shopify is None:
        raise ShopifyOff
    shopify: Shopify = state.shopify
    return shopify
