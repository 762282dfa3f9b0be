"""Events in: counted once however often they are sent, judged one by one, and 202 only when committed."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import HealthCheck
from hypothesis import given as for_all
from hypothesis import settings as trials
from hypothesis import strategies as st
from litestar import Litestar
from sqlalchemy import select

from backend.events.models import Event
from backend.events.service import EventService
from tests.factories import Given, GivenShopper
from tests.fakes import HandClock

BROWSER = {"User-Agent": "Mozilla/5.0 (iPhone) Safari/605"}


def made(clock: HandClock, type_: str = "widget_opened", **more: object) -> dict[str, object]:
    return {"id": str(uuid4()), "type": type_, "occurred_at": clock.now().isoformat(), **more}


async def send(http: httpx.AsyncClient, sender: Any, *events: object, **more: object) -> httpx.Response:
    return await http.post("/v1/events", headers=sender.headers | BROWSER, json={"events": list(events)} | more)


async def stored(app: Litestar) -> list[Event]:
    async with app.state.database.transaction(read_only=True) as session:
        return list(await session.scalars(select(Event).order_by(Event.id)))


class TestBatch:
    async def test_same_batch_twice_counts_once(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock
    ) -> None:
        shopper = await given.shopper(await given.brand())
        batch = [made(clock), made(clock, "view_shown", metadata={"load_ms": 812.5, "bytes": 110_000})]
        answers = [(await send(http, shopper, *batch)) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert [answer.json() for answer in answers] == [
            {"accepted": 2, "duplicates": 0, "rejected": []},
            {"accepted": 0, "duplicates": 2, "rejected": []},
        ]
        rows = {row.event_type: row for row in await stored(app)}
        assert rows.keys() == {"widget_opened", "view_shown"}
        shown = rows["view_shown"]
        assert (shown.brand_id, shown.user_id, shown.source) == (shopper.brand_id, shopper.id, "E")
        assert shown.payload == {"load_ms": 812.5, "bytes": 110_000}
        assert shown.occurred_at == shown.received_at == clock.now()

    async def test_a_sending_time_without_its_zone_is_refused(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        shopper = await given.shopper(await given.brand())
        answer = await send(http, shopper, made(clock), sent_at="2026-03-02T09:30:00")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    async def test_repeat_inside_a_batch_is_a_duplicate(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        one = made(clock)
        answer = await send(http, await given.shopper(await given.brand()), one, one)
        assert answer.json() == {"accepted": 1, "duplicates": 1, "rejected": []}

    async def test_same_id_at_two_brands_is_two_events(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        one = made(clock)
        for _ in range(2):
            shopper = await given.shopper(await given.brand())
            assert (await send(http, shopper, one)).json()["accepted"] == 1

    async def test_batches_that_share_events_do_not_block_each_other(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock
    ) -> None:
        shopper = await given.shopper(await given.brand())
        events = [made(clock) for _ in range(50)]
        answers = await asyncio.gather(
            *(send(http, shopper, *events[turn:], *events[:turn]) for turn in (0, 10, 20, 30, 40))
        )
        assert sum(answer.json()["accepted"] for answer in answers) == 50
        assert len(await stored(app)) == 50

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"id": "7"}, "bad_id"),
            ({"id": None}, "bad_id"),
            ({"type": "no_such"}, "unknown_type"),
            ({"type": "avatar_created"}, "type_not_allowed"),
            ({"type": "purchase_completed"}, "type_not_allowed"),
            ({"occurred_at": "yesterday"}, "bad_time"),
            ({"occurred_at": "2026-03-02T09:30:00"}, "bad_time"),
            ({"occurred_at": float(1)}, "bad_time"),
            ({"session_id": "x"}, "unknown_session"),
            ({"session_id": "01a1fe73-042f-71ca-beae-2c881ed1b190"}, "unknown_session"),
            ({"type": "size_switched"}, "bad_metadata"),
            ({"type": "size_switched", "metadata": {"from": "M", "to": "x" * 33}}, "bad_metadata"),
            ({"metadata": {"product_id": {"nested": 1}}}, "bad_metadata"),
            ({"metadata": {"product_id": "a\0b"}}, "bad_metadata"),
            ({"metadata": {"product_id": "x" * 2_001}}, "bad_metadata"),
            ({"metadata": [1]}, "bad_metadata"),
        ],
    )
    async def test_bad_event_is_named_and_fails_no_neighbour(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock, change: dict[str, object], code: str
    ) -> None:
        shopper = await given.shopper(await given.brand())
        answer = await send(http, shopper, made(clock), made(clock) | change, made(clock))
        assert answer.status_code == 202
        assert answer.json() == {"accepted": 2, "duplicates": 0, "rejected": [{"index": 1, "code": code}]}

    async def test_what_is_no_event_at_all_is_named_too(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        answer = await send(http, await given.shopper(await given.brand()), None, "x", made(clock))
        assert answer.json()["rejected"] == [{"index": 0, "code": "bad_event"}, {"index": 1, "code": "bad_event"}]

    async def test_key_that_is_not_listed_is_left_out(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock
    ) -> None:
        event = made(clock, metadata={"product_id": "7", "chest_cm": 97, "email": "ada@example.org"})
        await send(http, await given.shopper(await given.brand()), event)
        assert [row.payload for row in await stored(app)] == [{"product_id": "7"}]

    @pytest.mark.parametrize(
        ("content", "media_type", "status", "code"),
        [
            (b"{", "application/json", 400, "bad_json"),
            (b'{"events": 1}', "application/json", 422, "invalid_request"),
            (json.dumps({"events": [None] * 501}).encode(), "application/json", 400, "too_many_events"),
            (b'{"events": ["' + b"x" * 256_000 + b'"]}', "application/json", 413, "body_too_large"),
            (b'{"events": []}', "application/xml", 415, "unsupported_type"),
        ],
    )
    async def test_bad_request_stores_nothing(
        self, http: httpx.AsyncClient, given: Given, content: bytes, media_type: str, status: int, code: str
    ) -> None:
        shopper = await given.shopper(await given.brand())
        headers = shopper.headers | {"Content-Type": media_type}
        answer = await http.post("/v1/events", headers=headers, content=content)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    async def test_five_hundred_are_taken(self, http: httpx.AsyncClient, given: Given, clock: HandClock) -> None:
        shopper = await given.shopper(await given.brand())
        assert (await send(http, shopper, *(made(clock) for _ in range(500)))).json()["accepted"] == 500


class TestSession:
    async def test_only_the_callers_own_may_be_named(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock
    ) -> None:
        brand, other = await given.brand(), await given.brand()
        shopper, neighbour, stranger = (
            await given.shopper(brand), await given.shopper(brand), await given.shopper(other),
        )  # fmt: skip
        session = await given.session(brand, shopper)
        event = made(clock, "added_to_cart", session_id=session["id"])
        for sender in (neighbour, stranger, other):
            answer = await send(http, sender, event)
            assert answer.json()["rejected"] == [{"index": 0, "code": "unknown_session"}]
        assert (await send(http, shopper, event)).json()["accepted"] == 1
        assert (await send(http, brand, event | {"id": str(uuid4())})).json()["accepted"] == 1
        rows = [row for row in await stored(app) if row.event_type == "added_to_cart"]
        assert [(str(row.session_id), row.user_id) for row in rows] == [(session["id"], shopper.id)] * 2


class TestBeacon:
    async def post(self, http: httpx.AsyncClient, body: dict[str, object]) -> httpx.Response:
        headers = BROWSER | {"Content-Type": "text/plain;charset=UTF-8"}
        return await http.post("/v1/events", headers=headers, content=json.dumps(body))

    async def test_token_in_the_body_is_enough(self, http: httpx.AsyncClient, given: Given, clock: HandClock) -> None:
        shopper = await given.shopper(await given.brand())
        answer = await self.post(http, {"events": [made(clock)], "token": shopper.token})
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)

    @pytest.mark.parametrize("token", [None, "", "garbage", "tryon_live_000000000000_" + "A" * 43])
    async def test_bad_token_is_refused(self, http: httpx.AsyncClient, token: str | None, clock: HandClock) -> None:
        assert (await self.post(http, {"events": [made(clock)], "token": token})).status_code == 401

    async def test_token_in_a_json_body_does_not_count(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        shopper = await given.shopper(await given.brand())
        answer = await http.post("/v1/events", json={"events": [made(clock)], "token": shopper.token})
        assert answer.status_code == 401


class TestBrandsOwnServer:
    async def test_purchase_counts_once_under_any_id(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        line = {"order_id": "1001", "line_id": "1", "net_minor": 4900, "currency": "EUR", "quantity": 1, "size": "M"}
        for expected in ({"accepted": 1, "duplicates": 0}, {"accepted": 0, "duplicates": 1}):
            answer = await send(http, brand, made(clock, "purchase_completed", metadata=line))
            assert answer.json() == expected | {"rejected": []}
        [row] = await stored(app)
        assert (row.dedup_key, row.source, row.user_id) == ("purchase:1001:1", "K", None)

    @pytest.mark.parametrize(
        "change",
        [{"order_id": ""}, {"order_id": None}, {"quantity": -1}, {"quantity": 0}, {"currency": "euro"}],
    )
    async def test_unsound_purchase_is_refused(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock, change: dict[str, object]
    ) -> None:
        metadata = {"order_id": "1", "line_id": "1", "quantity": 1, "currency": "EUR"} | change
        answer = await send(http, await given.brand(), made(clock, "purchase_completed", metadata=metadata))
        assert answer.json()["rejected"] == [{"index": 0, "code": "bad_purchase"}]


class TestBots:
    @pytest.mark.parametrize(("agent", "is_bot"), [("Mozilla/5.0 Safari", False), ("Googlebot/2.1", True), ("", True)])
    async def test_robot_is_marked_and_not_dropped(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock, agent: str, is_bot: bool
    ) -> None:
        shopper = await given.shopper(await given.brand())
        headers = shopper.headers | {"User-Agent": agent}
        await http.post("/v1/events", headers=headers, json={"events": [made(clock)]})
        assert [row.is_bot for row in await stored(app)] == [is_bot]


class TestRecord:
    async def test_fact_is_stored_once_with_what_made_it(self, app: Litestar, given: Given, clock: HandClock) -> None:
        brand = await given.brand()
        shopper = await given.shopper(brand)
        for expected in (True, False):
            async with app.state.database.transaction() as session:
                inserted = await EventService(session, clock).record(
                    brand.id, "avatar_created", key="avatar:1:ready", user_id=shopper.id, metadata={"cached": False}
                )
            assert inserted is expected
        [row] = await stored(app)
        assert (row.source, row.clock, row.payload) == ("B", "server", {"cached": False})

    async def test_fact_goes_with_the_transaction_that_made_it(
        self, app: Litestar, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()

        async def make_and_fail() -> None:
            async with app.state.database.transaction() as session:
                await EventService(session, clock).record(brand.id, "avatar_created", key="k")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await make_and_fail()
        assert await stored(app) == []

    @pytest.mark.parametrize(
        ("type_", "metadata"), [("widget_opened", {}), ("avatar_created", {"chest_cm": 97}), ("avatar_failed", {})]
    )
    async def test_wrong_fact_is_a_fault(
        self, app: Litestar, given: Given, clock: HandClock, type_: str, metadata: dict[str, object]
    ) -> None:
        brand = await given.brand()
        async with app.state.database.transaction() as session:
            with pytest.raises(Exception, match=r"server's|has no|bad_metadata"):
                await EventService(session, clock).record(brand.id, type_, key="k", metadata=metadata)


class TestAtLeastOnce:
    """Random batches, repeats and reorderings against a set."""

    @trials(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
    @for_all(batches=st.lists(st.lists(st.integers(0, 30), max_size=12), min_size=1, max_size=6))
    async def test_every_event_is_counted_once(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, clock: HandClock, batches: list[list[int]]
    ) -> None:
        shopper: GivenShopper = await given.shopper(await given.brand())
        sent: set[int] = set()
        for batch in batches:
            events = [made(clock) | {"id": str(UUID(int=number))} for number in batch]
            answer = (await send(http, shopper, *events)).json()
            assert answer == {
                "accepted": len(set(batch) - sent),
                "duplicates": len(batch) - len(set(batch) - sent),
                "rejected": [],
            }
            sent |= set(batch)
        keys = {row.dedup_key for row in await stored(app) if row.brand_id == shopper.brand_id}
        assert keys == {str(UUID(int=number)) for number in sent}
