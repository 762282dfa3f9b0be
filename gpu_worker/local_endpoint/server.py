"""The local endpoint as a process: RunPod's two protocols on one loopback port, for one host."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from gpu_worker.local_endpoint.client_routes import ClientRoutes
from gpu_worker.local_endpoint.keys import Keys
from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Queue
from gpu_worker.local_endpoint.requests import answer, largest_body, refusal
from gpu_worker.local_endpoint.status_page import StatusPage
from gpu_worker.local_endpoint.store import Store
from gpu_worker.local_endpoint.webhooks import WebhookSender
from gpu_worker.local_endpoint.worker_routes import WorkerRoutes

log = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT_S = 2.0
RESTART_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where the endpoint listens and keeps its rows; port 0 takes a free one."""

    data_dir: Path
    port: int
    host: str = "127.0.0.1"
    webhook_origins: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def folder(self) -> Path:
        """Holds `keys.json` and `queue.db`."""
        return self.data_dir / "endpoint"


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Unknown routes, wrong methods and faults answer in JSON like the rest, without inner workings."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return refusal(error.status, error.reason)
    except Exception:
        log.exception("request failed")
        return refusal(500, "internal error")


async def ready(_request: web.Request) -> web.Response:
    """For supervisors: the queue is open."""
    return answer({"status": "ready"})


def create_app(queue: Queue, limits: Limits, keys: Keys, clock: Callable[[], float] = time.time) -> web.Application:
    """All routes over one queue."""
    app = web.Application(middlewares=[json_errors], client_max_size=largest_body(limits))
    app.add_routes(
        [
            web.get("/_/ready", ready),
            *StatusPage(queue, keys.client_key, clock).routes(),
            *ClientRoutes(queue, limits, keys.client_key).routes(),
            *WorkerRoutes(queue, limits, keys.worker_key).routes(),
        ]
    )
    return app


@contextlib.asynccontextmanager
async def running(settings: EndpointSettings, clock: Callable[[], float] = time.time) -> AsyncIterator[str]:
    """The endpoint while the block lasts; yields its address."""
    keys = Keys.load_or_create(settings.folder)
    store = Store(settings.folder / "queue.db")
    queue = Queue(store, settings.limits, clock)
    webhooks = WebhookSender(store, queue, settings.limits, settings.webhook_origins, clock)
    # handler_cancellation: a poll whose connection is gone must never be given a job
    runner = web.AppRunner(
        create_app(queue, settings.limits, keys, clock),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    tasks: list[asyncio.Task[None]] = []
    try:
        await site.start()
        tasks = [
            asyncio.create_task(_kept_running("webhooks", webhooks.run)),
            asyncio.create_task(_kept_running("clock", lambda: _tick(queue, settings.limits))),
        ]
        yield f"http://{settings.host}:{runner.addresses[0][1]}"
    finally:
        queue.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        store.close()


async def serve(settings: EndpointSettings, announce: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings) as address:
        announce(address)
        await stop.wait()


async def _tick(queue: Queue, limits: Limits) -> None:
    while True:
        await asyncio.sleep(limits.tick_s)
        queue.tick()


async def _kept_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A fault such as a full disk must not end a background task for good: log it and begin again."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed; starting again", name)
            await asyncio.sleep(RESTART_PAUSE_S)
