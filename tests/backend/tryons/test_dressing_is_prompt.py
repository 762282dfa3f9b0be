"""No step from a figure to its garment waits for a clock: each is woken by the one before."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import Litestar

from backend.jobs.work import Priority
from tests.backend.conftest import Step
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import (
    ScriptedEndpoint,
    SubmittedJob,
    avatar_result,
    hook_path,
    manifest_of,
    rows,
    upload,
)

PATIENCE_S = 30
"""Of the test, on a busy machine; what it waits for happens at once."""


class Announcing(ScriptedEndpoint):
    """Says what it has accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: asyncio.Queue[SubmittedJob] = asyncio.Queue()

    def accept(self, request: httpx.Request) -> httpx.Response:
        answer = super().accept(request)
        self.accepted.put_nowait(self.newest)
        return answer


@pytest.fixture
def endpoint() -> Announcing:
    return Announcing()


@pytest.fixture
async def loops(app: Litestar) -> AsyncIterator[None]:
    """Running, and so slow that only what wakes them is of use."""
    for loop in app.state.sweeper.loops.values():
        loop.tick_s = 10 * PATIENCE_S
    running = asyncio.create_task(app.state.sweeper.run())
    yield
    await app.state.sweeper.stop(running)


@pytest.mark.usefixtures("loops")
async def test_figure_draft_and_final_follow_at_once(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: Announcing, clock: HandClock
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        brand = await given.brand()
        await given.session(brand, await given.shopper(brand))
        kinds: list[str] = []
        while kinds.count("dress") < 2:
            job = await endpoint.accepted.get()
            kinds.append(job.input.kind)
            await upload(http, job, manifest_of(job))
            endpoint.complete(job)
            clock.advance(seconds=0.1)
            assert (await http.post(hook_path(job), json={"id": job.rp_id})).status_code == 200
    assert sorted(kinds) == ["avatar", "dress", "dress", "garment"]


@pytest.mark.parametrize(
    ("evidence", "priority"), [(("height",), Priority.SOON), (("height", "photo"), Priority.WAITED_FOR)]
)
async def test_a_figure_from_answers_alone_lets_the_next_shoppers_past(
    app: Litestar,
    http: httpx.AsyncClient,
    given: Given,
    endpoint: Announcing,
    step: Step,
    evidence: tuple[str, ...],
    priority: Priority,
) -> None:
    """Who sent a photo looks at a progress bar; who did not looks at a size."""
    brand = await given.brand()
    await given.session(brand, await given.shopper(brand))
    await step()
    job = endpoint.newest_of("avatar")
    await upload(http, job, manifest_of(job, result=avatar_result(evidence=evidence)))
    endpoint.complete(job)
    await step()
    assert await rows(app.state.database, "select priority from jobs where kind = 'dress'") == [(priority.value,)]
