# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Controller, Request, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from analytics.funnel import FunnelReport
from backend.core.auth import (
    BRAND_SECURITY,
    EITHER_SECURITY,
    PIXEL_PREFIX,
    BrandContext,
    PixelAuthenticator,
    PixelContext,
    Principal,
    authenticate,
    brand_only,
    brand_or_shopper,
)
from backend.core.problems import BadJson, BodyTooLarge, InvalidRequest, Unauthorized, refusals
from backend.events.errors import TooManyEvents, UnsupportedBatchType
from backend.events.intake_rules import is_bot
from backend.events.reports import ReportService
from backend.events.schemas import MAX_BATCH_BYTES, MAX_EVENTS, EventBatch
from backend.events.service import EventService, IntakeResult

BEACON = "text/plain"
JSON = "application/json"


async def provide_events(db_session: NamedDependency[AsyncSession], state: State) -> EventService:
    return EventService(db_session, state.clock, state.checkout_listeners)


async def provide_reports(db_session: NamedDependency[AsyncSession]) -> ReportService:
    return ReportService(db_session)


async def header_or_beacon(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard: as `brand_or_shopper`; a `text/plain` beacon without the header brings its token in the body."""
    media_type = _media_type(connection)
    if media_type not in {JSON, BEACON}:
        raise UnsupportedBatchType("Send application/json, or text/plain from a beacon.")
    if media_type == BEACON and "authorization" not in connection.headers:
        return
    await brand_or_shopper(connection, handler)


class EventController(Controller):
    path = "/v1/events"
    dependencies = {"intake": Provide(provide_events)}  # noqa: RUF012  Litestar's own form
    tags = ["events"]  # noqa: RUF012

    @post(
        operation_id="add_events",
        status_code=202,
        guards=[header_or_beacon],
        security=EITHER_SECURITY,
        request_max_body_size=MAX_BATCH_BYTES,
        responses=refusals(Unauthorized, BadJson, TooManyEvents, BodyTooLarge, UnsupportedBatchType),
    )
    async def add_events(
        self, request: Request[Any, Any, Any], intake: NamedDependency[EventService], data: JSONBody[EventBatch]
    ) -> IntakeResult:
        """202 means committed. One bad event never fails its neighbours; the same event twice counts once."""
        caller = await _caller(request, data)
        if len(data.events) > MAX_EVENTS:
            raise TooManyEvents(f"At most {MAX_EVENTS} events are taken at once.", max_events=MAX_EVENTS)
        return await intake.intake(
            caller,
            data.events,
            sent_at=data.sent_at,
            visitor_id=data.visitor_id,
            is_bot=is_bot(request.headers.get("user-agent", "")),
        )


class AnalyticsController(Controller):
    path = "/v1/analytics"
    dependencies = {"reports": Provide(provide_reports)}  # noqa: RUF012  Litestar's own form
    tags = ["analytics"]  # noqa: RUF012

    @get(
        "/funnel",
        operation_id="get_funnel",
        guards=[brand_only],
        security=BRAND_SECURITY,
        responses=refusals(Unauthorized, InvalidRequest),
    )
    async def get_funnel(
        self,
        reports: NamedDependency[ReportService],
        brand: NamedDependency[BrandContext],
        since: Annotated[datetime | None, QueryParameter(description="First moment counted.")] = None,
        until: Annotated[datetime | None, QueryParameter(description="First moment no longer counted.")] = None,
        unit: FromQuery[Literal["shopper", "session", "visitor"]] = "shopper",
    ) -> FunnelReport:
        """How many reached each step, and how many in order."""
        return await reports.funnel(brand.brand_id, unit, since, until)


async def _caller(request: Request[Any, Any, Any], batch: EventBatch) -> Principal | PixelContext:
    principal: Principal | None = request.scope.get("auth")
    if principal is not None:
        return principal
    if not batch.token:
        raise Unauthorized
    if batch.token.startswith(PIXEL_PREFIX):
        pixels: PixelAuthenticator = request.app.state.pixel_tokens
        return await pixels.authenticate(batch.token)
    return await authenticate(request, batch.token)


def _media_type(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return connection.headers.get("content-type", "").partition(";")[0].strip().lower()
