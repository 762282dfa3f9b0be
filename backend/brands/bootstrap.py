"""What an operator does with brands, each in a transaction of its own: the commands and the demo call these."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from backend.brands.service import BrandService, Mode, NewKey, normal_origin
from backend.core.clock import SystemClock
from backend.core.db import Database
from backend.settings import Settings


class NewBrand(msgspec.Struct, frozen=True):
    """As printed by `tryon brands create`; the API key is shown this once."""

    brand_id: str
    api_key: str
    embed_key: str


async def create_brand(settings: Settings, name: str, *, origins: list[str]) -> NewBrand:
    async with _service(settings) as service:
        brand = await service.create(name, origins)
        key = await service.create_key(brand.id, label="first key")
        return NewBrand(str(brand.id), key.api_key, brand.embed_key)


async def set_origins(settings: Settings, brand_id: str, origins: list[str]) -> None:
    """The pages that may show the frame from now on."""
    async with _service(settings) as service:
        brand = await service.get(UUID(brand_id))
        brand.allowed_origins = [normal_origin(origin) for origin in origins]


async def create_key(settings: Settings, brand_id: str, label: str, mode: Mode) -> NewKey:
    async with _service(settings) as service:
        return await service.create_key(UUID(brand_id), label, mode)


async def revoke_key(settings: Settings, prefix: str) -> None:
    async with _service(settings) as service:
        await service.revoke_key(prefix)


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[BrandService]:
    clock = SystemClock()
    database = Database(settings.database_url, clock)
    try:
        async with database.transaction() as session:
            yield BrandService(session, clock)
    finally:
        await database.close()
