"""The demo's own shop in the stand-in for Shopify: its app's secrets, and the merchant who installs the app."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import SystemClock
from backend.core.db import Database
from backend.settings import Settings
from backend.shopify.chores import ChoreBook
from backend.shopify.installs import InstallService

SHOP = "nordlys-supply.myshopify.com"
CLIENT_ID = "tryon-demo"
PRODUCT_PAGE = "/products/organic-cotton-tee"
INSTALLED_WITHIN_S = 30.0
TAKEN_IN_WITHIN_S = 10.0
LOOKS_EVERY_S = 0.1


class ShopNotInstalled(Exception):
    """The app did not get into the shop; the text says how far it came."""


class AppSecrets(msgspec.Struct, frozen=True):
    """Of the demo's app record; made once, kept in the data folder, readable by its owner alone."""

    client_secret: str
    token_key: str


def ensure_secrets(data_dir: Path) -> AppSecrets:
    file = data_dir / "demo-app.json"
    if not file.exists():
        made = AppSecrets(secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode(made))
    return msgspec.json.decode(file.read_bytes(), type=AppSecrets)


def app_environment(app: AppSecrets) -> dict[str, str]:
    """What the backend and the stand-in must both know."""
    return {"SHOPIFY_CLIENT_ID": CLIENT_ID, "SHOPIFY_CLIENT_SECRET": app.client_secret}


class _Product(msgspec.Struct, frozen=True):
    id: int


class _Listed(msgspec.Struct, frozen=True):
    products: list[_Product]


class Merchant:
    """Puts the app into the shop as a merchant does: by opening it in the admin.

    settings : the backend's, set once they are known
    """

    def __init__(
        self, http: httpx.AsyncClient, shopify_origin: str, backend_origin: str, storefront_origin: str
    ) -> None:
        self.http = http
        self.storefront_origin = storefront_origin
        self.shopify_origin = shopify_origin
        self.backend_origin = backend_origin
        self.settings: Settings | None = None

    async def install(self) -> None:
        """The stand-in forgets with each start, so the app leaves the shop and comes again."""
        if self.settings is None:
            return
        async with _transaction(self.settings) as (session, clock):
            installs = InstallService(session, clock)
            known = await installs.find(SHOP)
            if known is not None:
                await installs.uninstall(known)
        said = await self._read(f"{self.shopify_origin}/_/shops/{SHOP}/id_token")
        visit = {"shop": SHOP, "embedded": "1", "id_token": str(said["id_token"])}
        (await self.http.get(f"{self.backend_origin}/admin", params=visit)).raise_for_status()
        with suppress(httpx.HTTPError, TimeoutError):  # the shop works without; its admin page then says what is to do
            async with asyncio.timeout(TAKEN_IN_WITHIN_S):
                await self._take_products_in()
        async with _transaction(self.settings) as (session, clock):
            brand_id = (await InstallService(session, clock).get(SHOP)).brand_id
            await ChoreBook(session, clock).ask(brand_id, "write_shards")
        await self._wait_until_offered()

    async def _take_products_in(self) -> None:
        """As the merchant's page does, so that it says what shoppers see; then the block is in the theme."""
        address = f"{self.shopify_origin}/_/shops/{SHOP}"
        await self.http.get(f"{self.storefront_origin}{PRODUCT_PAGE}")  # the sample shop enters its catalogue then
        (await self.http.post(f"{address}/block", json={})).raise_for_status()
        listed = msgspec.convert(await self._read(f"{address}/products"), _Listed)
        token = str((await self._read(f"{address}/id_token"))["id_token"])
        products = f"{self.backend_origin}/admin/api/products"
        proof = {"Authorization": f"Bearer {token}"}
        once = proof | {"Idempotency-Key": secrets.token_urlsafe(16)}
        picked = {"product_ids": [one.id for one in listed.products]}
        (await self.http.post(products, headers=once, json=picked)).raise_for_status()
        while True:  # a product that was not read yet is not offered
            kept = (await self.http.get(products, headers=proof)).raise_for_status().json()["products"]
            if all(product["is_ready"] for product in kept):
                return
            await asyncio.sleep(LOOKS_EVERY_S)

    async def _wait_until_offered(self) -> None:
        deadline = time.monotonic() + INSTALLED_WITHIN_S
        fields: dict[str, object] = {}
        while time.monotonic() < deadline:
            state = await self._read(f"{self.shopify_origin}/_/shops/{SHOP}")
            fields = msgspec.convert(state["app_metafields"], dict[str, object])
            has_products = any(value for name, value in fields.items() if name.startswith("tryon.r"))
            if fields.get("tryon.enabled") is True and has_products and state["pixel"] is not None:
                return
            await asyncio.sleep(LOOKS_EVERY_S)
        there = ", ".join(sorted(fields)) or "nothing"
        raise ShopNotInstalled(f"The shop was not ready after {INSTALLED_WITHIN_S:.0f} s; of the app it had: {there}.")

    async def _read(self, address: str) -> Mapping[str, object]:
        answer: Mapping[str, object] = (await self.http.get(address)).raise_for_status().json()
        return answer


@asynccontextmanager
async def _transaction(settings: Settings) -> AsyncIterator[tuple[AsyncSession, SystemClock]]:
    clock = SystemClock()
    database = Database(settings.database_url, clock)
    try:
        async with database.transaction() as session:
            yield session, clock
    finally:
        await database.close()
