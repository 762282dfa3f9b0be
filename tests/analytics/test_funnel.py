"""The funnel: written once, the same answer on SQLite and Postgres, and the answer a plain loop gives."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar
from uuid_utils.compat import uuid7

from analytics.funnel import BRANCHES, ORDER_TOLERANCE_MS, STEPS
from analytics.report import DIALECTS, funnel_query, to_sql
from backend.events.models import Event
from tests.factories import Given, GivenBrand
from tests.fakes import START

EVENT_OF = dict((*STEPS, *BRANCHES))


async def store(app: Litestar, rows: list[Event]) -> None:
    async with app.state.database.transaction() as session:
        session.add_all(rows)


def event(brand: GivenBrand, step: str, at_s: float, user: UUID | None = None, **more: object) -> Event:
    moment = START + timedelta(seconds=at_s)
    fields: dict[str, object] = {
        "brand_id": brand.id, "user_id": user, "event_type": EVENT_OF[step], "payload": {}, "occurred_at": moment,
        "received_at": moment, "dedup_key": str(uuid7()), "source": "B", "clock": "server",
    }  # fmt: skip
    return Event(**fields | more)


async def funnel(http: httpx.AsyncClient, brand: GivenBrand, **query: str) -> dict[str, tuple[int, ...]]:
    answer = await http.get("/v1/analytics/funnel", headers=brand.headers, params=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    steps = {step["step"]: (step["reached"], step["in_order"]) for step in body["steps"]}
    branches = {branch["branch"]: (branch["reached"],) for branch in body["branches"]}
    return {**steps, **branches, "robots": (body["robots"],)}


class TestFunnel:
    async def test_empty_shop_has_zeros(self, http: httpx.AsyncClient, given: Given) -> None:
        result = await funnel(http, await given.brand())
        assert set(result.values()) == {(0, 0), (0,)}

    async def test_reached_and_in_order(self, app: Litestar, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        whole, backwards, late_by_a_second, only_last = (uuid4() for _ in range(4))
        names = [name for name, _ in STEPS]
        rows = [event(brand, name, place * 10, whole) for place, name in enumerate(names)]
        rows += [event(brand, "viewed", 10, backwards), event(brand, "opened", 0, backwards)]
        rows += [event(brand, "viewed", 1.999, late_by_a_second), event(brand, "opened", 0, late_by_a_second)]
        rows += [event(brand, "purchased", 0, only_last), event(brand, "purchased", 5, only_last)]
        await store(app, rows)
        result = await funnel(http, brand)
        assert result["viewed"] == (3, 3)
        assert result["opened"] == (3, 2)
        assert result["tried_on"] == (1, 1)
        assert result["purchased"] == (2, 1)

    async def test_other_brands_robots_and_other_days_are_left_out(
        self, app: Litestar, http: httpx.AsyncClient, given: Given
    ) -> None:
        brand, other = await given.brand(), await given.brand()
        rows = [event(brand, "opened", day * 86_400, uuid4()) for day in range(3)]
        robot = uuid4()
        rows += [event(other, "opened", 0, uuid4()), event(brand, "opened", 0, robot, is_bot=True)]
        rows += [event(brand, "tried_on", 1, robot), event(brand, "avatar_created", 1, robot)]  # as the server saw it
        await store(app, rows)
        result = await funnel(http, brand)
        assert (result["opened"][0], result["tried_on"][0], result["avatar_created"][0]) == (3, 0, 0)
        assert result["robots"] == (1,)
        second_day = {
            "since": (START + timedelta(days=1)).isoformat(), "until": (START + timedelta(days=2)).isoformat(),
        }  # fmt: skip
        assert (await funnel(http, brand, **second_day))["opened"][0] == 1

    async def test_units(self, app: Litestar, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        user, sessions = uuid4(), [uuid4(), uuid4()]
        rows = [event(brand, "tried_on", 0, user, session_id=one, visitor_id="v") for one in sessions]
        rows += [event(brand, "viewed", 0, None, visitor_id="v")]
        await store(app, rows)
        counts = {
            unit: (await funnel(http, brand, unit=unit))["tried_on"][0] for unit in ("shopper", "session", "visitor")
        }
        assert counts == {"shopper": 1, "session": 2, "visitor": 1}
        assert (await funnel(http, brand, unit="visitor"))["viewed"][0] == 1

    @pytest.mark.parametrize("query", [{"unit": "person"}, {"since": "yesterday"}, {"since": "2026-03-01T00:00:00"}])
    async def test_bad_question_is_refused(self, http: httpx.AsyncClient, given: Given, query: dict[str, str]) -> None:
        brand = await given.brand()
        answer = await http.get("/v1/analytics/funnel", headers=brand.headers, params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    async def test_it_agrees_with_a_plain_loop(self, app: Litestar, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        chance = random.Random(7)
        users = [uuid4() for _ in range(60)]
        rows = [
            event(brand, chance.choice(list(EVENT_OF)), chance.randrange(0, 30_000) / 1000, chance.choice(users))
            for _ in range(600)
        ]
        await store(app, rows)
        assert await funnel(http, brand) == by_hand(rows)


def by_hand(rows: list[Event]) -> dict[str, tuple[int, ...]]:
    first: dict[UUID | None, dict[str, int]] = defaultdict(dict)
    for row in rows:
        seen = first[row.user_id]
        seen[row.event_type] = min(seen.get(row.event_type, 2**62), milliseconds(row.occurred_at))
    result: dict[str, tuple[int, ...]] = {}
    previous = None
    for name, type_ in STEPS:
        reached = [seen for seen in first.values() if type_ in seen]
        ordered = [
            seen for seen in reached
            if previous is None or (previous in seen and seen[type_] >= seen[previous] - ORDER_TOLERANCE_MS)
        ]  # fmt: skip
        result[name] = (len(reached), len(ordered))
        previous = type_
    branches = {name: (sum(type_ in seen for seen in first.values()),) for name, type_ in BRANCHES}
    return {**result, **branches, "robots": (0,)}


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_query_compiles_without_a_driver_and_names_the_brand(dialect: str) -> None:
    brand = uuid4()
    sql = to_sql(funnel_query(brand, "shopper", START, START), dialect)
    assert brand.hex in sql
    assert "analytics_events" in sql
