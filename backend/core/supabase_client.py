"""Connections to a Supabase project, what its answers mean, and what may be tried again.

Loads the `supabase` package (0.3 s, 50 MB): only `store_choice` leads here, and only where a project is set.
The storage server answers nearly every refusal with HTTP 400; the true status is a string in the body, which the
package passes on. Its exceptions and httpx's hold addresses with tokens: none of them leaves this module, not even as
the cause of one of ours.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from storage3 import AsyncStorageClient
from storage3.exceptions import StorageApiError
from storage3.utils import StorageException
from supabase import AsyncClient, AsyncClientOptions

from backend.core.storage import (
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    StorageError,
    StoreForbidden,
    StoreMisconfigured,
    StoreUnavailable,
    UnsupportedType,
)

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]
Pause = Callable[[float], Awaitable[None]]

TIMEOUT = httpx.Timeout(connect=3, read=20, write=30, pool=5)
CALL_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=15)
UPLOAD_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=0)
"""A refused upload leaves its connection in the middle of a body: no connection is used for a second one."""

TRIES = 3
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 2.0
PATIENCE_S = 10.0
"""No try begins later than this after the first."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class Unsatisfiable(StorageError):
    """The object has no such part; its size is not told."""


BAD_REQUEST, NOT_FOUND, TOO_MANY, SERVER_FAULT = 400, 404, 429, 500
REFUSALS: dict[int, tuple[type[StorageError], str]] = {
    401: (StoreForbidden, "The store does not accept the key."),
    403: (StoreForbidden, "The store refused the key, or what was asked."),
    404: (StoreMisconfigured, "The store knows no such bucket, or does not accept the key."),
    409: (ObjectExists, "There is an object under this key."),
    413: (ObjectTooLarge, "The store takes no object of this size."),
    415: (UnsupportedType, "The bucket does not take this type."),
    416: (Unsatisfiable, "The object has no such part."),
}
"""By the status in the body. "Bucket not found" is also said to an expired key."""
UNREADABLE = (ValueError, KeyError, TypeError, StorageException)
"""What the package raises over an answer that is not of the form it expects."""


class TooManyRequests(StoreUnavailable):
    """Refused before it had an effect; `after_s` is what the server asked for."""

    def __init__(self, after_s: float) -> None:
        super().__init__("The store asks for fewer requests.")
        self.after_s = after_s


class Connections:
    """Three clients: for calls, for uploads, and one that carries no key, for signed addresses."""

    def __init__(
        self,
        url: str,
        secret_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        for name in ("httpx", "httpcore"):  # they would write whole addresses
            logging.getLogger(name).setLevel(logging.WARNING)
        tls = httpx.create_ssl_context()
        self._pause = pause
        self._open = [
            httpx.AsyncClient(
                timeout=TIMEOUT, limits=limits, http2=False, follow_redirects=False, transport=transport, verify=tls
            )
            for limits in (CALL_LIMITS, UPLOAD_LIMITS, CALL_LIMITS)
        ]
        self.calls = _storage(url, secret_key, self._open[0])
        self.uploads = _storage(url, secret_key, self._open[1])
        self.plain = self._open[2]

    async def close(self) -> None:
        for client in self._open:
            await client.aclose()

    async def repeat(self, call: Call[T]) -> T:
        """For calls that change nothing, or the same however often they arrive."""
        return await self._attempt(call, is_upload=False)

    async def once(self, call: Call[T]) -> T:
        """For uploads: again only where nothing was sent; `StoreUnavailable(ambiguous=True)` where it may have been."""
        return await self._attempt(call, is_upload=True)

    async def _attempt(self, call: Call[T], *, is_upload: bool) -> T:
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + PATIENCE_S
        for attempt in range(TRIES):
            try:
                return await call()
            except (httpx.RequestError, *UNREADABLE) as error:
                fault = fault_of(error, is_upload=is_upload)
                may_repeat = _may_repeat(error, fault, is_upload=is_upload)
            wait_s = random.uniform(0, min(MAX_WAIT_S, FIRST_WAIT_S * 2**attempt))  # noqa: S311  no secret
            if isinstance(fault, TooManyRequests):
                wait_s = max(wait_s, fault.after_s)
            if not may_repeat or attempt + 1 == TRIES or clock() + wait_s > give_up_at:
                raise fault
            await self._pause(wait_s)
        raise AssertionError  # the last round returns or raises


def _storage(url: str, secret_key: str, client: httpx.AsyncClient) -> AsyncStorageClient:
    """Nobody signs in on it: a user's session would replace the key."""
    options = AsyncClientOptions(httpx_client=client, auto_refresh_token=False, persist_session=False)
    return AsyncClient(url, secret_key, options).storage


def fault_of(error: Exception, *, is_upload: bool) -> StorageError:
    """What to say instead of an exception of the package or of httpx."""
    if isinstance(error, StorageApiError):
        return _refusal(error, is_upload=is_upload)
    if isinstance(error, httpx.RequestError):
        is_lost = is_upload and not isinstance(error, (*NOT_SENT, httpx.PoolTimeout))
        return StoreUnavailable(f"The store did not answer ({type(error).__name__}).", ambiguous=is_lost)
    return StoreUnavailable("The store's answer was not understood.", ambiguous=is_upload)


def _refusal(error: StorageApiError, *, is_upload: bool) -> StorageError:
    status = _status(error)
    if status == NOT_FOUND and error.code == "not_found":
        return ObjectNotFound("No object under this key.")
    if status == BAD_REQUEST and error.code == "InvalidKey":
        return InvalidKey("The store does not take this key.")
    if status == TOO_MANY:
        return TooManyRequests(_retry_after(error))
    if status in REFUSALS:
        kind, detail = REFUSALS[status]
        return kind(detail)
    if status < BAD_REQUEST:
        return StoreMisconfigured("The store's address leads elsewhere.")
    return StoreUnavailable(f"The store answered {status}.", ambiguous=is_upload and status >= SERVER_FAULT)


def _may_repeat(error: Exception, fault: StorageError, *, is_upload: bool) -> bool:
    if isinstance(error, httpx.RequestError):
        return isinstance(error, NOT_SENT) or not (is_upload or isinstance(error, httpx.PoolTimeout))
    if isinstance(fault, TooManyRequests):
        return True
    return (
        not is_upload
        and isinstance(error, StorageApiError)
        and isinstance(fault, StoreUnavailable)
        and (_status(error) >= SERVER_FAULT or isinstance(error.status, int))
    )


def _status(error: StorageApiError) -> int:
    """Text out of a parsed body; a number, HTTP's own, when the body was something else, such as a gateway's page."""
    try:
        return int(error.status)
    except ValueError:
        return SERVER_FAULT


def _retry_after(error: StorageApiError) -> float:
    """Seconds, out of the answer that the package keeps only as a cause."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, httpx.HTTPStatusError):
        cause = cause.__cause__ or cause.__context__
    text = "" if cause is None else cause.response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0
