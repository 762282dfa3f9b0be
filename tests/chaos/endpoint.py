"""The local endpoint as a process, with a middleware in which RunPod's and the network's bad habits live."""

import asyncio
import json
import time
from collections import deque
from datetime import UTC, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gpu_worker.local_endpoint.keys import Keys
from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Queue
from gpu_worker.local_endpoint.server import create_app
from gpu_worker.local_endpoint.store import Store
from gpu_worker.local_endpoint.webhooks import WebhookSender
from tests.chaos.faults import subject_of
from tests.chaos.world import FastClock, World, write_log

FORGETS = {"run answers 500, nothing taken": 500, "run answers 422": 422}
AFTER = (
    "run answers 500, taken all the same",
    "run hangs after taking",
    "run is cut off after taking",
    "run answers 200 without id",
    "run answers slowly, the hook comes first",
    "run dribbles its answer",
    "job taken and forgotten",
)
STATUS = (
    "status answers 500",
    "status answers 429",
    "status hangs",
    "status is no JSON",
    "status is a word nobody knows",
    "status dribbles its answer",
)
HANG_S, SLOW_S, DRIBBLE_S = 3.0, 0.6, 0.02
SHORT_LIFE_MS = 4000


def limits_of(speed: float) -> Limits:
    """Times compared with the endpoint's clock are product time; those that are slept through are real."""
    return Limits(
        ping_interval_s=0.5 * speed,
        take_hold_s=4.0,
        stopping_slot_s=1.0 * speed,
        webhook_retry_s=1.0,
        webhook_timeout_s=3.0,
        tick_s=0.1,
        forget_worker_s=10.0 * speed,
        max_deliveries=3,
    )


class Troubles:
    """Middleware over the whole endpoint, so that even its own error answers pass through."""

    def __init__(self, world: World, store: Store, clock: FastClock) -> None:
        self.faults = world.faults
        self.store = store
        self.clock = clock
        self.handed_twice: deque[bytes] = deque()

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        _, _, _, action, *_ = [*request.path.split("/"), "", ""]
        match action:
            case "run":
                return await self._run(request, handler)
            case "status":
                return await self._status(request, handler)
            case "cancel" if self.faults.take("cancel fails"):
                return web.Response(status=500)
            case "job-take":
                return await self._take(request, handler)
            case "job-done":
                return await self._done(request, handler)
        return await handler(request)

    async def _run(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        subject = subject_of(await request.read())
        if refused := self.faults.take_any(tuple(FORGETS), subject):
            return web.Response(status=FORGETS[refused])
        if self.faults.take("run answers 429 with seconds"):
            return web.Response(status=429, headers={"Retry-After": "2"})
        if self.faults.take("run answers 429 with a date"):
            until = (self.clock.now() + timedelta(seconds=2)).astimezone(UTC)
            return web.Response(status=429, headers={"Retry-After": format_datetime(until, usegmt=True)})
        if self.faults.take("time to live over while running", subject):
            self._shorten_life(request)
        answer = await handler(request)
        fault = self.faults.take_any(AFTER, subject)
        match fault:
            case "run answers 500, taken all the same":
                return web.Response(status=500)
            case "run answers 200 without id":
                return web.json_response({"status": "IN_QUEUE"})
            case "run hangs after taking":
                await asyncio.sleep(HANG_S)
            case "run answers slowly, the hook comes first":
                await asyncio.sleep(SLOW_S)
            case "run is cut off after taking":
                cut(request)
            case "run dribbles its answer":
                return await dribble(request, answer)
            case "job taken and forgotten":
                self.store.delete([json_of(answer)["id"]])
        return answer

    def _shorten_life(self, request: web.Request) -> None:
        """Over while a worker is at it: the worker is told to hang."""
        body = json.loads(request._read_bytes or b"")
        body["policy"]["ttl"] = SHORT_LIFE_MS
        self.faults.mark("hang", body["input"]["attempt_id"])
        request._read_bytes = json.dumps(body).encode()

    async def _status(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        match self.faults.take_any(STATUS):
            case "status answers 500":
                return web.Response(status=500)
            case "status answers 429":
                return web.Response(status=429)
            case "status hangs":
                await asyncio.sleep(HANG_S)
            case "status is no JSON":
                return web.Response(text="<html>Bad gateway</html>")
            case "status is a word nobody knows":
                return web.json_response({"id": request.path.rsplit("/", 1)[1], "status": "PONDERING"})
            case "status dribbles its answer":
                return await dribble(request, await handler(request))
        answer = await handler(request)
        job = self.store.job(request.path.rsplit("/", 1)[1])
        if job is not None and not job.is_final and self.faults.take("status answers 404 early", of_job(job.input)):
            return web.Response(status=404)
        if job is not None and job.status == "COMPLETED" and self.faults.take("result expired"):
            return web.Response(status=404)
        return answer

    async def _take(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.handed_twice:
            return web.Response(body=self.handed_twice.popleft(), content_type="application/json")
        answer = await handler(request)
        if answer.status != 200:
            return answer
        if self.faults.take("job-take is cut off"):
            cut(request)
        elif self.faults.take("job handed to two workers"):
            assert isinstance(answer, web.Response)
            assert isinstance(answer.body, bytes)
            self.handed_twice.append(answer.body)
        return answer

    async def _done(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_progress = b'"IN_PROGRESS"' in await request.read()
        if not is_progress and self.faults.take("job-done answers 400"):
            return web.Response(status=400)
        if not is_progress and self.faults.take("result lost"):
            return web.json_response({"status": "ok"})
        return await handler(request)


def of_job(input_json: str) -> str:
    return subject_of(input_json.encode())


def cut(request: web.Request) -> None:
    """The connection ends here, without a word."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()


async def dribble(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """The same answer, byte by byte."""
    assert isinstance(whole, web.Response)
    assert isinstance(whole.body, bytes)
    slow = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/json"})
    await slow.prepare(request)
    for place in range(0, len(whole.body), 8):
        await slow.write(whole.body[place : place + 8])
        await asyncio.sleep(DRIBBLE_S)
    return slow


def json_of(answer: web.StreamResponse) -> dict[str, Any]:
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    told: dict[str, Any] = json.loads(answer.body)
    return told


def run_endpoint(world: World, name: str) -> None:
    write_log(world, name)
    asyncio.run(_serve(world))


async def _serve(world: World) -> None:
    """As `server.running` puts it together, with the middleware around it."""
    folder, clock, limits = world.folder / "data" / "endpoint", FastClock.of(world), limits_of(world.speed)
    keys = Keys.load_or_create(folder)
    store = Store(folder / "queue.db")
    queue = Queue(store, limits, clock.timestamp)
    hooks = WebhookSender(store, queue, limits, [world.service_url], clock.timestamp)
    app = create_app(queue, limits, keys)
    app.middlewares.insert(0, Troubles(world, store, clock).handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.2", world.endpoint_port).start()
    world.faults.mark("ready", "endpoint")
    sending = asyncio.create_task(hooks.run())
    while not sending.done():
        await asyncio.sleep(limits.tick_s)
        started_s = time.perf_counter()
        queue.tick()
        if time.perf_counter() - started_s > 1:
            print("slow tick", flush=True)  # noqa: T201  this process's log
    sending.result()
