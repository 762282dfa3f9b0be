"""A hook is a hint: whatever comes twice, late or forged changes nothing."""

from uuid import UUID

import httpx
import pytest

from backend.jobs import states
from tests.backend.conftest import Step
from tests.backend.jobs.conftest import FACTS, Seen
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import (
    ScriptedEndpoint,
    hook_path,
    rows,
)


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

    async def test_an_id_of_another_job_is_not_adopted_and_holds_nothing_up(
        self,
        endpoint: ScriptedEndpoint,
        http: httpx.AsyncClient,
        step: Step,
        given: Given,
        clock: HandClock,
        seen: Seen,
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
        for _ in range(3):
            clock.advance(seconds=states.UNKNOWN_GRACE.total_seconds() / 2)
            await step()
        found = await rows(seen.database, "select state from job_attempts where rp_id is null")
        assert found == [("abandoned",)], "as one of which no hook said anything"
