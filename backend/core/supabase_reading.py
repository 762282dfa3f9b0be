"""Reading an object in pieces by a signed address: the package itself would load it whole."""

from contextlib import AsyncExitStack

import httpx
import msgspec
from storage3.exceptions import StorageApiError

from backend.core.storage import ByteRange, OpenedObject, StoreUnavailable
from backend.core.supabase_answers import stored_from_headers
from backend.core.supabase_client import Connections

OK, PARTIAL = 200, 206


class Refusal(msgspec.Struct, frozen=True):
    """The server's form of an error; its status is the true one, HTTP's is mostly 400."""

    status: str = msgspec.field(name="statusCode")
    error: str
    message: str


async def open_address(
    connections: Connections, url: str, bucket: str, key: str, byte_range: ByteRange | None
) -> OpenedObject:
    """Tried again until the first byte, not after it."""
    headers = {"Accept-Encoding": "identity"}
    if byte_range is not None:
        headers["Range"] = f"bytes={byte_range.first}-{'' if byte_range.last is None else byte_range.last}"
    wanted = OK if byte_range is None else PARTIAL

    async def opening() -> OpenedObject:
        answer = await connections.plain.send(connections.plain.build_request("GET", url, headers=headers), stream=True)
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(answer.aclose)
            if answer.status_code != wanted:
                raise _refusal(answer.status_code, await answer.aread())
            opened = OpenedObject(stored_from_headers(bucket, key, answer.headers), AnswerChunks(answer))
            on_failure.pop_all()
        return opened

    return await connections.repeat(opening)


def _refusal(status: int, body: bytes) -> StorageApiError:
    """In the package's own form, so that all answers are read in one place."""
    try:
        refusal = msgspec.json.decode(body, type=Refusal)
    except msgspec.DecodeError:
        return StorageApiError("not of the expected form", "InternalError", status)
    return StorageApiError(refusal.message, refusal.error, refusal.status)


class AnswerChunks:
    """The body of an answer on its way; gives its connection back at the end or when closed."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._chunks = answer.aiter_raw()

    def __aiter__(self) -> "AnswerChunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except httpx.RequestError as error:
            fault = StoreUnavailable(f"The object broke off ({type(error).__name__}).")
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise fault

    async def aclose(self) -> None:
        await self._answer.aclose()
