"""Finds out what became of attempts. Order of trust: manifest in our store, then the queue's status, then hooks."""

from datetime import timedelta

import structlog

from backend.core.clock import Clock
from backend.core.storage import ObjectStore, StorageError
from backend.jobs import states
from backend.jobs.dispatch import in_parallel
from backend.jobs.ledger import Ledger, Looked
from backend.jobs.manifests import find_done
from backend.jobs.models import Job, JobAttempt
from backend.jobs.queue import ComputeQueue, Gone, JobStatus, Unreachable
from gpu_worker.contract import PERMANENT_ERRORS

log = structlog.get_logger()

BATCH = 64
AT_ONCE = 8
CLOSED_AS = {"completed": states.NO_ARTIFACT, "timed_out": states.TIMED_OUT, "cancelled": states.CANCELLED}
FAULT_WITHOUT_RESULT = "exhausted"
"""What the avatar's row is told when attempts ended without a word of their own."""


class Reconciler:
    def __init__(self, ledger: Ledger, queue: ComputeQueue, store: ObjectStore, clock: Clock) -> None:
        self.ledger = ledger
        self.queue = queue
        self.store = store
        self.clock = clock

    async def run_due(self) -> int:
        attempts = await self.ledger.due_attempts(BATCH)
        await in_parallel(AT_ONCE, attempts, self.look)
        return len(attempts)

    async def run_overdue(self) -> int:
        jobs = await self.ledger.overdue_jobs(BATCH)
        await in_parallel(AT_ONCE, jobs, self._end_overdue)
        return len(jobs)

    async def look(self, attempt: JobAttempt) -> None:
        looked = await self.ledger.lease(attempt)
        if looked is None:
            return
        try:
            await self._look(looked)
        except StorageError as error:
            log.warning("job.store_unavailable", attempt_id=str(attempt.id), fault=type(error).__name__)

    async def _look(self, looked: Looked) -> None:
        job, attempt = looked.job, looked.attempt
        if attempt.state not in states.OPEN_ATTEMPTS:
            if not await self._succeeded(looked, None):
                await self.ledger.seen(attempt)
        elif job.state in states.TERMINAL:
            await self._call_off(looked)
        elif attempt.rp_id is not None:
            await self._ask(looked, attempt.rp_id)
        elif attempt.hinted_rp_id is not None and await self._adopt(looked, attempt.hinted_rp_id):
            pass
        else:
            await self._without_id(looked)

    async def _ask(self, looked: Looked, rp_id: str) -> None:
        try:
            status = await self.queue.status(rp_id)
        except Gone:
            if not await self._succeeded(looked, None):
                await self._close(looked, states.GONE, FAULT_WITHOUT_RESULT, is_retryable=True)
            return
        except Unreachable as fault:
            log.warning("job.status_unreachable", job_id=str(looked.job.id), reason=str(fault))
            status = JobStatus("open")
        if status.state == "open":
            await self._still_open(looked, status)
        elif not await self._succeeded(looked, status):
            await self._ended(looked, status)

    async def _still_open(self, looked: Looked, status: JobStatus) -> None:
        """Beyond the execution limit the result of a finished run may have been lost on its way to the queue."""
        age = self.clock.now() - looked.attempt.submitted_at
        if age > states.EXECUTION_TIMEOUT and await self._succeeded(looked, status):
            return
        await self.ledger.still_open(looked, self._poll_delay(age, status), status.stage)

    def _poll_delay(self, age: timedelta, status: JobStatus) -> timedelta:
        return states.poll_delay(age, is_local=self.queue.is_local, is_queued=status.is_queued)

    async def _ended(self, looked: Looked, status: JobStatus) -> None:
        if status.state == "failed":
            code = status.error_code or "internal"
            is_retryable = status.is_retryable and code not in PERMANENT_ERRORS
            await self._close(looked, states.FAILED, code, is_retryable=is_retryable, status=status)
            return
        await self._close(looked, CLOSED_AS[status.state], FAULT_WITHOUT_RESULT, is_retryable=True, status=status)

    async def _without_id(self, looked: Looked) -> None:
        """Sent without an answer, or never sent because we died: the same once the grace is over."""
        age = self.clock.now() - looked.attempt.submitted_at
        if age < states.UNKNOWN_GRACE:
            await self.ledger.still_open(looked, states.UNKNOWN_GRACE - age)
        elif not await self._succeeded(looked, None):
            await self._close(looked, states.ABANDONED, FAULT_WITHOUT_RESULT, is_retryable=True)

    async def _adopt(self, looked: Looked, rp_id: str) -> bool:
        """A hook claimed this id: the endpoint must know it before we believe it."""
        try:
            await self.queue.status(rp_id)
        except (Gone, Unreachable):
            return False
        await self.ledger.submitted(looked.attempt, rp_id, timedelta(0))
        return True

    async def _call_off(self, looked: Looked) -> None:
        """The job is over by another attempt, by its deadline or by the shopper's wish."""
        if await self._succeeded(looked, None):
            return
        if looked.attempt.rp_id is not None:
            await self.queue.cancel(looked.attempt.rp_id)
        await self.ledger.cancelled(looked.attempt)

    async def _close(
        self, looked: Looked, state: str, code: str, *, is_retryable: bool, status: JobStatus | None = None
    ) -> None:
        """Before a job ends for want of attempts, all that were made are looked at once more."""
        is_last = looked.job.executions >= states.MAX_EXECUTIONS
        if is_retryable and is_last and await self._last_look(looked.job, but=looked.attempt):
            return
        await self.ledger.close(looked, state, code, is_retryable=is_retryable, status=status)

    async def _end_overdue(self, job: Job) -> None:
        if not await self._last_look(job, but=None):
            await self.ledger.end_overdue(job)

    async def _last_look(self, job: Job, *, but: JobAttempt | None) -> bool:
        for attempt in await self.ledger.attempts(job):
            if (but is None or attempt.id != but.id) and await self._succeeded(Looked(job, attempt), None):
                return True
        return False

    async def _succeeded(self, looked: Looked, status: JobStatus | None) -> bool:
        """Whether this attempt has a sound manifest; then it is taken in."""
        outcomes = self.ledger.outcomes[looked.job.kind]
        done = await find_done(self.store, looked.job, looked.attempt, outcomes)
        if done is None:
            return False
        is_first = await self.ledger.succeed(looked, done, status)
        if is_first:
            await self._cancel_others(looked)
        return True

    async def _cancel_others(self, looked: Looked) -> None:
        for attempt in await self.ledger.attempts(looked.job):
            if attempt.id != looked.attempt.id and attempt.state in states.OPEN_ATTEMPTS:
                if attempt.rp_id is not None:
                    await self.queue.cancel(attempt.rp_id)
                await self.ledger.cancelled(attempt)
