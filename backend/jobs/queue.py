"""Where work is executed: RunPod's queue, or anything that speaks its protocol. Own client, every answer classified.

`POST /run` is never repeated here: RunPod has no idempotency key, so only the job's row may decide to try again.
"""

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol

import httpx
import msgspec
import structlog

from backend.jobs import states
from gpu_worker.contract import JobInput

log = structlog.get_logger()

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 10.0
POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0)
MAX_ANSWER_BYTES = 1_000_000
STATUS_TRIES = 4
FIRST_WAIT_S, MAX_WAIT_S = 0.1, 2.0

State = Literal["open", "completed", "failed", "cancelled", "timed_out"]
FINAL: dict[str, State] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "TIMED_OUT": "timed_out",
}
KNOWN_OPEN = frozenset({"IN_QUEUE", "IN_PROGRESS", "RUNNING"})


class Submission(msgspec.Struct, frozen=True):
    input: JobInput
    webhook: str


class JobStatus(msgspec.Struct, frozen=True):
    """What the queue says of one execution. `stage` is the worker's last report, `error` its code."""

    state: State
    is_queued: bool = False
    stage: str | None = None
    error_code: str | None = None
    is_retryable: bool = True
    delay_ms: int | None = None
    exec_ms: int | None = None
    worker_id: str | None = None


class NotAccepted(Exception):
    """Certainly not started; worth another try."""

    def __init__(self, reason: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Rejected(Exception):
    """Refused for good: our own fault."""


class Ambiguous(Exception):
    """May have been accepted; must not be sent again at once."""


class Gone(Exception):
    """The queue does not know it (any more)."""


class Unreachable(Exception):
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

    async def close(self) -> None: ...


class RunPodQueue:
    """`api_key` is asked for on every request: the local endpoint may write its key after we have started."""

    def __init__(
        self,
        base_url: str,
        endpoint_id: str,
        api_key: Callable[[], str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.provider = base_url
        self.endpoint_id = endpoint_id
        self.is_local = httpx.URL(base_url).host in {"127.0.0.1", "localhost", "::1"}
        self._api_key = api_key
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
                "executionTimeout": round(states.EXECUTION_TIMEOUT.total_seconds() * 1000),
                "ttl": round(states.QUEUE_TTL.total_seconds() * 1000),
                "lowPriority": False,
            },
        }
        try:
            answer = await self._request("POST", "run", json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise NotAccepted(type(error).__name__) from error
        except httpx.HTTPError as error:
            raise Ambiguous(type(error).__name__) from error
        return _accepted_id(answer)

    async def status(self, rp_id: str) -> JobStatus:
        for tried in range(1, STATUS_TRIES + 1):
            try:
                answer = await self._request("GET", f"status/{rp_id}")
            except httpx.HTTPError as error:
                reason = type(error).__name__
            else:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise Gone
                if answer.is_success:
                    return read_status(answer.content)
                reason = str(answer.status_code)
                if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and answer.status_code < 500:
                    break
            if tried < STATUS_TRIES:
                await asyncio.sleep(min(MAX_WAIT_S, FIRST_WAIT_S * 2**tried) * random.uniform(0.5, 1))  # noqa: S311
        raise Unreachable(reason)

    async def cancel(self, rp_id: str) -> None:
        try:
            await self._request("POST", f"cancel/{rp_id}")
        except httpx.HTTPError as error:
            log.warning("job.cancel_failed", fault=type(error).__name__)

    async def close(self) -> None:
        await self._http.aclose()

    async def _request(self, method: str, path: str, *, json: object = None) -> httpx.Response:
        """The answer with at most `MAX_ANSWER_BYTES` of its body; more counts as no answer."""
        headers = {"Authorization": f"Bearer {self._api_key()}"}
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


def _accepted_id(answer: httpx.Response) -> str:
    """The table of outcomes of `POST /run`."""
    code = answer.status_code
    if code == httpx.codes.TOO_MANY_REQUESTS:
        raise NotAccepted("429", retry_after_s=retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC)))  # noqa: TID251  compared with the queue's own clock
    if code in {400, 413, 422}:
        raise Rejected(str(code))
    if code in {401, 403, 404, 405} or 300 <= code < 400:
        log.error("queue.misconfigured", status=code)
        raise NotAccepted(f"misconfigured {code}", retry_after_s=states.MISCONFIGURED_BACKOFF_S)
    if not answer.is_success:
        raise Ambiguous(str(code))
    try:
        rp_id = msgspec.json.decode(answer.content)["id"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Ambiguous("an answer without id") from error
    if not isinstance(rp_id, str) or not is_id(rp_id):
        raise Ambiguous("an answer without a readable id")
    return rp_id


def is_id(text: str) -> bool:
    """Fit to stand in an address."""
    return 0 < len(text) <= 100 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def retry_after_s(value: str | None, now: datetime) -> float:
    """Seconds or an HTTP date; what cannot be read says nothing."""
    if not value:
        return 0.0
    try:
        return min(max(0.0, float(value)), states.DEADLINE.total_seconds())
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(0.0, (until - now).total_seconds()), states.DEADLINE.total_seconds())


def read_status(content: bytes) -> JobStatus:
    """Whatever cannot be understood counts as still open."""
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        body = None
    if not isinstance(body, dict):
        log.warning("queue.status_unreadable")
        return JobStatus("open")
    name = body.get("status")
    state = FINAL.get(name) if isinstance(name, str) else None
    if state is None and name not in KNOWN_OPEN:
        log.warning("queue.status_unknown")
    output = body.get("output")
    code, is_retryable = read_error(body.get("error"))
    return JobStatus(
        state=state or "open",
        is_queued=name == "IN_QUEUE",
        stage=output.get("stage") if isinstance(output, dict) and isinstance(output.get("stage"), str) else None,
        error_code=code,
        is_retryable=is_retryable,
        delay_ms=_milliseconds(body.get("delayTime")),
        exec_ms=_milliseconds(body.get("executionTime")),
        worker_id=body["workerId"][:100] if isinstance(body.get("workerId"), str) else None,
    )


def read_error(error: Any) -> tuple[str, bool]:
    """Code and whether to try again, of our handler's JSON; everything else is `internal` and may be tried again."""
    try:
        told = json.loads(error) if isinstance(error, str) else None
    except ValueError:
        told = None
    if isinstance(told, dict) and isinstance(told.get("code"), str) and isinstance(told.get("retryable"), bool):
        return told["code"][:60], told["retryable"]
    return "internal", True


def _milliseconds(value: Any) -> int | None:
    is_sane = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**31
    return round(value) if is_sane else None
