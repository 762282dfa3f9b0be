"""Each effect once, whoever dies when, and whatever comes twice, late or forged."""

from datetime import timedelta
from typing import Any

import httpx
from litestar import Litestar

from backend.jobs import states
from backend.jobs.ledger import Ledger
from backend.jobs.reconcile import Reconciler
from tests.backend.conftest import Finish, Step
from tests.backend.jobs.conftest import Seen
from tests.fakes import HandClock
from tests.scripted_endpoint import (
    ScriptedEndpoint,
    avatar_result,
    hook_path,
    manifest_of,
    upload,
)


async def test_the_straight_way(
    endpoint: ScriptedEndpoint, step: Step, finish: Finish, seen: Seen, http: httpx.AsyncClient
) -> None:
    assert (await seen.avatar())["status"] == "pending"
    await step()
    assert (await seen.avatar())["status"] == "processing"
    job = endpoint.newest
    assert job.policy == {"executionTimeout": 120_000, "ttl": 900_000, "lowPriority": False}
    endpoint.report(job, "measuring")
    await step()
    assert (await seen.avatar())["stage"] == "measuring"
    assert (await seen.avatar())["progress"] == 0.4
    endpoint.report(job, "checking")  # reports are unordered
    await step()
    assert (await seen.avatar())["stage"] == "measuring"
    await finish(job)
    avatar = await seen.avatar()
    assert (avatar["status"], avatar["progress"]) == ("ready", 1.0)
    assert avatar["measurements"]["chest_cm"] == {"mean": 98.0, "sd": 2.0}
    assert (await http.get(avatar["glb_url"])).content[:4] == b"glTF"
    assert await seen.attempts() == ["succeeded"]
    assert await seen.effects() == 1


class TestDispatcherDies:
    async def test_between_the_commit_and_the_call(
        self, app: Litestar, clock: HandClock, endpoint: ScriptedEndpoint, step: Step, finish: Finish, seen: Seen
    ) -> None:
        ledger: Ledger = app.state.sweeper.dispatcher.ledger
        job = (await ledger.claims.due_jobs(1, ["avatar"]))[0]
        assert await ledger.claims.claim(job, "http://endpoint.test/v2", "local") is not None  # and then nothing more
        await step()
        for _ in range(5):  # of 3 s each
            await step()
        assert endpoint.jobs == {}, "it may be running: not before the grace is over"
        clock.advance(seconds=6)
        await step()
        await step()
        await finish(endpoint.newest)
        assert await seen.attempts() == ["abandoned", "succeeded"]
        assert (await seen.avatar())["status"] == "ready"

    async def test_after_the_call_before_the_id_is_kept(
        self, app: Litestar, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        """The hook brings the id; no second run is paid for."""

        def accept_and_die(request: httpx.Request) -> httpx.Response:
            endpoint.accept(request)
            raise httpx.ReadError("the line is cut", request=request)

        endpoint.run_faults.append(accept_and_die)
        await step()
        job = endpoint.newest
        assert await seen.attempts() == ["unknown"]
        await upload(http, job, manifest_of(job))
        endpoint.complete(job)
        assert (await http.post(hook_path(job), json={"id": job.rp_id, "status": "COMPLETED"})).status_code == 200
        await step()
        await step()
        assert (await seen.avatar())["status"] == "ready"
        assert await seen.attempts() == ["succeeded"]
        assert len(endpoint.jobs) == 1

    async def test_a_clock_half_a_minute_ahead_gives_up_nothing_that_is_being_sent(
        self, app: Litestar, clock: HandClock, seen: Seen
    ) -> None:
        ours = app.state.sweeper.reconciler
        ahead = HandClock(clock.now() + timedelta(seconds=30))
        outcomes = ours.ledger.outcomes
        theirs = Reconciler(Ledger(app.state.database, ahead, outcomes), ours.providers, ours.store, ahead)
        job = (await ours.ledger.claims.due_jobs(1, ["avatar"]))[0]
        assert await ours.ledger.claims.claim(job, "http://endpoint.test/v2", "local") is not None
        await theirs.run_due()
        ahead.advance(seconds=14)
        await theirs.run_due()
        assert await seen.attempts() == ["sending"]
        ahead.advance(seconds=2)
        await theirs.run_due()
        assert await seen.attempts() == ["abandoned"]

    async def test_two_claim_one_job(self, app: Litestar, seen: Seen) -> None:
        ledger: Ledger = app.state.sweeper.dispatcher.ledger
        job = (await ledger.claims.due_jobs(1, ["avatar"]))[0]
        assert await ledger.claims.claim(job, "p", "e") is not None
        assert await ledger.claims.claim(job, "p", "e") is None
        assert await seen.attempts() == ["sending"]

    async def test_in_the_transaction_of_the_effect(
        self,
        app: Litestar,
        endpoint: ScriptedEndpoint,
        http: httpx.AsyncClient,
        step: Step,
        clock: HandClock,
        seen: Seen,
    ) -> None:
        """All of it or nothing, and then once more."""
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job))
        endpoint.complete(job)
        outcomes = app.state.sweeper.dispatcher.ledger.outcomes
        app.state.sweeper.reconciler.ledger.outcomes = {"avatar": DyingOutcomes(outcomes["avatar"])}
        await step()
        assert (await seen.avatar())["status"] == "processing"
        assert await seen.effects() == 0
        app.state.sweeper.reconciler.ledger.outcomes = outcomes
        clock.advance(seconds=states.LEASE.total_seconds())
        await step()
        assert (await seen.avatar())["status"] == "ready"
        assert await seen.effects() == 1


class DyingOutcomes:
    """Does its work and dies before the commit."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def is_sound(self, manifest: Any) -> bool:
        return bool(self.real.is_sound(manifest))

    async def finish(self, session: Any, job: Any, outcome: Any) -> None:
        await self.real.finish(session, job, outcome)
        raise ConnectionError


class TestDuplicates:
    async def test_two_attempts_succeed(
        self,
        app: Litestar,
        endpoint: ScriptedEndpoint,
        http: httpx.AsyncClient,
        step: Step,
        clock: HandClock,
        finish: Finish,
        seen: Seen,
    ) -> None:
        """The first wins; the other's files are deleted and its line in the ledger is completed."""
        await step()
        first = endpoint.newest
        endpoint.jobs[first.rp_id].status = {"status": "TIMED_OUT"}
        await step()
        clock.advance(seconds=60)
        await step()
        second = endpoint.newest
        assert first is not second
        await finish(second)
        await upload(http, first, manifest_of(first, result=avatar_result(chest_cm=120)))
        assert (await http.post(hook_path(first), json={"id": first.rp_id})).status_code == 200
        await step()
        avatar = await seen.avatar()
        assert avatar["measurements"]["chest_cm"]["mean"] == 98.0
        assert await seen.attempts() == ["succeeded", "succeeded"]
        assert await seen.effects() == 1
        assert (await http.get(avatar["glb_url"])).status_code == 200
        kept = [
            stored.key
            async for stored in app.state.store.list("avatars", f"{seen.shopper.brand_id}/{seen.shopper.id}/")
        ]
        assert len(kept) == 3
        assert all(second.input.attempt_id in key for key in kept)

    async def test_the_same_hook_a_hundred_times(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, finish: Finish, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        await finish(job)
        before = len(endpoint.requests)
        for _ in range(100):
            assert (await http.post(hook_path(job), json={"id": job.rp_id})).status_code == 200
        await step()
        assert len(endpoint.requests) == before
        assert await seen.effects() == 1
        assert await seen.attempts() == ["succeeded"]
