"""Which products the block may offer a try-on for."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.garments.models import Garment


async def is_ready(session: AsyncSession, brand_id: UUID, product_id: int) -> bool:
    garment = await session.scalar(
        select(Garment.id).where(Garment.brand_id == brand_id, Garment.shopify_product_id == product_id)
    )
    return garment is not None
