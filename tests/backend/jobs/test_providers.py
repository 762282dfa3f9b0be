"""Where work goes when a provider fails, and when it comes back: two RunPod endpoints and one of our own."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar

from backend.core.clock import Clock
from backend.jobs.providers import OFF_FOR, Provider, Providers, ProviderStatus
from backend.jobs.queue import RunPodQueue
from backend.provider_settings import KINDS, ProviderSettings
from tests.backend.conftest import Step
from tests.factories import Given, GivenBrand
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, hook_path, manifest_of, rows, upload

CPU_KINDS = ("garment", "dress")
Order = Callable[[], Awaitable[None]]


class Cloud:
    """Two endpoints for photos, one for dresses."""

    def __init__(self) -> None:
        self.first = ScriptedEndpoint()
        self.second = ScriptedEndpoint()
        self.dresses = ScriptedEndpoint()

    def providers(self, clock: Clock) -> Providers:
        rest = tuple(kind for kind in KINDS if kind not in CPU_KINDS)
        endpoints = (("first", self.first, rest), ("second", self.second, rest), ("dresses", self.dresses, CPU_KINDS))
        return Providers([self._provider(*row, clock) for row in endpoints], clock)

    @staticmethod
    def _provider(name: str, endpoint: ScriptedEndpoint, kinds: tuple[str, ...], clock: Clock) -> Provider:
        settings = ProviderSettings(name=name, base_url=f"https://{name}.test/v2", endpoint_id=name, kinds=kinds)
        queue = RunPodQueue(settings.base_url, settings.endpoint_id, lambda: f"key of {name}", transport=endpoint)
        return Provider(settings, queue, clock)


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """What is asked here does not depend on the database."""
    return sqlite_database


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def endpoint(cloud: Cloud) -> ScriptedEndpoint:
    return cloud.first


@pytest.fixture
def providers(cloud: Cloud, clock: Clock) -> Providers:
    return cloud.providers(clock)


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


@pytest.fixture
def order(given: Given, brand: GivenBrand) -> Order:
    """A body for a new shopper."""

    async def run() -> None:
        await given.avatar(await given.shopper(brand))

    return run


def standing(app: Litestar, name: str) -> ProviderStatus:
    providers: Providers = app.state.providers
    return next(status for status in providers.snapshot() if status.name == name)


def answering(status: int, **more: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, **more)


async def some(step: Step) -> None:
    """Enough rounds for everything to be looked at."""
    for _ in range(10):
        await step()


async def states(app: Litestar) -> list[tuple[Any, ...]]:
    return await rows(app.state.database, "select endpoint_id, state from job_attempts order by submitted_at, n")


class TestFailover:
    async def test_work_goes_to_the_preferred_one(self, order: Order, step: Step, cloud: Cloud) -> None:
        await order()
        await step()
        assert [len(one.jobs) for one in (cloud.first, cloud.second, cloud.dresses)] == [1, 0, 0]
        assert cloud.first.requests[0].headers["authorization"] == "Bearer key of first"

    async def test_to_the_second_while_the_first_is_down_and_back(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        cloud.first.is_down = True
        for _ in range(5):
            await order()
        await step()
        assert cloud.first.calls("run") == 5
        assert standing(app, "first").breaker == "open"
        await step()
        assert len(cloud.second.jobs) == 5, "at once, for each has another to go to"
        cloud.first.is_down = False
        clock.advance(seconds=10)
        await order()
        await step()
        assert len(cloud.first.jobs) == 1
        assert standing(app, "first").breaker == "closed"

    async def test_an_answer_in_doubt_is_not_sent_elsewhere(self, order: Order, step: Step, cloud: Cloud) -> None:
        cloud.first.run_faults.append(answering(502))
        await order()
        for _ in range(3):
            await step()
        assert (len(cloud.first.jobs), len(cloud.second.jobs)) == (0, 0)

    async def test_what_is_refused_for_good_is_sent_nowhere_else(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud
    ) -> None:
        cloud.first.run_faults.append(answering(400))
        await order()
        for _ in range(3):
            await step()
        assert await states(app) == [("first", "rejected")]
        assert standing(app, "first").failures_in_a_row == 0

    async def test_with_everything_down_no_attempt_is_made(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        cloud.first.is_down = cloud.second.is_down = True
        for _ in range(12):
            await order()
        for _ in range(6):
            await step()
        made = len(await states(app))
        assert 10 <= made <= 26
        opens_at = max(standing(app, name).reopens_at or clock.now() for name in ("first", "second"))
        while clock.now() + timedelta(seconds=3) < opens_at - timedelta(seconds=20):
            await step()
        tried = await rows(app.state.database, "select state, count(*) from jobs group by state")
        assert tried == [("queued", 12)]
        before = len(await states(app))
        await app.state.sweeper.step()
        assert len(await states(app)) - before <= 2, "a probe each"

    async def test_one_probe_decides_for_all(
        self, app: Litestar, order: Order, cloud: Cloud, step: Step, clock: HandClock
    ) -> None:
        cloud.first.is_down = cloud.second.is_down = True
        for _ in range(10):
            await order()
        for _ in range(4):
            await step()
        assert {standing(app, "first").breaker, standing(app, "second").breaker} == {"open"}
        calls = cloud.first.calls("run"), cloud.second.calls("run")
        clock.advance(minutes=3)
        await app.state.sweeper.step()
        assert (cloud.first.calls("run"), cloud.second.calls("run")) == (calls[0] + 1, calls[1])
        await app.state.sweeper.step()
        assert (cloud.first.calls("run"), cloud.second.calls("run")) == (calls[0] + 1, calls[1] + 1)


class TestMisconfigured:
    @pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
    async def test_it_is_off_for_five_minutes_and_no_job_is_lost(
        self, status: int, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        cloud.first.run_faults.append(answering(status))
        await order()
        await step()
        assert (standing(app, "first").verdict, standing(app, "first").breaker) == ("off", "closed")
        assert str(status) in (standing(app, "first").off_reason or "")
        await step()
        assert await states(app) == [("first", "not_accepted"), ("second", "submitted")]
        clock.advance(seconds=OFF_FOR.total_seconds())
        await order()
        await step()
        assert len(cloud.first.jobs) == 1
        assert standing(app, "first").off_reason is None

    async def test_a_key_refused_by_status_counts_too(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud
    ) -> None:
        await order()
        await step()
        cloud.first.status_faults.append(answering(401))
        await step()
        assert standing(app, "first").verdict == "off"
        assert await states(app) == [("first", "submitted")], "it may well be running"


class TestThrottled:
    async def test_the_other_takes_it_meanwhile(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        until = clock.now() + timedelta(seconds=3 + 60)
        cloud.first.run_faults.append(answering(429, headers={"retry-after": "60"}))
        await order()
        await step()
        status = standing(app, "first")
        assert (status.verdict, status.breaker, status.paused_until) == ("paused", "closed", until)
        await step()
        assert len(cloud.second.jobs) == 1

    async def test_no_other_none_is_asked_before_that_time(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        cloud.first.run_faults.append(answering(401))
        cloud.second.run_faults.append(answering(429, headers={"retry-after": "40"}))
        await order()
        await step()
        await step()
        assert (standing(app, "first").verdict, standing(app, "second").verdict) == ("off", "paused")
        for _ in range(13):
            await step()
        assert cloud.second.calls("run") == 1
        clock.advance(seconds=6)
        await step()
        assert len(cloud.second.jobs) == 1


class TestHealth:
    async def test_a_throttled_endpoint_is_given_nothing_while_another_is_there(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud
    ) -> None:
        cloud.first.workers |= {"running": 0, "ready": 0, "throttled": 3}
        await step()
        assert standing(app, "first").verdict == "unfit"
        await order()
        await step()
        assert (len(cloud.first.jobs), len(cloud.second.jobs)) == (0, 1)
        cloud.second.is_down = True
        for _ in range(5):
            await order()
        await step()
        await step()
        assert len(cloud.first.jobs) == 5, "better a slow one than none"

    async def test_counts_are_fetched_in_the_background_and_now_and_then(
        self, app: Litestar, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        await step()
        await step()
        assert cloud.first.calls("health") == 1
        clock.advance(seconds=15)
        cloud.first.is_down = True
        await step()
        status = standing(app, "first")
        assert (status.health_failures, status.verdict) == (1, "ready")
        assert status.health is not None
        assert status.health.running == 1


class TestQueueAlarm:
    """A job that waits for a worker is moved to one that waits for a job: once, and only then."""

    @pytest.fixture
    async def waiting(self, order: Order, step: Step, cloud: Cloud, clock: HandClock) -> None:
        await order()
        await step()
        assert cloud.first.newest.status == {"status": "IN_QUEUE"}
        clock.advance(seconds=61)

    @pytest.mark.usefixtures("waiting")
    async def test_it_stays_while_nobody_else_is_free(self, app: Litestar, step: Step, cloud: Cloud) -> None:
        for _ in range(20):
            await step()
        assert await states(app) == [("first", "submitted")]
        assert not cloud.first.cancelled

    @pytest.mark.usefixtures("waiting")
    async def test_it_moves_to_an_idle_worker_and_not_back(
        self, app: Litestar, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        cloud.second.workers |= {"idle": 1}
        await some(step)
        assert await states(app) == [("first", "queue_timeout"), ("second", "submitted")]
        assert cloud.first.cancelled == [cloud.first.newest.rp_id]
        cloud.first.workers |= {"idle": 1}
        cloud.first.jobs.clear()
        clock.advance(seconds=61)
        for _ in range(10):
            await step()
        assert await states(app) == [("first", "queue_timeout"), ("second", "submitted")]

    async def test_one_idle_worker_takes_one_job(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        for _ in range(6):
            await order()
        await step()
        clock.advance(seconds=61)
        cloud.second.workers |= {"idle": 1}
        await app.state.providers.check_health()
        clock.advance(seconds=1)
        await app.state.sweeper.reconciler.run_due()
        moved = [state for _, state in await states(app)].count("queue_timeout")
        assert moved == 1

    @pytest.mark.usefixtures("waiting")
    async def test_the_one_left_behind_may_still_succeed(
        self, http: httpx.AsyncClient, app: Litestar, step: Step, cloud: Cloud
    ) -> None:
        cloud.second.workers |= {"idle": 1}
        await some(step)
        job = cloud.first.newest
        await upload(http, job, manifest_of(job))
        assert (await http.post(hook_path(job), json={"id": job.rp_id})).status_code == 200
        await step()
        assert await states(app) == [("first", "succeeded"), ("second", "cancelled")]
        assert cloud.second.cancelled == [cloud.second.newest.rp_id]


class TestOpenAttempts:
    async def test_a_result_is_taken_in_though_the_provider_is_down(
        self, http: httpx.AsyncClient, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        await order()
        await step()
        job = cloud.first.newest
        await upload(http, job, manifest_of(job))
        cloud.first.is_down = True
        clock.advance(seconds=60)
        await step()
        assert await states(app) == [("first", "succeeded")]

    async def test_a_provider_taken_out_of_the_settings(
        self, app: Litestar, order: Order, step: Step, cloud: Cloud, clock: HandClock
    ) -> None:
        """Its attempts are not asked for at another; in the end they count as gone."""
        await order()
        await step()
        providers: Providers = app.state.providers
        providers.all = providers.all[1:]
        clock.advance(seconds=60)
        await step()
        assert cloud.second.calls("status") == 0
        assert await states(app) == [("first", "submitted")]
        clock.advance(minutes=15)
        await step()
        assert await states(app) == [("first", "gone")]
