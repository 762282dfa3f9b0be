"""Reads a job's inputs and writes its outputs by signed address, in memory only, at one origin only."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp

from gpu_worker.contract import FileRecord, InputFile, OutputFile

log = logging.getLogger(__name__)

MAX_INPUT_BYTES = 20_000_000
TRIES = 3
RETRY_PAUSE_S = 0.25
"""Doubled after each try."""

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)
MAX_REFUSAL_BYTES = 4_000
GONE = (404, 410)
EXISTS = 409


class FileFault(Exception):
    """A file could not be read or written; `code` is one of the contract's. The text never holds an address."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def storage_session() -> aiohttp.ClientSession:
    """A client for one job; every request has a connection of its own, since a refused PUT may spoil it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def _readable_once(body: bytes) -> AsyncIterator[bytes]:
    """A body that aiohttp cannot rewind. It would send a PUT whose connection broke again by itself, unseen, and the
    second answer, "exists", would be taken for another run's file.
    """
    yield body


class SignedFiles:
    """One job's way to the object store."""

    def __init__(self, session: aiohttp.ClientSession, storage_origin: str) -> None:
        self._session = session
        self._origin = _origin(storage_origin)

    async def read(self, name: str, file: InputFile) -> bytes:
        """The bytes of an input, of exactly the stated size and hash."""
        self._check_origin(name, file.url)
        if not 0 < file.bytes <= MAX_INPUT_BYTES:
            raise FileFault("input_invalid", f"{name} is stated to have {file.bytes} bytes")
        for attempt in range(TRIES):
            try:
                return await self._read_once(name, file)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("reading %s failed: %s", name, type(error).__name__)
                await asyncio.sleep(RETRY_PAUSE_S * 2**attempt)
        raise FileFault("download_failed", f"{name} could not be read in {TRIES} tries")

    async def write(self, name: str, file: OutputFile, body: bytes) -> FileRecord:
        """Write an output once. "Exists" after an own try that may have arrived counts as written."""
        self._check_origin(name, file.url)
        if len(body) > file.max_bytes:
            raise FileFault("internal", f"{name} has {len(body)} bytes, {file.max_bytes} are allowed")
        may_have_arrived = False
        for attempt in range(TRIES):
            try:
                status = await self._write_once(file, body)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("writing %s failed: %s", name, type(error).__name__)
                may_have_arrived = True
            else:
                if status in {200, 201, 204} or (status == EXISTS and may_have_arrived):
                    return record_of(body)
                if status == EXISTS:
                    raise FileFault("output_exists", f"{name} is there already")
                log.warning("writing %s was answered %d", name, status)
                if status < 500 and status not in {408, 429}:
                    break
                may_have_arrived = may_have_arrived or status >= 500
            await asyncio.sleep(RETRY_PAUSE_S * 2**attempt)
        raise FileFault("upload_failed", f"{name} could not be written")

    async def _read_once(self, name: str, file: InputFile) -> bytes:
        headers = {"Accept-Encoding": "identity"}
        async with self._session.get(file.url, headers=headers, allow_redirects=False, timeout=TIMEOUT) as answer:
            status = await _true_status(answer)
            if status in GONE:
                raise FileFault("photo_gone", f"{name} is no longer there")
            if status != 200:
                if answer.status >= 500 or answer.status == 429:
                    answer.raise_for_status()
                raise FileFault("download_failed", f"{name} was answered {status}")
            content = bytearray()
            async for chunk in answer.content.iter_chunked(64 * 1024):
                content += chunk
                if len(content) > file.bytes:
                    raise FileFault("download_failed", f"{name} is longer than stated")
        if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
            raise FileFault("download_failed", f"{name} is not the file that was stated")
        return bytes(content)

    async def _write_once(self, file: OutputFile, body: bytes) -> int:
        headers = {**file.headers, "Content-Length": str(len(body))}
        request = self._session.put(
            file.url, data=_readable_once(body), headers=headers, allow_redirects=False, timeout=TIMEOUT
        )
        async with request as answer:
            return await _true_status(answer)

    def _check_origin(self, name: str, url: str) -> None:
        if _origin(url) != self._origin:
            raise FileFault("input_invalid", f"{name} is not at the storage origin")


async def _true_status(answer: aiohttp.ClientResponse) -> int:
    """Supabase's storage answers nearly every refusal with 400; the true status is a text in the body."""
    if answer.status != 400:
        return answer.status
    try:
        return int(json.loads(await answer.content.read(MAX_REFUSAL_BYTES))["statusCode"])
    except (ValueError, KeyError, TypeError):
        return answer.status


def record_of(body: bytes) -> FileRecord:
    """Size and digests of an output. MD5 because object stores report it, not for security."""
    return FileRecord(len(body), hashlib.sha256(body).hexdigest(), hashlib.md5(body, usedforsecurity=False).hexdigest())


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for anything else, credentials in the address included."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None or parts.username is not None or parts.password is not None:
        return None
    return parts.scheme, parts.hostname, port
