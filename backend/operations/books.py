"""The ledger as an operator reads it: what closed attempts cost, how work stands, what was spent in a time.

tenant: everything here is for the operator and reads every brand's rows.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Select, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every
from backend.core.quantile import quantile
from backend.jobs import states
from backend.jobs.models import Job, JobAttempt
from backend.operations.alarms import Work
from backend.operations.cost_report import Spent
from backend.operations.costs import MS_PER_S, NEVER_RAN, Price, Usage, cost_microusd, idle_ms, price_at
from backend.operations.models import GpuPrice
from backend.provider_settings import LOOPBACK, ProviderSettings

RUNPOD = "runpod.ai"
EVERY = timedelta(seconds=20)
SETTLED_AFTER = timedelta(seconds=60)
"""By then the worker's next job has begun, or the worker is gone: its idle time is known."""
BATCH = 200
LATELY = timedelta(hours=1)
MOST_ROWS = 5000
FAULTS = tuple({*states.ATTEMPT_STATES} - {*states.OPEN_ATTEMPTS, states.SUCCEEDED, states.CANCELLED, *NEVER_RAN})


class Books:
    def __init__(self, database: Database, clock: Clock, providers: Mapping[tuple[str, str], ProviderSettings]) -> None:
        """`providers`: by address and endpoint, as attempts name them."""
        self._database = database
        self._clock = clock
        self._providers = providers
        self._now_and_then = Every(EVERY, clock)

    async def run_if_due(self) -> int:
        """Write down what closed attempts cost; how many that was."""
        return await self.cost_closed() if self._now_and_then.is_due() else 0

    async def cost_closed(self) -> int:
        before = self._clock.now() - SETTLED_AFTER
        async with self._database.transaction() as session:
            found = await session.scalars(
                select(JobAttempt)  # tenant: the books are every brand's
                .where(JobAttempt.costed_at.is_(None), JobAttempt.closed_at <= before)
                .order_by(JobAttempt.closed_at)
                .limit(BATCH)
            )
            attempts = found.all()
            prices = await read_prices(session)
            for attempt in attempts:
                await self._cost(session, attempt, prices)
        return len(attempts)

    async def _cost(self, session: AsyncSession, attempt: JobAttempt, prices: list[Price]) -> None:
        provider = self._providers.get((attempt.provider, attempt.endpoint_id))
        price = price_at(prices, provider.price_pool, attempt.gpu_name, attempt.submitted_at) if provider else None
        idle = await self._idle_ms(session, attempt, provider)
        usage = _usage(attempt, idle)
        await session.execute(
            update(JobAttempt)
            .where(JobAttempt.brand_id == attempt.brand_id, JobAttempt.id == attempt.id)
            .values(
                idle_ms=idle,
                microusd_per_s=price.microusd_per_s if price else None,
                cost_microusd=0 if usage is None else cost_microusd(price, usage) if price else None,
                costed_at=self._clock.now(),
            )
        )

    async def _idle_ms(self, session: AsyncSession, attempt: JobAttempt, provider: ProviderSettings | None) -> int:
        """A worker of our own is there anyway; RunPod's is paid until its idle timeout."""
        if provider is None or provider.is_local or attempt.worker_id is None or attempt.exec_ms is None:
            return 0
        began = _began_at(attempt)
        following = await session.scalar(
            select(JobAttempt)  # tenant: a worker serves every brand
            .where(
                JobAttempt.provider == attempt.provider,
                JobAttempt.endpoint_id == attempt.endpoint_id,
                JobAttempt.worker_id == attempt.worker_id,
                JobAttempt.submitted_at > attempt.submitted_at,
            )
            .order_by(JobAttempt.submitted_at)
            .limit(1)
        )
        ended = began + timedelta(milliseconds=attempt.exec_ms)
        next_began = _began_at(following) if following is not None else None
        return idle_ms(ended, next_began, timedelta(seconds=provider.idle_timeout_s))

    async def work(self) -> Work:
        """The last hour, and what is open."""
        now = self._clock.now()
        since = now - LATELY
        async with self._database.transaction(read_only=True) as session:
            oldest, open_jobs = (
                await session.execute(
                    select(
                        func.min(case((Job.hold.is_(None), Job.created_at))), func.count()
                    ).where(  # tenant: the operator sees every brand's
                        Job.state.in_(states.OPEN_JOBS)
                    )
                )
            ).one()
            ended = await self._ended(session, since)
            unpriced = await session.scalar(self._unpriced(since))
            held = await session.scalar(
                select(func.count())
                .select_from(Job)  # tenant: the operator sees every brand's
                .where(Job.state == states.QUEUED, Job.hold.is_not(None))
            )
            delays = await session.scalars(
                select(JobAttempt.delay_ms)  # tenant: the operator sees every brand's
                .where(JobAttempt.closed_at >= since, JobAttempt.delay_ms.is_not(None))
                .order_by(JobAttempt.closed_at.desc())
                .limit(MOST_ROWS)
            )
        return Work(
            open_jobs=open_jobs,
            oldest_open_s=(now - oldest).total_seconds() if oldest else 0.0,
            succeeded=ended.get(states.SUCCEEDED, 0),
            faulted=sum(ended.get(state, 0) for state in FAULTS),
            rejected=ended.get(states.REJECTED, 0),
            unpriced=unpriced or 0,
            queue_p95_s=quantile([(delay or 0) / MS_PER_S for delay in delays], 0.95) or 0.0,
            held=held or 0,
        )

    async def _ended(self, session: AsyncSession, since: datetime) -> dict[str, int]:
        """By state; a permanent refusal of what a shopper sent is no fault and counted nowhere."""
        rows = await session.execute(
            select(JobAttempt.state, func.count())  # tenant: the operator sees every brand's
            .join(Job, (Job.brand_id == JobAttempt.brand_id) & (Job.id == JobAttempt.job_id))
            .where(
                JobAttempt.closed_at >= since,
                ~((JobAttempt.state == states.FAILED) & Job.is_retryable.is_(False)),
            )
            .group_by(JobAttempt.state)
        )
        return {str(state): int(count) for state, count in rows}

    def _unpriced(self, since: datetime) -> Select[int]:
        paid = [one.endpoint_id for one in self._providers.values() if is_paid(one.base_url, one)]
        return (
            select(func.count())
            .select_from(JobAttempt)  # tenant: the operator sees every brand's
            .where(
                JobAttempt.closed_at >= since,
                JobAttempt.costed_at.is_not(None),
                JobAttempt.cost_microusd.is_(None),
                JobAttempt.exec_ms.is_not(None),
                JobAttempt.endpoint_id.in_(paid),
            )
        )

    async def spent(self, since: datetime, until: datetime, brand_id: UUID | None = None) -> list[Spent]:
        """Every attempt closed in that time."""
        query = (
            select(JobAttempt, Job.kind)  # tenant: the report is the operator's, of one brand or of all
            .join(Job, (Job.brand_id == JobAttempt.brand_id) & (Job.id == JobAttempt.job_id))
            .where(JobAttempt.closed_at >= since, JobAttempt.closed_at < until)
            .order_by(JobAttempt.closed_at)
        )
        if brand_id is not None:
            query = query.where(JobAttempt.brand_id == brand_id)
        async with self._database.transaction(read_only=True) as session:
            rows = (await session.execute(query)).all()
        return [self._spent(attempt, kind) for attempt, kind in rows]

    def _spent(self, attempt: JobAttempt, kind: str) -> Spent:
        provider = self._providers.get((attempt.provider, attempt.endpoint_id))
        return Spent(
            kind=kind,
            brand_id=str(attempt.brand_id),
            job_id=str(attempt.job_id),
            provider=provider.name if provider else attempt.endpoint_id,
            gpu_name=attempt.gpu_name,
            is_success=attempt.state == states.SUCCEEDED,
            delay_ms=attempt.delay_ms,
            exec_ms=attempt.exec_ms,
            cold_ms=attempt.cold_ms or 0,
            idle_ms=attempt.idle_ms or 0,
            microusd_per_s=attempt.microusd_per_s,
            cost_microusd=attempt.cost_microusd,
            is_paid=is_paid(attempt.provider, provider),
        )

    async def hits(self, since: datetime, until: datetime, brand_id: UUID | None = None) -> dict[str, int]:
        """Orders answered from a job that was done, by kind; of jobs ordered first in that time."""
        query = (
            select(Job.kind, func.sum(Job.hits))  # tenant: the report is the operator's, of one brand or of all
            .where(Job.created_at >= since, Job.created_at < until)
            .group_by(Job.kind)
        )
        if brand_id is not None:
            query = query.where(Job.brand_id == brand_id)
        async with self._database.transaction(read_only=True) as session:
            return {kind: int(count or 0) for kind, count in await session.execute(query)}


async def read_prices(session: AsyncSession) -> list[Price]:
    rows = await session.scalars(select(GpuPrice))
    return [Price(row.pool, row.gpu_name, row.microusd_per_s, row.valid_from) for row in rows]


def is_paid(address: str, provider: ProviderSettings | None) -> bool:
    """By the second. A row that is gone is paid unless it was this machine; RunPod is, without a pool too."""
    host = urlsplit(address).hostname or ""
    if provider is None:
        return host not in LOOPBACK
    return bool(provider.price_pool) or host == RUNPOD or host.endswith(f".{RUNPOD}")


def _usage(attempt: JobAttempt, idle: int) -> Usage | None:
    """None: it cost nothing, because no worker was given it."""
    if attempt.state in NEVER_RAN or (attempt.exec_ms is None and attempt.worker_id is None):
        return None
    return Usage(attempt.exec_ms or 0, attempt.cold_ms or 0, idle)


def _began_at(attempt: JobAttempt) -> datetime:
    return attempt.submitted_at + timedelta(milliseconds=attempt.delay_ms or 0)
