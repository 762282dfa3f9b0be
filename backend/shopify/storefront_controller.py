# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""Where the shop's app proxy stands: looked at from outside, as a shopper's browser would, and kept."""

import re
from datetime import datetime

import msgspec
from litestar import Controller, get, put
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.problems import InvalidRequest
from backend.shopify import proxy_path
from backend.shopify.chores import ChoreBook
from backend.shopify.installs import InstallService
from backend.shopify.merchant_controller import Once, provide_once
from backend.shopify.merchants import MerchantContext, merchant_only, provide_merchant
from backend.shopify.models import ShopifyInstall
from backend.shopify.proxy_path import PATH_PATTERN, Found
from backend.shopify.shop import Shopify


class StorefrontPath(msgspec.Struct, frozen=True):
    path: str
    found: Found
    checked_at: datetime | None
    """When it last was ours."""


class NewPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class StorefrontController(Controller):
    path = "/admin/api/storefront"
    include_in_schema = False
    guards = [merchant_only]  # noqa: RUF012  Litestar's own form
    dependencies = {"merchant": Provide(provide_merchant), "once": Provide(provide_once)}  # noqa: RUF012

    @get()
    async def look_at_storefront(self, state: State, merchant: NamedDependency[MerchantContext]) -> StorefrontPath:
        """`unknown` behind a password page, or when the shop does not answer in five seconds."""
        shopify: Shopify = state.shopify
        async with shopify.database.transaction(read_only=True) as session:
            install = await InstallService(session, shopify.clock).get(merchant.shop)
        found = await _look(shopify, install, install.proxy_path)
        if found == "ours":
            async with shopify.database.transaction() as session:
                install = await InstallService(session, shopify.clock).get(merchant.shop)
                install.proxy_checked_at = shopify.clock.now()
        return StorefrontPath(install.proxy_path, found, install.proxy_checked_at)

    @put()
    async def move_storefront_path(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        merchant: NamedDependency[MerchantContext],
        data: JSONBody[NewPath],
        once: NamedDependency[Once],
    ) -> StorefrontPath:
        """As the merchant named it in the shop's settings; the block reads it a moment later."""
        await once.spend()
        path = data.path.strip().strip("/").lower()
        if re.fullmatch(PATH_PATTERN, path) is None:
            raise InvalidRequest("It looks like apps/tryon: a prefix of Shopify's, and one name.", field="path")
        install = await InstallService(db_session, state.clock).get(merchant.shop)
        if path != install.proxy_path:
            install.proxy_path, install.proxy_checked_at = path, None
            await ChoreBook(db_session, state.clock).ask(merchant.brand_id, "write_switches")
        return StorefrontPath(path, "unknown", install.proxy_checked_at)


async def _look(shopify: Shopify, install: ShopifyInstall, path: str) -> Found:
    """On the address that shoppers see: others lead there, and a redirect off a host is not followed."""
    own = f"https://{install.domains[0]}" if install.domains else f"https://{install.shop}"
    storefront = shopify.settings.shopify_demo_storefront or own
    return await proxy_path.look(shopify.http, storefront, path, install.shop)
