"""Whose job is sent when a host has one worker: requests first, then photos, then bodies from answers alone."""

import itertools
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from backend.jobs.claims import Claims
from backend.jobs.providers import Provider, Providers
from backend.jobs.queue import ComputeQueue, RunPodQueue
from backend.jobs.service import JobService
from backend.jobs.work import Order, Priority, Work
from backend.provider_settings import KINDS, LOCAL_OPEN_ATTEMPTS, ProviderSettings
from gpu_worker.contract import Kind
from tests.backend.conftest import Step
from tests.factories import Given, GivenBrand
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint


@pytest.fixture
def queue(endpoint: ScriptedEndpoint) -> ComputeQueue:
    """The same endpoint on this host."""
    return RunPodQueue("http://127.0.0.1/v2", "local", lambda: "endpoint-key-of-the-tests", transport=endpoint)


FACTS = {"height_cm": "178", "weight_kg": "74", "sex": "male"}


async def order(http: httpx.AsyncClient, given: Given) -> None:
    shopper = await given.shopper(await given.brand())
    answer = await http.post("/v1/avatars", headers=shopper.headers, data=FACTS)
    assert answer.status_code == 202, answer.text


async def test_a_body_alone_is_built_at_once(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, clock: HandClock
) -> None:
    """Its shopper may look at the figure in a moment, and nobody else asks for a size."""
    for built in (1, 2):
        await order(http, given)
        await app.state.sweeper.step()
        assert len(endpoint.jobs) == built
        clock.advance(seconds=1)


async def test_the_next_bodies_wait_until_orders_pause(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, clock: HandClock
) -> None:
    for _ in range(3):
        await order(http, given)
        await app.state.sweeper.step()
        clock.advance(seconds=0.1)
    assert len(endpoint.jobs) == 1, "also where the one before is being built already"
    clock.advance(seconds=1)
    await app.state.sweeper.step()
    assert len(endpoint.jobs) == 3


async def test_no_body_waits_for_ever(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, clock: HandClock
) -> None:
    for _ in range(2):
        await order(http, given)
    clock.advance(seconds=11)
    for _ in range(2):
        await order(http, given)
    await app.state.sweeper.step()
    assert len(endpoint.jobs) == 2


async def test_the_rest_wait_in_their_rows(
    http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step
) -> None:
    for _ in range(LOCAL_OPEN_ATTEMPTS + 2):
        await order(http, given)
    await step()
    assert len(endpoint.jobs) == LOCAL_OPEN_ATTEMPTS


class Rows:
    """Work ordered straight from the service, so that its kind and priority are the test's."""

    def __init__(self, app: Litestar, brand: GivenBrand) -> None:
        self.app = app
        self.brand = brand
        self.numbers = itertools.count(1)

    async def order(self, priority: Priority, kind: Kind = "noop", times: int = 1) -> None:
        clock = self.app.state.clock
        async with self.app.state.database.transaction() as session:
            for _ in range(times):
                number = next(self.numbers)
                work = Work("avatars", f"{number}/", {}, {"number": number, "name": priority.name})
                order = Order(self.brand.id, kind, UUID(int=number), f"k{number}", work, priority)
                await JobService(session, clock).submit(order, is_result_kept=True)

    async def turns(self, limit: int = 64) -> list[str]:
        """The priorities of what goes next."""
        claims: Claims = self.app.state.sweeper.dispatcher.ledger.claims
        return [Priority(job.priority).name for job in await claims.due_jobs(limit, KINDS)]


@pytest.fixture
async def work(app: Litestar, given: Given) -> Rows:
    return Rows(app, await given.brand())


class TestTurns:
    async def test_what_is_waited_for_goes_before_everything_that_was_ordered_earlier(
        self, work: Rows, clock: HandClock
    ) -> None:
        await work.order(Priority.LATER, times=70)
        await work.order(Priority.SOON, times=70)
        clock.advance(seconds=20)
        await work.order(Priority.WAITED_FOR)
        assert (await work.turns())[0] == "WAITED_FOR"

    async def test_nothing_waits_for_ever(self, work: Rows, clock: HandClock) -> None:
        """However many photos come: those ordered later than its patience stand behind it."""
        await work.order(Priority.LATER)
        clock.advance(seconds=270)
        await work.order(Priority.SOON)
        clock.advance(seconds=31)
        await work.order(Priority.WAITED_FOR, times=100)
        assert (await work.turns())[:2] == ["LATER", "SOON"]

    async def test_a_catalogue_has_more_time_than_a_shopper(self, work: Rows, clock: HandClock, app: Litestar) -> None:
        await work.order(Priority.LATER)
        await work.order(Priority.SOON)
        clock.advance(minutes=21)
        assert await app.state.sweeper.reconciler.run_overdue() == 1
        assert await work.turns() == ["LATER"]

    async def test_a_full_endpoint_holds_up_no_work_of_another_kind(
        self, work: Rows, app: Litestar, clock: HandClock, endpoint: ScriptedEndpoint
    ) -> None:
        """More of one kind than a batch, and no room for it."""
        other = ScriptedEndpoint()
        settings = ProviderSettings(name="o", base_url="https://o.test/v2", endpoint_id="o", kinds=("garment",))
        queue = RunPodQueue(settings.base_url, "o", lambda: "k", transport=other)
        providers: Providers = app.state.providers
        providers.all = (*providers.all, Provider(settings, queue, clock))
        await work.order(Priority.WAITED_FOR, times=LOCAL_OPEN_ATTEMPTS)
        await app.state.sweeper.step()
        await work.order(Priority.WAITED_FOR, times=80)
        await work.order(Priority.SOON, kind="garment")
        await app.state.sweeper.step()
        assert (len(endpoint.jobs), len(other.jobs)) == (LOCAL_OPEN_ATTEMPTS, 1)
