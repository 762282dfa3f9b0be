"""What arrives at the endpoint, decoded strictly; and how it answers."""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Submission


class Policy(msgspec.Struct, rename="camel"):
    """Limits of one job, in milliseconds."""

    execution_timeout: int | None = None
    ttl: int | None = None
    low_priority: bool = False


class RunRequest(msgspec.Struct):
    """Body of `/run` and `/runsync`; `input` stays the JSON text it is."""

    input: msgspec.Raw = msgspec.Raw(b"null")
    webhook: str | None = None
    policy: Policy | None = None


class ResultRequest(msgspec.Struct, rename={"stop_pod": "stopPod"}):
    """Body of `job-done`: a result, an error, or progress."""

    output: msgspec.Raw = msgspec.Raw()
    error: Any = None
    status: str | None = None
    stop_pod: bool = False


EMPTY_INPUTS = (b"null", b"{}", b"[]", b'""', b"false", b"0")


def answer(content: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


def refusal(status: int, text: str) -> web.Response:
    """An error as RunPod words it."""
    return answer({"error": text}, status)


def decode_submission(body: bytes, endpoint: str, *, is_sync: bool) -> Submission:
    """Read the body of `/run`; ValueError with a sentence for the caller."""
    try:
        request = msgspec.json.decode(body, type=RunRequest)
    except msgspec.DecodeError as error:
        raise ValueError(f"body is not what /run takes: {error}") from error
    if b"".join(bytes(request.input).split()) in EMPTY_INPUTS:
        raise ValueError("input is required and must not be empty")
    if request.webhook is not None and urlsplit(request.webhook).scheme not in {"http", "https"}:
        raise ValueError("webhook must be an http or https address")
    policy = request.policy or Policy()
    return Submission(
        endpoint=endpoint,
        input_json=bytes(request.input).decode(),
        webhook=request.webhook,
        is_sync=is_sync,
        execution_timeout_s=_seconds(policy.execution_timeout, "executionTimeout"),
        time_to_live_s=_seconds(policy.ttl, "ttl"),
    )


def decode_result(body: bytes) -> ResultRequest:
    """Read a worker's result, whatever its Content-Type says; ValueError if it is not JSON."""
    try:
        return msgspec.json.decode(body, type=ResultRequest)
    except msgspec.DecodeError as error:
        raise ValueError(f"body is not a result: {error}") from error


def output_text(result: ResultRequest) -> str | None:
    """The output as JSON text, None if there is none."""
    return bytes(result.output).decode() or None


def error_text(result: ResultRequest) -> str | None:
    """RunPod keeps errors as text: anything that is not a text (a list, an object, null) counts as no error."""
    return result.error if isinstance(result.error, str) and result.error else None


async def read_limited(request: web.Request, max_bytes: int) -> bytes | None:
    """The body, or None if it is larger than allowed."""
    if request.content_length is not None and request.content_length > max_bytes:
        return None
    body = await request.read()
    return body if len(body) <= max_bytes else None


def largest_body(limits: Limits) -> int:
    """What the server itself must let through."""
    return max(limits.max_run_bytes, limits.max_runsync_bytes, limits.max_result_bytes) + 1


def _seconds(milliseconds: int | None, name: str) -> float | None:
    if milliseconds is None:
        return None
    if milliseconds <= 0:
        raise ValueError(f"policy.{name} must be a positive number of milliseconds")
    return milliseconds / 1000
