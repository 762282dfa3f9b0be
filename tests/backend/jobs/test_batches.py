"""Many jobs in one transaction: each is given, kept and answered by itself all the same."""

import asyncio
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import event

from backend.jobs.ledger import Ledger
from backend.jobs.models import Job
from backend.jobs.service import JobService
from backend.jobs.work import Order, Work
from tests.backend.conftest import Step
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, rows


@pytest.fixture
def ledger(app: Litestar) -> Ledger:
    found: Ledger = app.state.sweeper.dispatcher.ledger
    return found


@pytest.fixture
async def jobs(given: Given, ledger: Ledger) -> list[Job]:
    """Five that are due."""
    brand = await given.brand()
    async with given.database.transaction() as session:
        for number in range(5):
            order = Order(brand.id, "noop", UUID(int=number + 1), f"key {number}", Work("avatars", "p/", {}, {}))
            await JobService(session, given.clock).submit(order, is_result_kept=True)
    return await ledger.claims.due_jobs(10, ["noop"])


async def test_of_those_claimed_at_once_each_is_given_to_one(ledger: Ledger, jobs: list[Job]) -> None:
    taken = await ledger.claims.claim(jobs[1], "p", "e")
    wanted = [*jobs, jobs[0]]
    claimed = await asyncio.gather(*(ledger.claims.claim(job, "p", "e") for job in wanted))
    assert taken is not None
    assert [one is not None for one in claimed] == [True, False, True, True, True, False]
    kept = [one for one in claimed if one is not None]
    assert len({one.token for one in kept} | {taken.token}) == 5
    assert {one.attempt.job_id for one in kept} == {job.id for job in jobs} - {jobs[1].id}


async def test_of_those_looked_at_at_once_each_is_leased_to_one(
    ledger: Ledger, jobs: list[Job], clock: HandClock
) -> None:
    for job in jobs:
        await ledger.claims.claim(job, "p", "e")
    clock.advance(seconds=6)
    attempts = await ledger.claims.due_attempts(10)
    looked = await asyncio.gather(*(ledger.claims.lease(attempt) for attempt in [*attempts, *attempts]))
    assert [one is not None for one in looked] == [True] * 5 + [False] * 5
    assert [one.attempt.id for one in looked[:5] if one] == [attempt.id for attempt in attempts]
    assert all(one.job.id == one.attempt.job_id for one in looked if one)
    assert await ledger.claims.due_attempts(10) == []


@pytest.mark.usefixtures("jobs")
async def test_an_id_that_comes_twice_is_one_attempts_and_the_others_are_kept(
    given: Given, endpoint: ScriptedEndpoint, step: Step
) -> None:
    endpoint.run_faults.extend([lambda _: httpx.Response(200, json={"id": "twice"})] * 2)
    await step()
    kept = await rows(given.database, "SELECT state, rp_id FROM job_attempts ORDER BY state DESC, rp_id")
    assert kept == [
        ("submitted", "job-1"), ("submitted", "job-2"), ("submitted", "job-3"), ("submitted", "twice"),
        ("sending", None),
    ]  # fmt: skip


@pytest.mark.usefixtures("jobs")
async def test_what_is_sent_at_once_is_claimed_in_one_statement(app: Litestar, endpoint: ScriptedEndpoint) -> None:
    said: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement.partition(" SET ")[0])

    event.listen(app.state.database.engine.sync_engine, "before_cursor_execute", listen)
    assert await app.state.sweeper.dispatcher.run_due() == 5
    assert len(endpoint.jobs) == 5
    assert said.count("UPDATE jobs") == 1
