"""The loops that see work through: one that hangs holds up no other, and what is on its way ends before the service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from backend.app import create_app
from backend.core.clock import Clock
from backend.jobs.providers import Provider, Providers
from backend.jobs.queue import RunPodQueue
from backend.jobs.service import JobService
from backend.jobs.sweeper import Sweeper
from backend.jobs.work import Order, Priority, Work
from backend.provider_settings import ProviderSettings
from backend.settings import Settings
from gpu_worker.contract import Kind
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, rows

PATIENCE_S = 60
"""Of the test, on a busy machine; what it waits for happens at once."""


class Watched(ScriptedEndpoint):
    """Says when it has accepted a job."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted = asyncio.Event()

    def accept(self, request: httpx.Request) -> httpx.Response:
        self.accepted.set()
        return super().accept(request)


class Hanging(Watched):
    """Answers `action` only when it is let go."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.split("/")[3] == self.action:
            self.asked.set()
            await self.let_go.wait()
        return await super().handle_async_request(request)


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


def provider(kind: Kind, endpoint: ScriptedEndpoint, clock: Clock) -> Provider:
    settings = ProviderSettings(name=kind, base_url=f"https://{kind}.test/v2", endpoint_id=kind, kinds=(kind,))
    return Provider(settings, RunPodQueue(settings.base_url, kind, lambda: "k", transport=endpoint), clock)


@pytest.fixture
def hanging() -> Hanging:
    return Hanging("status")


@pytest.fixture
def healthy() -> Watched:
    return Watched()


@pytest.fixture
def providers(hanging: Hanging, healthy: Watched, clock: Clock) -> Providers:
    return Providers([provider("noop", hanging, clock), provider("garment", healthy, clock)], clock)


async def order(app: Litestar, given: Given, kind: Kind) -> None:
    brand = await given.brand()
    work = Work("avatars", "p/", {}, {})
    async with given.database.transaction() as session:
        placed = Order(brand.id, kind, UUID(int=1), f"key of {kind}", work, Priority.WAITED_FOR)
        await JobService(session, given.clock).submit(placed, is_result_kept=True)
    await app.state.wake()


@asynccontextmanager
async def running(sweeper: Sweeper, clock: HandClock) -> AsyncIterator[None]:
    """While time passes."""

    async def pass_time() -> None:
        while True:
            await asyncio.sleep(0.1)
            clock.advance(seconds=1)

    async with asyncio.timeout(PATIENCE_S):
        loops, time = asyncio.create_task(sweeper.run()), asyncio.create_task(pass_time())
        try:
            yield
        finally:
            time.cancel()
            await sweeper.stop(loops)
        assert loops.done()


async def test_a_provider_that_hangs_holds_up_no_other(
    app: Litestar, given: Given, hanging: Hanging, healthy: Watched, clock: HandClock
) -> None:
    async with running(app.state.sweeper, clock):
        await order(app, given, "noop")
        await hanging.asked.wait()
        await order(app, given, "garment")
        await healthy.accepted.wait()
        hanging.let_go.set()


async def test_what_is_on_its_way_ends_before_the_service(app: Litestar, given: Given, hanging: Hanging) -> None:
    """Else its id would be lost, and it would be sent again."""
    hanging.action = "run"
    loops = asyncio.create_task(app.state.sweeper.run())
    async with asyncio.timeout(PATIENCE_S):
        await order(app, given, "noop")
        await hanging.asked.wait()
        stopping = asyncio.create_task(app.state.sweeper.stop(loops))
        await asyncio.sleep(0)
        hanging.let_go.set()
        await stopping
    assert await rows(given.database, "select state, rp_id from job_attempts") == [("submitted", "job-1")]


async def test_each_loop_says_when_it_last_came_through(app: Litestar, clock: HandClock) -> None:
    sweeper: Sweeper = app.state.sweeper
    await sweeper.step()
    assert set(sweeper.passed_at) >= {"look", "send", "give_up", "watch"}
    assert set(sweeper.passed_at.values()) == {clock.now()}
    clock.advance(seconds=30)
    assert sweeper.is_alive()
    clock.advance(seconds=1)
    assert not sweeper.is_alive()


async def test_a_process_whose_loops_stand_still_is_not_ready(settings: Settings, clock: HandClock) -> None:
    """Here they were never started."""
    service = create_app(settings, clock=clock, providers=Providers([], clock), sees_jobs_through=True)
    transport = httpx.ASGITransport(app=service)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=settings.public_base_url) as http:
        assert (await http.get("/ready")).status_code == 200
        clock.advance(seconds=31)
        assert (await http.get("/ready")).status_code == 503
    await service.state.store.close()
    await service.state.database.close()
