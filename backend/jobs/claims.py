"""Who does what next: which jobs and attempts are due, and the conditional updates that give each to one process.

No network here, and no lock is held: a claim is an update whose row count is checked, a lease is a time in the row.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.storage import new_secret
from backend.jobs import states
from backend.jobs.hints import hash_token
from backend.jobs.models import Job, JobAttempt
from backend.jobs.rows import Claimed, Looked, change_attempt, change_job
from backend.jobs.work import time_until_deadline

TOKEN_BYTES = 32


class Claims:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    # ---- jobs to send -----------------------------------------------------------------------------------------------

    async def due_jobs(self, limit: int, kinds: Collection[str]) -> list[Job]:
        """In the order of their turns."""
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(Job)  # tenant: the dispatcher works for every brand
                .where(Job.state == states.QUEUED, Job.next_at <= self.clock.now(), Job.kind.in_(kinds))
                .order_by(Job.turn_at)
                .limit(limit)
            )
            return list(found.all())

    async def count_open_attempts(self) -> dict[tuple[str, str], int]:
        """For each queue, by provider and endpoint."""
        async with self.database.transaction(read_only=True) as session:
            found = await session.execute(
                select(JobAttempt.provider, JobAttempt.endpoint_id, func.count())  # tenant: for every brand
                .where(JobAttempt.state.in_(states.OPEN_ATTEMPTS))
                .group_by(JobAttempt.provider, JobAttempt.endpoint_id)
            )
            return {(provider, endpoint_id): count for provider, endpoint_id, count in found.all()}

    async def has_bodies_since(self, moment: datetime, number: int) -> bool:
        """Whether as many bodies as that were ordered since then, whatever became of them."""
        async with self.database.transaction(read_only=True) as session:
            newest = await session.scalars(
                select(Job.created_at)  # tenant: for every brand
                .where(Job.kind == "avatar")
                .order_by(Job.id.desc())
                .limit(number)
            )
            ordered_at = newest.all()
        return len(ordered_at) == number and min(ordered_at) > moment

    async def claim(self, job: Job, provider: str, endpoint_id: str) -> Claimed | None:
        """None: another dispatcher had it."""
        now, token = self.clock.now(), secrets.token_urlsafe(TOKEN_BYTES)
        async with self.database.transaction() as session:
            claimed = await session.execute(
                change_job(job)
                .where(Job.state == states.QUEUED, Job.attempt_n == job.attempt_n)
                .values(
                    state=states.RUNNING,
                    attempt_n=Job.attempt_n + 1,
                    executions=Job.executions + 1,
                    stage=None,
                    hold=None,
                    deadline_at=now + time_until_deadline(job.priority) if job.hold else job.deadline_at,
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
                poll_at=now + states.FIRST_LOOK,
            )
            session.add(attempt)
        return Claimed(job, attempt, token)

    async def hold(self, jobs: Sequence[Job], reason: str, until: datetime) -> None:
        """They stay in their rows, and `Claims.claim` gives them their whole time again."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(
                update(Job)  # tenant: the dispatcher works for every brand
                .where(Job.id.in_([job.id for job in jobs]), Job.state == states.QUEUED, Job.next_at <= now)
                .values(hold=reason, next_at=until, updated_at=now)
            )

    # ---- attempts to look at ----------------------------------------------------------------------------------------

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
                change_attempt(attempt)
                .where(JobAttempt.poll_at == attempt.poll_at)
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

    async def attempts(self, job: Job) -> Sequence[JobAttempt]:
        """All that were made for it."""
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(JobAttempt)
                .where(JobAttempt.brand_id == job.brand_id, JobAttempt.job_id == job.id)
                .order_by(JobAttempt.n)
            )
            return found.all()

    async def overdue_jobs(self, limit: int) -> list[Job]:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(Job)  # tenant: the sweeper works for every brand
                .where(Job.state.in_(states.OPEN_JOBS), Job.deadline_at <= self.clock.now(), Job.hold.is_(None))
                .limit(limit)
            )
            return list(found.all())
