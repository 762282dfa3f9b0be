"""What `tryon cost-report`, `tryon prices` and `tryon status` do: the operator's view without a browser."""

import calendar
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from backend.core.clock import Clock, SystemClock
from backend.core.db import Database
from backend.jobs.management import ManagementFault, RunPodManagement
from backend.operations.books import Books
from backend.operations.cost_report import Report, make_report
from backend.operations.prices import Prices, PriceView
from backend.settings import Settings


@asynccontextmanager
async def _database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    pooled = settings.database_pooler == "transaction"
    database = Database(settings.database_url, clock, pooled_by_transaction=pooled)
    try:
        yield database
    finally:
        await database.close()


def month_of(text: str | None, now: datetime) -> tuple[datetime, datetime]:
    """`2026-11`, or this month; its end, or now while it lasts."""
    try:
        begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC) if text else now.replace(day=1)
    except ValueError as error:
        raise ValueError(f"{text!r} is no month such as 2026-11.") from error
    begin = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    days = calendar.monthrange(begin.year, begin.month)[1]
    end = min(begin + timedelta(days=days), now)
    if end <= begin:
        raise ValueError(f"{begin:%Y-%m} has not begun.")
    return begin, end


async def cost_report(
    settings: Settings, month: str | None, brand_id: UUID | None, pod_usd_per_hour: float | None
) -> Report:
    clock = SystemClock()
    since, until = month_of(month, clock.now())
    async with _database(settings, clock) as database:
        known = {(one.base_url, one.endpoint_id): one for one in settings.compute_providers}
        books = Books(database, clock, known)
        while await books.cost_closed():
            pass
        spent = await books.spent(since, until, brand_id)
        hits = await books.hits(since, until, brand_id)
    return make_report(spent, since, until, hits=hits, pod_usd_per_hour=pod_usd_per_hour)


async def list_prices(settings: Settings) -> Sequence[PriceView]:
    clock = SystemClock()
    async with _database(settings, clock) as database:
        return await Prices(database, clock).all()


async def refresh_prices(settings: Settings) -> Sequence[PriceView]:
    """Raises `ValueError` without a key, `ManagementFault` without an answer."""
    if not settings.runpod_management_key:
        raise ValueError("RUNPOD_MANAGEMENT_KEY is not set: the catalogue cannot be asked.")
    clock = SystemClock()
    management = RunPodManagement(settings.runpod_management_key)
    try:
        async with _database(settings, clock) as database:
            return await Prices(database, clock).refresh(management)
    except ManagementFault as fault:
        raise ValueError(f"RunPod did not answer: {fault.detail}") from fault
    finally:
        await management.close()


async def set_price(settings: Settings, pool: str, usd_per_hour: float, gpu_name: str | None, source: str) -> PriceView:
    clock = SystemClock()
    async with _database(settings, clock) as database:
        return await Prices(database, clock).add(pool, usd_per_hour, source=source, gpu_name=gpu_name)
