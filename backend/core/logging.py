"""JSON lines on stderr: event `noun.past_verb`, facts as keys, and nothing that a log must not hold."""

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from typing import Any, TextIO
from uuid import uuid4

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from backend.core.request_counts import RequestCounts

REDACTED = "[redacted]"
SECRET_KEYS = {
    "api_key", "authorization", "body_key", "code", "cookie", "covariance", "credential", "email", "evidence", "facts",
    "glb_key", "glb_url", "headers", "hook_token", "measurements", "password", "payload", "photo", "photo_key",
    "photo_side_key", "photo_url", "secret", "signing_key", "src", "tape_cm", "token", "url",
}  # fmt: skip
"""Facts that are never written, by name: addresses, credentials, bodies."""
REFUSAL_CODES = re.compile(r"[a-z][a-z_]{1,60}")
"""`code` is also the stable name of a refusal: that form may pass."""
SECRET_VALUES = re.compile(
    r"tryon_(?:live|test)_\w+|shp[a-z]{2,4}_[\w-]+|eyJ[\w-]+\.[\w-]+\.[\w-]*|[?&#](?:token|k|c|id_token|code|state|hmac|signature)=[^\s\"'&]+|(?:https?|postgresql\S*)://[^\s/@\"']+@"
    r"|/hooks/(?!shopify\b)\S+|[\w.+-]+@[\w-]+\.[\w.]+|(?s:DETAIL:.*)"
)
"""What is recognised inside any text: API keys, tokens, signed queries, passwords in addresses, hooks, e-mail,
and the row that Postgres quotes under DETAIL."""


def configure(stream: TextIO = sys.stderr) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last step before a line is written; also reaches into lists and dicts, and so into tracebacks."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if key in SECRET_KEYS and not (key == "code" and isinstance(value, str) and REFUSAL_CODES.fullmatch(value)):
        return REDACTED
    if isinstance(value, str):
        return SECRET_VALUES.sub(REDACTED, value)
    if isinstance(value, dict):
        return {inner: _clean(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", item) for item in value]
    return value


class RequestLog(ASGIMiddleware):
    """One line for each answer, under an id that the answer carries too; the path by its template, never a query."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request_id, started = uuid4().hex, time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await next_app(scope, receive, send_noting_status)
        finally:
            method, path = str(scope.get("method")), str(scope.get("path_template") or "unknown")
            duration_s = time.perf_counter() - started
            counts: RequestCounts = scope["litestar_app"].state.request_counts
            counts.answered(method, path, status, duration_s)
            structlog.get_logger().info(
                "request.answered", method=method, path=path, status=status, duration_ms=round(duration_s * 1000, 1)
            )
