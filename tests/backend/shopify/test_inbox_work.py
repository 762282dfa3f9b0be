"""Webhooks are worked on in order until it succeeds, and deleted."""

from typing import Any

import httpx
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from backend.demo.fake_shopify.webhooks import Webhook
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.errors import ShopifyUnavailable
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.inbox_work import BACKOFF, LEASE, InboxWork, Outcome
from backend.shopify.topics import Kind
from tests.backend.shopify.conftest import SECRET, SHOP_A, deliveries
from tests.fakes import HandClock

PATH = "/hooks/shopify"


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


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
        assert {row.state for row in await deliveries(app)} == {"done"}

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
        [row] = await deliveries(app)
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
        [row] = await deliveries(app)
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
        [row] = await deliveries(app)
        assert (row.state, row.body) == ("done", None)
        clock.advance(days=7)
        assert await work.purge() == 0
        clock.advance(seconds=1)
        assert await work.purge() == 1
        assert await deliveries(app) == []

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
        [row] = await deliveries(app)
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
        [row] = await deliveries(app)
        assert (row.state, row.body, recorder.handled) == ("ignored", None, [])
