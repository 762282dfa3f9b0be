"""How long a run may take: what is told to the queue, learned from what has ended there."""

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import select, text

from backend.jobs.limits import FIRST_LIMIT, LEAST, LONGEST_LIMIT, SHORTEST_LIMIT, limit_of
from backend.jobs.models import JobAttempt
from tests.backend.conftest import Finish, Step
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, manifest_of, rows, upload


@pytest.mark.parametrize(
    ("exec_ms", "limit_s"),
    [
        ([], FIRST_LIMIT.total_seconds()),
        ([90_000] * (LEAST - 1), FIRST_LIMIT.total_seconds()),
        ([900] * LEAST, SHORTEST_LIMIT.total_seconds()),
        ([20_000] * LEAST, 80),
        ([1000] * 95 + [20_000] * 5, SHORTEST_LIMIT.total_seconds()),
        ([1000] * 94 + [20_000] * 6, 80),
        ([500_000] * LEAST, LONGEST_LIMIT.total_seconds()),
    ],
    ids=["none", "too few", "quick", "slow", "outliers", "a slow twentieth", "beyond all reason"],
)
def test_four_times_the_p95_within_bounds(exec_ms: list[int], limit_s: float) -> None:
    assert limit_of(exec_ms).total_seconds() == limit_s


async def have_run(given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish, exec_ms: int) -> None:
    """An avatar, and in the ledger as many runs as a limit is judged by, each of so long."""
    await given.avatar(await given.brand())
    await step()
    await finish(endpoint.newest)
    async with given.database.transaction() as session:
        run = (await session.scalars(select(JobAttempt))).one()
        run.exec_ms = exec_ms
        told = {name: getattr(run, name) for name in ("brand_id", "job_id", "provider", "endpoint_id", "state")}
        times = {"submitted_at": run.submitted_at, "closed_at": run.closed_at, "exec_ms": exec_ms}
        for n in range(2, LEAST + 1):
            session.add(JobAttempt(n=n, token_sha256="", secret="", **told, **times))


async def test_each_kind_is_told_its_own(
    given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish, clock: HandClock
) -> None:
    await have_run(given, endpoint, step, finish, 20_000)
    clock.advance(minutes=1)
    brand = await given.brand()
    await given.avatar(brand)
    await given.garment(brand)
    await step()
    told = {kind: endpoint.newest_of(kind).policy["executionTimeout"] for kind in ("avatar", "garment")}
    assert told == {"avatar": 80_000, "garment": 120_000}


async def test_a_queue_that_has_done_none_of_it_yet_is_given_the_usual_time(
    given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish, clock: HandClock
) -> None:
    """Its cards may be slower by any factor."""
    await have_run(given, endpoint, step, finish, 900)
    async with given.database.transaction() as session:
        await session.execute(text("UPDATE job_attempts SET endpoint_id = 'another'"))
    clock.advance(minutes=1)
    await given.avatar(await given.brand())
    await step()
    assert endpoint.newest.policy["executionTimeout"] == 120_000


async def test_a_result_whose_queue_does_not_know_of_it_is_found_after_twice_the_usual_time(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish,
    clock: HandClock,
) -> None:  # fmt: skip
    await have_run(given, endpoint, step, finish, 10_000)
    clock.advance(minutes=1)
    await given.avatar(await given.brand())
    await step()
    job = endpoint.newest
    await upload(http, job, manifest_of(job))
    endpoint.report(job, "saving")
    clock.advance(seconds=12)
    await step()
    state = f"SELECT state FROM job_attempts WHERE rp_id = '{job.rp_id}'"
    assert await rows(app.state.database, state) == [("submitted",)]
    clock.advance(seconds=18)
    await step()
    assert await rows(app.state.database, state) == [("succeeded",)]
