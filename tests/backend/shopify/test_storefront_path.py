"""Merchants rename the app proxy's path and nothing tells us: we look, and only where Shopify says the shop is."""

import asyncio

import httpx
import pytest

from backend.demo.fake_shopify.server import FakeTransport
from backend.demo.fake_shopify.shop import FakeShop
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify import proxy_path
from backend.shopify.shop import Shopify
from tests.backend.shopify.conftest import SHOP_A, Dripping, Visit

PRIMARY = "www.atelier.example"


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@pytest.fixture
async def shop(visit: Visit, fake: FakeShopify, shopify_http: httpx.AsyncClient, http: httpx.AsyncClient) -> FakeShop:
    """With its storefront open, on an address of its own."""
    transport = shopify_http._transport
    assert isinstance(transport, FakeTransport)
    transport.storefronts.app = http
    shop = fake.shop(SHOP_A)
    shop.hosts = {PRIMARY: True, SHOP_A: True}
    await visit(SHOP_A)
    return shop


async def look(http: httpx.AsyncClient, fake: FakeShopify) -> dict[str, object]:
    answer = await http.get("/admin/api/storefront", headers={"Authorization": f"Bearer {fake.session_token(SHOP_A)}"})
    body: dict[str, object] = answer.json()
    return body


async def move(http: httpx.AsyncClient, fake: FakeShopify, path: str, key: str = "k1") -> httpx.Response:
    headers = {"Authorization": f"Bearer {fake.session_token(SHOP_A)}", "Idempotency-Key": key}
    return await http.put("/admin/api/storefront", headers=headers, json={"path": path})


class TestLook:
    async def test_path_as_installed_is_ours(self, http: httpx.AsyncClient, fake: FakeShopify, shop: FakeShop) -> None:
        seen = await look(http, fake)
        assert (seen["path"], seen["found"]) == ("apps/tryon", "ours")
        assert seen["checked_at"] is not None

    async def test_renamed_path_is_missed_and_found_where_the_merchant_says(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop: FakeShop
    ) -> None:
        shop.proxy_path = "tools/fitting-room"
        assert (await look(http, fake))["found"] == "not_ours"
        assert (await move(http, fake, "/tools/Fitting-Room/")).status_code == 200
        assert (await look(http, fake))["found"] == "ours"
        await shopify.setup.write_switches(SHOP_A)
        assert await shopify.app_data.read(SHOP_A, "config") == {"proxy": "/tools/fitting-room"}

    async def test_password_page_and_silence_say_nothing(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop: FakeShop, shopify: Shopify
    ) -> None:
        shop.has_password = True
        assert (await look(http, fake))["found"] == "unknown"
        assert await proxy_path.look(shopify.http, f"https://{SHOP_A}", "apps/tryon", SHOP_A) == "unknown"

    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (httpx.Response(200, json={"app": "tryon", "shop": SHOP_A}), "ours"),
            (httpx.Response(200, json={"app": "tryon", "shop": "shop-b.myshopify.com"}), "not_ours"),
            (httpx.Response(200, text="<html>"), "not_ours"),
            (httpx.Response(200, content=b"{" * 100_000), "not_ours"),
            (httpx.Response(503), "unknown"),
            (httpx.Response(301, headers={"Location": "https://evil.example/apps/tryon/ping"}), "unknown"),
            (httpx.Response(301, headers={"Location": "http://127.0.0.1:8000/"}), "unknown"),
            (httpx.Response(301, headers={"Location": f"http://{PRIMARY}/"}), "unknown"),
            (httpx.Response(302, headers={"Location": "/again"}), "unknown"),
        ],
    )
    async def test_what_is_there_is_judged(self, answer: httpx.Response, found: str) -> None:
        asked: list[str] = []

        def storefront(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.host)
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

        async with httpx.AsyncClient(transport=httpx.MockTransport(storefront)) as client:
            assert await proxy_path.look(client, f"https://{PRIMARY}", "apps/tryon", SHOP_A) == found
        assert set(asked) == {PRIMARY}
        assert len(asked) <= 3


class TestMove:
    async def test_what_is_no_path_of_a_proxy(self, http: httpx.AsyncClient, fake: FakeShopify, shop: FakeShop) -> None:
        for path in (
            "",
            "tryon",
            "apps",
            "apps/",
            "apps/a/b",
            "../admin",
            "apps/..",
            "https://evil.example",
            "x/tryon",
        ):
            assert (await move(http, fake, path)).status_code == 422

    async def test_replay_changes_nothing(self, http: httpx.AsyncClient, fake: FakeShopify, shop: FakeShop) -> None:
        first = await move(http, fake, "apps/first", "k1")
        assert first.status_code == 200, first.text
        assert (await move(http, fake, "apps/second", "k2")).status_code == 200
        assert (await move(http, fake, "apps/first", "k1")).status_code == 409
        assert (await look(http, fake))["path"] == "apps/second"


async def test_shop_that_answers_letter_by_letter_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_path, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(proxy_path, "MAX_BYTES", 10**9)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Dripping()))
    async with httpx.AsyncClient(transport=transport) as http, asyncio.timeout(20):
        assert await proxy_path.look(http, f"https://{PRIMARY}", "apps/tryon", SHOP_A) == "unknown"
