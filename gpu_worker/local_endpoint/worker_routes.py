"""RunPod's worker protocol, as the SDK speaks it, with the worker key sent raw.

Two routes under `/_/` are this endpoint's own, for the supervisor of a worker on the same host: `drain` (it is being
stopped: answer its polls, give it nothing) and `gone` (it has died: put its job back at once).
"""

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web

from gpu_worker.local_endpoint.envelope import for_worker
from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.queue import Queue
from gpu_worker.local_endpoint.requests import answer, decode_result, error_text, output_text, read_limited, refusal
from gpu_worker.local_endpoint.store import Job

Handler = Callable[[web.Request], Awaitable[web.Response]]


class WorkerRoutes:
    """`/v2/{endpoint}/...` for workers."""

    def __init__(self, queue: Queue, limits: Limits, worker_key: str) -> None:
        self._queue = queue
        self._limits = limits
        self._key = worker_key.encode()

    def routes(self) -> list[web.RouteDef]:
        """Every route of this side."""
        base = "/v2/{endpoint}"
        return [
            web.get(f"{base}/job-take/{{worker}}", self._checked(self.job_take)),
            web.get(f"{base}/job-take-batch/{{worker}}", self._checked(self.job_take_batch)),
            web.post(f"{base}/job-done/{{worker}}/{{job}}", self._checked(self.job_done)),
            web.post(f"{base}/job-stream/{{worker}}/{{job}}", self._checked(self.job_stream)),
            web.get(f"{base}/ping/{{worker}}", self._checked(self.ping)),
            web.get(f"{base}/job-stop/{{worker}}", self._checked(self.job_stop)),
            web.post("/_/drain/{endpoint}/{worker}", self._checked(self.drain)),
            web.post("/_/gone/{endpoint}/{worker}", self._checked(self.gone)),
        ]

    async def job_take(self, request: web.Request) -> web.Response:
        """Wait for one job."""
        job = await self._taken(request)
        return web.Response(status=204) if job is None else answer(for_worker(job))

    async def job_take_batch(self, request: web.Request) -> web.Response:
        """Wait for one job, in a list: a worker has one slot however many it asks for."""
        job = await self._taken(request)
        return web.Response(status=204) if job is None else answer([for_worker(job)])

    async def job_done(self, request: web.Request) -> web.Response:
        """A result, or progress."""
        endpoint, worker_id = _names(request)
        job = self._job(request)
        if job is None:
            return refusal(404, "job not found")
        body = await read_limited(request, self._limits.max_result_bytes)
        if body is None:
            return refusal(413, f"a result may have at most {self._limits.max_result_bytes} bytes")
        try:
            result = decode_result(body)
        except ValueError as error:
            return refusal(400, str(error))
        if result.status == "IN_PROGRESS":
            self._queue.progress(job, output_text(result))
        else:
            job = self._job(request) or job  # it may have ended while the body came in
            if result.stop_pod:  # it wants to be replaced: nothing more for this one
                self._queue.drain(endpoint, worker_id)
            self._queue.done(endpoint, worker_id, job, output=output_text(result), error=error_text(result))
        return answer({"status": "ok"})

    async def job_stream(self, request: web.Request) -> web.Response:
        """A partial output."""
        job = self._job(request)
        if job is None:
            return refusal(404, "job not found")
        body = await read_limited(request, self._limits.max_result_bytes)
        if body is None:
            return refusal(413, "too large")
        try:
            decode_result(body)
        except ValueError as error:
            return refusal(400, str(error))
        self._queue.stream(job, body.decode())
        return answer({"status": "ok"})

    async def ping(self, request: web.Request) -> web.Response:
        """A heartbeat, or the report of a failed start check."""
        endpoint, worker_id = _names(request)
        if request.query.get("status") == "unhealthy":
            self._queue.unhealthy(endpoint, worker_id)
        else:
            job_ids = {job_id for job_id in request.query.get("job_id", "").split(",") if job_id}
            self._queue.heard(endpoint, worker_id, job_ids)
        return answer({"status": "pong"})

    async def job_stop(self, request: web.Request) -> web.Response:
        """Wait for jobs to drop."""
        orders = await self._queue.stop_orders(*_names(request))
        return answer({"jobsToStop": orders}) if orders else web.Response(status=204)

    async def drain(self, request: web.Request) -> web.Response:
        """The worker is being stopped."""
        self._queue.drain(*_names(request))
        return answer({"status": "ok"})

    async def gone(self, request: web.Request) -> web.Response:
        """The worker has died."""
        self._queue.gone(*_names(request))
        return answer({"status": "ok"})

    async def _taken(self, request: web.Request) -> Job | None:
        endpoint, worker_id = _names(request)
        return await self._queue.take(
            endpoint,
            worker_id,
            has_job=request.query.get("job_in_progress") != "0",
            is_connected=lambda: request.transport is not None and not request.transport.is_closing(),
        )

    def _job(self, request: web.Request) -> Job | None:
        return self._queue.find(request.match_info["endpoint"], request.match_info["job"])

    def _checked(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.Response:
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), self._key):
                return refusal(401, "Unauthorized")
            return await handler(request)

        return checked


def _names(request: web.Request) -> tuple[str, str]:
    return request.match_info["endpoint"], request.match_info["worker"]
