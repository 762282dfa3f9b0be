# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""HTTP for stores that have no server of their own: `/objects/{bucket}/{key}`, as a browser cache and a worker need it.

The token in the address is the credential. Refused uploads are answered before their body is read.
"""

import asyncio
import contextlib
import re
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Controller, HttpMethod, Request, Response, get, head, put
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from backend.core.object_tokens import ObjectGrant, TokenRefused
from backend.core.problems import AppError, NotFound, Unavailable
from backend.core.storage import (
    BUCKETS,
    ByteRange,
    Cache,
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    RangeNotSatisfiable,
    StoredObject,
    StoreUnavailable,
    UnsupportedType,
    check_key,
)

IMMUTABLE_S = 31_536_000
PRIVATE_MAX_AGE_S = 900
RANGE_PATTERN = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
CLOSE = {"Connection": "close"}
"""A refused upload's body may be left unread: the connection must not be used for the next request."""
DRAIN_BYTES = 25_000_000
DRAIN_S = 1.5

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Content-Length, Content-Range, Accept-Ranges",
}
PREFLIGHT = CORS | {
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Range, If-None-Match, If-Range",
    "Access-Control-Max-Age": "600",
}
SHIELD = CORS | {
    "X-Robots-Tag": "none",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class ObjectForbidden(AppError):
    status = 403
    code = "object_forbidden"
    title = "No access to this object"

    def __init__(self) -> None:
        super().__init__("The address is not valid, or not valid any more.")


class ObjectMissing(NotFound):
    code = "object_not_found"
    title = "Object not found"

    def __init__(self) -> None:
        super().__init__("There is nothing at this address.")


class UploadRefused(AppError):
    """Which of the upload rules was broken stands in status and code."""

    headers = CLOSE

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.title = status, code, "Upload refused"


class UnreadableRange(AppError):
    status = 416
    code = "range_not_satisfiable"
    title = "Range cannot be served"

    def __init__(self, size: int) -> None:
        super().__init__("The object is shorter than that, or more than one range was asked for.", size=size)
        self.headers = {"Content-Range": f"bytes */{size}"}


class StoredView(msgspec.Struct, frozen=True):
    key: str
    size: int
    etag: str


class ObjectController(Controller):
    path = "/objects/{bucket:str}/{key:path}"
    include_in_schema = False

    @get()
    async def read_object(
        self, request: Request[Any, Any, State], state: State, bucket: FromPath[str], key: FromPath[str]
    ) -> Response[Any]:
        stored, grant = await _locate(request, state, bucket, key)
        headers = _headers(stored, grant, state.clock.now().timestamp())
        if _is_known(request.headers.get("if-none-match"), stored.etag):
            return Response(None, status_code=304, headers=headers)
        wanted = _range(request, stored)
        try:
            opened = await state.store.open(bucket, stored.key, wanted)
        except ObjectNotFound as error:
            raise ObjectMissing from error
        except RangeNotSatisfiable as error:
            raise UnreadableRange(error.size) from error
        status, length = HTTPStatus.OK, stored.size
        if wanted is not None:
            last = stored.size - 1 if wanted.last is None else min(wanted.last, stored.size - 1)
            status, length = HTTPStatus.PARTIAL_CONTENT, last - wanted.first + 1
            headers["Content-Range"] = f"bytes {wanted.first}-{last}/{stored.size}"
        headers["Content-Length"] = str(length)
        return Stream(opened.chunks, status_code=status, media_type=stored.content_type, headers=headers)

    @head()
    async def stat_object(
        self, request: Request[Any, Any, State], state: State, bucket: FromPath[str], key: FromPath[str]
    ) -> Response[None]:
        stored, grant = await _locate(request, state, bucket, key)
        headers = _headers(stored, grant, state.clock.now().timestamp())
        if _is_known(request.headers.get("if-none-match"), stored.etag):
            return Response(None, status_code=304, headers=headers)
        headers |= {"Content-Length": str(stored.size), "Content-Type": stored.content_type}
        return Response(None, headers=headers)

    @put(status_code=200, request_max_body_size=None)
    async def write_object(
        self, request: Request[Any, Any, State], state: State, bucket: FromPath[str], key: FromPath[str]
    ) -> Response[StoredView]:
        """Everything that can be refused is refused from the headers; the bytes are counted all the same."""
        try:
            return Response(await _upload(request, state, bucket, key), headers=CORS)
        except AppError:
            await _drain(request)
            raise

    @HTTPRouteHandler(http_method=HttpMethod.OPTIONS)
    async def preflight_object(self, bucket: FromPath[str], key: FromPath[str]) -> Response[None]:  # noqa: ARG002
        """Any page may ask: the token is the credential, and no cookie is."""
        return Response(None, status_code=204, headers=PREFLIGHT)


async def _upload(request: Request[Any, Any, State], state: State, bucket: str, key: str) -> StoredView:
    path, grant = _granted(request, state, bucket, key)
    if grant is None:
        raise ObjectForbidden
    length = _upload_length(request, grant)
    if not grant.o:
        await _refuse_existing(state, bucket, path)
    try:
        stored = await state.store.put(
            bucket, path, _exactly(request, length), content_type=grant.t, max_bytes=grant.n, overwrite=grant.o
        )
    except ObjectExists as error:
        raise UploadRefused(409, "object_exists", "There is an object at this address already.") from error
    except ObjectTooLarge as error:
        raise UploadRefused(413, "object_too_large", f"At most {grant.n} bytes are taken.") from error
    except UnsupportedType as error:
        raise UploadRefused(415, "type_mismatch", f"The bytes are not {grant.t}.") from error
    except StoreUnavailable as error:
        raise Unavailable("The object could not be stored; send it again.") from error
    return StoredView(stored.key, stored.size, stored.etag)


async def _drain(request: Request[Any, Any, State]) -> None:
    """Read what the sender still sends, within reason: closing on unread bytes would cut off the answer too."""
    left = DRAIN_BYTES
    with contextlib.suppress(Exception):  # gone, timed out or read already: there is nobody left to be polite to
        async with asyncio.timeout(DRAIN_S):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return


def _granted(request: Request[Any, Any, State], state: State, bucket: str, key: str) -> tuple[str, ObjectGrant | None]:
    """The checked key and what the token allows; a public object may be read without one."""
    key = key.removeprefix("/")
    try:
        check_key(key)
    except InvalidKey as error:
        raise ObjectMissing from error
    if bucket not in BUCKETS:
        raise ObjectMissing
    tokens = request.query_params.getall("token", [])
    if not tokens and BUCKETS[bucket].is_public and request.method != "PUT":
        return key, None
    if len(tokens) != 1:
        raise ObjectForbidden
    try:
        grant = state.object_signer.check(
            tokens[0], method=request.method, bucket=bucket, key=key, now=state.clock.now()
        )
    except TokenRefused as error:
        raise ObjectForbidden from error
    return key, grant


async def _locate(
    request: Request[Any, Any, State], state: State, bucket: str, key: str
) -> tuple[StoredObject, ObjectGrant | None]:
    key, grant = _granted(request, state, bucket, key)
    try:
        return await state.store.stat(bucket, key), grant
    except ObjectNotFound as error:
        raise ObjectMissing from error


def _headers(stored: StoredObject, grant: ObjectGrant | None, now_s: float) -> dict[str, str]:
    headers = SHIELD | {
        "ETag": f'"{stored.etag}"',
        "Last-Modified": format_datetime(stored.modified_at.replace(microsecond=0), usegmt=True),
        "Accept-Ranges": "bytes",
        "Cache-Control": _cache_control(stored.cache, grant, now_s),
    }
    if grant is not None and grant.d:
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", grant.d)
        headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(grant.d, safe='')}"
    return headers


def _cache_control(cache: Cache, grant: ObjectGrant | None, now_s: float) -> str:
    match cache:
        case Cache.IMMUTABLE:
            return f"public, max-age={IMMUTABLE_S}, immutable"
        case Cache.PRIVATE:
            left_s = int(grant.exp - now_s) if grant is not None else 0
            return f"private, max-age={max(0, min(left_s, PRIVATE_MAX_AGE_S))}"
        case Cache.NO_STORE:
            return "private, no-store"


def _is_known(if_none_match: str | None, etag: str) -> bool:
    """Weak comparison over a list, or `*`."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or f'"{etag}"' in tags


def _range(request: Request[Any, Any, State], stored: StoredObject) -> ByteRange | None:
    """What part is wanted; unreadable syntax means the whole, several ranges are refused."""
    header = request.headers.get("range")
    if header is None or request.headers.get("if-range", f'"{stored.etag}"') != f'"{stored.etag}"':
        return None
    if header.startswith("bytes=") and "," in header:
        raise UnreadableRange(stored.size)
    match = RANGE_PATTERN.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.group(1), match.group(2)
    if not first:  # the last n bytes
        if int(last) == 0 or stored.size == 0:
            raise UnreadableRange(stored.size)
        return ByteRange(max(0, stored.size - int(last)))
    if last and int(last) < int(first):
        return None
    if int(first) >= stored.size:
        raise UnreadableRange(stored.size)
    return ByteRange(int(first), int(last) if last else None)


def _upload_length(request: Request[Any, Any, State], grant: ObjectGrant) -> int:
    header = request.headers.get("content-length", "")
    if not (header.isascii() and header.isdigit()):
        raise UploadRefused(411, "length_required", "Send the length of the body in Content-Length.")
    if int(header) > grant.n:
        raise UploadRefused(413, "object_too_large", f"At most {grant.n} bytes are taken.")
    if request.headers.get("content-type") != grant.t:
        raise UploadRefused(415, "unsupported_type", f"The content type must be {grant.t}.")
    return int(header)


async def _refuse_existing(state: State, bucket: str, key: str) -> None:
    try:
        await state.store.stat(bucket, key)
    except ObjectNotFound:
        return
    raise UploadRefused(409, "object_exists", "There is an object at this address already.")


async def _exactly(request: Request[Any, Any, State], length: int) -> Any:
    """The body's chunks; a body shorter than announced is refused, so that nothing is stored."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        yield chunk
    if received != length:
        raise UploadRefused(400, "body_incomplete", "The body is not as long as Content-Length said.")
