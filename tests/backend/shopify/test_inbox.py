"""Webhooks: taken once whatever comes, worked on in order until it succeeds, and deleted."""

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
from sqlalchemy import select
from structlog.testing import capture_logs

from backend.app import create_app
from backend.core.db import Database
from backend.demo.fake_shopify.webhooks import Webhook
from backend.demo.fake_shopify.world import FakeShopify
from backend.settings import Settings
from backend.shopify.errors import ShopifyUnavailable
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.inbox_work import BACKOFF, LEASE, InboxWork, Outcome
from backend.shopify.topics import TOPICS, Kind
from tests.backend.shopify.conftest import PREVIOUS_SECRET, SECRET, SHOP_A, SHOP_B
from tests.fakes import HandClock

PATH = "/hooks/shopify"
COMPLIANCE = [topic for topic, kind in TOPICS.items() if kind is Kind.COMPLIANCE]


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


async def rows(app: Litestar) -> list[WebhookDelivery]:
    database: Database = app.state.database
    async with database.transaction(read_only=True) as session:
        return list((await session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id))).all())


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
        [row] = await rows(app)
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
        assert await rows(app) == []

    async def test_same_delivery_again_does_nothing(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        hook = order_hook(fake)
        assert [(await fake.webhooks.send(http, hook)).status_code for _ in range(9)] == [200] * 9
        assert len(await rows(app)) == 1

    async def test_hint_replayed_under_another_id_does_nothing(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        hook = order_hook(fake)
        replayed = Webhook(hook.topic, hook.shop, hook.body, str(uuid.uuid4()), "e", hook.triggered_at)
        assert (await fake.webhooks.send(http, hook)).status_code == 200
        assert (await fake.webhooks.send(http, replayed)).status_code == 200
        assert len(await rows(app)) == 1

    async def test_rights_may_be_claimed_twice_in_the_same_words(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        body = {"shop_domain": SHOP_A, "customer": {"id": 7}}
        for _ in range(2):
            await fake.webhooks.send(http, fake.webhooks.make("customers/data_request", SHOP_A, body))
        assert len(await rows(app)) == 2

    async def test_unknown_topic_is_ignored_without_its_body(
        self, http: httpx.AsyncClient, app: Litestar, fake: FakeShopify
    ) -> None:
        hook = fake.webhooks.make("carts/update", SHOP_A, {"id": 1})
        assert (await fake.webhooks.send(http, hook)).status_code == 200
        [row] = await rows(app)
        assert (row.state, row.body) == ("ignored", None)

    async def test_too_large_is_refused_before_it_is_checked(self, http: httpx.AsyncClient, app: Litestar) -> None:
        answer = await http.post(PATH, content=b"x" * (5 * 1024 * 1024 + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert await rows(app) == []

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


class TestForgeries:
    async def test_all_are_refused_and_leave_nothing(self, http: httpx.AsyncClient, app: Litestar) -> None:
        answers = [
            (what, (await http.post(PATH, content=body, headers=headers)).status_code)
            for what, body, headers in forgeries()
        ]
        assert len(answers) >= 200
        assert [one for one in answers if one[1] != 401] == []
        assert await rows(app) == []

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
        assert {row.state for row in await rows(app)} == {"ignored"}
        for topic in ("app/uninstalled", "shop/redact", "customers/redact"):
            await fake.webhooks.send(http, fake.webhooks.make(topic, SHOP_B, body | {"shop_domain": SHOP_A}))
        await work_off(app)
        assert [row.error_code for row in await rows(app)][-3:] == ["shop_mismatch"] * 3
        assert (await visit(SHOP_B)).status_code == 200


def line(**changes: Any) -> dict[str, Any]:
    return {"product_id": 7001, "variant_id": 7001000, "quantity": 1, "price": "29.00"} | changes


class Recorder:
    """A handler that keeps what it was given, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.handled: list[str] = []
        self.failures = 0
        self.answers_waiting = False

    async def __call__(self, delivery: WebhookDelivery, body: dict[str, object] | None) -> Outcome:
        self.handled.append(f"{delivery.topic} {delivery.resource} {(body or {}).get('n')}")
        if self.failures:
            self.failures -= 1
            raise ShopifyUnavailable("not now")
        return Outcome(answers_waiting=self.answers_waiting)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def work(app: Litestar, clock: HandClock, recorder: Recorder) -> InboxWork:
    return InboxWork(app.state.database, clock, dict.fromkeys(Kind, recorder))


async def send(http: httpx.AsyncClient, fake: FakeShopify, topic: str, number: int, order: int = 1) -> None:
    payload = {"id": order, "n": number} if topic.startswith("orders/") else {"order_id": order, "n": number}
    assert (await fake.webhooks.send(http, fake.webhooks.make(topic, SHOP_A, payload))).status_code == 200


class TestWork:
    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(f"{request.param}_database"))

    async def test_one_resource_in_the_order_of_arrival(
        self, http: httpx.AsyncClient, fake: FakeShopify, work: InboxWork, recorder: Recorder
    ) -> None:
        for number, topic in enumerate(["orders/create", "orders/paid", "refunds/create"]):
            await send(http, fake, topic, number)
        for _ in range(4):
            await work.run_due()
        assert recorder.handled == ["orders/create order:1 0", "orders/paid order:1 1", "refunds/create order:1 2"]

    async def test_what_fails_holds_back_its_own_resource_alone(
        self, http: httpx.AsyncClient, fake: FakeShopify, work: InboxWork, recorder: Recorder, clock: HandClock
    ) -> None:
        recorder.failures = 1
        await send(http, fake, "orders/create", 0, order=1)
        await work.run_due()
        await send(http, fake, "orders/paid", 1, order=1)
        await send(http, fake, "orders/create", 2, order=2)
        await work.run_due()
        await work.run_due()
        assert recorder.handled == ["orders/create order:1 0", "orders/create order:2 2"]
        clock.advance(minutes=1)
        await work.run_due()
        await work.run_due()
        assert recorder.handled[2:] == ["orders/create order:1 0", "orders/paid order:1 1"]

    async def test_one_look_answers_the_hints_that_were_waiting(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, work: InboxWork, recorder: Recorder
    ) -> None:
        recorder.answers_waiting = True
        for number in range(5):
            await send(http, fake, "orders/edited", number)
        await work.run_due()
        assert len(recorder.handled) == 1
        assert {row.state for row in await rows(app)} == {"done"}

    async def test_tries_again_at_growing_distance_then_alarms(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, work: InboxWork, recorder: Recorder, clock: Any
    ) -> None:
        recorder.failures = 99
        await send(http, fake, "orders/create", 0)
        await work.run_due()
        for count, wait in enumerate(BACKOFF, 1):
            clock.advance(seconds=wait.total_seconds() - 1)
            await work.run_due()
            assert len(recorder.handled) == count
            clock.advance(seconds=1)
            with capture_logs() as said:
                await work.run_due()
            assert len(recorder.handled) == count + 1
        [row] = await rows(app)
        assert (row.state, row.error_code) == ("dead", "shopify_unavailable")
        assert [one["log_level"] for one in said if one["event"] == "webhook.died"] == ["error"]
        clock.advance(days=2)
        await work.run_due()
        assert len(recorder.handled) == len(BACKOFF) + 1

    async def test_waits_are_those_that_were_promised(self) -> None:
        assert [wait.total_seconds() / 60 for wait in BACKOFF] == [1, 5, 30, 120, 720]

    async def test_crash_between_storing_and_working_loses_nothing(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock, recorder: Recorder
    ) -> None:
        await send(http, fake, "orders/create", 0)
        died = InboxWork(app.state.database, clock, dict.fromkeys(Kind, recorder))
        await died._sort()
        [row] = await rows(app)
        assert len(await died._claim([row.id])) == 1  # and there it ended
        survivor = InboxWork(app.state.database, clock, dict.fromkeys(Kind, recorder))
        await survivor.run_due()
        assert recorder.handled == []
        clock.advance(seconds=LEASE.total_seconds())
        await survivor.run_due()
        assert recorder.handled == ["orders/create order:1 0"]

    async def test_two_workers_never_take_the_same_resource(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock, recorder: Recorder
    ) -> None:
        for number in range(3):
            await send(http, fake, "orders/create", number)
        first, second = (InboxWork(app.state.database, clock, dict.fromkeys(Kind, recorder)) for _ in range(2))
        await first._sort()
        due = await first._due()
        assert [len(due), len(await second._due())] == [1, 1]
        assert len(await first._claim(due)) == 1
        assert await second._claim(due) == []
        assert list(await second._due()) == []

    async def test_bodies_go_when_the_work_is_done_and_rows_after_a_week(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, work: InboxWork, clock: HandClock
    ) -> None:
        await send(http, fake, "orders/create", 0)
        await work.run_due()
        [row] = await rows(app)
        assert (row.state, row.body) == ("done", None)
        clock.advance(days=7)
        assert await work.purge() == 0
        clock.advance(seconds=1)
        assert await work.purge() == 1
        assert await rows(app) == []

    async def test_right_that_could_not_be_granted_is_never_forgotten(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, work: InboxWork, recorder: Recorder, clock: Any
    ) -> None:
        recorder.failures = 99
        await fake.webhooks.send(http, fake.webhooks.make("customers/redact", SHOP_A, {"shop_domain": SHOP_A}))
        await work.run_due()
        for wait in BACKOFF:
            clock.advance(seconds=wait.total_seconds())
            await work.run_due()
        clock.advance(days=30)
        assert await work.purge() == 0
        [row] = await rows(app)
        assert row.state == "dead"
        assert row.body is not None

    @pytest.mark.parametrize(
        ("topic", "body"),
        [
            ("orders/create", b"[]"),
            ("orders/create", b"{"),
            ("orders/create", b'{"id": "../../etc"}'),
            ("orders/create", b'{"id": true}'),
            ("orders/create", b"[" * 100_000),
            ("products/update", b'{"id": 99999999999999999999}'),
            ("refunds/create", b'{"order_id": null}'),
            ("orders/create", b"\xff\xfe"),
        ],
    )
    async def test_signed_nonsense_is_put_aside(
        self, app: Litestar, http: httpx.AsyncClient, work: InboxWork, recorder: Recorder, topic: str, body: bytes
    ) -> None:
        hook = Webhook(topic, SHOP_A, body, "id", "event", "2026-03-02T09:30:00Z")
        assert (await http.post(PATH, content=body, headers=hook.headers(SECRET))).status_code == 200
        await work.run_due()
        [row] = await rows(app)
        assert (row.state, row.body, recorder.handled) == ("ignored", None, [])


def test_signature_is_shopifys_own() -> None:
    """Base64 of HMAC-SHA256 over the raw bytes, as their documentation computes it."""
    body = b'{"id":1}'
    expected = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    assert Webhook("t", SHOP_A, body, "i", "e", "t").headers(SECRET)["X-Shopify-Hmac-Sha256"] == expected
    assert timedelta(minutes=5) == LEASE
