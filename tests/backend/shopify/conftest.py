"""The service with a Shopify app set up, and a Shopify that keeps its promises by Shopify's own schema."""

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import select

from backend.core.db import Database
from backend.demo.fake_shopify.schema import AdminSchema, SchemaMissing
from backend.demo.fake_shopify.server import FakeTransport
from backend.demo.fake_shopify.world import FakeShopify
from backend.settings import Settings
from backend.shopify.documents import API_VERSION
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.shop import Shopify
from tests.backend.shopify.scene import Scene, set_the_scene
from tests.fakes import HandClock

CLIENT_ID = "client-id-of-the-tests"
SECRET = "shpss_current-secret-of-the-tests"
PREVIOUS_SECRET = "shpss_previous-secret-of-the-tests"
SHOP_A, SHOP_B = "shop-a.myshopify.com", "shop-b.myshopify.com"


class Dripping(httpx.AsyncByteStream):
    """An answer that is never silent for long and never done."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b" "


Visit = Callable[[str], Awaitable[httpx.Response]]


def load_schema(version: str) -> AdminSchema:
    """Skipped loudly without the JavaScript packages, refused where they are required."""
    try:
        return AdminSchema(version)
    except SchemaMissing as reason:
        if os.environ.get("REQUIRE_SHOPIFY_SCHEMA") == "1":
            raise
        warnings.warn(pytest.PytestWarning(f"Nothing was tested on Shopify's schema: {reason}"), stacklevel=1)
        pytest.skip(f"NOT TESTED ON SHOPIFY'S SCHEMA: {reason}")


@pytest.fixture(scope="session")
def admin_schema() -> AdminSchema:
    return load_schema(API_VERSION)


@pytest.fixture
def fake(admin_schema: AdminSchema, clock: HandClock) -> FakeShopify:
    return FakeShopify(admin_schema, clock, CLIENT_ID, SECRET)


@pytest.fixture
def shopify_http(fake: FakeShopify) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=FakeTransport(fake), headers={"User-Agent": "TryOn tests"})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings,
        shopify_client_id=CLIENT_ID,
        shopify_client_secret=SECRET,
        shopify_client_secret_previous=PREVIOUS_SECRET,
        shopify_token_key="token-sealing-key-of-the-tests-0123456789",
    )


@pytest.fixture
def shopify(app: Litestar) -> Shopify:
    bundle: Shopify = app.state.shopify
    return bundle


@pytest.fixture
def visit(http: httpx.AsyncClient, fake: FakeShopify) -> Visit:
    """The merchant opens the app; its set-up has run when the answer is back."""

    async def open_admin(shop: str) -> httpx.Response:
        fake.shop(shop)
        return await http.get("/admin", params={"shop": shop, "id_token": fake.session_token(shop)})

    return open_admin


@pytest.fixture
async def scene(app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock) -> Scene:
    """A shop with the app and one garment."""
    return await set_the_scene(app, http, fake, clock, SHOP_A)


async def deliveries(app: Litestar) -> list[WebhookDelivery]:
    """The inbox, oldest first."""
    database: Database = app.state.database
    async with database.transaction(read_only=True) as session:
        return list((await session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id))).all())
