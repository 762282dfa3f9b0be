"""Webhooks: taken once whatever comes, and none that is forged."""

import base64
import hashlib
import hmac
import random
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from backend.app import create_app
from backend.demo.fake_shopify.webhooks import Webhook
from backend.demo.fake_shopify.world import FakeShopify
from backend.settings import Settings
from backend.shopify.inbox_work import LEASE
from backend.shopify.topics import TOPICS, Kind
from tests.backend.shopify.conftest import PREVIOUS_SECRET, SECRET, SHOP_A, SHOP_B, deliveries
from tests.fakes import HandClock

PATH = "/hooks/shopify"
COMPLIANCE = [topic for topic, kind in TOPICS.items() if kind is Kind.COMPLIANCE]


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


async def work_off(app: Litestar) -> None:
    """Until nothing is due."""
    while await app.state.shopify_work.inbox.run_due():
        pass


def order_hook(fake: FakeShopify, order_id: int = 1, topic: str = "orders/create", shop: str = SHOP_A) -> Webhook:
    return fake.webhooks.make(topic, shop, {"id": order_id, "updated_at": fake.clock.now().isoformat(), "n": 0})


class TestTaking:
    async def test_stored_then_answered_and_nobody_is_asked(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        answer = await fake.webhooks.send(http, order_hook(fake))
        assert (answer.status_code, answer.content) == (200, b"")
        [row] = await deliveries(app)
        assert (row.state, row.topic, row.shop, row.attempts) == ("new", "orders/create", SHOP_A, 0)
        assert row.body is not None
        assert fake.shops == {}

    @pytest.mark.parametrize("secret", [SECRET, PREVIOUS_SECRET])
    async def test_every_live_secret_is_accepted(self, http: httpx.AsyncClient, fake: FakeShopify, secret: str) -> None:
        assert (await fake.webhooks.send(http, order_hook(fake), secret=secret)).status_code == 200

    @pytest.mark.parametrize("topic", COMPLIANCE)
    async def test_bad_signature_on_the_compliance_topics(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify, topic: str
    ) -> None:
        hook = fake.webhooks.make(topic, SHOP_A, {"shop_domain": SHOP_A})
        answer = await fake.webhooks.send(http, hook, secret="another")
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook_unverified")
        assert await deliveries(app) == []

    async def test_same_delivery_again_does_nothing(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        hook = order_hook(fake)
        assert [(await fake.webhooks.send(http, hook)).status_code for _ in range(9)] == [200] * 9
        assert len(await deliveries(app)) == 1

    async def test_hint_replayed_under_another_id_does_nothing(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        hook = order_hook(fake)
        replayed = Webhook(hook.topic, hook.shop, hook.body, str(uuid.uuid4()), "e", hook.triggered_at)
        assert (await fake.webhooks.send(http, hook)).status_code == 200
        assert (await fake.webhooks.send(http, replayed)).status_code == 200
        assert len(await deliveries(app)) == 1

    async def test_rights_may_be_claimed_twice_in_the_same_words(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        body = {"shop_domain": SHOP_A, "customer": {"id": 7}}
        for _ in range(2):
            await fake.webhooks.send(http, fake.webhooks.make("customers/data_request", SHOP_A, body))
        assert len(await deliveries(app)) == 2

    async def test_unknown_topic_is_ignored_without_its_body(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        hook = fake.webhooks.make("carts/update", SHOP_A, {"id": 1})
        assert (await fake.webhooks.send(http, hook)).status_code == 200
        [row] = await deliveries(app)
        assert (row.state, row.body) == ("ignored", None)

    async def test_too_large_is_refused_before_it_is_checked(self, http: httpx.AsyncClient, app: Litestar) -> None:
        answer = await http.post(PATH, content=b"x" * (5 * 1024 * 1024 + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert await deliveries(app) == []

    async def test_largest_body_is_taken(self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify) -> None:
        hook = fake.webhooks.make("orders/create", SHOP_A, {"id": 1, "x": "y" * (5 * 1024 * 1024 - 20)})
        assert (await fake.webhooks.send(http, hook)).status_code == 200

    async def test_database_down_is_503_so_that_shopify_comes_again(
        self, settings: Settings, clock: HandClock, fake: FakeShopify, shopify_http: httpx.AsyncClient
    ) -> None:
        broken = msgspec.structs.replace(settings, database_url="postgresql+psycopg://nobody@127.0.0.1:1/nowhere")
        app = create_app(broken, clock=clock, shopify_http=shopify_http)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://tryon.test") as http:
            answer = await fake.webhooks.send(http, order_hook(fake))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        await app.state.database.close()

    async def test_without_an_app_the_route_says_so(self, settings: Settings, clock: HandClock) -> None:
        off = msgspec.structs.replace(
            settings,
            shopify_client_id="",
            shopify_client_secret="",
            shopify_client_secret_previous="",
            shopify_token_key="",
        )
        app = create_app(off, clock=clock)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://tryon.test") as http:
            assert (await http.post(PATH, content=b"{}")).json()["code"] == "shopify_off"
        await app.state.database.close()


def forgeries() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Each was, or looks like, a webhook of Shopify's: (what was done, body, headers)."""
    chance = random.Random(20261121)
    for number in range(240):
        topic = chance.choice(list(TOPICS))
        body = (
            b'{"id":%d,"shop_domain":"shop-a.myshopify.com","line_items":[],"updated_at":"2026-03-02T09:30:00Z"}'
            % number
        )
        hook = Webhook(topic, SHOP_A, body, str(uuid.UUID(int=number)), "e", "2026-03-02T09:30:00Z")
        headers = hook.headers(SECRET)
        digest = headers["X-Shopify-Hmac-Sha256"]
        raw = base64.b64decode(digest)
        at = chance.randrange(len(body))
        match number % 8:
            case 0:
                yield (
                    "a byte flipped",
                    body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :],
                    headers,
                )
            case 1:
                yield "cut short", body[: chance.randrange(len(body))], headers
            case 2:
                yield "longer", body + chance.randbytes(chance.randrange(1, 9)), headers
            case 3:
                yield "another secret", body, hook.headers(chance.randbytes(20).hex())
            case 4:
                bad = bytearray(raw)
                bad[chance.randrange(32)] ^= 1 << chance.randrange(8)
                yield "signature touched", body, headers | {"X-Shopify-Hmac-Sha256": base64.b64encode(bad).decode()}
            case 5:
                form = chance.choice(
                    [raw.hex(), digest.rstrip("=") + "!", digest[:-4], "", f" {digest[:20]}", digest + digest]
                )
                yield "signature in another form", body, headers | {"X-Shopify-Hmac-Sha256": form}
            case 6:
                shop = chance.choice(
                    ["", "evil.example", "shop-a.myshopify.com.evil.example", "a b.myshopify.com", "-"]
                )
                yield "no shop's address", body, headers | {"X-Shopify-Shop-Domain": shop}
            case _:
                name = chance.choice(["X-Shopify-Hmac-Sha256", "X-Shopify-Webhook-Id", "X-Shopify-Topic"])
                yield f"without {name}", body, {key: value for key, value in headers.items() if key != name}


def line(**changes: Any) -> dict[str, Any]:
    return {"product_id": 7001, "variant_id": 7001000, "quantity": 1, "price": "29.00"} | changes


class TestForgeries:
    async def test_all_are_refused_and_leave_nothing(self, http: httpx.AsyncClient, app: Litestar) -> None:
        answers = [
            (what, (await http.post(PATH, content=body, headers=headers)).status_code)
            for what, body, headers in forgeries()
        ]
        assert len(answers) >= 200
        assert [one for one in answers if one[1] != 401] == []
        assert await deliveries(app) == []

    async def test_signed_body_under_anothers_name_finds_nothing(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify, visit: Any
    ) -> None:
        """The signature covers neither shop nor topic nor id: a captured body may come again under others."""
        await visit(SHOP_A)
        await visit(SHOP_B)
        shop = fake.shop(SHOP_A)
        order = shop.desk.place([line(properties={"_tryon_session": str(uuid.uuid4())})], fake.clock.now(), "EUR")
        body = shop.desk.order_payload(order)
        for topic in ("orders/create", "orders/paid", "refunds/create", "returns/update", "products/update"):
            hook = fake.webhooks.make(topic, SHOP_B, body)
            assert (await fake.webhooks.send(http, hook)).status_code == 200
        await work_off(app)
        assert {row.state for row in await deliveries(app)} == {"ignored"}
        for topic in ("app/uninstalled", "shop/redact", "customers/redact"):
            await fake.webhooks.send(http, fake.webhooks.make(topic, SHOP_B, body | {"shop_domain": SHOP_A}))
        await work_off(app)
        assert [row.error_code for row in await deliveries(app)][-3:] == ["shop_mismatch"] * 3
        assert (await visit(SHOP_B)).status_code == 200


def test_signature_is_shopifys_own() -> None:
    """Base64 of HMAC-SHA256 over the raw bytes, as their documentation computes it."""
    body = b'{"id":1}'
    expected = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    assert Webhook("t", SHOP_A, body, "i", "e", "t").headers(SECRET)["X-Shopify-Hmac-Sha256"] == expected
    assert timedelta(minutes=5) == LEASE
