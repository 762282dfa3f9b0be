"""One row for each piece of work, one for each attempt at it. The row is the queue."""

from datetime import datetime
from typing import get_args
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import BrandOwned, one_of, tenant_key, tenant_root
from backend.jobs.states import ATTEMPT_STATES, JOB_STATES
from gpu_worker.contract import Kind, Stage


class Job(BrandOwned):
    """`state` changes only by conditional updates whose row count is checked."""

    __tablename__ = "jobs"
    __table_args__ = (
        tenant_root(),
        tenant_key(),
        UniqueConstraint("brand_id", "cache_key"),
        Index("ix_jobs_due", "state", "turn_at", "next_at"),
        Index("ix_jobs_subject_id", "brand_id", "subject_id"),
        one_of("kind", get_args(Kind)),
        one_of("state", JOB_STATES),
        one_of("stage", tuple(stage.value for stage in Stage)),
    )

    kind: Mapped[str]
    subject_id: Mapped[UUID]
    """The avatar, garment or session it is for; no foreign key, because the ledger outlives it."""
    cache_key: Mapped[str | None]
    """Idempotency key and result cache in one; NULL once its inputs are erased."""
    input: Mapped[dict[str, object]] = mapped_column(Json())
    """`service.Work`: object keys, hashes and parameters; never bytes, never signed addresses."""
    state: Mapped[str]
    attempt_n: Mapped[int] = mapped_column(default=0)
    """The last number used; never used again."""
    executions: Mapped[int] = mapped_column(default=0)
    """Attempts that may have run."""
    next_at: Mapped[datetime]
    """Not before; moved on by every failure."""
    priority: Mapped[int]
    """`work.Priority`."""
    turn_at: Mapped[datetime]
    """Of what is due, the earliest goes first: the time of the order, and what its priority lets it wait."""
    moved_from: Mapped[str | None]
    """The queue it was taken from because it waited there too long: at most once, and not back to it."""
    deadline_at: Mapped[datetime]
    hold: Mapped[str | None]
    """Why it waits though its time has come (`purse.BUDGET_EXCEEDED`): without a deadline, and without an attempt."""
    stage: Mapped[str | None]
    error_code: Mapped[str | None]
    is_retryable: Mapped[bool | None]
    finished_at: Mapped[datetime | None]
    request_id: Mapped[str | None]
    """Of the HTTP request that ordered it last: one id in every line of the log, here and at the worker."""
    hits: Mapped[int] = mapped_column(default=0)
    """How often it was ordered again and its result was still there."""


class JobAttempt(BrandOwned):
    """Committed before the network is touched; a closed attempt never opens again."""

    __tablename__ = "job_attempts"
    __table_args__ = (
        tenant_root(),
        ForeignKeyConstraint(["brand_id", "job_id"], ["jobs.brand_id", "jobs.id"]),
        UniqueConstraint("job_id", "n"),
        UniqueConstraint("provider", "endpoint_id", "rp_id"),
        Index("ix_job_attempts_due", "poll_at"),
        Index("ix_job_attempts_state", "state", "provider", "endpoint_id"),
        Index("ix_job_attempts_job_id", "brand_id", "job_id"),
        Index("ix_job_attempts_worker", "provider", "endpoint_id", "worker_id", "submitted_at"),
        Index("ix_job_attempts_closed_at", "closed_at"),
        Index("ix_job_attempts_submitted_at", "submitted_at"),
        one_of("state", ATTEMPT_STATES),
    )

    job_id: Mapped[UUID]
    n: Mapped[int]
    provider: Mapped[str]
    """The address it was sent to: after a change of settings it is looked up where it is."""
    endpoint_id: Mapped[str]
    token_sha256: Mapped[str]
    secret: Mapped[str]
    """The part of this attempt's object keys that nobody can guess."""
    rp_id: Mapped[str | None]
    hinted_rp_id: Mapped[str | None]
    """An id that a hook claimed; adopted once the endpoint confirms it."""
    state: Mapped[str]
    error_code: Mapped[str | None]
    submitted_at: Mapped[datetime]
    poll_at: Mapped[datetime | None]
    """When to look next; NULL when nothing more is expected."""
    closed_at: Mapped[datetime | None]
    delay_ms: Mapped[int | None]
    exec_ms: Mapped[int | None]
    gpu_name: Mapped[str | None]
    worker_id: Mapped[str | None]
    worker_version: Mapped[str | None]
    cold_ms: Mapped[int | None]
    """From the start of the worker's process until it was ready, if this was its first job."""
    idle_ms: Mapped[int | None]
    """How long the worker was paid for waiting afterwards."""
    microusd_per_s: Mapped[int | None]
    """The price it was reckoned with."""
    cost_microusd: Mapped[int | None]
    """NULL with `costed_at` set: no price is known, which is not 0."""
    costed_at: Mapped[datetime | None]
