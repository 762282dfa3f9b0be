"""What RunPod's answers mean. Pure; whatever cannot be understood says nothing."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec
import structlog

from backend.jobs import states

log = structlog.get_logger()

MAX_ID_LENGTH = 100
LARGEST_COUNT = 2**31

State = Literal["open", "completed", "failed", "cancelled", "timed_out"]
FINAL: dict[str, State] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "TIMED_OUT": "timed_out",
}
KNOWN_OPEN = frozenset({"IN_QUEUE", "IN_PROGRESS", "RUNNING"})


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


class QueueHealth(msgspec.Struct, frozen=True):
    """Counts of one endpoint, in RunPod's words."""

    in_queue: int
    in_progress: int
    completed: int
    failed: int
    retried: int
    idle: int
    initializing: int
    ready: int
    running: int
    throttled: int
    unhealthy: int


def read_status(content: bytes) -> JobStatus:
    """Whatever cannot be understood counts as still open."""
    body = _object(content)
    if body is None:
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
        delay_ms=_count(body.get("delayTime")),
        exec_ms=_count(body.get("executionTime")),
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


def read_health(content: bytes) -> QueueHealth | None:
    """None: not what `/health` answers. A count that is missing is 0: RunPod adds states and leaves some out."""
    body = _object(content) or {}
    jobs, workers = body.get("jobs"), body.get("workers")
    if not isinstance(jobs, dict) or not isinstance(workers, dict):
        return None
    return QueueHealth(
        in_queue=_count(jobs.get("inQueue")) or 0,
        in_progress=_count(jobs.get("inProgress")) or 0,
        completed=_count(jobs.get("completed")) or 0,
        failed=_count(jobs.get("failed")) or 0,
        retried=_count(jobs.get("retried")) or 0,
        idle=_count(workers.get("idle")) or 0,
        initializing=_count(workers.get("initializing")) or 0,
        ready=_count(workers.get("ready")) or 0,
        running=_count(workers.get("running")) or 0,
        throttled=_count(workers.get("throttled")) or 0,
        unhealthy=_count(workers.get("unhealthy")) or 0,
    )


def read_removed(content: bytes) -> int:
    """How many jobs `/purge-queue` removed."""
    return _count((_object(content) or {}).get("removed")) or 0


def read_id(content: bytes) -> str | None:
    """The id in the answer to `/run`, or in the body of a hook."""
    rp_id = (_object(content) or {}).get("id")
    return rp_id if isinstance(rp_id, str) and _is_id(rp_id) else None


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


def _is_id(text: str) -> bool:
    """Fit to stand in an address."""
    return 0 < len(text) <= MAX_ID_LENGTH and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    return body if isinstance(body, dict) else None


def _count(value: Any) -> int | None:
    is_sane = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT
    return round(value) if is_sane else None
