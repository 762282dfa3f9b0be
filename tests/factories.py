"""Rows and credentials for tests, made the way the product makes them. Reads as data: `await given.brand()`."""

from datetime import timedelta
from uuid import UUID

import msgspec
from litestar import Litestar

from backend.brands.models import Brand
from backend.brands.service import BrandService, NewKey
from backend.core import tokens
from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.tokens import ShopperClaims
from backend.settings import Settings
from backend.shoppers.models import Shopper
from backend.shoppers.service import ShopperService

ORIGIN = "https://shop.example"


class GivenBrand(msgspec.Struct, frozen=True):
    id: UUID
    embed_key: str
    key: NewKey

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.api_key}"}


class GivenShopper(msgspec.Struct, frozen=True):
    id: UUID
    brand_id: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Given:
    """Bound to one app; everything goes through its services and its database."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self.database: Database = app.state.database
        self.clock: Clock = app.state.clock
        self.settings: Settings = app.state.settings

    async def brand(self, name: str = "Atelier Nord", origins: tuple[str, ...] = (ORIGIN,)) -> GivenBrand:
        async with self.database.transaction() as session:
            service = BrandService(session, self.clock)
            brand: Brand = await service.create(name, list(origins))
            key = await service.create_key(brand.id, "test")
        return GivenBrand(brand.id, brand.embed_key, key)

    async def shopper(self, brand: GivenBrand, user_ref: str | None = None) -> GivenShopper:
        async with self.database.transaction() as session:
            service = ShopperService(session, self.clock, self.settings.token_signing_key)
            shopper: Shopper = await service.for_brand(brand.id, user_ref)
        return GivenShopper(shopper.id, brand.id, self.token(brand.id, shopper.id))

    async def key(self, brand: GivenBrand, days: int = 365) -> NewKey:
        """A further API key."""
        async with self.database.transaction() as session:
            return await BrandService(session, self.clock).create_key(brand.id, "test", lifetime=timedelta(days=days))

    async def revoke(self, key: NewKey) -> None:
        async with self.database.transaction() as session:
            await BrandService(session, self.clock).revoke_key(key.prefix)

    async def void_tokens(self, shopper: GivenShopper) -> None:
        """Every token of the shopper issued until now."""
        async with self.database.transaction() as session:
            service = ShopperService(session, self.clock, self.settings.token_signing_key)
            await service.revoke_tokens(shopper.brand_id, shopper.id)

    def token(self, brand_id: UUID, user_id: UUID, *, age_s: float = 0) -> str:
        """A token as `POST /embed/token` would have issued it `age_s` ago."""
        issued_at = self.clock.now() - timedelta(seconds=age_s)
        claims = ShopperClaims(brand_id=brand_id, user_id=user_id, origin=ORIGIN, auth_time=issued_at)
        return tokens.issue(self.settings.token_signing_key, claims, issued_at).token
