"""Each effect once, whoever dies when, and whatever comes twice, late or forged."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from backend.jobs import states
from backend.jobs.ledger import Ledger
from backend.jobs.reconcile import Reconciler
from tests.backend.conftest import Finish, Step
from tests.factories import Given, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import (
    NPZ,
    ScriptedEndpoint,
    avatar_result,
    hook_path,
    manifest_of,
    rows,
    upload,
)

FACTS = {"height_cm": "178", "weight_kg": "74", "sex": "male"}


@pytest.fixture
async def shopper(given: Given) -> GivenShopper:
    return await given.shopper(await given.brand())


@pytest.fixture
async def avatar_id(http: httpx.AsyncClient, shopper: GivenShopper) -> str:
    answer = await http.post("/v1/avatars", headers=shopper.headers, data=FACTS)
    assert answer.status_code == 202, answer.text
    avatar_id: str = answer.json()["id"]
    return avatar_id


class Seen:
    """What can be seen from outside, and the ledger."""

    def __init__(self, given: Given, http: httpx.AsyncClient, shopper: GivenShopper, avatar_id: str) -> None:
        self.given = given
        self.database = given.database
        self.http = http
        self.shopper = shopper
        self.avatar_id = avatar_id

    async def avatar(self) -> dict[str, Any]:
        token = self.given.token(self.shopper.brand_id, self.shopper.id)
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.http.get(f"/v1/avatars/{self.avatar_id}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def attempts(self) -> list[str]:
        return [row[0] for row in await rows(self.database, "select state from job_attempts order by n")]

    async def jobs(self) -> list[tuple[Any, ...]]:
        return await rows(self.database, "select state, executions from jobs")

    async def effects(self) -> int:
        """Bodies that were made: each is reported by one event, under one key."""
        found = await rows(self.database, "select count(*) from events where event_type = 'avatar_created'")
        count: int = found[0][0]
        return count


@pytest.fixture
def seen(given: Given, http: httpx.AsyncClient, shopper: GivenShopper, avatar_id: str) -> Seen:
    return Seen(given, http, shopper, avatar_id)


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


class TestHooks:
    async def test_a_hook_says_nothing_by_itself(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        told = {"id": job.rp_id, "status": "COMPLETED", "output": {"measurements": {"chest_cm": 1}}}
        assert (await http.post(hook_path(job), json=told)).status_code == 200
        await step()
        assert (await seen.avatar())["status"] == "processing"
        assert await seen.attempts() == ["submitted"]

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'{"id": 7}', b'{"id": "../x"}'])
    async def test_any_body_is_a_hint(
        self, body: bytes, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        assert (await http.post(hook_path(endpoint.newest), content=body)).status_code == 200

    async def test_wrong_token_unknown_attempt_and_other_methods_change_nothing(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        path = hook_path(endpoint.newest)
        folder, _, token = path.rpartition("/")
        wrong = await http.post(f"{folder}/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}", json={})
        unknown = await http.post(f"/hooks/jobs/{UUID(int=1)}/{token}", json={})
        assert (wrong.status_code, unknown.status_code) == (404, 404)
        assert wrong.json()["detail"] == unknown.json()["detail"]
        assert (await http.get(path)).status_code == 405
        assert (await http.post(path, content=b"x" * 65_000)).status_code == 413
        polls = await rows(seen.database, "select poll_at > submitted_at from job_attempts")
        assert [bool(row[0]) for row in polls] == [True]

    async def test_a_token_opens_its_own_attempt_and_no_other(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        """Of the same job, even: a new attempt has a new token."""
        await step()
        first = endpoint.newest
        endpoint.jobs[first.rp_id].status = {"status": "TIMED_OUT"}
        await step()
        clock.advance(seconds=60)
        await step()
        second = endpoint.newest
        leaked = hook_path(first).rpartition("/")[2]
        folder = hook_path(second).rpartition("/")[0]
        standing = "select id, state, poll_at, hinted_rp_id from job_attempts order by n"
        before = await rows(seen.database, standing)
        answer = await http.post(f"{folder}/{leaked}", json={"id": first.rp_id})
        assert answer.status_code == 404
        assert await rows(seen.database, standing) == before

    async def test_a_token_dies_of_age(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        await step()
        clock.advance(seconds=states.HOOK_LIFE.total_seconds() + 1)
        assert (await http.post(hook_path(endpoint.newest), json={})).status_code == 404

    async def test_an_id_of_another_job_is_not_adopted(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, given: Given, seen: Seen
    ) -> None:
        await step()
        other = endpoint.newest
        neighbour = await given.shopper(await given.brand("Another"))
        endpoint.run_faults.append(lambda _: httpx.Response(502))
        await http.post("/v1/avatars", headers=neighbour.headers, data=FACTS)
        await step()
        sent = endpoint.requests[-1]
        path = httpx.URL(httpx.Response(200, content=sent.content).json()["webhook"]).path
        assert (await http.post(path, json={"id": other.rp_id})).status_code == 200
        await step()
        found = await rows(seen.database, "select state, rp_id from job_attempts order by submitted_at, state")
        assert found == [("submitted", other.rp_id), ("unknown", None)]


class TestManifests:
    """Whatever is not as it must be counts as no artefact, and the work is done again."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"attempt_id": str(UUID(int=5))},
            {"contract_version": 2},
            {"files": {}},
            {"result": None},
            {"result": avatar_result(chest_cm=900)},
        ],
        ids=["other attempt", "other version", "no files", "no result", "out of range"],
    )
    async def test_wrong_content(
        self,
        changes: dict[str, Any],
        endpoint: ScriptedEndpoint,
        http: httpx.AsyncClient,
        step: Step,
        clock: HandClock,
        seen: Seen,
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job, **changes))
        endpoint.complete(job)
        await step()
        assert await seen.attempts() == ["no_artifact"]
        assert (await seen.avatar())["status"] == "pending"
        clock.advance(seconds=60)
        await step()
        assert await seen.attempts() == ["no_artifact", "submitted"]

    @pytest.mark.parametrize("manifest", [b"", b"{}", b"[1]", b"\xff"])
    async def test_not_a_manifest(
        self, manifest: bytes, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest)
        endpoint.complete(job)
        await step()
        assert await seen.attempts() == ["no_artifact"]

    async def test_a_file_of_another_size(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job), body_npz=NPZ + b"more")
        endpoint.complete(job)
        await step()
        assert await seen.attempts() == ["no_artifact"]

    async def test_completed_without_anything(
        self, endpoint: ScriptedEndpoint, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        """Three executions, then the end; the measurements stay."""
        for _ in range(3):
            await step()
            endpoint.complete(endpoint.newest)
            await step()
            clock.advance(seconds=60)
        await step()
        assert await seen.attempts() == ["no_artifact"] * 3
        assert len(endpoint.jobs) == 3
        avatar = await seen.avatar()
        assert (avatar["status"], avatar["error"]["code"]) == ("failed", "exhausted")
        assert avatar["measurements"]["chest_cm"]["mean"] > 80


class TestLostWork:
    async def test_gone_but_done(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        """The queue has forgotten it; the manifest has not."""
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job))
        del endpoint.jobs[job.rp_id]
        await step()
        assert (await seen.avatar())["status"] == "ready"

    async def test_forgotten_by_the_queue(
        self, endpoint: ScriptedEndpoint, step: Step, clock: HandClock, finish: Finish, seen: Seen
    ) -> None:
        await step()
        endpoint.jobs.clear()
        await step()
        clock.advance(seconds=60)
        await step()
        await finish(endpoint.newest)
        assert await seen.attempts() == ["gone", "succeeded"]

    async def test_result_lost_on_its_way_to_the_queue(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job))
        endpoint.report(job, "saving")
        clock.advance(seconds=130)
        await step()
        assert (await seen.avatar())["status"] == "ready"

    async def test_everything_down_until_the_deadline(
        self, endpoint: ScriptedEndpoint, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        """Attempts get rarer, cost no execution, and end."""

        def down(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        endpoint.run_faults.extend([down] * 500)
        for _ in range(60):
            clock.advance(seconds=17)
            await step()
        calls = 500 - len(endpoint.run_faults)
        assert 8 < calls < 25, calls
        assert await seen.jobs() == [("failed", 0)]
        assert (await seen.avatar())["error"]["code"] == "deadline_exceeded"
        assert (await seen.avatar())["status"] == "failed"

    async def test_never_an_answer_until_the_deadline(
        self, endpoint: ScriptedEndpoint, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        await step()
        clock.advance(minutes=21)
        await step()
        await step()
        assert await seen.attempts() == ["cancelled"]
        assert endpoint.cancelled == [endpoint.newest.rp_id]
        assert (await seen.avatar())["error"]["code"] == "deadline_exceeded"

    async def test_status_unreachable_for_a_while(
        self, endpoint: ScriptedEndpoint, step: Step, finish: Finish, seen: Seen
    ) -> None:
        await step()
        endpoint.status_faults.extend([lambda _: httpx.Response(400)] * 3)
        for _ in range(3):
            await step()
        assert await seen.attempts() == ["submitted"]
        await finish(endpoint.newest)
        assert (await seen.avatar())["status"] == "ready"
