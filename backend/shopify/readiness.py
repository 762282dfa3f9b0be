"""Which products the block may offer a try-on for, and the list of them that the storefront reads."""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.core.db import Database
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from backend.shopify.app_data import AppData
from backend.shopify.chores import Chore
from backend.shopify.size_options import common_sizes
from backend.shopify.work_models import ShopifyProduct

SHARDS = 16
"""Product id mod 16; one metafield holds 128 KB, which is about 6,900 products."""
SOLD = "ACTIVE"


async def is_ready(session: AsyncSession, brand_id: UUID, product_id: int) -> bool:
    return product_id in await ready_products(session, brand_id, [product_id])


async def ready_products(session: AsyncSession, brand_id: UUID, product_ids: Collection[int] | None = None) -> set[int]:
    """With a garment; and, where the shop's product is known, sold and with a size that the chart has too."""
    query = (
        select(Garment.shopify_product_id, Garment.size_chart, ShopifyProduct.status, ShopifyProduct.sizes)
        .outerjoin(
            ShopifyProduct,
            (ShopifyProduct.brand_id == Garment.brand_id) & (ShopifyProduct.product_id == Garment.shopify_product_id),
        )
        .where(Garment.brand_id == brand_id, Garment.shopify_product_id.is_not(None))
    )
    if product_ids is not None:
        query = query.where(Garment.shopify_product_id.in_(product_ids))
    rows = await session.execute(query)
    return {
        row.shopify_product_id
        for row in rows
        if row.status is None or (row.status == SOLD and _has_size(row.sizes, row.size_chart))
    }


class Readiness:
    def __init__(self, database: Database, clock: Clock, app_data: AppData) -> None:
        self.database = database
        self.clock = clock
        self.app_data = app_data

    async def write_shards(self, chore: Chore) -> None:
        """All of them, made from the rows; a shard that stands in the shop already is not written again."""
        async with self.database.transaction(read_only=True) as session:
            ready = await ready_products(session, chore.brand_id)
        wanted = shards_of(ready)
        await self.app_data.change(chore.shop, {key: _become(value) for key, value in wanted.items()})


def shards_of(products: set[int]) -> dict[str, dict[str, int]]:
    """`r0` … `r15`, each `{"<product id>": 1}`."""
    shards: dict[str, dict[str, int]] = {f"r{number}": {} for number in range(SHARDS)}
    for product in sorted(products):
        shards[f"r{product % SHARDS}"][str(product)] = 1
    return shards


def _become(value: dict[str, int]) -> Callable[[Any], Any]:
    """An absent shard says the same as an empty one."""
    return lambda present: present if present is None and not value else value


def _has_size(sold: list[str], chart: dict[str, object]) -> bool:
    return bool(common_sizes(sold, [row.size for row in msgspec.convert(chart, Chart).rows]))
