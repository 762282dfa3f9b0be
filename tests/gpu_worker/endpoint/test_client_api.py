"""RunPod's client API as a backend sees it: shapes, refusals, retention."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from gpu_worker.local_endpoint.keys import Keys
from tests.gpu_worker.endpoint.driver import Endpoint


class TestRun:
    async def test_ids_say_how_the_job_was_submitted(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        assert job_id.endswith("-e1")
        _, answer = await endpoint.client("POST", "/runsync?wait=1000", json={"input": {"a": 1}})
        assert answer["id"].startswith("sync-")
        assert answer["status"] == "IN_QUEUE"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"not json",
            b"{}",
            b'{"input": {}}',
            b'{"input": { }}',
            b'{"input": null}',
            b'{"input": {"a": 1}, "webhook": "file:///etc/passwd"}',
            b'{"input": {"a": 1}, "policy": {"ttl": 0}}',
            b'{"input": {"a": 1}, "policy": {"executionTimeout": "soon"}}',
        ],
    )
    async def test_a_request_that_makes_no_sense_is_refused(self, endpoint: Endpoint, body: bytes) -> None:
        status, answer = await endpoint.client("POST", "/run", data=body)
        assert status == 400
        assert isinstance(answer["error"], str)
        _, health = await endpoint.client("GET", "/health")
        assert health["jobs"]["inQueue"] == 0

    async def test_a_request_over_10_mb_is_refused(self, endpoint: Endpoint) -> None:
        body = io.BytesIO(b'{"input": "' + b"x" * endpoint.limits.max_run_bytes + b'"}')
        assert (await endpoint.client("POST", "/run", data=body))[0] == 413

    async def test_unknown_fields_of_a_newer_client_are_ignored(self, endpoint: Endpoint) -> None:
        assert await endpoint.run(s3Config={"a": 1}, policy={"lowPriority": False, "ttl": 900000, "new": 1})


class TestRunsync:
    async def test_it_waits_for_the_result(self, endpoint: Endpoint) -> None:
        request = asyncio.create_task(endpoint.client("POST", "/runsync", json={"input": {"a": 1}}))
        worker = endpoint.worker("w1")
        job = await worker.take()
        assert job is not None
        await worker.done(job["id"], output=[1, 2])
        status, answer = await request
        assert (status, answer["status"], answer["output"]) == (200, "COMPLETED", [1, 2])

    async def test_its_result_is_kept_for_a_minute_only(self, endpoint: Endpoint) -> None:
        request = asyncio.create_task(endpoint.client("POST", "/runsync", json={"input": {"a": 1}}))
        worker = endpoint.worker("w1")
        job = await worker.take()
        assert job is not None
        await worker.done(job["id"], output=1)
        await request
        assert (await endpoint.status(job["id"]))["output"] == 1
        await endpoint.pass_time(61)
        assert (await endpoint.client("GET", f"/status/{job['id']}"))[0] == 404


class TestOutcomes:
    async def finished(self, endpoint: Endpoint, **result: Any) -> dict[str, Any]:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        await worker.done(job_id, **result)
        return await endpoint.status(job_id)

    async def test_an_error_text_fails_the_job(self, endpoint: Endpoint) -> None:
        seen = await self.finished(endpoint, error='{"code":"photo_no_person","retryable":false}')
        assert (seen["status"], seen["error"]) == ("FAILED", '{"code":"photo_no_person","retryable":false}')
        assert "output" not in seen

    async def test_an_error_that_is_no_text_completes_the_job_without_output(self, endpoint: Endpoint) -> None:
        seen = await self.finished(endpoint, error=["photo_no_person"])
        assert seen["status"] == "COMPLETED"
        assert "output" not in seen

    async def test_a_result_that_is_not_json_changes_nothing(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        status, _ = await worker.request("POST", f"/job-done/w1/{job_id}?gpu=x&isStream=false", data="{oops")
        assert status == 400
        assert (await endpoint.status(job_id))["status"] == "IN_PROGRESS"

    async def test_only_the_first_result_counts(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        assert await worker.done(job_id, output="first") == 200
        assert await worker.done(job_id, error="second") == 200
        assert (await endpoint.status(job_id))["output"] == "first"

    async def test_progress_shows_while_running_and_is_ignored_afterwards(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        await worker.done(job_id, status="IN_PROGRESS", output={"stage": "measuring", "of": 5})
        seen = await endpoint.status(job_id)
        assert (seen["status"], seen["output"]) == ("IN_PROGRESS", {"stage": "measuring", "of": 5})
        await worker.done(job_id, output="result")
        await worker.done(job_id, status="IN_PROGRESS", output={"stage": "late", "of": 5})
        seen = await endpoint.status(job_id)
        assert (seen["status"], seen["output"]) == ("COMPLETED", "result")

    async def test_results_are_kept_for_half_an_hour(self, endpoint: Endpoint) -> None:
        job_id = (await self.finished(endpoint, output=1))["id"]
        await endpoint.pass_time(29 * 60)
        assert (await endpoint.status(job_id))["output"] == 1
        await endpoint.pass_time(2 * 60)
        assert (await endpoint.client("GET", f"/status/{job_id}"))[0] == 404

    async def test_stream_hands_out_each_part_once(self, endpoint: Endpoint) -> None:
        job_id = await endpoint.run()
        worker = endpoint.worker("w1")
        await worker.take()
        for number in range(2):
            await worker.request(
                "POST", f"/job-stream/w1/{job_id}?gpu=x&isStream=false", data=f'{{"output": {number}}}'
            )
        assert await endpoint.client("GET", f"/stream/{job_id}") == (
            200,
            {"status": "IN_PROGRESS", "stream": [{"output": 0}, {"output": 1}]},
        )
        assert (await endpoint.client("POST", f"/stream/{job_id}"))[1]["stream"] == []

    async def test_retry_runs_a_failed_job_again_under_its_id(self, endpoint: Endpoint) -> None:
        job_id = (await self.finished(endpoint, error="broken"))["id"]
        assert await endpoint.client("POST", f"/retry/{job_id}") == (200, {"id": job_id, "status": "IN_QUEUE"})
        worker = endpoint.worker("w1")
        assert (await worker.take() or {})["id"] == job_id
        await worker.done(job_id, output=1)
        assert (await endpoint.status(job_id))["status"] == "COMPLETED"
        assert (await endpoint.client("POST", f"/retry/{job_id}"))[0] == 400


class TestQueueAsAWhole:
    async def test_purge_cancels_what_waits_and_leaves_what_runs(self, endpoint: Endpoint) -> None:
        running = await endpoint.run(1)
        await endpoint.worker("w1").take()
        waiting = [await endpoint.run(n) for n in range(2)]
        assert await endpoint.client("POST", "/purge-queue") == (200, {"removed": 2, "status": "completed"})
        assert (await endpoint.status(running))["status"] == "IN_PROGRESS"
        assert {(await endpoint.status(job_id))["status"] for job_id in waiting} == {"CANCELLED"}

    async def test_health_counts_jobs_and_workers(self, endpoint: Endpoint) -> None:
        for n in range(4):
            await endpoint.run(n)
        failing, busy, idle = (endpoint.worker(name) for name in ("w1", "w2", "w3"))
        for result in ({"output": 1}, {"error": "x"}):
            job = await failing.take()
            assert job is not None
            await failing.done(job["id"], **result)
        await busy.take()
        await idle.ping()
        await endpoint.worker("w4").request("GET", "/ping/w4?gpu=x&status=unhealthy&check=model&reason=missing")
        assert await endpoint.client("GET", "/health") == (
            200,
            {
                "jobs": {"completed": 1, "failed": 1, "inProgress": 1, "inQueue": 1, "retried": 0},
                "workers": {
                    "idle": 2,
                    "initializing": 0,
                    "ready": 3,
                    "running": 1,
                    "throttled": 0,
                    "unhealthy": 1,
                },
            },
        )
        await endpoint.pass_time(endpoint.limits.heartbeat_timeout_s + 1)
        _, health = await endpoint.client("GET", "/health")
        assert health["workers"]["ready"] == 0
        assert health["jobs"]["retried"] == 0

    async def test_an_unhealthy_worker_gets_no_job(self, endpoint: Endpoint) -> None:
        worker = endpoint.worker("w1")
        await worker.request("GET", "/ping/w1?gpu=x&status=unhealthy&check=model&reason=missing")
        await endpoint.run()
        assert await worker.take() is None


class TestWhoMayCall:
    CLIENT = (
        ("POST", "/run"),
        ("POST", "/runsync"),
        ("GET", "/status/x"),
        ("POST", "/status/x"),
        ("GET", "/stream/x"),
        ("POST", "/cancel/x"),
        ("POST", "/retry/x"),
        ("POST", "/purge-queue"),
        ("GET", "/health"),
    )
    WORKER = (
        ("GET", "/job-take/w1"),
        ("GET", "/job-take-batch/w1"),
        ("POST", "/job-done/w1/x"),
        ("POST", "/job-stream/w1/x"),
        ("GET", "/ping/w1"),
        ("GET", "/job-stop/w1"),
    )

    @pytest.mark.parametrize(("method", "path"), CLIENT + WORKER)
    async def test_a_wrong_or_missing_key_is_refused(self, endpoint: Endpoint, method: str, path: str) -> None:
        client, worker = endpoint.keys.client_key, endpoint.keys.worker_key
        right = f"Bearer {client}" if (method, path) in self.CLIENT else worker
        for given in (
            None,
            "",
            "Bearer ",
            client,
            f"Bearer {worker}",
            f"bearer  {client}",
            worker,
            f"Bearer {client}x",
        ):
            if given == right:
                continue
            headers = {} if given is None else {"Authorization": given}
            async with endpoint.session.request(method, f"{endpoint.base}/v2/local{path}", headers=headers) as answer:
                assert (answer.status, await answer.json()) == (401, {"error": "Unauthorized"}), given

    @pytest.mark.parametrize("path", ["/_/drain/local/w1", "/_/gone/local/w1"])
    async def test_a_supervisor_needs_the_worker_key(self, endpoint: Endpoint, path: str) -> None:
        async with endpoint.session.post(endpoint.base + path) as answer:
            assert answer.status == 401

    async def test_ready_needs_no_key(self, endpoint: Endpoint) -> None:
        async with endpoint.session.get(f"{endpoint.base}/_/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ready"})

    @pytest.mark.parametrize(
        ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/run", 405), ("DELETE", "/status/x", 405)]
    )
    async def test_unknown_routes_and_methods(self, endpoint: Endpoint, method: str, path: str, status: int) -> None:
        assert (await endpoint.client(method, path))[0] == status


class TestKeys:
    def test_they_are_made_once_and_random(self, tmp_path: Path) -> None:
        first = Keys.load_or_create(tmp_path / "a")
        assert Keys.load_or_create(tmp_path / "a") == first
        second = Keys.load_or_create(tmp_path / "b")
        assert len({first.client_key, first.worker_key, second.client_key, second.worker_key}) == 4
        assert min(len(first.client_key), len(first.worker_key)) >= 40
