"""JSON lines on stderr, each with the ids of the job it speaks of; in the form of the service's own log."""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

ID = re.compile(r"[\w-]{1,100}", re.ASCII)

_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default={})  # noqa: B039  never changed, only replaced


class JsonLines(logging.Formatter):
    """`event`, `level`, `logger`, `timestamp`, the ids at hand, and facts given as `extra={"facts": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
            **_ids.get(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:  # no locals and no messages: both may hold addresses
            line["exception"] = [f"{frame.f_code.co_qualname}:{number}" for frame, number in _frames(record)]
        return json.dumps(line, default=str)


def configure(stream: TextIO = sys.stderr) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@contextlib.contextmanager
def about(job: Mapping[str, Any]) -> Iterator[None]:
    """Lines within carry the ids of this RunPod job: its own, the attempt's, and the request's that ordered it."""
    order = job.get("input")
    given = {"job_id": job.get("id")}
    if isinstance(order, dict):
        given |= {name: order.get(name) for name in ("attempt_id", "request_id")}
    token = _ids.set({name: value for name, value in given.items() if isinstance(value, str) and ID.fullmatch(value)})
    try:
        yield
    finally:
        _ids.reset(token)


def _frames(record: logging.LogRecord) -> Iterator[tuple[Any, int]]:
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
