"""Tells clients that a job has ended: durable, a few tries, only to origins the operator named."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import aiohttp

from gpu_worker.local_endpoint.envelope import encode_webhook
from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Queue
from gpu_worker.local_endpoint.store import Job, Store

log = logging.getLogger(__name__)

MAX_AT_ONCE = 16


def origin_of(url: str) -> str:
    """`scheme://host:port` in lower case, the port always written; ValueError if it is not an http address."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise ValueError("not an http or https address without credentials")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


class WebhookSender:
    """Sends what is due, oldest first. A due time stands in the job's row, so a restart forgets none."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        limits: Limits,
        origins: Collection[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._queue = queue
        self._limits = limits
        self._origins = {origin_of(origin) for origin in origins}
        self._clock = clock
        self._in_flight: set[str] = set()

    async def run(self) -> None:
        """Send for ever; ends by cancellation. A slow receiver holds up nobody but itself."""
        timeout = aiohttp.ClientTimeout(total=self._limits.webhook_timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as sending,
        ):
            while True:
                self._queue.webhook_due.clear()
                for job in self._store.due_webhooks(self._clock(), MAX_AT_ONCE):
                    if job.id not in self._in_flight and len(self._in_flight) < MAX_AT_ONCE:
                        self._in_flight.add(job.id)
                        sending.create_task(self._send(session, job))
                await self._wait()

    async def _wait(self) -> None:
        """Until something new is due: a job has ended, a delivery is over, or a retry's time has come."""
        next_at = None if self._in_flight else self._store.next_webhook_at()
        wait_s = self._limits.webhook_retry_s if next_at is None else max(0.0, next_at - self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._queue.webhook_due.wait()

    async def _send(self, session: aiohttp.ClientSession, job: Job) -> None:
        try:
            is_last = job.webhook_tries + 1 >= self._limits.webhook_tries
            is_over = await self._is_delivered(session, job) or is_last
            self._store.webhook_tried(job.id, None if is_over else self._clock() + self._limits.webhook_retry_s)
        finally:
            self._in_flight.discard(job.id)
            self._queue.webhook_due.set()

    async def _is_delivered(self, session: aiohttp.ClientSession, job: Job) -> bool:
        """True when it arrived or must never be sent. The address is a secret and is not logged."""
        url = job.webhook or ""
        try:
            if origin_of(url) not in self._origins:
                log.warning("job %s: webhook dropped, its origin is not one of --webhook-origin", job.id)
                return True
        except ValueError:
            log.warning("job %s: webhook dropped, its address is malformed", job.id)
            return True
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(url, data=encode_webhook(job), headers=headers, allow_redirects=False) as answer:
                if answer.status == 200:
                    return True
                log.warning("job %s: webhook answered %d", job.id, answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("job %s: webhook failed: %s", job.id, type(error).__name__)
        return False
