# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""`/metrics`, for whoever watches the service."""

import hmac
from datetime import timedelta

import msgspec
from litestar import Controller, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec

from backend.core.clock import Clock
from backend.core.problems import NotFound, Unauthorized, refusals
from backend.jobs.providers import ProviderStatus
from backend.operations.alarms import Alarm, Work, find_alarms
from backend.operations.books import Books
from backend.operations.cost_report import make_report
from backend.operations.metrics import Snapshot, count_rows, render
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


class Status(msgspec.Struct, frozen=True):
    """What `tryon status` prints. It is another process: of breakers and of the sweeper it knows nothing."""

    work: Work
    providers: list[ProviderStatus]
    alarms: list[Alarm]


async def take_status(state: State) -> Status:
    now = state.clock.now()
    work = await state.books.work()
    providers = state.providers.snapshot()
    return Status(work, providers, find_alarms(work, providers, now, now))


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
    alarms = find_alarms(work, providers, state.sweeper.passed_at.get("send"), now)
    return Snapshot(jobs, attempts, work, report, providers, alarms)


def _check_token(request: Request[None, None, State], settings: Settings) -> None:
    if not settings.metrics_token:
        if settings.environment == "production":
            raise NotFound("There is nothing at this address.")
        return
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {settings.metrics_token}".encode()):
        raise Unauthorized
