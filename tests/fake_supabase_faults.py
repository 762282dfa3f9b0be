"""The way to the fake storage server, with everything that can go wrong on it, on demand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import httpx

from tests.fake_supabase_storage import FakeSupabaseStorage

Fault = Literal[
    "refused connection", "slow connection", "no free connection", "hang", "answer lost", "gateway page", "500", "429",
    "redirect", "cut off",
]  # fmt: skip
DRAINED_BYTES = 1_000_000
"""A refusal is sent before the body is read: a larger body is still being written when the time is up."""
RETRY_AFTER_S = 1

BEFORE: dict[str, Callable[[str], httpx.TransportError]] = {
    "refused connection": httpx.ConnectError,
    "slow connection": httpx.ConnectTimeout,
    "no free connection": httpx.PoolTimeout,
    "hang": httpx.ReadTimeout,
    "cut off": httpx.RemoteProtocolError,
}
ANSWERS = {
    "gateway page": httpx.Response(502, html="<html>Bad gateway</html>"),
    "500": httpx.Response(500, json={"statusCode": "500", "error": "Internal", "message": "Internal Server Error"}),
    "429": httpx.Response(429, text="slow down", headers={"Retry-After": str(RETRY_AFTER_S)}),
    "redirect": httpx.Response(307, headers={"Location": "http://elsewhere.test/storage/v1/bucket/photos"}),
}


@dataclass
class Seen:
    method: str
    path: str
    headers: httpx.Headers
    timeouts: dict[str, float]
    sent_bytes: int = 0


@dataclass
class FaultyWay(httpx.AsyncBaseTransport):
    """`faults` fall on the next requests whose method and path begin so, one each, in order."""

    server: FakeSupabaseStorage
    faults: list[tuple[str, str, Fault]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)
    before_upload: Callable[[], object] = lambda: None
    """What happens between the question whether a key is free and the upload."""

    def __post_init__(self) -> None:
        self._inner = httpx.ASGITransport(self.server)

    async def pause(self, seconds: float) -> None:
        """Handed to the store in place of sleeping."""
        self.pauses_s.append(seconds)

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        self.faults += [(method, f"/storage/v1{path}", fault) for fault in faults]

    def count(self, method: str, path: str) -> int:
        return sum(one.method == method and one.path.startswith(f"/storage/v1{path}") for one in self.seen)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seen = Seen(request.method, request.url.path, request.headers, request.extensions["timeout"])
        self.seen.append(seen)
        fault = self._next_fault(request)
        if fault in BEFORE:
            raise BEFORE[fault]("by order of the test")
        if fault in ANSWERS:
            return copy_of(ANSWERS[fault])
        is_form = request.headers.get("content-type", "").startswith("multipart/")
        if is_form:
            self.before_upload()
        answer = await self._inner.handle_async_request(request)
        if fault == "answer lost":
            raise httpx.ReadTimeout("by order of the test")
        seen.sent_bytes = int(request.headers.get("content-length", 0))
        if is_form and answer.status_code == 400 and seen.sent_bytes > DRAINED_BYTES:
            raise httpx.WriteTimeout("the server has answered and does not read")
        return answer

    def _next_fault(self, request: httpx.Request) -> Fault | Literal[""]:
        for one in self.faults:
            method, path, fault = one
            if request.method == method and request.url.path.startswith(path):
                self.faults.remove(one)
                return fault
        return ""


def copy_of(answer: httpx.Response) -> httpx.Response:
    return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
