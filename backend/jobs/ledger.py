"""What becomes of a job and its attempts: conditional updates whose row count is checked, the job's row always first.

No network here. Whoever calls may be one of several processes, or come twice, or too late: only the first takes effect.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import case, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.together import Together
from backend.jobs import states
from backend.jobs.answers import JobStatus
from backend.jobs.claims import Claims
from backend.jobs.limits import ExecutionLimits
from backend.jobs.models import Job, JobAttempt
from backend.jobs.outcomes import OutcomesByKind
from backend.jobs.rows import Looked, change_attempt, change_job
from backend.jobs.work import Done, Ended
from backend.shoppers.erasures import ErasureService
from gpu_worker.contract import Stage

log = structlog.get_logger()

STAGES = [stage.value for stage in Stage]


class _Accepted(msgspec.Struct, frozen=True):
    """What a queue has taken, under which id, and when to look at it."""

    attempt: JobAttempt
    rp_id: str
    poll_at: datetime


class Ledger:
    def __init__(self, database: Database, clock: Clock, outcomes: OutcomesByKind) -> None:
        self.database = database
        self.clock = clock
        self.outcomes = outcomes
        self.claims = Claims(database, clock)
        self.limits = ExecutionLimits(database, clock)
        self._accepted = Together(self._submitted_all)

    # ---- what an attempt comes to -----------------------------------------------------------------------------------

    async def submitted(self, attempt: JobAttempt, rp_id: str, poll_after: timedelta) -> bool:
        """The queue has it. False: the attempt was closed meanwhile, and only gets the id for the ledger."""
        accepted = _Accepted(attempt, rp_id, self.clock.now() + poll_after)
        try:
            is_kept = await self._accepted(accepted)
        except DBAPIError:  # an id that another attempt has, or rows that others hold the wrong way round
            is_kept = False
        return is_kept or await self._submitted_alone(accepted)

    async def _submitted_all(self, accepted: Sequence[_Accepted]) -> list[bool]:
        """Those that are still open, in one transaction. It wants no row of a job, so nothing can wait in a circle."""
        poll_at = {one.attempt.id: one.poll_at for one in accepted}
        rp_ids = {one.attempt.id: one.rp_id for one in accepted}
        async with self.database.transaction() as session:
            kept = await session.scalars(
                update(JobAttempt)  # tenant: the dispatcher works for every brand
                .where(JobAttempt.id.in_(list(rp_ids)), JobAttempt.state.in_((states.SENDING, states.UNKNOWN)))
                .values(
                    rp_id=case(rp_ids, value=JobAttempt.id),
                    state=states.SUBMITTED,
                    poll_at=case(poll_at, value=JobAttempt.id),
                    updated_at=self.clock.now(),
                )
                .returning(JobAttempt.id)
                .execution_options(synchronize_session=False)
            )
            ids = set(kept.all())
        return [one.attempt.id in ids for one in accepted]

    async def _submitted_alone(self, accepted: _Accepted) -> bool:
        attempt, rp_id, now = accepted.attempt, accepted.rp_id, self.clock.now()
        async with self.database.transaction() as session:
            await self._touch(session, attempt)
            if await self._is_taken(session, attempt, rp_id):
                log.warning("job.id_taken", attempt_id=str(attempt.id))
                await session.execute(  # what a hook said was wrong: as if none had come
                    change_attempt(attempt)
                    .where(JobAttempt.hinted_rp_id == rp_id)
                    .values(hinted_rp_id=None, poll_at=accepted.poll_at, updated_at=now)
                )
                return True
            opened = await session.execute(
                change_attempt(attempt)
                .where(JobAttempt.state.in_((states.SENDING, states.UNKNOWN)))
                .values(rp_id=rp_id, state=states.SUBMITTED, poll_at=accepted.poll_at, updated_at=now)
                .returning(JobAttempt.id)
            )
            if opened.one_or_none() is not None:
                return True
            await session.execute(change_attempt(attempt).where(JobAttempt.rp_id.is_(None)).values(rp_id=rp_id))
            state = await session.scalar(
                select(JobAttempt.state).where(JobAttempt.brand_id == attempt.brand_id, JobAttempt.id == attempt.id)
            )
            return state in states.OPEN_ATTEMPTS

    async def unknown(self, attempt: JobAttempt, reason: str) -> None:
        """It may be running: wait for a hook to bring its id before anything else is tried."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(
                change_attempt(attempt)
                .where(JobAttempt.state == states.SENDING)
                .values(state=states.UNKNOWN, error_code=reason[:60], poll_at=now + states.FIRST_LOOK, updated_at=now)
            )

    async def still_open(self, looked: Looked, poll_after: timedelta, stage: str | None = None) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            if stage in STAGES and _is_later(stage, looked.job.stage):
                await session.execute(
                    change_job(looked.job)
                    .where(Job.state == states.RUNNING, Job.attempt_n == looked.attempt.n)
                    .values(stage=stage, updated_at=now)
                )
            await session.execute(
                change_attempt(looked.attempt)
                .where(
                    JobAttempt.state.in_(states.OPEN_ATTEMPTS),
                    JobAttempt.poll_at == looked.attempt.poll_at,  # a hook that came meanwhile is not put off
                )
                .values(poll_at=now + poll_after, updated_at=now)
            )

    async def seen(self, attempt: JobAttempt) -> None:
        """A closed attempt was looked at again because of a hook, and nothing had come."""
        async with self.database.transaction() as session:
            await session.execute(
                change_attempt(attempt).where(JobAttempt.state.not_in(states.OPEN_ATTEMPTS)).values(poll_at=None)
            )

    async def succeed(self, looked: Looked, done: Done, status: JobStatus | None) -> Job | None:
        """The first success of a job takes effect; a later one only completes its own line. The job, if it took."""
        job, attempt, now = looked.job, looked.attempt, self.clock.now()
        async with self.database.transaction() as session:
            won = await session.scalars(
                change_job(job)
                .where(Job.state.not_in(states.TERMINAL))
                .values(
                    state=states.SUCCEEDED,
                    error_code=None,
                    is_retryable=None,
                    finished_at=now,
                    updated_at=now,
                )
                .returning(Job)
                .execution_options(synchronize_session=False)
            )
            fresh: Job | None = won.one_or_none()
            manifest = done.manifest
            closed = await session.execute(
                change_attempt(attempt)
                .where(JobAttempt.state != states.SUCCEEDED)
                .values(
                    state=states.SUCCEEDED,
                    error_code=None,
                    poll_at=None,
                    closed_at=now,
                    gpu_name=manifest.gpu_name[:100],
                    worker_id=manifest.worker_id[:100],
                    worker_version=manifest.pipeline_version[:100],
                    cold_ms=round(manifest.timings_ms.get("process_start", 0)) if manifest.cold else 0,
                    updated_at=now,
                    **_times(status),
                )
                .returning(JobAttempt.id)
            )
            is_new = closed.one_or_none() is not None
            if fresh is not None:
                await self.outcomes[job.kind].finish(session, fresh, done)
            elif is_new:  # a duplicate: what it uploaded belongs to nobody
                ErasureService(session, self.clock).request(
                    job.brand_id,
                    done.bucket,
                    "prefix",
                    done.folder,
                    reason="duplicate",
                    subject=(job.kind, job.subject_id),
                )
        if fresh is not None:
            log.info("job.succeeded", job_id=str(job.id), kind=job.kind, attempts=attempt.n)
        return fresh

    async def close(
        self,
        looked: Looked,
        state: str,
        code: str,
        *,
        is_retryable: bool,
        status: JobStatus | None = None,
        retry_after_s: float = 0.0,
    ) -> None:
        """An attempt is over without success: the job waits for its next one, or ends."""
        job, attempt = looked.job, looked.attempt
        async with self.database.transaction() as session:
            await self._touch(session, attempt)
            if not await self._closed(session, attempt, state, code, status):
                return
            fresh = await self._job(session, job)
            if fresh.state != states.RUNNING or fresh.attempt_n != attempt.n:
                return
            executions = fresh.executions - (1 if state == states.NOT_ACCEPTED else 0)
            next_at = self.clock.now() + states.backoff(attempt.n, retry_after_s)
            is_tried_again = is_retryable and executions < states.MAX_EXECUTIONS and next_at < fresh.deadline_at
            if is_tried_again:
                await self._queue_again(session, fresh, executions=executions, next_at=next_at)
            else:
                await session.execute(change_job(job).values(executions=executions))
                told = "deadline_exceeded" if state == states.NOT_ACCEPTED else code
                await self._end(session, fresh, Ended(told, is_retryable))
        log.info("job.attempt_closed", job_id=str(job.id), state=state, code=code, is_tried_again=is_tried_again)

    async def move(self, looked: Looked, queue_name: str) -> bool:
        """Take a job that waits in one queue back, to be sent to another at once. True: the first time, and done.

        Each job is moved at most once, for each move costs it its place.
        """
        job, attempt = looked.job, looked.attempt
        async with self.database.transaction() as session:
            await self._touch(session, attempt)
            fresh = await self._job(session, job)
            is_movable = fresh.state == states.RUNNING and fresh.attempt_n == attempt.n and fresh.moved_from is None
            if not is_movable or fresh.executions >= states.MAX_EXECUTIONS:
                return False
            if not await self._closed(session, attempt, states.QUEUE_TIMEOUT, "queue_timeout", None):
                return False
            await self._queue_again(
                session, fresh, executions=fresh.executions, next_at=self.clock.now(), moved_from=queue_name
            )
        log.warning("job.moved", job_id=str(job.id), kind=job.kind, queue=queue_name)
        return True

    async def end_overdue(self, job: Job) -> None:
        """Past its deadline: nobody waits any more. Whatever still comes takes no effect."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(change_job(job).values(updated_at=now))
            fresh = await self._job(session, job)
            if fresh.state not in states.OPEN_JOBS or fresh.deadline_at > now or fresh.hold is not None:
                return
            await self._end(session, fresh, Ended("deadline_exceeded", is_retryable=True))
            await session.execute(
                update(JobAttempt)
                .where(
                    JobAttempt.brand_id == job.brand_id,
                    JobAttempt.job_id == job.id,
                    JobAttempt.state.in_(states.OPEN_ATTEMPTS),
                )
                .values(poll_at=now, updated_at=now)
            )
        log.warning("job.deadline_exceeded", job_id=str(job.id), kind=job.kind)

    async def cancelled(self, attempt: JobAttempt) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            await self._touch(session, attempt)
            await session.execute(
                change_attempt(attempt)
                .where(JobAttempt.state.in_(states.OPEN_ATTEMPTS))
                .values(state=states.CANCELLED, poll_at=None, closed_at=now, updated_at=now)
            )

    # ---- in a transaction -------------------------------------------------------------------------------------------

    async def _closed(
        self, session: AsyncSession, attempt: JobAttempt, state: str, code: str, status: JobStatus | None
    ) -> bool:
        """False: it was closed before."""
        now = self.clock.now()
        closed = await session.execute(
            change_attempt(attempt)
            .where(JobAttempt.state.in_(states.OPEN_ATTEMPTS))
            .values(state=state, error_code=code[:60], poll_at=None, closed_at=now, updated_at=now, **_times(status))
            .returning(JobAttempt.id)
        )
        return closed.one_or_none() is not None

    async def _queue_again(
        self,
        session: AsyncSession,
        job: Job,
        *,
        executions: int,
        next_at: datetime,
        moved_from: str | None = None,
    ) -> None:
        await session.execute(
            change_job(job)
            .where(Job.state == states.RUNNING, Job.attempt_n == job.attempt_n)
            .values(
                state=states.QUEUED,
                executions=executions,
                next_at=next_at,
                moved_from=moved_from or job.moved_from,
                stage=None,
                updated_at=self.clock.now(),
            )
        )

    async def _end(self, session: AsyncSession, job: Job, ended: Ended) -> None:
        """`job` is fresh and its row is ours for the rest of the transaction."""
        now = self.clock.now()
        changed = await session.execute(
            change_job(job)
            .where(Job.state.in_(states.OPEN_JOBS))
            .values(
                state=states.FAILED,
                error_code=ended.code[:60],
                is_retryable=ended.is_retryable,
                finished_at=now,
                updated_at=now,
            )
            .returning(Job.id)
        )
        if changed.one_or_none() is not None:
            await session.refresh(job)
            await self.outcomes[job.kind].finish(session, job, ended)

    async def _touch(self, session: AsyncSession, attempt: JobAttempt) -> None:
        """Locks the job's row before its attempts', everywhere in this order, so that nothing deadlocks."""
        await session.execute(
            update(Job)
            .where(Job.brand_id == attempt.brand_id, Job.id == attempt.job_id)
            .values(updated_at=self.clock.now())
        )

    async def _job(self, session: AsyncSession, job: Job) -> Job:
        found = await session.scalar(
            select(Job).where(Job.brand_id == job.brand_id, Job.id == job.id).execution_options(populate_existing=True)
        )
        if found is None:
            raise LookupError("A job's row is never deleted.")
        return found

    async def _is_taken(self, session: AsyncSession, attempt: JobAttempt, rp_id: str) -> bool:
        other = await session.scalar(
            select(JobAttempt.id).where(  # tenant: an id is unique at its endpoint, whoever it is for
                JobAttempt.provider == attempt.provider,
                JobAttempt.endpoint_id == attempt.endpoint_id,
                JobAttempt.rp_id == rp_id,
                JobAttempt.id != attempt.id,
            )
        )
        return other is not None


def _times(status: JobStatus | None) -> dict[str, int]:
    told = {"delay_ms": status.delay_ms, "exec_ms": status.exec_ms} if status else {}
    return {name: value for name, value in told.items() if value is not None}


def _is_later(stage: str, before: str | None) -> bool:
    return before is None or STAGES.index(stage) > STAGES.index(before)
