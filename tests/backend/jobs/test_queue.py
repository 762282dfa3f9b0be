"""The client, one answer of the endpoint at a time: what each means for the job."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from backend.jobs import states
from backend.jobs.answers import JobStatus, read_error, read_status, retry_after_s
from backend.jobs.limits import FIRST_LIMIT
from backend.jobs.queue import Ambiguous, Gone, NotAccepted, Rejected, RunPodQueue, Submission, Unreachable
from gpu_worker.contract import JobInput
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SUBMISSION = Submission(JobInput(1, "a-1", "noop"), "http://tryon.test/hooks/jobs/a/t", FIRST_LIMIT)


def raising(kind: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def fault(request: httpx.Request) -> httpx.Response:
        raise kind("x", request=request)

    return fault


def answering(status: int, **more: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, **more)


@pytest.fixture
def client(endpoint: ScriptedEndpoint) -> RunPodQueue:
    return RunPodQueue(BASE_URL, "local", lambda: "the-key", transport=endpoint)


class TestRun:
    async def test_accepted(self, client: RunPodQueue, endpoint: ScriptedEndpoint) -> None:
        assert await client.run(SUBMISSION) == "job-1"
        request = endpoint.requests[0]
        assert str(request.url) == f"{BASE_URL}/local/run"
        assert request.headers["authorization"] == "Bearer the-key"

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (raising(httpx.ConnectError), NotAccepted),
            (raising(httpx.ConnectTimeout), NotAccepted),
            (raising(httpx.PoolTimeout), NotAccepted),
            (answering(429), NotAccepted),
            (answering(400), Rejected),
            (answering(413), Rejected),
            (answering(422), Rejected),
            (answering(401), NotAccepted),
            (answering(403), NotAccepted),
            (answering(404), NotAccepted),
            (answering(405), NotAccepted),
            (answering(307, headers={"location": "http://elsewhere.test/"}), NotAccepted),
            (raising(httpx.WriteTimeout), Ambiguous),
            (raising(httpx.ReadTimeout), Ambiguous),
            (raising(httpx.ReadError), Ambiguous),
            (raising(httpx.RemoteProtocolError), Ambiguous),
            (answering(408), Ambiguous),
            (answering(500), Ambiguous),
            (answering(502), Ambiguous),
            (answering(200, content=b""), Ambiguous),
            (answering(200, json=[]), Ambiguous),
            (answering(200, json={"id": None}), Ambiguous),
            (answering(200, json={"id": "../cancel"}), Ambiguous),
            (answering(200, content=b"x" * 2_000_000), Ambiguous),
        ],
    )
    async def test_outcome(
        self, fault: Any, expected: type[Exception], client: RunPodQueue, endpoint: ScriptedEndpoint
    ) -> None:
        endpoint.run_faults.append(fault)
        with pytest.raises(expected):
            await client.run(SUBMISSION)
        assert len(endpoint.requests) == 1, "never repeated by the client"

    async def test_says_when_to_come_again(self, client: RunPodQueue, endpoint: ScriptedEndpoint) -> None:
        endpoint.run_faults.append(answering(429, headers={"retry-after": "7"}))
        with pytest.raises(NotAccepted) as refusal:
            await client.run(SUBMISSION)
        assert refusal.value.retry_after_s == 7

    @pytest.mark.parametrize(("status", "expected"), [(302, True), (401, True), (405, True), (429, False)])
    async def test_wrong_key_or_address_is_told_from_what_passes(
        self, status: int, expected: bool, client: RunPodQueue, endpoint: ScriptedEndpoint
    ) -> None:
        endpoint.run_faults.append(answering(status))
        with pytest.raises(NotAccepted) as refusal:
            await client.run(SUBMISSION)
        assert refusal.value.is_misconfiguration == expected


class TestStatus:
    async def test_gone(self, client: RunPodQueue) -> None:
        with pytest.raises(Gone):
            await client.status("nobody")

    @pytest.mark.parametrize("fault", [raising(httpx.ReadTimeout), answering(500), answering(429)])
    async def test_asks_again_after_a_fault(self, fault: Any, client: RunPodQueue, endpoint: ScriptedEndpoint) -> None:
        rp_id = await client.run(SUBMISSION)
        endpoint.status_faults += [fault, fault]
        assert (await client.status(rp_id)).state == "open"
        assert len(endpoint.requests) == 4

    async def test_gives_up(self, client: RunPodQueue, endpoint: ScriptedEndpoint) -> None:
        endpoint.status_faults.append(answering(401))
        with pytest.raises(Unreachable):
            await client.status("job-1")
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"status": "IN_QUEUE"}, JobStatus("open", is_queued=True, error_code="internal")),
            ({"status": "RUNNING"}, JobStatus("open", error_code="internal")),
            ({"status": "NEVER_HEARD_OF"}, JobStatus("open", error_code="internal")),
            ({"status": 7}, JobStatus("open", error_code="internal")),
            ({}, JobStatus("open", error_code="internal")),
            (
                {"status": "IN_PROGRESS", "output": {"stage": "measuring", "of": 5}, "workerId": "w"},
                JobStatus("open", stage="measuring", error_code="internal", worker_id="w"),
            ),
            (
                {"status": "COMPLETED", "delayTime": 12, "executionTime": 345.6, "output": "x"},
                JobStatus("completed", error_code="internal", delay_ms=12, exec_ms=346),
            ),
            (
                {"status": "FAILED", "error": '{"code": "photo_pose", "retryable": false}'},
                JobStatus("failed", error_code="photo_pose", is_retryable=False),
            ),
            ({"status": "TIMED_OUT", "delayTime": -1}, JobStatus("timed_out", error_code="internal")),
            ({"status": "CANCELLED", "executionTime": True}, JobStatus("cancelled", error_code="internal")),
        ],
    )
    def test_read(self, body: Any, expected: JobStatus) -> None:
        assert read_status(json.dumps(body).encode()) == expected

    @pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b"\xff"])
    def test_unreadable_is_open(self, content: bytes) -> None:
        assert read_status(content) == JobStatus("open")

    @pytest.mark.parametrize(
        "error",
        [None, [], {}, 7, "", "Traceback …", "x" * 1_000_000, "{}", "[]", '{"code": 7, "retryable": true}',
         '{"error_type": "ValueError", "error_message": "https://signed"}'],
    )  # fmt: skip
    def test_an_error_that_is_not_ours_is_internal(self, error: Any) -> None:
        assert read_error(error) == ("internal", True)


class TestWaiting:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, 0),
            ("", 0),
            ("12", 12),
            ("-3", 0),
            ("soon", 0),
            ("999999", 1200),
            (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
            ("Mon, 02 Mar 2026 09:31:00 -0000", 60),
            (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ],
    )
    def test_retry_after_in_seconds_or_as_a_date(self, value: str | None, expected: float) -> None:
        assert retry_after_s(value, NOW) == expected

    def test_backoff_grows_to_a_limit_and_is_never_nothing(self) -> None:
        for tries, limit_s in ((1, 1.0), (3, 4.0), (20, 60.0)):
            waits = [states.backoff(tries).total_seconds() for _ in range(300)]
            assert 0.1 <= min(waits) <= max(waits) <= limit_s
            assert max(waits) > limit_s * 0.8
        told = [states.backoff(20, at_least_s=9).total_seconds() for _ in range(300)]
        assert 9 <= min(told) <= max(told) <= 14
        assert max(told) - min(told) > 4, "those that were told the same time do not come together"

    def test_the_older_the_rarer(self) -> None:
        young, old = (states.poll_delay(timedelta(seconds=age), is_local=False) for age in (1, 600))
        assert young <= timedelta(seconds=2.6) < timedelta(seconds=10.5) <= old
        assert states.poll_delay(timedelta(seconds=600), is_local=True) <= timedelta(seconds=2.6)
