"""RunPod's client API: what a backend calls with the client key."""

import hmac
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from gpu_worker.local_endpoint.envelope import status_of
from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Queue
from gpu_worker.local_endpoint.requests import answer, decode_submission, read_limited, refusal
from gpu_worker.local_endpoint.store import Job

Handler = Callable[[web.Request], Awaitable[web.Response]]

MIN_WAIT_MS, DEFAULT_WAIT_MS, MAX_WAIT_MS = 1_000, 90_000, 300_000


class ClientRoutes:
    """`/v2/{endpoint}/...` for clients."""

    def __init__(self, queue: Queue, limits: Limits, client_key: str) -> None:
        self._queue = queue
        self._limits = limits
        self._bearer = f"Bearer {client_key}".encode()

    def routes(self) -> list[web.RouteDef]:
        """Every route of this side."""
        base = "/v2/{endpoint}"
        return [
            web.post(f"{base}/run", self._checked(self.run)),
            web.post(f"{base}/runsync", self._checked(self.runsync)),
            web.route("GET", f"{base}/status/{{job}}", self._checked(self.status)),
            web.route("POST", f"{base}/status/{{job}}", self._checked(self.status)),
            web.route("GET", f"{base}/stream/{{job}}", self._checked(self.stream)),
            web.route("POST", f"{base}/stream/{{job}}", self._checked(self.stream)),
            web.post(f"{base}/cancel/{{job}}", self._checked(self.cancel)),
            web.post(f"{base}/retry/{{job}}", self._checked(self.retry)),
            web.post(f"{base}/purge-queue", self._checked(self.purge_queue)),
            web.get(f"{base}/health", self._checked(self.health)),
        ]

    async def run(self, request: web.Request) -> web.Response:
        """Submit; the commit comes before the answer."""
        job = await self._submitted(request, self._limits.max_run_bytes, is_sync=False)
        return job if isinstance(job, web.Response) else answer({"id": job.id, "status": "IN_QUEUE"})

    async def runsync(self, request: web.Request) -> web.Response:
        """Submit and wait for the end."""
        wait_ms = request.query.get("wait", str(DEFAULT_WAIT_MS))
        if not wait_ms.isdigit():
            return refusal(400, "wait must be a number of milliseconds")
        job = await self._submitted(request, self._limits.max_runsync_bytes, is_sync=True)
        if isinstance(job, web.Response):
            return job
        wait_s = min(max(int(wait_ms), MIN_WAIT_MS), MAX_WAIT_MS) / 1000
        return answer(status_of(await self._queue.finished(job, wait_s)))

    async def status(self, request: web.Request) -> web.Response:
        """How a job stands."""
        job = self._job(request)
        return answer(status_of(job)) if job else _not_found()

    async def stream(self, request: web.Request) -> web.Response:
        """Partial outputs not read before."""
        job = self._job(request)
        if job is None:
            return _not_found()
        parts = [msgspec.Raw(part.encode()) for part in self._queue.stream_parts(job)]
        return answer({"status": job.status, "stream": parts})

    async def cancel(self, request: web.Request) -> web.Response:
        """End a job."""
        job = self._job(request)
        if job is None:
            return _not_found()
        return answer({"id": job.id, "status": self._queue.cancel(job).status})

    async def retry(self, request: web.Request) -> web.Response:
        """Run a failed job again."""
        job = self._job(request)
        if job is None:
            return _not_found()
        if not self._queue.retry(job):
            return refusal(400, "only a failed or timed out job can be retried")
        return answer({"id": job.id, "status": "IN_QUEUE"})

    async def purge_queue(self, request: web.Request) -> web.Response:
        """Cancel what waits."""
        return answer({"removed": self._queue.purge(request.match_info["endpoint"]), "status": "completed"})

    async def health(self, request: web.Request) -> web.Response:
        """Counts of jobs and workers."""
        return answer(self._queue.health(request.match_info["endpoint"]))

    async def _submitted(self, request: web.Request, max_bytes: int, *, is_sync: bool) -> Job | web.Response:
        body = await read_limited(request, max_bytes)
        if body is None:
            return refusal(413, f"a request may have at most {max_bytes} bytes")
        try:
            submission = decode_submission(body, request.match_info["endpoint"], is_sync=is_sync)
        except ValueError as error:
            return refusal(400, str(error))
        return self._queue.submit(submission)

    def _job(self, request: web.Request) -> Job | None:
        return self._queue.find(request.match_info["endpoint"], request.match_info["job"])

    def _checked(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.Response:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, self._bearer):
                return refusal(401, "Unauthorized")
            return await handler(request)

        return checked


def _not_found() -> web.Response:
    return refusal(404, "job not found")
