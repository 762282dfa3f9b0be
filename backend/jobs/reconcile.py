"""Finds out what became of attempts. Order of trust: manifest in our store, then the queue's status, then hooks."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from backend.core.clock import Clock
from backend.core.storage import ObjectStore, StorageError
from backend.jobs import states
from backend.jobs.answers import JobStatus
from backend.jobs.dispatch import in_parallel
from backend.jobs.ledger import Ledger
from backend.jobs.manifests import find_done
from backend.jobs.models import Job, JobAttempt
from backend.jobs.providers import Provider, Providers, name_of
from backend.jobs.queue import Gone, Unreachable
from backend.jobs.rows import Looked
from gpu_worker.contract import PERMANENT_ERRORS

log = structlog.get_logger()

BATCH = 64
CLOSED_AS = {"completed": states.NO_ARTIFACT, "timed_out": states.TIMED_OUT, "cancelled": states.CANCELLED}
FAULT_WITHOUT_RESULT = "exhausted"
"""What the avatar's row is told when attempts ended without a word of their own."""


class Reconciler:
    def __init__(self, ledger: Ledger, providers: Providers, store: ObjectStore, clock: Clock) -> None:
        self.ledger = ledger
        self.providers = providers
        self.store = store
        self.clock = clock
        self._first_looks: dict[UUID, datetime] = {}
        """Of attempts without an id. After a restart they are looked at anew, and wait a little longer."""

    async def run_due(self) -> int:
        attempts = await self.ledger.claims.due_attempts(BATCH)
        looked_at = await in_parallel(attempts, self.look)
        self._forget_old_looks()
        return looked_at

    def _forget_old_looks(self) -> None:
        """Of attempts that got an id meanwhile, or were seen to their end by another process."""
        long_ago = self.clock.now() - 3 * states.UNKNOWN_GRACE
        self._first_looks = {key: time for key, time in self._first_looks.items() if time > long_ago}

    async def run_overdue(self) -> int:
        jobs = await self.ledger.claims.overdue_jobs(BATCH)
        return await in_parallel(jobs, self._end_overdue)

    async def look(self, attempt: JobAttempt) -> None:
        looked = await self.ledger.claims.lease(attempt)
        if looked is None:
            return
        try:
            with structlog.contextvars.bound_contextvars(request_id=looked.job.request_id):
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
        provider = self.providers.of(looked.attempt)
        try:
            status = await self._status(provider, rp_id)
        except Gone:
            if not await self._succeeded(looked, None):
                await self._close(looked, states.GONE, FAULT_WITHOUT_RESULT, is_retryable=True)
            return
        except Unreachable as fault:
            await self._unreachable(looked, provider, fault)
            return
        if status.state == "open":
            await self._still_open(looked, provider, status)
        elif not await self._succeeded(looked, status):
            await self._ended(looked, status)

    async def _status(self, provider: Provider | None, rp_id: str) -> JobStatus:
        """Raises `Gone` or `Unreachable`; the latter too where asking is of no use now."""
        if provider is None:
            raise Unreachable("a provider that the settings do not know")
        ticket = provider.enter()
        if ticket is None:
            raise Unreachable("not asked")
        return await provider.ask(ticket, rp_id)

    async def _unreachable(self, looked: Looked, provider: Provider | None, fault: Unreachable) -> None:
        """The result may be there all the same: a manifest counts more than the queue's word."""
        if await self._succeeded(looked, None):
            return
        log.warning("job.status_unreachable", job_id=str(looked.job.id), reason=fault.reason)
        age = self.clock.now() - looked.attempt.submitted_at
        if provider is None and age > states.QUEUE_TTL:  # by then the queue itself would have dropped it
            await self._close(looked, states.GONE, FAULT_WITHOUT_RESULT, is_retryable=True)
            return
        await self.ledger.still_open(looked, states.poll_delay(age, is_local=_is_local(provider)))

    async def _still_open(self, looked: Looked, provider: Provider | None, status: JobStatus) -> None:
        """After its usual time the result of a finished run may have been lost on its way to the queue."""
        age = self.clock.now() - looked.attempt.submitted_at
        usual_end = self.ledger.limits.usual_end_of(looked.job.kind, looked.attempt)
        if age > usual_end and await self._succeeded(looked, status):
            return
        if status.is_queued and age > states.QUEUE_ALARM and provider and await self._moved(looked, provider):
            return
        poll_after = states.poll_delay(age, is_local=_is_local(provider), is_queued=status.is_queued)
        await self.ledger.still_open(looked, poll_after, status.stage)

    async def _moved(self, looked: Looked, provider: Provider) -> bool:
        """A queue that does not move: only for a worker that waits elsewhere is a place in it given up."""
        log.warning("job.queue_slow", job_id=str(looked.job.id), provider=provider.name)
        if looked.job.moved_from is not None:
            return False
        other = self.providers.elsewhere(looked.job.kind, provider)
        if other is None:
            return False
        other.take_idle_worker()  # before anything is awaited: others look at the same moment
        if not await self.ledger.move(looked, name_of(provider.key)):
            return False
        await self._tell_cancelled(looked.attempt)
        return True

    async def _ended(self, looked: Looked, status: JobStatus) -> None:
        if status.state == "failed":
            code = status.error_code or "internal"
            is_retryable = status.is_retryable and code not in PERMANENT_ERRORS
            await self._close(looked, states.FAILED, code, is_retryable=is_retryable, status=status)
            return
        await self._close(looked, CLOSED_AS[status.state], FAULT_WITHOUT_RESULT, is_retryable=True, status=status)

    async def _without_id(self, looked: Looked) -> None:
        """Sent without an answer, or never sent because we died: the same once the grace is over.

        The attempt's times are of its sender's clock, which may be far from ours: the end of the grace is measured
        from our own first look.
        """
        now, attempt_id = self.clock.now(), looked.attempt.id
        seen_at = self._first_looks.setdefault(attempt_id, now)
        left = max(
            states.UNKNOWN_GRACE - (now - looked.attempt.submitted_at),
            states.UNKNOWN_GRACE - states.FIRST_LOOK - (now - seen_at),
        )
        if left > timedelta(0):
            await self.ledger.still_open(looked, left)
            return
        del self._first_looks[attempt_id]
        if not await self._succeeded(looked, None):
            await self._close(looked, states.ABANDONED, FAULT_WITHOUT_RESULT, is_retryable=True)

    async def _adopt(self, looked: Looked, rp_id: str) -> bool:
        """A hook claimed this id: the endpoint must know it before we believe it."""
        try:
            await self._status(self.providers.of(looked.attempt), rp_id)
        except (Gone, Unreachable):
            return False
        await self.ledger.submitted(looked.attempt, rp_id, timedelta(0))
        return True

    async def _call_off(self, looked: Looked) -> None:
        """The job is over by another attempt, by its deadline or by the shopper's wish."""
        if await self._succeeded(looked, None):
            return
        await self._tell_cancelled(looked.attempt)
        await self.ledger.cancelled(looked.attempt)

    async def _tell_cancelled(self, attempt: JobAttempt) -> None:
        """Tried once: whatever it does in spite of it takes no effect."""
        provider = self.providers.of(attempt)
        rp_id = attempt.rp_id or attempt.hinted_rp_id
        if provider is not None and rp_id is not None:
            await provider.queue.cancel(rp_id)

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
        for attempt in await self.ledger.claims.attempts(job):
            if (but is None or attempt.id != but.id) and await self._succeeded(Looked(job, attempt), None):
                return True
        return False

    async def _succeeded(self, looked: Looked, status: JobStatus | None) -> bool:
        """Whether this attempt has a sound manifest; then it is taken in."""
        outcomes = self.ledger.outcomes[looked.job.kind]
        done = await find_done(self.store, looked.job, looked.attempt, outcomes)
        if done is None:
            return False
        job = await self.ledger.succeed(looked, done, status)
        if job is not None and job.attempt_n > 1:
            await self._cancel_others(looked)
        return True

    async def _cancel_others(self, looked: Looked) -> None:
        for attempt in await self.ledger.claims.attempts(looked.job):
            if attempt.id != looked.attempt.id and attempt.state in states.OPEN_ATTEMPTS:
                await self._tell_cancelled(attempt)
                await self.ledger.cancelled(attempt)


def _is_local(provider: Provider | None) -> bool:
    return provider is not None and provider.queue.is_local
