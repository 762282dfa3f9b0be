"""How a brand judges: limits of ease of its own, by category, fabric and kind of chart, and by garment."""

from uuid import UUID

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.garments.bands import Band
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from backend.garments.service import checked_bands, stretch_of
from backend.tryons.models import FitBands
from backend.tryons.schemas import BandsView


class OwnBands:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def of(self, garment: Garment) -> dict[str, Band]:
        """The garment's own word first, then its brand's for such garments."""
        limits = await self.session.scalar(
            select(FitBands.limits_cm).where(
                FitBands.brand_id == garment.brand_id,
                FitBands.category == garment.category,
                FitBands.stretch == stretch_of(garment),
                FitBands.measures == msgspec.convert(garment.size_chart, Chart).measures,
            )
        )
        return {girth: Band(*row) for girth, row in ((limits or {}) | (garment.fit_bands or {})).items()}

    async def all(self, brand_id: UUID) -> list[BandsView]:
        found = await self.session.scalars(select(FitBands).where(FitBands.brand_id == brand_id).order_by(FitBands.id))
        return [BandsView.of(row) for row in found.all()]

    async def put(self, brand_id: UUID, bands: BandsView) -> list[Garment]:
        """Which garments are judged otherwise from now on. Without limits our own count again."""
        limits = checked_bands(bands.limits_cm) or {}
        key = {"category": bands.category, "stretch": bands.stretch, "measures": bands.measures}
        await self.session.execute(
            delete(FitBands).where(
                FitBands.brand_id == brand_id,
                FitBands.category == bands.category,
                FitBands.stretch == bands.stretch,
                FitBands.measures == bands.measures,
            )
        )
        if limits:
            now = self.clock.now()
            row = {
                "id": uuid7(),
                "brand_id": brand_id,
                **key,
                "limits_cm": limits,
                "created_at": now,
                "updated_at": now,
            }
            unique = ("brand_id", "category", "stretch", "measures")
            await insert_new(self.session, FitBands, [row], unique=unique, returning=FitBands.id)
        found = await self.session.scalars(
            select(Garment).where(Garment.brand_id == brand_id, Garment.category == bands.category)
        )
        return [
            garment
            for garment in found.all()
            if stretch_of(garment) == bands.stretch
            and msgspec.convert(garment.size_chart, Chart).measures == bands.measures
        ]
