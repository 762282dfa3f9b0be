"""The same request many times at once, at one replica or two, is one piece of work; a leaked hook is good for one."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import httpx
import pytest
from litestar import Litestar

from backend.app import create_app
from backend.jobs.queue import RunPodQueue
from backend.settings import Settings
from tests.backend.conftest import Finish, Step
from tests.factories import Given, GivenShopper, photo
from tests.fakes import HandClock
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint, SubmittedJob, hook_path, rows

AT_ONCE = 50
FACTS = {"height_cm": "178", "weight_kg": "74", "consent_version": "1"}
PHOTO = photo()


Replicas = Callable[[], AbstractAsyncContextManager[list[Litestar]]]


@pytest.fixture
def replicas(app: Litestar, settings: Settings, clock: HandClock, endpoint: ScriptedEndpoint) -> Replicas:
    """On Postgres a second one, with its own connections and its own view of the queue, beside the first."""

    @asynccontextmanager
    async def living() -> AsyncIterator[list[Litestar]]:
        if not settings.database_url.startswith("postgresql"):
            yield [app]
            return
        queue = RunPodQueue(BASE_URL, "local", lambda: "endpoint-key-of-the-tests", transport=endpoint)
        second = create_app(settings, clock=clock, queue=queue)
        async with second.lifespan():
            yield [app, second]

    return living


async def press(replicas: list[Litestar], shoppers: list[GivenShopper], times: int) -> list[httpx.Response]:
    """Each shopper in turn at each replica in turn, all at once."""
    async with AsyncExitStack() as stack:
        pages = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app=replica), base_url="http://tryon.test", timeout=60)  # type: ignore[arg-type]
            )
            for replica in replicas
        ]
        turns = list(itertools.islice(itertools.product(range(times), pages, shoppers), times))
        return await asyncio.gather(
            *(
                page.post(
                    "/v1/avatars",
                    headers=shopper.headers,
                    data=FACTS,
                    files={"photo": ("me.jpg", PHOTO, "image/jpeg")},
                )
                for _, page, shopper in turns
            )
        )


async def sweep(replicas: list[Litestar], clock: HandClock) -> None:
    """Both loops at the same time."""
    clock.advance(seconds=3)
    await asyncio.gather(*(replica.state.sweeper.step() for replica in replicas))


class TestTheSameRequestAtOnce:
    async def test_is_one_avatar_one_job_one_attempt(
        self, given: Given, replicas: Replicas, clock: HandClock, endpoint: ScriptedEndpoint, finish: Finish
    ) -> None:
        shopper = await given.shopper(await given.brand())
        async with replicas() as both:
            answers = await press(both, [shopper], AT_ONCE)
            assert {answer.status_code for answer in answers} <= {200, 202}, [answer.text for answer in answers]
            assert len({answer.json()["id"] for answer in answers}) == 1
            for _ in range(3):
                await sweep(both, clock)
            kept = [stored async for stored in given.app.state.store.list("photos", "")]
            assert len(kept) == 1, "photos that were sent in vain"
            assert len(endpoint.jobs) == 1
            await finish(endpoint.newest)
            again = await press(both, [shopper], AT_ONCE)
            await sweep(both, clock)
        assert {(answer.status_code, answer.json()["status"]) for answer in again} == {(200, "ready")}
        assert await rows(given.database, "select count(*) from avatars") == [(1,)]
        assert await rows(given.database, "select state, attempt_n, executions from jobs") == [("succeeded", 1, 1)]
        assert await rows(given.database, "select state from job_attempts") == [("succeeded",)]
        assert len(endpoint.jobs) == 1

    async def test_of_two_shoppers_shares_neither_row_nor_prefix(
        self, given: Given, replicas: Replicas, clock: HandClock, endpoint: ScriptedEndpoint
    ) -> None:
        brand = await given.brand()
        shoppers = [await given.shopper(brand), await given.shopper(brand)]
        async with replicas() as both:
            answers = await press(both, shoppers, AT_ONCE)
            for _ in range(3):
                await sweep(both, clock)
        assert {answer.status_code for answer in answers} <= {200, 202}
        found = await rows(given.database, "select count(distinct cache_key), count(*) from jobs")
        assert found == [(2, 2)]
        assert await rows(given.database, "select count(distinct user_id), count(*) from avatars") == [(2, 2)]
        prefixes = [f"/{brand.id}/{shopper.id}/" for shopper in shoppers]
        assert len(endpoint.jobs) == 2
        owners = {tuple(prefix for prefix in prefixes if under(prefix, job)) for job in endpoint.jobs.values()}
        assert owners == {(prefix,) for prefix in prefixes}


def under(prefix: str, job: SubmittedJob) -> bool:
    """Whether every address the worker is given lies there."""
    addresses = [file.url for file in job.input.inputs.values()] + [file.url for file in job.input.outputs.values()]
    return all(prefix in address for address in addresses)


class TestLeakedHook:
    """The platform and every worker see the address of a hook: it may be worth one look at one attempt, no more."""

    async def test_opens_its_own_attempt_only(
        self, given: Given, http: httpx.AsyncClient, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        brand = await given.brand()
        for _ in range(2):
            await given.avatar_with_photo(await given.shopper(brand))
        await step()
        leaked, other = endpoint.jobs.values()
        folder, _, token = hook_path(leaked).rpartition("/")
        before = await self._polls(given)
        answer = await http.post(f"{hook_path(other).rpartition('/')[0]}/{token}", json={"id": leaked.rp_id})
        assert answer.status_code == 404
        assert await self._polls(given) == before
        assert (await http.post(f"{folder}/{token}", json={"id": other.rp_id})).status_code == 200
        after = await self._polls(given)
        assert [after[rp_id] != before[rp_id] for rp_id in (leaked.rp_id, other.rp_id)] == [True, False]

    async def test_of_a_closed_attempt_says_nothing_about_the_next(
        self, given: Given, http: httpx.AsyncClient, endpoint: ScriptedEndpoint, clock: HandClock, step: Step
    ) -> None:
        await given.avatar_with_photo(await given.shopper(await given.brand()))
        await step()
        leaked = endpoint.newest
        endpoint.fail(leaked, "internal", is_retryable=True)
        await step()
        clock.advance(seconds=60)
        await step()
        assert endpoint.newest is not leaked
        before = await self._polls(given)
        for _ in range(20):
            assert (
                await http.post(hook_path(leaked), json={"id": "made-up-e1", "status": "COMPLETED"})
            ).status_code == 200
        asked = len(endpoint.requests)
        await step()
        after = await self._polls(given)
        assert after[endpoint.newest.rp_id][0] == before[endpoint.newest.rp_id][0] == "submitted"
        assert after[leaked.rp_id] == ("failed", None)
        assert [request.url.path for request in endpoint.requests[asked:] if leaked.rp_id in request.url.path] == []

    async def _polls(self, given: Given) -> dict[str, tuple[str, object]]:
        found = await rows(given.database, "select rp_id, state, poll_at from job_attempts")
        return {rp_id: (state, poll_at) for rp_id, state, poll_at in found}
