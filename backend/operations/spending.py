"""What this UTC day has cost so far, and whether one more attempt is within the budget.

An attempt counts to the day it was sent on. Its cost is known a minute after its end; until then it is reckoned with
what such work has cost there lately. Dispatchers learn of each other's attempts by the rows, every few seconds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every
from backend.jobs.models import Job, JobAttempt
from backend.operations.books import is_paid, read_prices
from backend.operations.budget import Budget, Standing, standings
from backend.operations.costs import NEVER_RAN, Price, Usage, cost_microusd, price_at
from backend.provider_settings import ProviderSettings

log = structlog.get_logger()

REFRESHED = timedelta(seconds=5)
AVERAGED = timedelta(minutes=1)
LATELY = timedelta(days=1)
HELD_FOR = timedelta(minutes=2)
"""Then it is asked again: a limit may have been raised, or attempts have cost less than was reckoned with."""
FIRST_EXEC_MS = 30_000
"""Of work that has not been done there within a day."""
EXEMPT = "noop"
"""Keeps an endpoint alive: without it the platform takes the workers away."""

QueueKey = tuple[str, str]


class Spending:
    """The dispatcher's purse, and the operator's look into it."""

    def __init__(
        self, database: Database, clock: Clock, budget: Budget, providers: Mapping[QueueKey, ProviderSettings]
    ) -> None:
        """`providers`: by address and endpoint, as attempts name them."""
        self.budget = budget
        self._database = database
        self._clock = clock
        self._providers = providers
        self._now_and_then = Every(REFRESHED, clock)
        self._minutely = Every(AVERAGED, clock)
        self._midnight: datetime | None = None
        self._spent_microusd: dict[UUID, int] = {}
        self._usual_microusd: dict[tuple[QueueKey, str], int] = {}
        self._prices: list[Price] = []
        self._refused: set[UUID] = set()

    # ---- for the dispatcher -----------------------------------------------------------------------------------------

    async def look(self) -> None:
        if not self.budget.is_limited:
            return
        if self._now_and_then.is_due() or self._midnight != _midnight(self._clock.now()):
            await self._read()

    def pays(self, job: Job, provider: ProviderSettings) -> bool:
        if not self.budget.is_limited:
            return True
        cost = self._expected_microusd(provider, job.kind)
        if cost == 0:
            return True
        spent = self._spent_microusd.get(job.brand_id, 0)
        if job.kind != EXEMPT and self._is_used_up(job.brand_id, spent):
            self._tell(job.brand_id)
            return False
        self._spent_microusd[job.brand_id] = spent + cost
        return True

    def look_again_at(self) -> datetime:
        now = self._clock.now()
        return min(now + HELD_FOR, _midnight(now) + timedelta(days=1))

    def _is_used_up(self, brand_id: UUID, spent: int) -> bool:
        total, of_brand = self.budget.total_microusd, self.budget.of_brand_microusd(brand_id)
        is_total_used_up = total is not None and sum(self._spent_microusd.values()) >= total
        return is_total_used_up or (of_brand is not None and spent >= of_brand)

    def _tell(self, brand_id: UUID) -> None:
        """Once a day."""
        if brand_id not in self._refused:
            self._refused.add(brand_id)
            log.warning("budget.exceeded", brand_id=str(brand_id))

    # ---- for operators and brands -----------------------------------------------------------------------------------

    async def standings(self) -> list[Standing]:
        """As it is now. Without a budget nothing is read."""
        if not self.budget.is_limited:
            return []
        await self._read()
        return standings(self.budget, self._spent_microusd)

    async def spent_microusd(self, brand_id: UUID) -> int:
        await self._read()
        return self._spent_microusd.get(brand_id, 0)

    def is_used_up(self, brand_id: UUID) -> bool:
        """As of the last reading."""
        return self._is_used_up(brand_id, self._spent_microusd.get(brand_id, 0))

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        midnight = _midnight(self._clock.now())
        async with self._database.transaction(read_only=True) as session:
            if self._minutely.is_due():
                self._prices = await read_prices(session)
                self._usual_microusd = await self._read_usual(session)
            self._spent_microusd = await self._read_spent(session, midnight)
        if self._midnight != midnight:
            self._midnight = midnight
            self._refused.clear()

    async def _read_usual(self, session: AsyncSession) -> dict[tuple[QueueKey, str], int]:
        found = await session.execute(
            select(JobAttempt.provider, JobAttempt.endpoint_id, Job.kind, func.avg(JobAttempt.cost_microusd))
            .select_from(JobAttempt)  # tenant: an endpoint serves every brand
            .join(Job, (Job.brand_id == JobAttempt.brand_id) & (Job.id == JobAttempt.job_id))
            .where(JobAttempt.closed_at >= self._clock.now() - LATELY, JobAttempt.cost_microusd > 0)
            .group_by(JobAttempt.provider, JobAttempt.endpoint_id, Job.kind)
        )
        return {((provider, endpoint), kind): round(mean) for provider, endpoint, kind, mean in found}

    async def _read_spent(self, session: AsyncSession, midnight: datetime) -> dict[UUID, int]:
        is_unknown = JobAttempt.cost_microusd.is_(None) & JobAttempt.state.not_in(NEVER_RAN)
        found = await session.execute(
            select(
                JobAttempt.brand_id,
                JobAttempt.provider,
                JobAttempt.endpoint_id,
                Job.kind,
                func.coalesce(func.sum(JobAttempt.cost_microusd), 0),
                func.sum(case((is_unknown, 1), else_=0)),
            )
            .select_from(JobAttempt)  # tenant: the total is every brand's
            .join(Job, (Job.brand_id == JobAttempt.brand_id) & (Job.id == JobAttempt.job_id))
            .where(JobAttempt.submitted_at >= midnight)
            .group_by(JobAttempt.brand_id, JobAttempt.provider, JobAttempt.endpoint_id, Job.kind)
        )
        spent: dict[UUID, int] = {}
        for brand_id, address, endpoint, kind, known, unknown in found:
            provider = self._providers.get((address, endpoint))
            reckoned = int(unknown) * self._expected_microusd(provider, kind) if provider else 0
            spent[brand_id] = spent.get(brand_id, 0) + int(known) + reckoned
        return spent

    def _expected_microusd(self, provider: ProviderSettings, kind: str) -> int:
        """0: nobody is paid there. What has no price is reckoned with the dearest that is known."""
        if not is_paid(provider.base_url, provider):
            return 0
        usual = self._usual_microusd.get(((provider.base_url, provider.endpoint_id), kind))
        if usual is not None:
            return usual
        dearest = max(self._prices, key=lambda price: price.microusd_per_s, default=None)
        price = price_at(self._prices, provider.price_pool, None, self._clock.now()) or dearest
        usage = Usage(FIRST_EXEC_MS, idle_ms=provider.idle_timeout_s * 1000)
        return cost_microusd(price, usage) if price else 0


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
