"""What the RunPod client is held against: our own endpoint, RunPod as recorded, and RunPod itself where a key is given.

A test says what the worker does next. Our endpoint's worker does it; in a recording the next answer shows it done.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
from aiohttp import web

from backend.jobs.answers import JobStatus
from backend.jobs.limits import FIRST_LIMIT
from backend.jobs.queue import RunPodQueue, Submission
from gpu_worker.contract import CONTRACT_VERSION, JobInput
from gpu_worker.local_endpoint.limits import Limits
from tests.gpu_worker.endpoint.driver import Clock, Endpoint, Worker, endpoint_in

RECORDINGS = Path(__file__).parent / "golden" / "runpod"
ATTEMPT_ID = "01938f6e-0000-7000-8000-000000000001"
HOOK_PATH = f"/hooks/jobs/{ATTEMPT_ID}/t"
RECORDED_KEY = "the-key-of-the-recording"
SHORT = replace(Limits(), tick_s=0.01, take_hold_s=0.4)
REAL_PATIENCE_S = 300.0
REAL_POLL_S = 1.0

Json = dict[str, Any]


class Side(Protocol):
    """One endpoint with its worker."""

    is_real: bool
    """RunPod itself: its worker does what it does, when it does it."""
    hook: str

    def client(self, *, key: str | None = None) -> RunPodQueue:
        """With the right key unless another is given."""
        ...

    async def attach(self) -> None:
        """A worker comes and waits for work."""
        ...

    async def take(self) -> None: ...

    async def report(self, stage: str) -> None: ...

    async def end(self, **result: Any) -> None: ...

    async def pass_time(self, seconds: float) -> None: ...

    async def told(self) -> bytes:
        """The body of the next hook."""
        ...


def submission(side: Side, **params: Any) -> Submission:
    return Submission(JobInput(CONTRACT_VERSION, ATTEMPT_ID, "noop", params=params), side.hook, FIRST_LIMIT)


async def seen(side: Side, client: RunPodQueue, rp_id: str, wanted: Callable[[JobStatus], bool]) -> JobStatus:
    """The status as it is now; of RunPod itself, once it is as wanted."""
    status = await client.status(rp_id)
    waited_s = 0.0
    while side.is_real and not wanted(status) and waited_s < REAL_PATIENCE_S:
        await asyncio.sleep(REAL_POLL_S)
        waited_s += REAL_POLL_S
        status = await client.status(rp_id)
    assert wanted(status), status
    return status


# ---- our endpoint ---------------------------------------------------------------------------------------------------


@dataclass
class LocalSide:
    endpoint: Endpoint
    worker: Worker
    hook: str
    hooks: "asyncio.Queue[bytes]"
    job: Json | None = None
    is_real: bool = False
    parked: "asyncio.Task[Json | None] | None" = None

    def client(self, *, key: str | None = None) -> RunPodQueue:
        given = key or self.endpoint.keys.client_key
        return RunPodQueue(f"{self.endpoint.base}/v2", self.endpoint.name, lambda: given)

    async def attach(self) -> None:
        self.parked = self.worker.parked()
        await self.worker.ping()

    async def take(self) -> None:
        self.job = await (self.parked or self.worker.take())
        assert self.job is not None
        await self.worker.ping(self.job["id"])

    async def report(self, stage: str) -> None:
        assert self.job is not None
        output = {"stage": stage, "of": 5}
        assert await self.worker.done(self.job["id"], status="IN_PROGRESS", output=output) == 200

    async def end(self, **result: Any) -> None:
        assert self.job is not None
        assert await self.worker.done(self.job["id"], **result) == 200

    async def pass_time(self, seconds: float) -> None:
        await self.endpoint.pass_time(seconds)

    async def told(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.hooks.get()


@contextlib.asynccontextmanager
async def local_side(folder: Path) -> AsyncIterator[LocalSide]:
    hooks: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        await hooks.put(await request.read())
        return web.Response()

    async with (
        _serving([web.post(HOOK_PATH, receive)]) as hook_origin,
        endpoint_in(folder, Clock(), SHORT, webhook_origins=(hook_origin,)) as endpoint,
    ):
        yield LocalSide(endpoint, endpoint.worker("w-1"), hook_origin + HOOK_PATH, hooks)


# ---- RunPod as recorded ---------------------------------------------------------------------------------------------


class RecordedRequest(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    path: str
    key: str
    """`right` or `wrong`."""
    body: Any = None
    """The whole body; `{"longer_than_bytes": n}` for one too long to be written down."""


class Exchange(msgspec.Struct, forbid_unknown_fields=True):
    request: RecordedRequest
    status: int
    headers: dict[str, str]
    body: Any


class Recording(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    exchanges: list[Exchange]
    webhook: Any = None


@dataclass
class RecordedSide:
    recording: Recording
    base_url: str = ""
    hook: str = "https://tryon.example" + HOOK_PATH
    is_real: bool = False
    surprises: list[str] = field(default_factory=list)

    def client(self, *, key: str | None = None) -> RunPodQueue:
        given = key or RECORDED_KEY
        return RunPodQueue(f"{self.base_url}/v2", "recorded", lambda: given)

    async def attach(self) -> None:
        pass

    async def take(self) -> None:
        pass

    async def report(self, stage: str) -> None:
        pass

    async def end(self, **result: Any) -> None:
        pass

    async def pass_time(self, seconds: float) -> None:
        pass

    async def told(self) -> bytes:
        return json.dumps(self.recording.webhook).encode()

    async def answer(self, request: web.Request) -> web.Response:
        """What was answered next, if what is asked is what was asked."""
        body = await request.read()
        if not self.recording.exchanges:
            self.surprises.append(f"{request.method} {request.path} after the end of the recording")
            return web.Response(status=599)
        exchange = self.recording.exchanges.pop(0)
        surprise = _difference(exchange.request, request, body)
        if surprise:
            self.surprises.append(surprise)
            return web.Response(status=599)
        headers = {"Content-Type": "application/json"} | exchange.headers
        return web.Response(body=json.dumps(exchange.body).encode(), status=exchange.status, headers=headers)


def _difference(wanted: RecordedRequest, request: web.Request, body: bytes) -> str:
    """Empty: it is the request of the recording, to the letter."""
    if (request.method, request.path) != (wanted.method, f"/v2/recorded{wanted.path}"):
        return f"{request.method} {request.path} instead of {wanted.method} {wanted.path}"
    is_right = request.headers.get("Authorization") == f"Bearer {RECORDED_KEY}"
    if is_right != (wanted.key == "right"):
        return f"{request.path} with the wrong key"
    if isinstance(wanted.body, dict) and "longer_than_bytes" in wanted.body:
        return "" if len(body) > wanted.body["longer_than_bytes"] else "a short body"
    given = json.loads(body) if body else None
    return "" if given == wanted.body else f"{request.path} with {given} instead of {wanted.body}"


@contextlib.asynccontextmanager
async def recorded_side(name: str) -> AsyncIterator[RecordedSide]:
    """Fails at its end if anything was asked otherwise than recorded, or not asked at all."""
    content = (RECORDINGS / f"{name}.v1.json").read_bytes()
    side = RecordedSide(msgspec.json.decode(content, type=Recording))
    async with _serving([web.route("*", "/{path:.*}", side.answer)]) as side.base_url:
        yield side
    assert side.surprises == []
    assert side.recording.exchanges == [], "not everything was asked"


@contextlib.asynccontextmanager
async def _serving(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=32_000_000)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# ---- RunPod itself --------------------------------------------------------------------------------------------------


@dataclass
class RealSide:
    """Costs a few seconds of a worker. Its worker runs our image and takes `noop` jobs."""

    endpoint_id: str
    api_key: str
    base_url: str
    hook: str = "https://example.invalid" + HOOK_PATH
    is_real: bool = True

    def client(self, *, key: str | None = None) -> RunPodQueue:
        given = key or self.api_key
        return RunPodQueue(self.base_url, self.endpoint_id, lambda: given)

    async def attach(self) -> None:
        pass

    async def take(self) -> None:
        pass

    async def report(self, stage: str) -> None:
        raise NotImplementedError(stage)

    async def end(self, **result: Any) -> None:
        pass

    async def pass_time(self, seconds: float) -> None:
        raise NotImplementedError(str(seconds))

    async def told(self) -> bytes:
        raise NotImplementedError
