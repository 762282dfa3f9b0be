"""The service with a queue that does what the test says, and hands to move the jobs on."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from litestar import Litestar

from backend.jobs.queue import ComputeQueue, RunPodQueue
from tests.fakes import HandClock
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint, SubmittedJob, manifest_of, upload

Step = Callable[[], Awaitable[None]]
Finish = Callable[[SubmittedJob], Awaitable[None]]


@pytest.fixture
def endpoint() -> ScriptedEndpoint:
    return ScriptedEndpoint()


@pytest.fixture
def queue(endpoint: ScriptedEndpoint) -> ComputeQueue:
    return RunPodQueue(BASE_URL, "local", lambda: "endpoint-key-of-the-tests", transport=endpoint)


@pytest.fixture
def step(app: Litestar, clock: HandClock) -> Step:
    """One round of the loop, some time later."""

    async def run() -> None:
        clock.advance(seconds=3)
        await app.state.sweeper.step()

    return run


@pytest.fixture
def finish(http: httpx.AsyncClient, endpoint: ScriptedEndpoint, step: Step) -> Finish:
    """The worker does its work well, and the backend hears of it."""

    async def run(job: SubmittedJob) -> None:
        await upload(http, job, manifest_of(job))
        endpoint.complete(job)
        await step()

    return run
