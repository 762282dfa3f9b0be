"""A brand's garments: every query starts from the brand."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.problems import InvalidRequest
from backend.garments.categories import Category
from backend.garments.chart_rules import Chart, ChartRefused, check_chart
from backend.garments.errors import GarmentNotFound, InvalidSizeChart, ProductTaken
from backend.garments.models import Garment
from backend.garments.schemas import GarmentChanges, NewGarment, SizeChart

GarmentChanged = Callable[[AsyncSession, Garment], Awaitable[None]]
"""Told in the same transaction when fit has to be judged anew."""


T = TypeVar("T")


class GarmentService:
    def __init__(self, session: AsyncSession, listeners: Sequence[GarmentChanged] = ()) -> None:
        self.session = session
        self.listeners = listeners

    async def create(self, brand_id: UUID, new: NewGarment) -> Garment:
        garment = Garment(
            brand_id=brand_id,
            name=new.name.strip(),
            category=new.category,
            size_chart=_stored(checked(new.category, new.size_chart)),
            stretch=new.fabric.stretch if new.fabric else None,
            shopify_product_id=new.shopify_product_id,
            waist_at=new.waist_at,
        )
        self.session.add(garment)
        await self._flush(new.shopify_product_id)
        return garment

    async def get(self, brand_id: UUID, garment_id: UUID) -> Garment:
        return _found(
            await self.session.scalar(select(Garment).where(Garment.brand_id == brand_id, Garment.id == garment_id))
        )

    async def by_product(self, brand_id: UUID, shopify_product_id: int) -> Garment:
        return _found(
            await self.session.scalar(
                select(Garment).where(Garment.brand_id == brand_id, Garment.shopify_product_id == shopify_product_id)
            )
        )

    async def page(
        self, brand_id: UUID, *, cursor: str | None, limit: int, shopify_product_id: int | None
    ) -> tuple[list[Garment], str | None]:
        """Oldest first; the cursor is the last id seen, so that rows added meanwhile shift nothing."""
        query = select(Garment).where(Garment.brand_id == brand_id).order_by(Garment.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(Garment.id > _after(cursor))
        if shopify_product_id is not None:
            query = query.where(Garment.shopify_product_id == shopify_product_id)
        rows = list((await self.session.scalars(query)).all())
        return rows[:limit], rows[limit - 1].id.hex if len(rows) > limit else None

    async def change(self, brand_id: UUID, garment_id: UUID, changes: GarmentChanges) -> Garment:
        garment = await self.get(brand_id, garment_id)
        category = garment.category if changes.category is UNSET else changes.category
        if changes.size_chart is not UNSET:
            garment.size_chart = _stored(checked(cast("Category", category), changes.size_chart))
        elif changes.category is not UNSET:
            garment.size_chart = _stored(checked(changes.category, given(garment)))
        garment.category = category
        if changes.name is not UNSET:
            garment.name = changes.name.strip()
        if changes.fabric is not UNSET:
            garment.stretch = changes.fabric.stretch if changes.fabric else None
        if changes.waist_at is not UNSET:
            garment.waist_at = changes.waist_at
        if changes.shopify_product_id is not UNSET:
            garment.shopify_product_id = changes.shopify_product_id
        await self._flush(garment.shopify_product_id)
        for listener in self.listeners:
            await listener(self.session, garment)
        return garment

    async def delete(self, brand_id: UUID, garment_id: UUID) -> None:
        """Its try-on sessions go with it."""
        removed = await self.session.execute(
            delete(Garment).where(Garment.brand_id == brand_id, Garment.id == garment_id).returning(Garment.id)
        )
        _found(removed.one_or_none())

    async def _flush(self, product_id: int | None) -> None:
        try:
            await self.session.flush()
        except IntegrityError as error:
            raise ProductTaken(f"Another garment already has product {product_id}.") from error


def checked(category: Category, chart: SizeChart) -> Chart:
    try:
        return check_chart(category, chart.unit, chart.measures, chart.sizes, is_flat=chart.flat)
    except ChartRefused as refused:
        problems = [msgspec.to_builtins(problem) for problem in refused.problems]
        raise InvalidSizeChart(refused.problems[0].detail, problems=problems) from refused


def given(garment: Garment) -> SizeChart:
    """The chart in the form in which a brand sends it."""
    chart = msgspec.convert(garment.size_chart, Chart)
    return SizeChart(chart.unit, chart.measures, {row.size: row.values for row in chart.rows}, chart.is_flat)


def _stored(chart: Chart) -> dict[str, object]:
    stored: dict[str, object] = msgspec.to_builtins(chart)
    return stored


def _found(garment: T | None) -> T:
    if garment is None:
        raise GarmentNotFound("There is no such garment.")
    return garment


def _after(cursor: str) -> UUID:
    try:
        return UUID(hex=cursor)
    except ValueError as error:
        raise InvalidRequest("The cursor is not one of ours.", field="cursor") from error
