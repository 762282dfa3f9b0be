"""Who does what next: which jobs and attempts are due, and the conditional updates that give each to one process.

No network here, and no lock is held: a claim is an update whose row count is checked, a lease is a time in the row.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import case, func, or_, select, tuple_, update
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.storage import new_secret
from backend.core.together import Together
from backend.jobs import states
from backend.jobs.hints import hash_token
from backend.jobs.models import Job, JobAttempt
from backend.jobs.rows import Claimed, Looked
from backend.jobs.work import LOOKED_AT, Priority, time_until_deadline

TOKEN_BYTES = 32


class _Wanted(msgspec.Struct, frozen=True):
    """A job, and the queue it is to be sent to."""

    job: Job
    provider: str
    endpoint_id: str


class Claims:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._claims = Together(self._claim_all)
        self._leases = Together(self._lease_all)

    # ---- jobs to send -----------------------------------------------------------------------------------------------

    async def due_jobs(self, limit: int, kinds: Collection[str], *, unseen_until: datetime | None = None) -> list[Job]:
        """In the order of their turns; of what nobody looks at, with `unseen_until`, only what was ordered by then."""
        query = (
            select(Job)  # tenant: the dispatcher works for every brand
            .where(Job.state == states.QUEUED, Job.next_at <= self.clock.now(), Job.kind.in_(kinds))
            .order_by(Job.turn_at)
            .limit(limit)
        )
        if unseen_until is not None:
            query = query.where(or_(Job.priority.in_(LOOKED_AT), Job.created_at <= unseen_until))
        async with self.database.transaction(read_only=True) as session:
            return list((await session.scalars(query)).all())

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
        return await self._claims(_Wanted(job, provider, endpoint_id))

    async def _claim_all(self, wanted: Sequence[_Wanted]) -> list[Claimed | None]:
        """In one transaction; each is given or refused by itself."""
        now = self.clock.now()
        tokens = {one.job.id: secrets.token_urlsafe(TOKEN_BYTES) for one in wanted}
        async with self.database.transaction() as session:
            claimed = await session.execute(
                update(Job)  # tenant: the dispatcher works for every brand
                .where(
                    tuple_(Job.id, Job.attempt_n).in_([(one.job.id, one.job.attempt_n) for one in wanted]),
                    Job.state == states.QUEUED,
                )
                .values(
                    state=states.RUNNING,
                    attempt_n=Job.attempt_n + 1,
                    executions=Job.executions + 1,
                    stage=None,
                    hold=None,
                    deadline_at=_deadline(now),
                    updated_at=now,
                )
                .returning(Job.id, Job.attempt_n)
                .execution_options(synchronize_session=False)
            )
            numbers: dict[UUID, int] = {row.id: row.attempt_n for row in claimed}
            given = [(one, numbers.pop(one.job.id, None)) for one in wanted]
            attempts = [_attempt(one, n, tokens[one.job.id], now) if n is not None else None for one, n in given]
            session.add_all([attempt for attempt in attempts if attempt is not None])
        return [
            Claimed(one.job, attempt, tokens[one.job.id]) if attempt is not None else None
            for one, attempt in zip(wanted, attempts, strict=True)
        ]

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
        return await self._leases(attempt)

    async def _lease_all(self, attempts: Sequence[JobAttempt]) -> list[Looked | None]:
        """In one transaction; each is given or refused by itself."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            leased = await session.scalars(
                update(JobAttempt)  # tenant: the reconciler works for every brand
                .where(tuple_(JobAttempt.id, JobAttempt.poll_at).in_([(one.id, one.poll_at) for one in attempts]))
                .values(poll_at=now + states.LEASE, updated_at=now)
                .returning(JobAttempt.id)
                .execution_options(synchronize_session=False)
            )
            found = await session.execute(
                select(Job, JobAttempt)  # tenant: the reconciler works for every brand
                .join(JobAttempt, (JobAttempt.brand_id == Job.brand_id) & (JobAttempt.job_id == Job.id))
                .where(JobAttempt.id.in_(leased.all()))
            )
            looked = {attempt.id: Looked(job, attempt) for job, attempt in found}
        return [looked.pop(attempt.id, None) for attempt in attempts]

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


def _attempt(wanted: _Wanted, n: int, token: str, now: datetime) -> JobAttempt:
    return JobAttempt(
        id=uuid7(),
        brand_id=wanted.job.brand_id,
        job_id=wanted.job.id,
        n=n,
        provider=wanted.provider,
        endpoint_id=wanted.endpoint_id,
        token_sha256=hash_token(token),
        secret=new_secret(),
        state=states.SENDING,
        submitted_at=now,
        poll_at=now + states.FIRST_LOOK,
    )


def _deadline(now: datetime) -> Any:
    """What was held has its whole time from now on."""
    return case(
        (Job.hold.is_(None), Job.deadline_at),
        (Job.priority == Priority.LATER, now + time_until_deadline(Priority.LATER)),
        else_=now + time_until_deadline(Priority.SOON),
    )
