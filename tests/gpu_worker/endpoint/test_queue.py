"""Who gets which job, and what becomes of a job whose worker is gone: both protocols over HTTP."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gpu_worker.local_endpoint.limits import Limits
from tests.gpu_worker.endpoint.driver import Clock, Endpoint, endpoint_in


class TestHandOver:
    async def test_a_job_goes_to_the_parked_poll_and_its_result_to_the_client(self, endpoint: Endpoint) -> None:
        worker = endpoint.worker("w1")
        poll = worker.parked()
        job_id = await endpoint.run({"n": 7}, webhook="http://127.0.0.1:1/hook")
        job = await poll
        assert job == {"id": job_id, "input": {"value": {"n": 7}}, "webhook": "http://127.0.0.1:1/hook"}
        assert (await endpoint.status(job_id))["status"] == "IN_PROGRESS"
        assert await worker.done(job_id, output={"size": "M"}) == 200
        seen = await endpoint.status(job_id)
        assert seen.pop("delayTime") >= 0
        assert seen.pop("executionTime") >= 0
        assert seen == {"id": job_id, "status": "COMPLETED", "output": {"size": "M"}, "workerId": "w1"}

    async def test_jobs_leave_in_the_order_they_came(self, endpoint: Endpoint) -> None:
        ids = [await endpoint.run(n) for n in range(4)]
        worker, taken = endpoint.worker("w1"), []
        for _ in ids:
            job = await worker.take()
            assert job is not None
            taken.append(job["id"])
            await worker.done(job["id"], output=1)
        assert taken == ids

    async def test_the_longest_parked_worker_is_served_first(self, endpoint: Endpoint) -> None:
        first = endpoint.worker("w1").parked()
        await asyncio.sleep(0.02)
        second = endpoint.worker("w2").parked()
        await asyncio.sleep(0.02)
        job_id = await endpoint.run()
        job = await first
        assert job is not None
        assert job["id"] == job_id
        assert await second is None

    async def test_a_worker_has_one_job_at_a_time_and_the_next_the_moment_it_is_done(self, endpoint: Endpoint) -> None:
        first, second = await endpoint.run(1), await endpoint.run(2)
        worker = endpoint.worker("w1")
        assert (await worker.take() or {})["id"] == first
        spare = worker.parked(busy=True)
        await asyncio.sleep(0.1)
        assert not spare.done()
        await worker.done(first, output=1)
        assert (await spare or {})["id"] == second

    async def test_a_batch_poll_gets_a_list_of_one(self, endpoint: Endpoint) -> None:
        ids = [await endpoint.run(n) for n in range(2)]
        path = "/job-take-batch/w1?gpu=x&batch_size=3&job_in_progress=0"
        status, jobs = await endpoint.worker("w1").request("GET", path)
        assert status == 200
        assert [job["id"] for job in jobs] == ids[:1]

    async def test_an_empty_queue_is_answered_with_nothing_after_the_hold(self, endpoint: Endpoint) -> None:
        assert await endpoint.worker("w1").take() is None

    async def test_a_dead_poll_never_gets_a_job(self, endpoint: Endpoint) -> None:
        dead = endpoint.worker("w1").parked()
        await asyncio.sleep(0.05)
        dead.cancel()  # closes the connection
        await asyncio.gather(dead, return_exceptions=True)
        await asyncio.sleep(0.05)
        job_id = await endpoint.run()
        assert (await endpoint.status(job_id))["status"] == "IN_QUEUE"
        assert (await endpoint.worker("w2").take() or {})["id"] == job_id

    async def test_other_endpoints_have_their_own_queue(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        endpoint.name = "other"
        assert await endpoint.worker("w1").take() is None
        assert (await endpoint.client("GET", f"/status/{job_id}"))[0] == 404


class TestLostJob:
    async def test_silence_puts_it_back_at_the_front(self, endpoint: Endpoint) -> None:
        first = await endpoint.run(1)
        await endpoint.worker("w1").take()
        second = await endpoint.run(2)
        await endpoint.pass_time(endpoint.limits.heartbeat_timeout_s - 0.5)
        assert (await endpoint.status(first))["status"] == "IN_PROGRESS"
        await endpoint.pass_time(1.0)
        assert (await endpoint.status(first))["status"] == "IN_QUEUE"
        other = endpoint.worker("w2")
        for expected in (first, second):
            assert (await other.take() or {})["id"] == expected
            await other.done(expected, output=1)

    async def test_heartbeats_that_name_it_keep_it(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        for _ in range(10):
            await endpoint.pass_time(endpoint.limits.ping_interval_s)
            await worker.ping(job_id)
        assert (await endpoint.status(job_id))["status"] == "IN_PROGRESS"

    async def test_two_heartbeats_that_do_not_name_it_put_it_back(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        await worker.ping()  # sent before the job arrived: counts for nothing
        await endpoint.pass_time(2.5 * endpoint.limits.ping_interval_s)
        await worker.ping()
        assert (await endpoint.status(job_id))["status"] == "IN_PROGRESS"
        await worker.ping()
        assert (await endpoint.status(job_id))["status"] == "IN_QUEUE"

    async def test_a_poll_of_a_worker_that_says_it_is_idle_puts_it_back_at_once(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        assert (await worker.take() or {})["id"] == job_id

    async def test_lost_three_times_it_is_failed(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        for _ in range(3):
            assert (await worker.take() or {})["id"] == job_id
        assert await worker.take() is None
        seen = await endpoint.status(job_id)
        assert (seen["status"], seen["error"]) == ("FAILED", "worker exited")

    async def test_the_first_result_counts_even_from_the_worker_it_was_taken_from(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        slow, second = endpoint.worker("w1"), endpoint.worker("w2")
        await slow.take()
        await endpoint.pass_time(endpoint.limits.heartbeat_timeout_s + 0.5)
        await second.take()
        assert await slow.done(job_id, output="first") == 200
        assert await second.stop_orders() == [job_id]
        assert await second.done(job_id, output="second") == 200
        assert (await endpoint.status(job_id))["output"] == "first"

    async def test_a_supervisor_that_reports_a_death_spares_the_wait(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        await endpoint.worker("w1").take()
        headers = {"Authorization": endpoint.keys.worker_key}
        async with endpoint.session.post(f"{endpoint.base}/_/gone/local/w1", headers=headers) as answer:
            assert answer.status == 200
        assert (await endpoint.worker("w2").take() or {})["id"] == job_id


class TestStop:
    async def test_cancel_tells_the_worker_and_keeps_its_slot_until_it_has_dropped_the_job(
        self, endpoint: Endpoint
    ) -> None:
        job_id, next_id = await endpoint.run(1), await endpoint.run(2)
        worker = endpoint.worker("w1")
        await worker.take()
        orders = asyncio.create_task(worker.stop_orders())
        await asyncio.sleep(0.02)
        assert await endpoint.client("POST", f"/cancel/{job_id}") == (200, {"id": job_id, "status": "CANCELLED"})
        assert await orders == [job_id]
        spare = worker.parked(busy=True)
        await worker.ping(job_id)
        await asyncio.sleep(0.05)
        assert not spare.done()
        assert await worker.stop_orders() == [job_id]  # still at it: told again
        await worker.ping()
        assert (await spare or {})["id"] == next_id
        assert await worker.done(job_id, output="too late") == 200
        assert (await endpoint.status(job_id))["status"] == "CANCELLED"

    async def test_a_worker_that_never_drops_the_job_is_given_work_again_after_a_while(
        self, endpoint: Endpoint
    ) -> None:
        job_id = await endpoint.run(1)
        worker = endpoint.worker("w1")
        await worker.take()
        await endpoint.client("POST", f"/cancel/{job_id}")
        await endpoint.pass_time(endpoint.limits.stopping_slot_s + 0.5)
        next_id = await endpoint.run(2)
        assert (await worker.take(busy=True) or {})["id"] == next_id

    async def test_cancel_before_it_is_taken(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        await endpoint.client("POST", f"/cancel/{job_id}")
        assert await endpoint.worker("w1").take() is None

    async def test_execution_timeout_counts_from_hand_over(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run(policy={"executionTimeout": 5000})
        await endpoint.pass_time(20)
        worker = endpoint.worker("w1")
        await worker.take()
        await endpoint.pass_time(4)
        assert (await endpoint.status(job_id))["status"] == "IN_PROGRESS"
        await endpoint.pass_time(2)
        assert (await endpoint.status(job_id))["status"] == "TIMED_OUT"
        assert await worker.stop_orders() == [job_id]

    async def test_time_to_live_counts_from_submission_also_while_running(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run(policy={"ttl": 3000})
        worker = endpoint.worker("w1")
        await worker.take()
        await endpoint.pass_time(3.5)
        assert (await endpoint.client("GET", f"/status/{job_id}"))[0] == 404
        assert await worker.stop_orders() == [job_id]
        assert await worker.done(job_id, output=1) == 404

    async def test_a_worker_that_wants_to_be_replaced_gets_nothing_more(self, endpoint: Endpoint) -> None:
        first = await endpoint.run(1)
        worker = endpoint.worker("w1")
        await worker.take()
        spare = worker.parked(busy=True)
        await asyncio.sleep(0.02)
        await endpoint.run(2)
        assert await worker.done(first, error="{}", stopPod=True) == 200
        assert await spare is None


class TestRestart:
    async def test_nothing_is_lost_and_running_jobs_keep_their_worker(
        self, tmp_path: Path, clock: Clock, limits: Limits
    ) -> None:
        async with endpoint_in(tmp_path, clock, limits) as before:
            done, running, waiting = [await before.run(n) for n in range(3)]
            worker = before.worker("w1")
            await worker.take()
            await worker.done(done, output={"kept": True})
            await worker.take()
            keys = before.keys
        clock.ahead_s += 300  # down for five minutes: the running job is not held lost at once
        async with endpoint_in(tmp_path, clock, limits) as after:
            assert after.keys == keys
            await after.pass_time(limits.heartbeat_timeout_s - 0.5)
            assert (await after.status(running))["status"] == "IN_PROGRESS"
            worker = after.worker("w1")
            await worker.ping(running)
            assert await worker.done(running, output=2) == 200
            assert (await after.status(running))["output"] == 2
            assert (await worker.take() or {})["id"] == waiting
            assert (await after.status(done))["output"] == {"kept": True}

    async def test_a_running_job_whose_worker_does_not_come_back_is_requeued(
        self, tmp_path: Path, clock: Clock, limits: Limits
    ) -> None:
        async with endpoint_in(tmp_path, clock, limits) as before:
            job_id = await before.run()
            await before.worker("w1").take()
        async with endpoint_in(tmp_path, clock, limits) as after:
            await after.pass_time(limits.heartbeat_timeout_s + 0.5)
            assert (await after.worker("w2").take() or {})["id"] == job_id

    async def test_files_are_for_their_owner_alone(self, tmp_path: Path, endpoint: Endpoint) -> None:
        folder = tmp_path / "endpoint"
        assert folder.stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert {"keys.json", "queue.db", "queue.db-wal"} <= modes.keys()
        assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("limits", [Limits(tick_s=0.01, take_hold_s=30)])
async def test_stopping_the_endpoint_does_not_wait_for_open_polls(tmp_path: Path, clock: Clock, limits: Limits) -> None:
    async with endpoint_in(tmp_path, clock, limits) as endpoint:
        polls = [endpoint.worker(f"w{n}").parked() for n in range(3)]
        await asyncio.sleep(0.05)
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 3
    results = await asyncio.gather(*polls, return_exceptions=True)
    assert all(result is None or isinstance(result, aiohttp.ClientError) for result in results)
