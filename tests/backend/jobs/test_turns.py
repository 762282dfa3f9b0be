"""Whose job is sent when a host has one worker: requests first, then photos, then bodies from answers alone."""

import httpx
import pytest
from litestar import Litestar

from backend.jobs.queue import ComputeQueue, RunPodQueue
from backend.provider_settings import LOCAL_OPEN_ATTEMPTS
from tests.backend.conftest import Step
from tests.factories import Given
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


async def test_a_body_waits_until_orders_pause(
    app: Litestar,
    http: httpx.AsyncClient,
    given: Given,
    endpoint: ScriptedEndpoint,
    clock: HandClock,
    queue: ComputeQueue,
) -> None:
    await order(http, given)
    await app.state.sweeper.step()
    assert not endpoint.jobs
    clock.advance(seconds=1)
    await app.state.sweeper.step()
    assert len(endpoint.jobs) == 1


async def test_no_body_waits_for_ever(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, clock: HandClock
) -> None:
    await order(http, given)
    clock.advance(seconds=11)
    await order(http, given)
    await app.state.sweeper.step()
    assert len(endpoint.jobs) == 1


async def test_the_rest_wait_in_their_rows(
    http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step
) -> None:
    for _ in range(LOCAL_OPEN_ATTEMPTS + 2):
        await order(http, given)
    await step()
    assert len(endpoint.jobs) == LOCAL_OPEN_ATTEMPTS
