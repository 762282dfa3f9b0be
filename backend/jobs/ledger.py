"""Every change of a job and its attempts: conditional updates whose row count is checked, the job's row always first.

No network here. Whoever calls may be one of several processes, or come twice, or too late: only the first takes effect.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.storage import new_secret
from backend.jobs import states
from backend.jobs.models import Job, JobAttempt
from backend.jobs.outcomes import OutcomesByKind
from backend.jobs.queue import JobStatus
from backend.jobs.work import Done, Ended, Work
from backend.shoppers.erasures import ErasureService
from gpu_worker.contract import Stage

log = structlog.get_logger()

TOKEN_BYTES = 32
STAGES = [stage.value for stage in Stage]


class Claimed(msgspec.Struct, frozen=True):
    """A job that is ours to send, its attempt committed. The token exists here and in the hook's address alone."""

    job: Job
    attempt: JobAttempt
    token: str


class Looked(msgspec.Struct, frozen=True):
    """An attempt that is ours to look at for the length of a lease."""

    job: Job
    attempt: JobAttempt


class Ledger:
    def __init__(self, database: Database, clock: Clock, outcomes: OutcomesByKind) -> None:
        self.database = database
        self.clock = clock
        self.outcomes = outcomes

    # ---- claiming ---------------------------------------------------------------------------------------------------

    async def due_jobs(self, limit: int) -> list[Job]:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(Job)  # tenant: the dispatcher works for every brand
                .where(Job.state == states.QUEUED, Job.next_at <= self.clock.now())
                .order_by(Job.turn_at)
                .limit(limit)
            )
            return list(found.all())

    async def count_open_attempts(self) -> int:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalar(
                select(func.count())
                .select_from(JobAttempt)  # tenant: the dispatcher works for every brand
                .where(JobAttempt.state.in_(states.OPEN_ATTEMPTS))
            )
            return int(found or 0)

    async def newest_order_at(self) -> datetime | None:
        """When the youngest job that waits was ordered."""
        async with self.database.transaction(read_only=True) as session:
            newest: datetime | None = await session.scalar(
                select(func.max(Job.created_at)).where(Job.state == states.QUEUED)  # tenant: for every brand
            )
            return newest

    async def claim(self, job: Job, provider: str, endpoint_id: str) -> Claimed | None:
        """None: another dispatcher had it."""
        now, token = self.clock.now(), secrets.token_urlsafe(TOKEN_BYTES)
        async with self.database.transaction() as session:
            claimed = await session.execute(
                update(Job)
                .where(
                    Job.brand_id == job.brand_id,
                    Job.id == job.id,
                    Job.state == states.QUEUED,
                    Job.attempt_n == job.attempt_n,
                )
                .values(
                    state=states.RUNNING,
                    attempt_n=Job.attempt_n + 1,
                    executions=Job.executions + 1,
                    stage=None,
                    updated_at=now,
                )
                .returning(Job.attempt_n)
            )
            n = claimed.scalar_one_or_none()
            if n is None:
                return None
            attempt = JobAttempt(
                id=uuid7(),
                brand_id=job.brand_id,
                job_id=job.id,
                n=n,
                provider=provider,
                endpoint_id=endpoint_id,
                token_sha256=hash_token(token),
                secret=new_secret(),
                state=states.SENDING,
                submitted_at=now,
                poll_at=now + states.UNKNOWN_GRACE,
            )
            session.add(attempt)
        return Claimed(job, attempt, token)

    async def due_attempts(self, limit: int) -> list[JobAttempt]:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(JobAttempt)  # tenant: the reconciler works for every brand
                .where(JobAttempt.poll_at <= self.clock.now())
                .order_by(JobAttempt.poll_at)
                .limit(limit)
            )
            return list(found.all())

    async def lease(self, attempt: JobAttempt) -> Looked | None:
        """None: another reconciler looks at it, or a hook has just asked for a fresh look."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            leased = await session.execute(
                update(JobAttempt)
                .where(
                    JobAttempt.brand_id == attempt.brand_id,
                    JobAttempt.id == attempt.id,
                    JobAttempt.poll_at == attempt.poll_at,
                )
                .values(poll_at=now + states.LEASE, updated_at=now)
                .returning(JobAttempt.id)
            )
            if leased.one_or_none() is None:
                return None
            fresh = await session.scalar(
                select(JobAttempt)
                .where(JobAttempt.brand_id == attempt.brand_id, JobAttempt.id == attempt.id)
                .execution_options(populate_existing=True)
            )
            job = await session.scalar(select(Job).where(Job.brand_id == attempt.brand_id, Job.id == attempt.job_id))
        return Looked(job, fresh) if job and fresh else None

    # ---- what an attempt comes to -----------------------------------------------------------------------------------

    async def submitted(self, attempt: JobAttempt, rp_id: str, poll_after: timedelta) -> bool:
        """The queue has it. False: the attempt was closed meanwhile, and only gets the id for the ledger."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await self._touch(session, attempt)
            if await self._is_taken(session, attempt, rp_id):
                log.warning("job.id_taken", attempt_id=str(attempt.id))
                return True
            opened = await session.execute(
                _this(attempt)
                .where(JobAttempt.state.in_((states.SENDING, states.UNKNOWN)))
                .values(rp_id=rp_id, state=states.SUBMITTED, poll_at=now + poll_after, updated_at=now)
                .returning(JobAttempt.id)
            )
            if opened.one_or_none() is not None:
                return True
            await session.execute(_this(attempt).where(JobAttempt.rp_id.is_(None)).values(rp_id=rp_id))
            state = await session.scalar(
                select(JobAttempt.state).where(JobAttempt.brand_id == attempt.brand_id, JobAttempt.id == attempt.id)
            )
            return state in states.OPEN_ATTEMPTS

    async def unknown(self, attempt: JobAttempt, reason: str) -> None:
        """It may be running: wait for a hook to bring its id before anything else is tried."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(
                _this(attempt)
                .where(JobAttempt.state == states.SENDING)
                .values(
                    state=states.UNKNOWN, error_code=reason[:60], poll_at=now + states.UNKNOWN_GRACE, updated_at=now
                )
            )

    async def still_open(self, looked: Looked, poll_after: timedelta, stage: str | None = None) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            if stage in STAGES and _is_later(stage, looked.job.stage):
                await session.execute(
                    _job(looked.job)
                    .where(Job.state == states.RUNNING, Job.attempt_n == looked.attempt.n)
                    .values(stage=stage, updated_at=now)
                )
            await session.execute(
                _this(looked.attempt)
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
                _this(attempt).where(JobAttempt.state.not_in(states.OPEN_ATTEMPTS)).values(poll_at=None)
            )

    async def succeed(self, looked: Looked, done: Done, status: JobStatus | None) -> bool:
        """The first success of a job takes effect; a later one only completes its own line. True: it took effect."""
        job, attempt, now = looked.job, looked.attempt, self.clock.now()
        async with self.database.transaction() as session:
            won = await session.execute(
                _job(job)
                .where(Job.state.not_in(states.TERMINAL))
                .values(
                    state=states.SUCCEEDED,
                    error_code=None,
                    is_retryable=None,
                    finished_at=now,
                    updated_at=now,
                )
                .returning(Job.id)
            )
            is_first = won.one_or_none() is not None
            manifest = done.manifest
            closed = await session.execute(
                _this(attempt)
                .where(JobAttempt.state != states.SUCCEEDED)
                .values(
                    state=states.SUCCEEDED,
                    error_code=None,
                    poll_at=None,
                    closed_at=now,
                    gpu_name=manifest.gpu_name[:100],
                    worker_id=manifest.worker_id[:100],
                    worker_version=manifest.pipeline_version[:100],
                    updated_at=now,
                    **_times(status),
                )
                .returning(JobAttempt.id)
            )
            is_new = closed.one_or_none() is not None
            if is_first:
                await self.outcomes[job.kind].finish(session, await self._job(session, job), done)
            elif is_new:  # a duplicate: what it uploaded belongs to nobody
                ErasureService(session, self.clock).request(
                    job.brand_id,
                    done.bucket,
                    "prefix",
                    done.folder,
                    reason="duplicate",
                    subject=(job.kind, job.subject_id),
                )
        if is_first:
            log.info("job.succeeded", job_id=str(job.id), kind=job.kind, attempts=attempt.n)
        return is_first

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
        job, attempt, now = looked.job, looked.attempt, self.clock.now()
        async with self.database.transaction() as session:
            await self._touch(session, attempt)
            closed = await session.execute(
                _this(attempt)
                .where(JobAttempt.state.in_(states.OPEN_ATTEMPTS))
                .values(
                    state=state, error_code=code[:60], poll_at=None, closed_at=now, updated_at=now, **_times(status)
                )
                .returning(JobAttempt.id)
            )
            if closed.one_or_none() is None:
                return
            fresh = await self._job(session, job)
            if fresh.state != states.RUNNING or fresh.attempt_n != attempt.n:
                return
            given_back = 1 if state == states.NOT_ACCEPTED else 0
            executions = fresh.executions - given_back
            wait = states.backoff(attempt.n, retry_after_s)
            is_tried_again = is_retryable and executions < states.MAX_EXECUTIONS and now + wait < fresh.deadline_at
            if is_tried_again:
                await session.execute(
                    _job(job)
                    .where(Job.state == states.RUNNING, Job.attempt_n == attempt.n)
                    .values(state=states.QUEUED, executions=executions, next_at=now + wait, stage=None, updated_at=now)
                )
            else:
                await session.execute(_job(job).values(executions=executions))
                told = "deadline_exceeded" if state == states.NOT_ACCEPTED else code
                await self._end(session, fresh, Ended(told, is_retryable))
        log.info("job.attempt_closed", job_id=str(job.id), state=state, code=code, is_tried_again=is_tried_again)

    async def end_overdue(self, job: Job) -> None:
        """Past its deadline: nobody waits any more. Whatever still comes takes no effect."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(_job(job).values(updated_at=now))
            fresh = await self._job(session, job)
            if fresh.state not in states.OPEN_JOBS or fresh.deadline_at > now:
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
                _this(attempt)
                .where(JobAttempt.state.in_(states.OPEN_ATTEMPTS))
                .values(state=states.CANCELLED, poll_at=None, closed_at=now, updated_at=now)
            )

    # ---- looking around ---------------------------------------------------------------------------------------------

    async def overdue_jobs(self, limit: int) -> list[Job]:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(Job)  # tenant: the sweeper works for every brand
                .where(Job.state.in_(states.OPEN_JOBS), Job.deadline_at <= self.clock.now())
                .limit(limit)
            )
            return list(found.all())

    async def attempts(self, job: Job) -> Sequence[JobAttempt]:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(JobAttempt)
                .where(JobAttempt.brand_id == job.brand_id, JobAttempt.job_id == job.id)
                .order_by(JobAttempt.n)
            )
            return found.all()

    # ---- in a transaction -------------------------------------------------------------------------------------------

    async def _end(self, session: AsyncSession, job: Job, ended: Ended) -> None:
        """`job` is fresh and its row is ours for the rest of the transaction."""
        now = self.clock.now()
        changed = await session.execute(
            _job(job)
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


async def take_hint(session: AsyncSession, clock: Clock, attempt_id: UUID, token: str, rp_id: str | None) -> bool:
    """A hook: look now, and perhaps learn the id. False for a wrong token, an unknown attempt, and one long past."""
    attempt = await session.scalar(
        select(JobAttempt).where(JobAttempt.id == attempt_id)  # tenant: the hook's token names the attempt
    )
    stored = attempt.token_sha256 if attempt else "0" * 64
    now = clock.now()
    if not secrets.compare_digest(hash_token(token), stored) or attempt is None:
        return False
    if now > attempt.submitted_at + states.HOOK_LIFE:
        return False
    if attempt.state != states.SUCCEEDED:
        values: dict[str, Any] = {"poll_at": now, "updated_at": now}
        if rp_id is not None and attempt.rp_id is None:
            values["hinted_rp_id"] = rp_id
        await session.execute(_this(attempt).where(JobAttempt.state != states.SUCCEEDED).values(values))
    return True


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def work_of(job: Job) -> Work:
    return msgspec.convert(job.input, Work)


def _this(attempt: JobAttempt) -> Any:
    return update(JobAttempt).where(JobAttempt.brand_id == attempt.brand_id, JobAttempt.id == attempt.id)


def _job(job: Job) -> Any:
    return update(Job).where(Job.brand_id == job.brand_id, Job.id == job.id)


def _times(status: JobStatus | None) -> dict[str, int]:
    told = {"delay_ms": status.delay_ms, "exec_ms": status.exec_ms} if status else {}
    return {name: value for name, value in told.items() if value is not None}


def _is_later(stage: str, before: str | None) -> bool:
    return before is None or STAGES.index(stage) > STAGES.index(before)
