"""Reports: compiled by `analytics`, executed here on the request's own transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from analytics.funnel import FunnelReport, Unit, report
from analytics.report import funnel_query, to_sql
from backend.core.problems import InvalidRequest

IBIS_DIALECT = {"sqlite": "sqlite", "postgresql": "postgres"}


class ReportService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def funnel(self, brand_id: UUID, unit: Unit, since: datetime | None, until: datetime | None) -> FunnelReport:
        if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
            raise InvalidRequest("A time needs its zone, as in 2026-03-01T00:00:00Z.")
        sql = to_sql(funnel_query(brand_id, unit, since, until), IBIS_DIALECT[self.session.get_bind().dialect.name])
        row = (await self.session.execute(text(sql.replace(":", r"\:")))).mappings().one()
        return report(unit, {name: None if count is None else int(count) for name, count in row.items()})
