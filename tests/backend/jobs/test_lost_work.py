"""Results, answers and queues that get lost: the work is found, done again, or ended in time."""

import httpx

from tests.backend.conftest import Finish, Step
from tests.backend.jobs.conftest import Seen
from tests.fakes import HandClock
from tests.scripted_endpoint import (
    ScriptedEndpoint,
    manifest_of,
    upload,
)


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
