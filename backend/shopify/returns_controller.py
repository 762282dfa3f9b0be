# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.auth import BRAND_SECURITY, BrandContext, brand_only
from backend.core.problems import InvalidRequest, Unauthorized, refusals
from backend.shopify.returns_report import ReturnsService, ReturnsView


class ReturnsController(Controller):
    tags = ["analytics"]  # noqa: RUF012  Litestar's own form

    @get(
        "/v1/analytics/returns",
        operation_id="get_returns",
        guards=[brand_only],
        security=BRAND_SECURITY,
        responses=refusals(Unauthorized, InvalidRequest),
    )
    async def get_returns(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        brand: NamedDependency[BrandContext],
        since: Annotated[datetime | None, QueryParameter(description="First order counted; 180 days ago.")] = None,
        until: Annotated[datetime | None, QueryParameter(description="First order no longer counted; now.")] = None,
    ) -> ReturnsView:
        """What came back within 14, 30 and 60 days and why, with and without a try-on; young orders are censored."""
        return await ReturnsService(db_session, state.clock).report(brand.brand_id, since, until)
