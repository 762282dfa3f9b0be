"""The local endpoint as a process, with a middleware in which RunPod's and the network's bad habits live."""

import asyncio
import json
from collections import deque
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Queue
from gpu_worker.local_endpoint.server import create_app
from gpu_worker.local_endpoint.store import Job, Store
from gpu_worker.local_endpoint.webhooks import WebhookSender
from tests.chaos.faults import attempt_of, subject_of
from tests.chaos.world import ENDPOINT_HOST, FastClock, World, write_log

REFUSALS = {
    "run answers 500, nothing taken": 500,
    "run answers 401": 401,
    "run answers 422": 422,
    "run answers 429 with seconds": 429,
    "run answers 429 with a date": 429,
}
AFTER = (
    "run answers 500, taken all the same",
    "run hangs after taking",
    "run is cut off after taking",
    "run answers 200 without id",
    "run answers slowly, the hook comes first",
    "run dribbles its answer",
    "job taken and forgotten",
)
STATUS_REFUSALS = {"status answers 500": 500, "status answers 429": 429}
STATUS = (
    *STATUS_REFUSALS,
    "status hangs",
    "status is no JSON",
    "status is a word nobody knows",
    "status dribbles its answer",
)
HEALTH = ("health answers 500", "health is throttled", "health is unhealthy")
HANG_S, SLOW_S, DRIBBLE_S = 1.5, 0.4, 0.02
RETRY_AFTER_S = 2
SPEED = 20.0
"""Seconds of the endpoint's clock in a real one: nobody waits two minutes for an execution limit."""
SHORT_LIFE_MS = 20_000


LIMITS = Limits(
    ping_interval_s=0.8 * SPEED,
    take_hold_s=4.0,
    stopping_slot_s=1.0 * SPEED,
    webhook_retry_s=1.0,
    webhook_timeout_s=3.0,
    tick_s=0.1,
    forget_worker_s=10.0 * SPEED,
)
"""What is compared with the endpoint's clock is in its time; what is slept through is real."""


class Troubles:
    """Middleware over the whole endpoint, so that even its own error answers pass through."""

    def __init__(self, world: World, store: Store, clock: FastClock) -> None:
        self.faults = world.faults
        self.store = store
        self.clock = clock
        self.handed_twice: deque[bytes] = deque()
        self._troubled = {
            "run": self._run,
            "status": self._status,
            "cancel": self._cancel,
            "health": self._health,
            "job-take": self._take,
            "job-done": self._done,
        }

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        _, _, _, action, *_ = [*request.path.split("/"), "", "", ""]
        troubled = self._troubled.get(action)
        return await (troubled(request, handler) if troubled else handler(request))

    # ---- RunPod's client API ----------------------------------------------------------------------------------------

    async def _run(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        subject = subject_of(await request.read())
        refused = self.faults.take_any(tuple(REFUSALS), subject)
        if refused is not None:
            return web.Response(status=REFUSALS[refused], headers=self._retry_after(refused))
        if self.faults.take("time to live over while running", subject):
            self._shorten_life(request)
        answer = await handler(request)
        fault = self.faults.take_any(AFTER, subject)
        match fault:
            case "run answers 500, taken all the same":
                return web.Response(status=500)
            case "run answers 200 without id":
                return web.json_response({"status": "IN_QUEUE"})
            case "run dribbles its answer":
                return await dribble(request, answer)
            case "run hangs after taking":
                await asyncio.sleep(HANG_S)
            case "run answers slowly, the hook comes first":
                await asyncio.sleep(SLOW_S)
            case "run is cut off after taking":
                cut(request)
            case "job taken and forgotten":
                self.store.delete([json_of(answer)["id"]])
        return answer

    def _retry_after(self, fault: str) -> dict[str, str]:
        match fault:
            case "run answers 429 with seconds":
                return {"Retry-After": str(RETRY_AFTER_S)}
            case "run answers 429 with a date":
                until = self.clock.now() + timedelta(seconds=RETRY_AFTER_S)
                return {"Retry-After": format_datetime(until, usegmt=True)}
        return {}

    def _shorten_life(self, request: web.Request) -> None:
        """Over while a worker is at it: the worker is told to hang."""
        body = json.loads(request._read_bytes or b"")
        body["policy"]["ttl"] = SHORT_LIFE_MS
        self.faults.mark("hang", body["input"]["attempt_id"])
        request._read_bytes = json.dumps(body).encode()

    async def _status(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = self.faults.take_any(STATUS)
        if fault in STATUS_REFUSALS:
            return web.Response(status=STATUS_REFUSALS[fault])
        if fault == "status hangs":
            await asyncio.sleep(HANG_S)
        answer = await handler(request)
        job = self.store.job(request.path.rsplit("/", 1)[1])
        if job is not None and self._is_denied(job):
            return web.Response(status=404)
        match fault:
            case "status is no JSON":
                return web.Response(text="<html>Bad gateway</html>")
            case "status is a word nobody knows":
                return web.json_response({"id": request.path.rsplit("/", 1)[1], "status": "PONDERING"})
            case "status dribbles its answer":
                return await dribble(request, answer)
        return answer

    def _is_denied(self, job: Job) -> bool:
        if self.faults.is_marked("forgotten", attempt_of(job.input)):
            return True
        if not job.is_final:
            return self.faults.take("status answers 404 early", subject_of(job.input.encode()))
        return job.status == "COMPLETED" and self.faults.take("result expired")

    async def _cancel(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(status=500) if self.faults.take("cancel fails") else await handler(request)

    async def _health(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """No worker is there, or they are all ill: what the platform says, and no more than that."""
        match self.faults.take_any(HEALTH):
            case "health answers 500":
                return web.Response(status=500)
            case "health is throttled":
                return web.json_response({"jobs": {"inQueue": 90}, "workers": {"throttled": 3}})
            case "health is unhealthy":
                return web.json_response({"jobs": {"inQueue": 90}, "workers": {"unhealthy": 3}})
        return await handler(request)

    # ---- its workers' side ------------------------------------------------------------------------------------------

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
    asyncio.run(_serve(world, name))


async def _serve(world: World, name: str) -> None:
    """As `server.running` puts it together, with the middleware around it."""
    clock = FastClock(world.started_s, SPEED)
    store = Store(world.folder / name / "endpoint" / "queue.db")
    queue = Queue(store, LIMITS, clock.timestamp)
    hooks = WebhookSender(store, queue, LIMITS, [world.service_url], clock.timestamp)
    app = create_app(queue, LIMITS, world.endpoint_keys(name))
    app.middlewares.insert(0, Troubles(world, store, clock).handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, ENDPOINT_HOST, world.endpoint_ports[name]).start()
    world.faults.mark("ready", name)
    sending = asyncio.create_task(hooks.run())
    while not sending.done():
        await asyncio.sleep(LIMITS.tick_s)
        queue.tick()
    sending.result()
