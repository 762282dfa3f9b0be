"""The queue's rules: who gets which job when, and what happens to a job whose worker is gone.

One event loop, one process. Rows are the truth (store.py); what is kept in memory here can be rebuilt from the next
requests: parked polls, workers' heartbeats, and who waits for a result.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.store import Job, Status, Store
from gpu_worker.local_endpoint.workers import Worker

log = logging.getLogger(__name__)

TIMED_OUT_TEXT = "job timed out after executionTimeout"
WORKER_EXITED_TEXT = "worker exited"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client asks for; times in seconds."""

    endpoint: str
    input_json: str
    webhook: str | None = None
    is_sync: bool = False
    execution_timeout_s: float | None = None
    time_to_live_s: float | None = None


@dataclass(eq=False, slots=True)
class ParkedPoll:
    """A worker's open job-take; `job` is set to a job, or to None when it is to be answered with nothing."""

    worker: Worker
    job: "asyncio.Future[Job | None]"
    is_connected: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as the endpoint knows it."""

    id: str
    state: Literal["idle", "running", "stopping", "draining", "unhealthy", "silent"]
    seen_at: float
    job_ids: tuple[str, ...]


class Queue:
    """Every transition of a job. Methods that do not wait run to their end before anything else happens."""

    def __init__(self, store: Store, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._workers: dict[tuple[str, str], Worker] = {}
        self._parked: dict[str, list[ParkedPoll]] = {}
        self._result_waiters: dict[str, list[asyncio.Event]] = {}
        self.webhook_due = asyncio.Event()
        for job in store.running():  # after a restart their workers have one heartbeat timeout to be heard
            self._worker(job.endpoint, job.worker_id or "").start(job.id, job.handed_at or clock())

    # ---- clients -----------------------------------------------------------------------------------------------
    def submit(self, new: Submission) -> Job:
        """Commit a new job, then offer it to the workers that wait."""
        now = self._clock()
        job_id = f"{'sync-' if new.is_sync else ''}{uuid.uuid4()}-e1"
        self._store.add(
            job_id,
            new.endpoint,
            is_sync=new.is_sync,
            input_json=new.input_json,
            webhook=new.webhook,
            execution_timeout_s=new.execution_timeout_s or self._limits.execution_timeout_s,
            submitted_at=now,
            expires_at=now + (new.time_to_live_s or self._limits.time_to_live_s),
        )
        self._match(new.endpoint)
        return self._known(job_id)

    def find(self, endpoint: str, job_id: str) -> Job | None:
        """A job as clients may see it: not another endpoint's, not past its time to live or its retention."""
        job = self._store.job(job_id)
        if job is None or job.endpoint != endpoint:
            return None
        now = self._clock()
        if job.finished_at is None:
            return job if now < job.expires_at else None
        retention_s = self._limits.retention_sync_s if job.is_sync else self._limits.retention_s
        return job if now < job.finished_at + retention_s else None

    async def finished(self, job: Job, wait_s: float) -> Job:
        """The job once it has ended, or as it stands when the wait is over."""
        ended = asyncio.Event()
        self._result_waiters.setdefault(job.id, []).append(ended)
        try:
            async with asyncio.timeout(wait_s):
                while not (current := self._store.job(job.id) or job).is_final:
                    await ended.wait()
                return current
        except TimeoutError:
            return self._store.job(job.id) or job
        finally:
            self._result_waiters[job.id].remove(ended)
            if not self._result_waiters[job.id]:
                del self._result_waiters[job.id]

    def cancel(self, job: Job) -> Job:
        """End a job that has not ended; its worker is told to stop."""
        if not job.is_final:
            self._end(job, "CANCELLED")
            self._order_stop(job)
        return self._known(job.id)

    def retry(self, job: Job) -> bool:
        """Run a failed job again under its old id; False if it has not failed."""
        now = self._clock()
        if not self._store.retry(job.id, now, now + (job.expires_at - job.submitted_at)):
            return False
        self._match(job.endpoint)
        return True

    def purge(self, endpoint: str) -> int:
        """Cancel everything that waits."""
        waiting = self._store.queued_ids(endpoint)
        for job_id in waiting:
            self._end(self._known(job_id), "CANCELLED")
        return len(waiting)

    def stream_parts(self, job: Job) -> list[str]:
        """Partial outputs not read before, as JSON texts."""
        return self._store.take_stream_parts(job.id)

    def health(self, endpoint: str) -> dict[str, dict[str, int]]:
        """Counts in RunPod's words."""
        jobs, retried = self._store.counts(endpoint)
        now = self._clock()
        here = [worker for worker in self._workers.values() if worker.endpoint == endpoint]
        alive = [worker for worker in here if not worker.is_silent(now, self._limits) and not worker.is_draining]
        running = sum(bool(worker.running) for worker in alive)
        unhealthy = sum(worker.is_unhealthy for worker in alive)
        return {
            "jobs": {
                "completed": jobs.get("COMPLETED", 0),
                "failed": jobs.get("FAILED", 0) + jobs.get("TIMED_OUT", 0),
                "inProgress": jobs.get("IN_PROGRESS", 0),
                "inQueue": jobs.get("IN_QUEUE", 0),
                "retried": retried,
            },
            "workers": {
                "idle": len(alive) - running - unhealthy,
                "initializing": 0,
                "ready": len(alive) - unhealthy,
                "running": running,
                "throttled": 0,
                "unhealthy": unhealthy,
            },
        }

    def endpoints(self) -> list[str]:
        """Names under which there are jobs or workers."""
        return sorted({*self._store.endpoints(), *(endpoint for endpoint, _ in self._workers)})

    def recent(self, endpoint: str, limit: int) -> list[Job]:
        """The jobs last submitted, the newest first."""
        return self._store.recent(endpoint, limit)

    def workers_seen(self, endpoint: str) -> list[WorkerSeen]:
        """Every worker of an endpoint that is still remembered, by name."""
        here = sorted((worker for worker in self._workers.values() if worker.endpoint == endpoint), key=lambda w: w.id)
        return [
            WorkerSeen(worker.id, self._state(worker), worker.seen_at, (*worker.running, *worker.stopping))
            for worker in here
        ]

    def _state(self, worker: Worker) -> Literal["idle", "running", "stopping", "draining", "unhealthy", "silent"]:
        if worker.is_silent(self._clock(), self._limits):
            return "silent"
        if worker.is_unhealthy:
            return "unhealthy"
        if worker.stopping:
            return "stopping"
        if worker.is_draining:
            return "draining"
        return "running" if worker.running else "idle"

    # ---- workers -----------------------------------------------------------------------------------------------
    async def take(
        self, endpoint: str, worker_id: str, *, has_job: bool, is_connected: Callable[[], bool]
    ) -> Job | None:
        """Wait for a job for this worker. `has_job` is what the worker says of itself."""
        worker = self._worker(endpoint, worker_id)
        worker.seen_at = self._clock()
        if not has_job:
            worker.stopping.clear()
            for job_id in list(worker.running):
                self._lose(worker, job_id, "says it has none")
        poll = ParkedPoll(worker, asyncio.get_running_loop().create_future(), is_connected)
        parked = self._parked.setdefault(endpoint, [])
        parked.append(poll)
        try:
            self._match(endpoint)
            await asyncio.wait([poll.job], timeout=self._limits.take_hold_s)
            return poll.job.result() if poll.job.done() else None
        except asyncio.CancelledError:  # the connection went away
            if poll.job.done() and (job := poll.job.result()) is not None:
                self._give_back(worker, job)
            raise
        finally:
            parked.remove(poll)

    def done(self, endpoint: str, worker_id: str, job: Job, *, output: str | None, error: str | None) -> None:
        """A worker's result. The first one counts, whoever brings it; a later one only frees the worker's slot."""
        self._worker(endpoint, worker_id).release(job.id)
        if not job.is_final:
            self._end(job, "FAILED" if error is not None else "COMPLETED", output=output, error=error)
            self._order_stop(job)  # another worker may have been given it meanwhile
        self._match(endpoint)

    def progress(self, job: Job, output: str | None) -> None:
        """A running worker's last word on how far it is; ignored once the job has ended."""
        self._store.progress(job.id, output)

    def stream(self, job: Job, part: str) -> None:
        """A partial output."""
        if not job.is_final:
            self._store.add_stream_part(job.id, part)

    def heard(self, endpoint: str, worker_id: str, job_ids: Collection[str]) -> None:
        """A heartbeat that names the jobs the worker has."""
        worker = self._worker(endpoint, worker_id)
        for job_id in worker.heard(job_ids, self._clock(), self._limits):
            self._lose(worker, job_id, "no longer names it")
        self._match(endpoint)

    def unhealthy(self, endpoint: str, worker_id: str) -> None:
        """A worker's own checks failed; it is about to leave."""
        self._worker(endpoint, worker_id).is_unhealthy = True

    async def stop_orders(self, endpoint: str, worker_id: str) -> list[str]:
        """Wait for jobs that this worker is to drop."""
        return await self._worker(endpoint, worker_id).next_stop_orders(self._limits.take_hold_s)

    def drain(self, endpoint: str, worker_id: str) -> None:
        """Give this worker nothing more and answer its open polls, so that it can leave at once."""
        worker = self._worker(endpoint, worker_id)
        worker.drain()
        for poll in self._parked.get(endpoint, []):
            if poll.worker is worker and not poll.job.done():
                poll.job.set_result(None)

    def gone(self, endpoint: str, worker_id: str) -> None:
        """Its supervisor saw this worker die: nothing needs to be waited for."""
        worker = self._workers.get((endpoint, worker_id))
        if worker is None:
            return
        self.drain(endpoint, worker_id)  # its polls may still look open for a moment
        del self._workers[endpoint, worker_id]
        for job_id in list(worker.running):
            self._lose(worker, job_id, "has died")
        self._match(endpoint)

    # ---- time --------------------------------------------------------------------------------------------------
    def tick(self) -> None:
        """Look for what the clock alone decides: timeouts, silent workers, expired jobs."""
        now = self._clock()
        for worker in list(self._workers.values()):
            self._check_worker(worker, now)
        for job in self._store.expired(now):
            self._order_stop(job)
            self._store.delete([job.id])
            self._wake(job.id)
        self._store.delete_retained(now - self._limits.retention_s, now - self._limits.retention_sync_s)
        for endpoint in self._parked:
            self._match(endpoint)

    def close(self) -> None:
        """Answer every open poll with nothing: the endpoint is about to stop."""
        for parked in self._parked.values():
            for poll in parked:
                if not poll.job.done():
                    poll.job.set_result(None)
        for worker in self._workers.values():
            worker.stop_ordered.set()

    def _check_worker(self, worker: Worker, now: float) -> None:
        worker.free_overdue(now)
        is_silent = worker.is_silent(now, self._limits)
        for job_id in list(worker.running):
            job = self._store.job(job_id)
            if job is None or job.is_final:
                worker.release(job_id)
            elif now > (job.handed_at or now) + job.execution_timeout_s:
                self._end(job, "TIMED_OUT", error=TIMED_OUT_TEXT)
                worker.order_stop(job_id, now, self._limits)
            elif is_silent:
                self._lose(worker, job_id, "is silent")
        if now - worker.seen_at > self._limits.forget_worker_s and not worker.running:
            self._workers.pop((worker.endpoint, worker.id), None)

    # ---- steps -------------------------------------------------------------------------------------------------
    def _match(self, endpoint: str) -> None:
        """Give waiting jobs, oldest first, to the polls that have waited longest."""
        now = self._clock()
        for poll in self._parked.get(endpoint, []):
            if poll.job.done() or not poll.worker.is_free(now, self._limits) or not poll.is_connected():
                continue
            job = self._store.next_queued(endpoint)
            if job is None:
                return
            if self._store.hand_over(job.id, poll.worker.id, now):
                poll.worker.start(job.id, now)
                poll.job.set_result(job)

    def _lose(self, worker: Worker, job_id: str, reason: str) -> None:
        """A worker lost a job: back to the front of the queue, or failed when that has happened too often."""
        worker.release(job_id)
        job = self._store.job(job_id)
        if job is None or job.status != "IN_PROGRESS" or job.worker_id != worker.id:
            return
        log.warning("job %s: worker %s %s (delivery %d)", job_id, worker.id, reason, job.deliveries)
        if job.deliveries >= self._limits.max_deliveries:
            self._end(job, "FAILED", error=WORKER_EXITED_TEXT)
        else:
            self._store.requeue(job_id, count_delivery=True)
            self._match(job.endpoint)

    def _give_back(self, worker: Worker, job: Job) -> None:
        """The poll that was to carry this job was already dead: as if it had never been handed over."""
        worker.release(job.id)
        if self._store.requeue(job.id, count_delivery=False):
            self._match(job.endpoint)

    def _end(self, job: Job, status: Status, *, output: str | None = None, error: str | None = None) -> None:
        if self._store.finish(job.id, status, self._clock(), output=output, error=error):
            self._wake(job.id)
            if job.webhook is not None:
                self.webhook_due.set()

    def _order_stop(self, job: Job) -> None:
        if job.worker_id is not None and (worker := self._workers.get((job.endpoint, job.worker_id))):
            worker.order_stop(job.id, self._clock(), self._limits)

    def _wake(self, job_id: str) -> None:
        for ended in self._result_waiters.get(job_id, []):
            ended.set()

    def _worker(self, endpoint: str, worker_id: str) -> Worker:
        key = (endpoint, worker_id)
        if key not in self._workers:
            self._workers[key] = Worker(worker_id, endpoint, seen_at=self._clock())
        return self._workers[key]

    def _known(self, job_id: str) -> Job:
        job = self._store.job(job_id)
        if job is None:
            raise LookupError(job_id)
        return job
