"""Rows and credentials for tests, made the way the product makes them. Reads as data: `await given.brand()`."""

from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import httpx
import msgspec
from litestar import Litestar
from PIL import Image

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


CHART = {
    "unit": "cm",
    "measures": "garment",
    "sizes": {
        "S": {"chest": 96, "waist": 94, "hip": 98, "length": 68},
        "M": {"chest": 102, "waist": 100, "hip": 104, "length": 70},
        "L": {"chest": 108, "waist": 106, "hip": 110, "length": 72},
    },
}


def photo(width_px: int = 600, height_px: int = 800) -> bytes:
    """A JPEG of nobody."""
    file = BytesIO()
    Image.new("RGB", (width_px, height_px), (180, 180, 180)).save(file, "JPEG")
    return file.getvalue()


class Given:
    """Bound to one app; everything goes through its services, its database or its public API."""

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

    async def garment(self, brand: GivenBrand, **changes: Any) -> dict[str, Any]:
        body = {"name": "Tee", "category": "t-shirt", "size_chart": CHART} | changes
        return await self._post("/v1/garments", brand, json=body)

    async def modelled_garment(self, brand: GivenBrand, glb: bytes, size: str = "M") -> dict[str, Any]:
        """With a model of the brand's own for one size, not yet looked at."""
        garment = await self.garment(brand)
        return await self._send("PUT", f"/v1/garments/{garment['id']}/sizes/{size}", brand, content=glb)

    async def import_of(self, brand: GivenBrand, table: str) -> dict[str, Any]:
        """A file of garments, sent and not yet worked off."""
        return await self._post("/v1/garments/import", brand, content=table)

    async def avatar(self, by: GivenBrand | GivenShopper, **facts: Any) -> dict[str, Any]:
        """From answers alone; `pending`, with measurements."""
        return await self._post("/v1/avatars", by, data={"height_cm": "178"} | facts)

    async def avatar_with_photo(self, by: GivenBrand | GivenShopper, **facts: Any) -> dict[str, Any]:
        """Agreed to, and so with a consent."""
        data = {"height_cm": "178", "consent_version": "1"} | facts
        return await self._post("/v1/avatars", by, data=data, files={"photo": ("me.jpg", photo(), "image/jpeg")})

    async def session(self, brand: GivenBrand, by: GivenBrand | GivenShopper, **changes: Any) -> dict[str, Any]:
        """Of a new avatar in a new garment."""
        avatar, garment = await self.avatar(by), await self.garment(brand)
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]} | changes
        return await self._post("/v1/tryon-sessions", by, json=body)

    async def _post(self, path: str, by: GivenBrand | GivenShopper, **body: Any) -> dict[str, Any]:
        return await self._send("POST", path, by, **body)

    async def _send(self, method: str, path: str, by: GivenBrand | GivenShopper, **body: Any) -> dict[str, Any]:
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=self.settings.public_base_url) as http:
            answer = await http.request(method, path, headers=by.headers, **body)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

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
