"""The service, put together: the only list of features, ports and settings."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import NamedTuple, TypedDict, Unpack

import httpx
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from backend.avatars.controller import AvatarController, ConsentController
from backend.avatars.finish import AvatarOutcomes
from backend.avatars.retention import AvatarRetention
from backend.brands.service import BrandKeys
from backend.core import auth, headers, problems, schema
from backend.core.clock import Clock, SystemClock
from backend.core.db import Database, provide_session
from backend.core.health import HealthController
from backend.core.housekeeping import Housekeeping
from backend.core.logging import RequestLog
from backend.core.loops import Loop, Step
from backend.core.object_routes import ObjectController
from backend.core.object_tokens import ObjectSigner
from backend.core.request_counts import RequestCounts
from backend.core.sqlite_log import SqliteLog
from backend.core.storage import ObjectStore
from backend.core.store_choice import StoreWatch, choose_store
from backend.embed.controller import EmbedController
from backend.embed.files import FrontEnd
from backend.events.controller import AnalyticsController, EventController
from backend.garments.controller import GarmentController
from backend.garments.finish import GarmentOutcomes
from backend.garments.import_controller import ImportController
from backend.garments.imports import Imports
from backend.jobs.controller import HookController
from backend.jobs.dispatch import Dispatcher
from backend.jobs.ledger import Ledger
from backend.jobs.management import RunPodManagement
from backend.jobs.outcomes import NoOutcome, OutcomesByKind
from backend.jobs.providers import Providers, only, providers_of
from backend.jobs.queue import ComputeQueue
from backend.jobs.reconcile import Reconciler
from backend.jobs.sweeper import Sweeper
from backend.operations.books import Books
from backend.operations.budget import read_budget
from backend.operations.controller import BudgetController, MetricsController, PhotoScreenController
from backend.operations.photo_screens import PhotoScreens
from backend.operations.scaler import Scaler, read_policies
from backend.operations.spending import Spending
from backend.provider_settings import ProviderSettings
from backend.settings import Settings
from backend.shopify.admin_controller import AdminController
from backend.shopify.catalogue import FirstImport
from backend.shopify.inbox_controller import WebhookController
from backend.shopify.install_controller import InstallController
from backend.shopify.merchant_controller import MerchantController
from backend.shopify.pixel_tokens import PixelTokens
from backend.shopify.proxy_controller import ProxyController
from backend.shopify.returns_controller import ReturnsController
from backend.shopify.shop import Shopify, new_http
from backend.shopify.storefront_controller import StorefrontController
from backend.shopify.work import CheckoutLinks, ShopifyWork
from backend.shoppers.controller import ShopperTokenController
from backend.shoppers.erasures import Eraser
from backend.shoppers.retention import CodeRetention
from backend.shoppers.service import ShopperTokens
from backend.tryons.bands_controller import BandsController
from backend.tryons.controller import TryonController
from backend.tryons.finish import DressOutcomes
from backend.tryons.retention import WornRetention
from backend.tryons.service import OpenSessions

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

MAX_BODY_BYTES = 256_000
"""Some routes are open to anyone; those that take files say how much themselves."""

FEATURES = (
    HealthController,
    ObjectController,
    ShopperTokenController,
    ConsentController,
    GarmentController,
    ImportController,
    AvatarController,
    TryonController,
    BandsController,
    HookController,
    EventController,
    AnalyticsController,
    MetricsController,
    BudgetController,
    PhotoScreenController,
    EmbedController,
    ProxyController,
    AdminController,
    MerchantController,
    StorefrontController,
    InstallController,
    WebhookController,
    ReturnsController,
)

DEPENDENCIES = {
    "db_session": Provide(provide_session),
    "brand": Provide(auth.provide_brand),
    "shopper": Provide(auth.provide_shopper),
    "principal": Provide(auth.provide_principal),
}
"""What any handler may ask for by name; a body's field must not have one of these names."""


class Ports(TypedDict, total=False):
    """What may be handed in instead of the real ones of this machine; tests do.

    sees_jobs_through : run the loop that sends work and looks after it; `tryon sweep` may do it elsewhere
    """

    clock: Clock | None
    store: ObjectStore | None
    queue: ComputeQueue | None
    providers: Providers | None
    shopify_http: httpx.AsyncClient | None
    sees_jobs_through: bool


def create_app(settings: Settings, **ports: Unpack[Ports]) -> Litestar:
    """The routes, and what stands behind them."""
    wiring = wire(settings, **ports)
    return Litestar(
        [feature for feature in FEATURES if feature is not ObjectController or not settings.supabase_url],
        plugins=[problems.plugin()],
        dependencies=DEPENDENCIES,
        middleware=[RequestLog()],
        before_send=[headers.add_security_headers],
        lifespan=wiring.lifespans,
        logging_config=None,
        openapi_config=schema.openapi_config(),
        request_max_body_size=MAX_BODY_BYTES,
        state=wiring.state,
    )


class Wiring(NamedTuple):
    """What stands behind the routes, and what begins and ends with the service."""

    state: State
    lifespans: list[Lifespan]


def wire(
    settings: Settings,
    *,
    clock: Clock | None = None,
    store: ObjectStore | None = None,
    queue: ComputeQueue | None = None,
    providers: Providers | None = None,
    shopify_http: httpx.AsyncClient | None = None,
    sees_jobs_through: bool = False,
) -> Wiring:
    """See `Ports`."""
    clock = clock or SystemClock()
    database = Database(settings.database_url, clock, pooled_by_transaction=settings.database_pooler == "transaction")
    store = store or choose_store(settings, clock)
    providers = providers or (
        only(queue, clock)
        if queue
        else providers_of(settings.compute_providers, clock, partial(_provider_key, settings))
    )
    open_sessions = OpenSessions(clock)
    eraser = Eraser(database, store, clock)
    shopify = _shopify(database, clock, settings, shopify_http) if settings.shopify_client_id else None
    shopify_work = ShopifyWork(database, clock, settings, shopify, store, eraser) if shopify else None
    outcomes: OutcomesByKind = {
        "avatar": AvatarOutcomes(clock, (open_sessions.avatar_changed,)),
        "garment": GarmentOutcomes(clock, (open_sessions,)),
        "dress": DressOutcomes(clock),
        "noop": NoOutcome(),
    }
    ledger = Ledger(database, clock, outcomes)
    rows = {provider.key: provider.settings for provider in providers.all}
    books = Books(database, clock, rows)
    spending = Spending(database, clock, read_budget(settings.daily_budget), rows)
    request_counts = RequestCounts()
    scaler = make_scaler(settings, database, clock, providers)
    sweeper = Sweeper(
        Dispatcher(ledger, providers, store, settings.public_base_url, spending),
        Reconciler(ledger, providers, store, clock),
        {
            "tidy": _tidying(
                eraser.run_due,
                Housekeeping(store, clock).run_if_due,
                StoreWatch(store, clock).run_if_due,
                WornRetention(database, clock).run_if_due,
                AvatarRetention(database, clock).run_if_due,
                CodeRetention(database, clock).run_if_due,
                SqliteLog(database, clock).run_if_due,
                *([shopify.tidy] if shopify else []),
            ),
            "watch": providers.check_health,
            "books": books.run_if_due,
            "imports": Imports(database, clock, (open_sessions,)).run_due,
            **({"scale": scaler.run_if_due} if scaler else {}),
        },
    )
    lifespans = [
        _closing(database, store, providers),
        *([_closing_shopify(shopify)] if shopify else []),
        *([_closing_scaler(scaler)] if scaler else []),
        *([_looping(loop) for loop in shopify_work.loops] if shopify_work and sees_jobs_through else []),
        *([_sweeping(sweeper)] if sees_jobs_through else []),
    ]
    state = State(
        {
            "settings": settings,
            "clock": clock,
            "database": database,
            "store": store,
            "object_signer": ObjectSigner(settings.storage_signing_key),
            "brand_keys": BrandKeys(database, clock),
            "shopper_tokens": ShopperTokens(database, clock, settings.token_signing_key),
            "front_end": FrontEnd(settings.embed_dist_dir),
            "eraser": eraser,
            "shopify": shopify,
            "shopify_work": shopify_work,
            "pixel_tokens": PixelTokens(database, settings.token_signing_key),
            "sweeper": sweeper,
            "sees_jobs_through": sweeper.is_alive if sees_jobs_through else lambda: True,
            "providers": providers,
            "books": books,
            "spending": spending,
            "photo_screens": PhotoScreens(database, clock),
            "scaler": scaler,
            "request_counts": request_counts,
            "wake": sweeper.wake,
            "checkout_listeners": (CheckoutLinks(clock).linked,),
            "avatar_listeners": (open_sessions.avatar_changed,),
            "garment_listeners": (open_sessions,),
        }
    )
    return Wiring(state, lifespans)


def _shopify(database: Database, clock: Clock, settings: Settings, http: httpx.AsyncClient | None) -> Shopify:
    further_steps = {"catalogue": FirstImport(database, clock).ask}
    return Shopify(database, clock, settings, http or new_http(), further_steps=further_steps)


def _tidying(*steps: Step) -> Step:
    async def tidy() -> int:
        return sum([await step() for step in steps])

    return tidy


def endpoint_key(settings: Settings) -> str:
    """Of the settings, else the local endpoint's own."""
    return settings.runpod_api_key or _local_key(settings)


def _provider_key(settings: Settings, provider: ProviderSettings) -> str:
    return provider.api_key or _local_key(settings)


def _local_key(settings: Settings) -> str:
    """Empty until the local endpoint has started for the first time."""
    try:
        keys: dict[str, str] = json.loads(settings.local_endpoint_keys_file.read_text())
    except FileNotFoundError:
        return ""
    return keys["client_key"]


def _sweeping(sweeper: Sweeper) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        loop = asyncio.create_task(sweeper.run())
        try:
            yield
        finally:
            await sweeper.stop(loop)

    return lifespan


def _looping(loop: Loop) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        task = asyncio.create_task(loop.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return lifespan


def make_scaler(settings: Settings, database: Database, clock: Clock, providers: Providers) -> Scaler | None:
    """None: no paid provider is to be watched."""
    policies = read_policies(settings.scaling)
    if not policies or not settings.runpod_management_key:
        return None
    management = RunPodManagement(settings.runpod_management_key)
    return Scaler(database, clock, management, providers.all, policies, is_switched_on=settings.is_scaling_switched_on)


def _closing_scaler(scaler: Scaler) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await scaler.close()

    return lifespan


def _closing_shopify(shopify: Shopify) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await shopify.close()

    return lifespan


def _closing(database: Database, store: ObjectStore, providers: Providers) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        try:
            await store.check()
            yield
        finally:
            await providers.close()
            await store.close()
            await database.close()

    return lifespan


async def sweep(settings: Settings) -> None:
    """The loop alone, without answering anyone: until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with create_app(settings, sees_jobs_through=True).lifespan():
        await stopped.wait()
