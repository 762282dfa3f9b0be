"""Ordering work and calling it off, in the transaction of whoever needs it done."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.jobs import states
from backend.jobs.models import Job, JobAttempt
from backend.jobs.work import PATIENCE, Order, time_until_deadline
from gpu_worker.contract import Kind


class Submitted(msgspec.Struct, frozen=True):
    job: Job
    is_queued_now: bool
    """False: the same order was known, and is under way, done, or refused for good."""


class JobService:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def find(self, brand_id: UUID, cache_key: str) -> Job | None:
        found: Job | None = await self.session.scalar(
            select(Job).where(Job.brand_id == brand_id, Job.cache_key == cache_key)
        )
        return found

    async def submit(self, order: Order, *, is_result_kept: bool) -> Submitted:
        """The same order twice is one job.

        What was done is queued again where its result is kept no more; what failed for good stays failed.
        """
        now = self.clock.now()
        row = {
            "id": uuid7(),
            "brand_id": order.brand_id,
            "kind": order.kind,
            "subject_id": order.subject_id,
            "cache_key": order.cache_key,
            "input": msgspec.to_builtins(order.work),
            "state": states.QUEUED,
            "request_id": _request_id(),
            "attempt_n": 0,
            "executions": 0,
            **_times(order, now),
            "created_at": now,
            "updated_at": now,
        }
        is_new = bool(await insert_new(self.session, Job, [row], unique=("brand_id", "cache_key"), returning=Job.id))
        job = await self.session.scalar(
            select(Job)
            .where(Job.brand_id == order.brand_id, Job.cache_key == order.cache_key)
            .execution_options(populate_existing=True)
        )
        if job is None:
            raise LookupError("The job that was just inserted is not there.")
        is_queued = is_new or await self._queue_again(job, order, is_result_kept=is_result_kept)
        if not is_queued and job.state == states.SUCCEEDED:
            await self._count_hit(job)
        return Submitted(job, is_queued)

    async def _count_hit(self, job: Job) -> None:
        """For the report of costs: nothing was computed."""
        await self.session.execute(
            update(Job).where(Job.brand_id == job.brand_id, Job.id == job.id).values(hits=Job.hits + 1)
        )

    async def _queue_again(self, job: Job, order: Order, *, is_result_kept: bool) -> bool:
        is_over = job.state == states.CANCELLED or (job.state == states.FAILED and bool(job.is_retryable))
        if not is_over and not (job.state == states.SUCCEEDED and not is_result_kept):
            return False
        now = self.clock.now()
        changed = await self.session.execute(
            update(Job)
            .where(Job.brand_id == job.brand_id, Job.id == job.id, Job.state == job.state)
            .values(
                state=states.QUEUED,
                input=msgspec.to_builtins(order.work),
                request_id=_request_id(),
                executions=0,
                moved_from=None,
                hold=None,
                stage=None,
                error_code=None,
                is_retryable=None,
                finished_at=None,
                created_at=now,
                updated_at=now,
                **_times(order, now),
            )
            .returning(Job.id)
        )
        is_queued = changed.one_or_none() is not None
        await self.session.refresh(job)
        return is_queued

    async def get(self, brand_id: UUID, job_id: UUID) -> Job | None:
        job: Job | None = await self.session.scalar(select(Job).where(Job.brand_id == brand_id, Job.id == job_id))
        return job

    async def count_held(self, brand_id: UUID) -> int:
        """Those that wait for the next day's budget."""
        count = await self.session.scalar(
            select(func.count())
            .select_from(Job)
            .where(Job.brand_id == brand_id, Job.state == states.QUEUED, Job.hold.is_not(None))
        )
        return count or 0

    async def open_ids(self, brand_id: UUID, subject_id: UUID, kind: Kind) -> set[UUID]:
        """Work of this kind on the subject that is not over."""
        found = await self.session.scalars(
            select(Job.id).where(
                Job.brand_id == brand_id,
                Job.subject_id == subject_id,
                Job.kind == kind,
                Job.state.in_(states.OPEN_JOBS),
            )
        )
        return set(found.all())

    async def cancel(
        self, brand_id: UUID, subject_id: UUID, kind: Kind | None = None, *, but: UUID | None = None
    ) -> None:
        """Nothing more (of this kind) is started for the subject, and nothing that still arrives takes effect."""
        now = self.clock.now()
        query = update(Job).where(
            Job.brand_id == brand_id, Job.subject_id == subject_id, Job.state.in_(states.OPEN_JOBS)
        )
        if kind is not None:
            query = query.where(Job.kind == kind)
        if but is not None:
            query = query.where(Job.id != but)
        cancelled = await self.session.scalars(
            query.values(state=states.CANCELLED, finished_at=now, updated_at=now).returning(Job.id)
        )
        await self._look_at_attempts(brand_id, set(cancelled.all()))

    async def erase(self, brand_id: UUID, subject_id: UUID) -> None:
        """Cancel, and forget what was asked; the bare rows stay for the ledger."""
        await self.cancel(brand_id, subject_id)
        await self.session.execute(
            update(Job)
            .where(Job.brand_id == brand_id, Job.subject_id == subject_id)
            .values(input={}, cache_key=None, updated_at=self.clock.now())
        )

    async def _look_at_attempts(self, brand_id: UUID, job_ids: set[UUID]) -> None:
        """The reconciler tells the endpoint; no request waits for the network."""
        if job_ids:
            now = self.clock.now()
            await self.session.execute(
                update(JobAttempt)
                .where(
                    JobAttempt.brand_id == brand_id,
                    JobAttempt.job_id.in_(job_ids),
                    JobAttempt.state.in_(states.OPEN_ATTEMPTS),
                )
                .values(poll_at=now, updated_at=now)
            )


def _request_id() -> str | None:
    """As the request's log names itself; None outside of requests."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return request_id if isinstance(request_id, str) else None


def _times(order: Order, now: datetime) -> dict[str, Any]:
    """When it may start, when its turn is, and until when it is wanted."""
    return {
        "next_at": now,
        "priority": int(order.priority),
        "turn_at": now + PATIENCE[order.priority],
        "deadline_at": now + time_until_deadline(order.priority),
    }
