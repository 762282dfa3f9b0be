"""What an operator does with brands, each in a transaction of its own: the commands and the demo call these."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from backend.brands.models import Brand
from backend.brands.service import BrandService, Mode, NewKey, normal_origin
from backend.core.clock import SystemClock
from backend.core.db import Database
from backend.settings import Settings

LIVE: Mode = "live"
TEST: Mode = "test"


class NewBrand(msgspec.Struct, frozen=True):
    """As printed by `tryon brands create`; the API key is shown this once."""

    brand_id: str
    api_key: str
    embed_key: str


class RevokedKey(msgspec.Struct, frozen=True):
    prefix: str
    brand_id: str
    revoked_at: datetime | None


class ListedKey(msgspec.Struct, frozen=True):
    prefix: str
    last_four: str
    label: str
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class ListedBrand(msgspec.Struct, frozen=True):
    brand_id: str
    name: str
    embed_key: str
    allowed_origins: list[str]
    keys: list[ListedKey]


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


async def set_shop(settings: Settings, brand_id: str, shop: str) -> None:
    """The Shopify shop that is this brand: its install finds the brand by that."""
    async with _service(settings) as service:
        (await service.get(UUID(brand_id))).shopify_shop_domain = shop


async def create_key(settings: Settings, brand_id: str, label: str, mode: Mode, days: int) -> NewKey:
    async with _service(settings) as service:
        return await service.create_key(UUID(brand_id), label, mode, timedelta(days=days))


async def revoke_key(settings: Settings, prefix: str) -> RevokedKey:
    async with _service(settings) as service:
        key = await service.revoke_key(prefix)
        return RevokedKey(key.prefix, str(key.brand_id), key.revoked_at)


async def list_brands(settings: Settings) -> list[ListedBrand]:
    """Without secrets: API keys by prefix and last four."""
    async with _service(settings) as service:
        return [await _listed(service, brand) for brand in await service.everyone()]


async def _listed(service: BrandService, brand: Brand) -> ListedBrand:
    keys = [
        ListedKey(key.prefix, key.last_four, key.label, key.expires_at, key.revoked_at, key.last_used_at)
        for key in await service.list_keys(brand.id)
    ]
    return ListedBrand(str(brand.id), brand.name, brand.embed_key, brand.allowed_origins, keys)


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[BrandService]:
    clock = SystemClock()
    database = Database(settings.database_url, clock)
    try:
        async with database.transaction() as session:
            yield BrandService(session, clock)
    finally:
        await database.close()
