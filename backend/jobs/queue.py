"""Where work is executed: RunPod's queue, or anything that speaks its protocol. Own client, every answer classified.

`POST /run` is never repeated here: RunPod has no idempotency key, so only the job's row may decide to try again.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import msgspec
import structlog

from backend.jobs import states
from backend.jobs.answers import (
    JobStatus,
    QueueHealth,
    read_health,
    read_id,
    read_removed,
    read_status,
    retry_after_s,
)
from backend.jobs.limiter import RUNPOD_LIMITS, Action, Limit, Limiter, Overloaded
from gpu_worker.contract import JobInput

log = structlog.get_logger()

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 10.0
RUN_LIMIT_S = 15.0
"""Of one `/run` in all: an answer that drips in must not outlast the grace of its attempt."""
ASK_LIMIT_S = 20.0
"""Of one status or health with its repetitions; less than the lease of the attempt that is looked at."""
TURN_PATIENCE_S = 3.0
"""What a call may wait for its turn under the limits."""
POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0)
MAX_ANSWER_BYTES = 1_000_000
GET_TRIES = 4
FIRST_WAIT_S, MAX_WAIT_S = 0.1, 2.0
TOO_MANY_REQUESTS = httpx.codes.TOO_MANY_REQUESTS
REFUSED_FOR_GOOD = frozenset({400, 413, 422})
MISCONFIGURED = frozenset({401, 403, 404, 405})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Submission(msgspec.Struct, frozen=True):
    input: JobInput
    webhook: str
    execution_timeout: timedelta


class QueueFault(Exception):
    """`status` is the HTTP status behind it, None where there was no answer."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_throttle(self) -> bool:
        return self.status == TOO_MANY_REQUESTS

    @property
    def is_misconfiguration(self) -> bool:
        """A wrong key, address or method: nothing that goes away by itself."""
        return self.status is not None and (self.status in MISCONFIGURED or 300 <= self.status < 400)


class NotAccepted(QueueFault):
    """Certainly not started; worth another try."""


class Rejected(QueueFault):
    """Refused for good: our own fault, wherever it would be sent."""


class Ambiguous(QueueFault):
    """May have been accepted; must not be sent again at once."""


class Gone(QueueFault):
    """The queue does not know it (any more)."""


class Unreachable(QueueFault):
    """No answer that says anything."""


class ComputeQueue(Protocol):
    """One queue of one provider."""

    @property
    def provider(self) -> str: ...

    @property
    def endpoint_id(self) -> str: ...

    @property
    def is_local(self) -> bool: ...

    async def run(self, submission: Submission) -> str:
        """Its id; raises `NotAccepted`, `Rejected` or `Ambiguous`."""
        ...

    async def status(self, rp_id: str) -> JobStatus:
        """Raises `Gone` or `Unreachable`."""
        ...

    async def cancel(self, rp_id: str) -> None:
        """Tried once; never raises."""
        ...

    async def health(self) -> QueueHealth:
        """Raises `Unreachable`."""
        ...

    async def purge(self) -> int:
        """Cancels all that waits, of every job; how many that were. Raises `Unreachable`."""
        ...

    async def close(self) -> None: ...


class RunPodQueue:
    """`api_key` is asked for on every request: the local endpoint may write its key after we have started."""

    def __init__(
        self,
        base_url: str,
        endpoint_id: str,
        api_key: Callable[[], str],
        *,
        limits: Mapping[Action, Limit] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Without `limits`, RunPod's documented ones; an endpoint on this host has none."""
        self.provider = base_url
        self.endpoint_id = endpoint_id
        self.is_local = httpx.URL(base_url).host in LOOPBACK
        self._api_key = api_key
        self._limiter = Limiter(({} if self.is_local else RUNPOD_LIMITS) if limits is None else limits)
        self._http = httpx.AsyncClient(
            base_url=f"{base_url}/{endpoint_id}/",
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=POOL,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def run(self, submission: Submission) -> str:
        body = {
            "input": msgspec.to_builtins(submission.input),
            "webhook": submission.webhook,
            "policy": {
                "executionTimeout": round(submission.execution_timeout.total_seconds() * 1000),
                "ttl": round(states.QUEUE_TTL.total_seconds() * 1000),
                "lowPriority": False,
            },
        }
        try:
            async with self._limiter.turn("run", patience_s=TURN_PATIENCE_S), asyncio.timeout(RUN_LIMIT_S):
                answer = await self._request("POST", "run", json=body)
        except Overloaded as limit:
            raise NotAccepted("our own limit", status=TOO_MANY_REQUESTS, retry_after_s=limit.wait_s) from limit
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise NotAccepted(type(error).__name__) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Ambiguous(type(error).__name__) from error
        return _accepted_id(answer)

    async def status(self, rp_id: str) -> JobStatus:
        answer = await self._get("status", f"status/{rp_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Gone("404", status=404)
        _expect_success(answer)
        return read_status(answer.content)

    async def health(self) -> QueueHealth:
        answer = await self._get("health", "health")
        _expect_success(answer)
        health = read_health(answer.content)
        if health is None:
            raise Unreachable("an answer without counts", status=answer.status_code)
        return health

    async def cancel(self, rp_id: str) -> None:
        try:
            async with self._limiter.turn("cancel", patience_s=TURN_PATIENCE_S):
                await self._request("POST", f"cancel/{rp_id}")
        except (httpx.HTTPError, Overloaded) as error:
            log.warning("job.cancel_failed", fault=type(error).__name__)

    async def purge(self) -> int:
        try:
            async with self._limiter.turn("purge", patience_s=TURN_PATIENCE_S):
                answer = await self._request("POST", "purge-queue")
        except (httpx.HTTPError, Overloaded) as error:
            raise Unreachable(type(error).__name__) from error
        _expect_success(answer)
        return read_removed(answer.content)

    async def close(self) -> None:
        await self._http.aclose()

    async def _get(self, action: Action, path: str) -> httpx.Response:
        """Repeated after a fault that may pass; the last answer, whatever it says."""
        answer, reason = None, "time is over"
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                for tried in range(1, GET_TRIES + 1):
                    try:
                        async with self._limiter.turn(action, patience_s=TURN_PATIENCE_S):
                            answer = await self._request("GET", path)
                    except (httpx.HTTPError, Overloaded) as error:
                        answer, reason = None, type(error).__name__
                    if answer is not None and not _may_pass(answer.status_code):
                        return answer
                    if tried < GET_TRIES:
                        wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2**tried)
                        await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311  no secret
        except TimeoutError:
            pass
        if answer is None:
            raise Unreachable(reason)
        return answer

    async def _request(self, method: str, path: str, *, json: object = None) -> httpx.Response:
        """The answer with at most `MAX_ANSWER_BYTES` of its body; more counts as no answer."""
        key = self._api_key()
        if not key:  # the endpoint on this host has never started
            raise httpx.ConnectError("There is no key yet.")
        headers = {"Authorization": f"Bearer {key}"}
        async with self._http.stream(method, path, json=json, headers=headers) as answer:
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise httpx.DecodingError("The answer is too long.")
            return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=bytes(content))


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """Without what describes the encoding of a body that is decoded already."""
    return {name: value for name, value in headers.items() if name == "retry-after"}


def _may_pass(status: int) -> bool:
    return status == TOO_MANY_REQUESTS or status >= 500


def _accepted_id(answer: httpx.Response) -> str:
    """The table of outcomes of `POST /run`."""
    code = answer.status_code
    if code == TOO_MANY_REQUESTS:
        raise NotAccepted("429", status=code, retry_after_s=_retry_after_s(answer))
    if code in REFUSED_FOR_GOOD:
        raise Rejected(str(code), status=code)
    if code in MISCONFIGURED or 300 <= code < 400:
        raise NotAccepted(f"misconfigured {code}", status=code)
    if not answer.is_success:
        raise Ambiguous(str(code), status=code)
    rp_id = read_id(answer.content)
    if rp_id is None:
        raise Ambiguous("an answer without a readable id", status=code)
    return rp_id


def _expect_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise Unreachable(str(answer.status_code), status=answer.status_code, retry_after_s=_retry_after_s(answer))


def _retry_after_s(answer: httpx.Response) -> float:
    return retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))  # noqa: TID251  compared with the queue's own clock
