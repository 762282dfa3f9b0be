# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""`/metrics`, for whoever watches the service; and what a brand may know of its own costs."""

import hmac
from datetime import timedelta

import msgspec
from litestar import Controller, MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from backend.core.auth import (
    BRAND_SECURITY,
    SHOPPER_SECURITY,
    BrandContext,
    ShopperContext,
    brand_only,
    shopper_only,
)
from backend.core.clock import Clock
from backend.core.problems import NotFound, Unauthorized, refusals
from backend.jobs.providers import ProviderStatus
from backend.jobs.service import JobService
from backend.operations.alarms import Alarm, Work, find_alarms
from backend.operations.books import Books
from backend.operations.budget import MICROUSD, BudgetState, Standing
from backend.operations.cost_report import make_report
from backend.operations.metrics import Snapshot, count_rows, render
from backend.operations.spending import Spending
from backend.settings import Settings

LAST_DAY = timedelta(days=1)
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class MetricsController(Controller):
    tags = ["operator"]  # noqa: RUF012  Litestar's own form

    @get(
        "/metrics",
        operation_id="get_metrics",
        media_type=MediaType.TEXT,
        responses=refusals(Unauthorized, NotFound)
        | {200: ResponseSpec(str, media_type=MediaType.TEXT, description="Prometheus text", generate_examples=False)},
    )
    async def get_metrics(self, request: Request[None, None, State], state: State) -> Response[bytes]:
        """Success rate, times, costs, breakers, alarms: one scrape."""
        _check_token(request, state.settings)
        return Response(render(await take_snapshot(state), state.request_counts), media_type=PROMETHEUS)


class BudgetView(msgspec.Struct, frozen=True):
    """What your compute has cost since midnight UTC, by estimate, and what it may. Null: there is no limit."""

    spent_usd: float
    limit_usd: float | None
    state: BudgetState
    """`exceeded`: work waits, as `waiting_jobs`; it goes on the next day or when the limit is raised."""
    waiting_jobs: int


class BudgetController(Controller):
    path = "/v1/budget"
    guards = [brand_only]  # noqa: RUF012  Litestar's own form
    security = BRAND_SECURITY
    tags = ["brand"]  # noqa: RUF012

    @get(operation_id="get_budget", responses=refusals(Unauthorized))
    async def get_budget(self, brand: NamedDependency[BrandContext], state: State) -> BudgetView:
        """Today's compute, and whether work waits for money."""
        spending: Spending = state.spending
        spent_microusd = await spending.spent_microusd(brand.brand_id)
        limit_microusd = spending.budget.of_brand_microusd(brand.brand_id)
        async with state.database.transaction(read_only=True) as session:
            waiting = await JobService(session, state.clock).count_held(brand.brand_id)
        standing = Standing(brand.brand_id, spent_microusd, limit_microusd or 0)
        stands: BudgetState = "ok" if limit_microusd is None else standing.state
        return BudgetView(
            spent_usd=spent_microusd / MICROUSD,
            limit_usd=None if limit_microusd is None else limit_microusd / MICROUSD,
            state="exceeded" if waiting else stands,
            waiting_jobs=waiting,
        )


class PhotoScreenController(Controller):
    path = "/v1/photo-screens"
    guards = [shopper_only]  # noqa: RUF012  Litestar's own form
    security = SHOPPER_SECURITY
    tags = ["avatars"]  # noqa: RUF012

    @post(operation_id="open_photo_screen", status_code=204, responses=refusals(Unauthorized))
    async def open_photo_screen(self, shopper: NamedDependency[ShopperContext], state: State) -> None:  # noqa: ARG002  its being there is the permission
        """A photo is about to be taken: a worker may be warm when it comes. Nothing of the shopper is kept."""
        await state.photo_screens.opened()


class Status(msgspec.Struct, frozen=True):
    """What `tryon status` prints. It is another process: of breakers and of the sweeper it knows nothing."""

    work: Work
    providers: list[ProviderStatus]
    budgets: list[Standing]
    alarms: list[Alarm]


async def take_status(state: State) -> Status:
    now = state.clock.now()
    work = await state.books.work()
    providers = state.providers.snapshot()
    budgets = await state.spending.standings()
    return Status(work, providers, budgets, find_alarms(work, providers, budgets, now, now))


async def take_snapshot(state: State) -> Snapshot:
    clock: Clock = state.clock
    books: Books = state.books
    now = clock.now()
    work = await books.work()
    providers = state.providers.snapshot()
    since = now - LAST_DAY
    report = make_report(
        await books.spent(since, now), since, now, hits=await books.hits(since, now), pod_usd_per_hour=None
    )
    jobs, attempts = await count_rows(state.database)
    budgets = await state.spending.standings()
    alarms = find_alarms(work, providers, budgets, state.sweeper.passed_at.get("send"), now)
    return Snapshot(jobs, attempts, work, report, providers, budgets, alarms)


def _check_token(request: Request[None, None, State], settings: Settings) -> None:
    if not settings.metrics_token:
        if settings.environment == "production":
            raise NotFound("There is nothing at this address.")
        return
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {settings.metrics_token}".encode()):
        raise Unauthorized
