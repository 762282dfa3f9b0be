"""Prices of compute: what the operator pays by the second, from which day on, and who says so."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from backend.core.clock import Clock
from backend.core.db import Database
from backend.jobs.management import RunPodManagement
from backend.operations.costs import ANY_POOL, microusd_per_s
from backend.operations.models import GpuPrice

S_PER_HOUR = 3600
CATALOGUE = "RunPod's catalogue"


class PriceRefused(ValueError):
    """Not a price; the text is for the operator."""


class PriceView(msgspec.Struct, frozen=True):
    pool: str
    gpu_name: str | None
    usd_per_hour: float
    valid_from: str
    source: str
    verified_on: str


class Prices:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, pool: str, usd_per_hour: float, *, source: str, gpu_name: str | None = None) -> PriceView:
        """Valid from now on; what was reckoned before stays as it was."""
        per_s = microusd_per_s(usd_per_hour)
        if not pool or per_s < 1:
            raise PriceRefused("A price needs a pool and at least 0.0036 dollars an hour.")
        now = self._clock.now()
        row = GpuPrice(
            pool=pool,
            gpu_name=gpu_name,
            microusd_per_s=per_s,
            valid_from=now,
            source=source,
            verified_on=now.date(),
            created_at=now,
            updated_at=now,
        )
        async with self._database.transaction() as session:
            session.add(row)
        return _view(row)

    async def refresh(self, management: RunPodManagement) -> Sequence[PriceView]:
        """Cards of the catalogue whose price is new or has changed."""
        offered = {
            gpu.gpu_id: microusd_per_s(float(gpu.usd_per_h))
            for gpu in await management.gpu_prices()
            if gpu.usd_per_h is not None and gpu.usd_per_h > 0
        }
        async with self._database.transaction(read_only=True) as session:
            rows = await session.scalars(
                select(GpuPrice).where(GpuPrice.pool == ANY_POOL).order_by(GpuPrice.valid_from)
            )
            known = {row.gpu_name: row.microusd_per_s for row in rows}
        return [
            await self.add(ANY_POOL, price * S_PER_HOUR / 1e6, source=CATALOGUE, gpu_name=name)
            for name, price in offered.items()
            if known.get(name) != price and price > 0
        ]

    async def all(self) -> Sequence[PriceView]:
        async with self._database.transaction(read_only=True) as session:
            rows = await session.scalars(select(GpuPrice).order_by(GpuPrice.pool, GpuPrice.valid_from))
            return [_view(row) for row in rows]


def _view(row: GpuPrice) -> PriceView:
    return PriceView(
        row.pool,
        row.gpu_name,
        round(row.microusd_per_s * S_PER_HOUR / 1e6, 4),
        row.valid_from.isoformat(),
        row.source,
        row.verified_on.isoformat(),
    )
