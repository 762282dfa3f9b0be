"""A day's budget: what it does not cover waits, is told of, and is done later; nothing is lost."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from backend.core.db import Database
from backend.jobs import states
from backend.jobs.providers import Provider, Providers
from backend.jobs.queue import RunPodQueue
from backend.jobs.service import JobService
from backend.jobs.work import Order, Work
from backend.operations.budget import read_budget
from backend.operations.prices import Prices
from backend.operations.spending import Spending
from backend.provider_settings import ProviderSettings
from backend.settings import Settings
from tests.backend.conftest import Step
from tests.factories import Given, GivenBrand
from tests.fakes import HandClock
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint, manifest_of, rows, upload

FIRST_COST_USD = 0.00665
"""What an attempt is reckoned with before one has ended: 190 micro-dollars for 30 s and 5 s of idle time."""
OWN_URL = "http://own.test/v2"


class OwnEndpoint(ScriptedEndpoint):
    """A machine of our own."""


@pytest.fixture
def own() -> OwnEndpoint:
    return OwnEndpoint()


@pytest.fixture
def has_own_machine() -> bool:
    return False


@pytest.fixture
def providers(endpoint: ScriptedEndpoint, own: OwnEndpoint, has_own_machine: bool, clock: HandClock) -> Providers:
    """RunPod, and perhaps a machine of our own after it."""
    paid = ProviderSettings(name="paid", base_url=BASE_URL, endpoint_id="rp1", price_pool="AMPERE_24")
    free = ProviderSettings(name="own", base_url=OWN_URL, endpoint_id="own")
    all_ = [
        Provider(paid, RunPodQueue(BASE_URL, "rp1", lambda: "k", transport=endpoint), clock),
        Provider(free, RunPodQueue(OWN_URL, "own", lambda: "k", transport=own), clock),
    ]
    return Providers(all_ if has_own_machine else all_[:1], clock)


@pytest.fixture
def daily_budget() -> str:
    return '{"usd_of_each_brand": 0.013}'


@pytest.fixture
def settings(settings: Settings, daily_budget: str) -> Settings:
    return msgspec.structs.replace(settings, daily_budget=daily_budget)


@pytest.fixture(autouse=True)
async def _price(app: Litestar, clock: HandClock) -> None:
    await Prices(app.state.database, clock).add("AMPERE_24", 0.684, source="test")


def set_budget(app: Litestar, written: str) -> None:
    """As a restart with another setting."""
    dispatcher, before = app.state.sweeper.dispatcher, app.state.spending
    dispatcher.purse = app.state.spending = Spending(
        app.state.database, app.state.clock, read_budget(written), before._providers
    )


async def order_avatars(given: Given, brand: GivenBrand, count: int) -> list[str]:
    """Their ids; made by the brand itself."""
    return [(await given.avatar(brand))["id"] for _ in range(count)]


async def states_of_jobs(database: Database) -> list[tuple[Any, ...]]:
    return await rows(database, "SELECT state, hold FROM jobs ORDER BY id")


async def view(http: httpx.AsyncClient, brand: GivenBrand) -> dict[str, Any]:
    answer = await http.get("/v1/budget", headers=brand.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def alarms(http: httpx.AsyncClient) -> set[str]:
    return set(re.findall(r'tryon_alarm\{code="(budget_\w+)"', (await http.get("/metrics")).text))


class TestOfABrand:
    async def test_what_it_does_not_cover_waits_and_is_told_of(
        self, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        brand, other = await given.brand(), await given.brand("Another")
        ids = await order_avatars(given, brand, 4)
        await step()
        assert len(endpoint.jobs) == 2, "the second one crosses the limit"
        assert await states_of_jobs(given.database) == [
            ("running", None), ("running", None), ("queued", "budget_exceeded"), ("queued", "budget_exceeded"),
        ]  # fmt: skip
        shown = [(await http.get(f"/v1/avatars/{one}", headers=brand.headers)).json() for one in ids]
        assert [one["waits_for"] for one in shown] == [None, None, "budget_exceeded", "budget_exceeded"]
        assert {one["status"] for one in shown} == {"processing", "pending"}
        assert await view(http, brand) == {
            "spent_usd": pytest.approx(2 * FIRST_COST_USD), "limit_usd": 0.013, "state": "exceeded", "waiting_jobs": 2,
        }  # fmt: skip
        assert await view(http, other) == {"spent_usd": 0, "limit_usd": 0.013, "state": "ok", "waiting_jobs": 0}
        assert await alarms(http) == {"budget_exceeded"}
        assert "tryon_held_jobs 2.0" in (await http.get("/metrics")).text

    async def test_a_shopper_is_told_nothing_of_money(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, step: Step
    ) -> None:
        set_budget(app, '{"usd_of_each_brand": 0}')
        shopper = await given.shopper(await given.brand())
        avatar = await given.avatar(shopper)
        await step()
        shown = (await http.get(f"/v1/avatars/{avatar['id']}", headers=shopper.headers)).json()
        assert (shown["status"], shown["waits_for"], shown["error"]) == ("pending", None, None)
        assert shown["measurements"]["chest_cm"]["mean"] > 0

    async def test_another_brands_work_goes_on(self, given: Given, endpoint: ScriptedEndpoint, step: Step) -> None:
        """However much of the first one's stands before it."""
        first, second = await given.brand(), await given.brand("Another")
        async with given.database.transaction() as session:
            for number in range(70):
                order = Order(first.id, "garment", UUID(int=number), f"key {number}", Work("sources", "p/", {}, {}))
                await JobService(session, given.clock).submit(order, is_result_kept=True)
        await order_avatars(given, second, 1)
        await step()
        await step()
        kinds = [job.input.kind for job in endpoint.jobs.values()]
        assert kinds.count("avatar") == 1
        assert kinds.count("garment") == 2

    async def test_it_goes_on_the_next_day_after_more_than_its_time(
        self, app: Litestar, given: Given, endpoint: ScriptedEndpoint, step: Step, clock: HandClock
    ) -> None:
        await order_avatars(given, await given.brand(), 3)
        for _ in range(4):
            await step()
            clock.advance(hours=3)
        assert len(endpoint.jobs) == 2
        assert (await states_of_jobs(given.database))[2] == ("queued", "budget_exceeded"), "20 minutes are long over"
        clock.advance(hours=15 - 4 * 3, seconds=-30)  # it was half past nine
        await step()
        assert len(endpoint.jobs) == 3
        ((left_s, hold),) = await rows(given.database, "SELECT deadline_at, hold FROM jobs ORDER BY id DESC LIMIT 1")
        assert hold is None
        deadline = left_s if not isinstance(left_s, str) else clock.now().fromisoformat(f"{left_s}+00:00")
        assert timedelta(minutes=19) < deadline - clock.now() <= states.DEADLINE

    async def test_it_goes_on_when_the_limit_is_raised(
        self, app: Litestar, given: Given, endpoint: ScriptedEndpoint, step: Step, clock: HandClock
    ) -> None:
        brand = await given.brand()
        await order_avatars(given, brand, 3)
        await step()
        set_budget(app, f'{{"usd_of_each_brand": 0.013, "usd_of_brand": {{"{brand.id}": 1}}}}')
        clock.advance(minutes=2)
        await step()
        assert len(endpoint.jobs) == 3
        assert [hold for _, hold in await states_of_jobs(given.database)] == [None] * 3

    async def test_what_it_cost_counts_once_it_is_known(
        self, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step, clock: HandClock
    ) -> None:
        brand = await given.brand()
        await order_avatars(given, brand, 1)
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job, worker_id="w1", cold=True, timings_ms={"process_start": 200_000.0}))
        endpoint.complete(job)
        await step()
        clock.advance(seconds=61)
        await step()
        ((cost_microusd,),) = await rows(given.database, "SELECT cost_microusd FROM job_attempts")
        assert cost_microusd / 1e6 > 2 * FIRST_COST_USD
        assert (await view(http, brand))["spent_usd"] == pytest.approx(cost_microusd / 1e6)
        await order_avatars(given, brand, 1)
        await step()
        assert len(endpoint.jobs) == 1

    async def test_of_what_nobody_ran_nothing_is_spent(
        self, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        brand = await given.brand()
        endpoint.run_faults.append(lambda _: httpx.Response(429))
        await order_avatars(given, brand, 1)
        await step()
        assert (await view(http, brand))["spent_usd"] == 0

    async def test_a_call_off_ends_the_wait(
        self,
        http: httpx.AsyncClient,
        app: Litestar,
        given: Given,
        endpoint: ScriptedEndpoint,
        step: Step,
        clock: HandClock,
    ) -> None:
        set_budget(app, '{"usd_of_each_brand": 0}')
        brand = await given.brand()
        (avatar_id,) = await order_avatars(given, brand, 1)
        await step()
        assert (await http.delete(f"/v1/avatars/{avatar_id}", headers=brand.headers)).status_code == 200
        assert (await view(http, brand))["waiting_jobs"] == 0
        set_budget(app, "")
        clock.advance(minutes=3)
        await step()
        assert endpoint.jobs == {}


class TestOfAll:
    @pytest.fixture
    def daily_budget(self) -> str:
        return '{"usd": 0.008}'

    async def test_warns_before_it_stops_every_brand(
        self, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        first, second = await given.brand(), await given.brand("Another")
        await order_avatars(given, first, 1)
        await step()
        assert await alarms(http) == {"budget_warning"}
        assert 'tryon_budget_usd{brand="all",part="limit"} 0.008' in (await http.get("/metrics")).text
        await order_avatars(given, second, 2)
        await step()
        assert len(endpoint.jobs) == 2
        assert await alarms(http) == {"budget_exceeded"}
        assert (await view(http, second))["limit_usd"] is None

    async def test_what_keeps_an_endpoint_alive_is_always_sent(
        self, app: Litestar, given: Given, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        set_budget(app, '{"usd": 0}')
        brand = await given.brand()
        async with given.database.transaction() as session:
            order = Order(brand.id, "noop", UUID(int=1), "alive", Work("avatars", "p/", {}, {}))
            await JobService(session, given.clock).submit(order, is_result_kept=True)
        await order_avatars(given, brand, 1)
        await step()
        assert [job.input.kind for job in endpoint.jobs.values()] == ["noop"]

    async def test_what_has_no_price_is_reckoned_as_the_dearest(
        self, http: httpx.AsyncClient, app: Litestar, given: Given, step: Step
    ) -> None:
        async with given.database.transaction() as session:
            await session.execute(text("DELETE FROM gpu_prices WHERE pool = 'AMPERE_24'"))
        brand = await given.brand()
        await order_avatars(given, brand, 1)
        await step()
        assert (await view(http, brand))["spent_usd"] == pytest.approx(35 * 0.00116)


class TestWithAMachineOfOnesOwn:
    @pytest.fixture
    def has_own_machine(self) -> bool:
        return True

    async def test_it_takes_what_the_budget_does_not_cover(
        self, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, own: OwnEndpoint, step: Step
    ) -> None:
        brand = await given.brand()
        await order_avatars(given, brand, 4)
        await step()
        assert (len(endpoint.jobs), len(own.jobs)) == (2, 2)
        assert (await view(http, brand))["spent_usd"] == pytest.approx(2 * FIRST_COST_USD)


@pytest.mark.parametrize(
    "written", ["[]", '{"usd": -1}', '{"usd": "much"}', '{"euro": 1}', '{"usd_of_brand": {"x": 1}}']
)
def test_a_budget_that_makes_no_sense_is_named(written: str) -> None:
    with pytest.raises(ValueError, match="DAILY_BUDGET"):
        read_budget(written)
