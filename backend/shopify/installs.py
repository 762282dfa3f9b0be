"""A shop comes, stays, goes and comes again: one brand and one install for it, whatever the order of the news."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.brands.models import Brand
from backend.brands.service import normal_origin
from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.shopify.errors import NotInstalled
from backend.shopify.models import ACTIVE, NEEDS_VISIT, UNINSTALLED, ShopifyInstall

NO_TOKENS: dict[str, object] = {
    "access_token_sealed": None,
    "refresh_token_sealed": None,
    "access_expires_at": None,
    "refresh_expires_at": None,
    "refreshing_until": None,
}


class ShopFacts(msgspec.Struct, frozen=True):
    """What Shopify says of a shop."""

    gid: str
    name: str
    currency: str
    iana_timezone: str
    hosts: tuple[str, ...]
    """With TLS; the one that shoppers see first, the permanent address included."""
    app_installation_gid: str
    scopes: tuple[str, ...]


class InstallService:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def find(self, shop: str) -> ShopifyInstall | None:
        install: ShopifyInstall | None = await self.session.scalar(
            select(ShopifyInstall).where(ShopifyInstall.shop == shop)  # tenant: the shop is the tenant's own name
        )
        return install

    async def get(self, shop: str) -> ShopifyInstall:
        """Raises `NotInstalled`, also for a shop that took the app out."""
        install = await self.find(shop)
        if install is None or install.status == UNINSTALLED:
            raise NotInstalled(f"{shop} does not have the app.")
        return install

    async def of_brand(self, brand_id: UUID) -> ShopifyInstall | None:
        install: ShopifyInstall | None = await self.session.scalar(
            select(ShopifyInstall).where(ShopifyInstall.brand_id == brand_id)
        )
        return install

    async def may_read_domains(self, shop: str, since: datetime) -> bool:
        """Whether nobody has asked for its addresses since; who asks next is told no, whatever comes of this."""
        taken = await self.session.execute(
            update(ShopifyInstall)
            .where(
                ShopifyInstall.shop == shop,  # tenant: the shop is the tenant's own name
                ShopifyInstall.status != UNINSTALLED,
                or_(ShopifyInstall.domains_read_at.is_(None), ShopifyInstall.domains_read_at <= since),
            )
            .values(domains_read_at=self.clock.now())
            .returning(ShopifyInstall.id)
        )
        return taken.one_or_none() is not None

    async def with_domains_older_than(self, moment: datetime, limit: int) -> list[str]:
        """Shops whose addresses are to be read again; a failure is tried again as late as a success."""
        found = await self.session.scalars(
            update(ShopifyInstall)  # tenant: housekeeping, whosoever's they are
            .where(
                ShopifyInstall.id.in_(
                    select(ShopifyInstall.id)  # tenant: as above
                    .where(ShopifyInstall.status == ACTIVE, ShopifyInstall.domains_read_at < moment)
                    .limit(limit)
                )
            )
            .values(domains_read_at=self.clock.now(), updated_at=self.clock.now())
            .returning(ShopifyInstall.shop)
        )
        return list(found)

    async def ensure(self, shop: str) -> ShopifyInstall:
        """The shop has the app, as its signed token says: the install of before, else a new one that needs tokens.

        After an uninstall the set-up begins anew: Shopify has deleted the pixel and the app's metafields.
        """
        install = await self.find(shop) or await self._create(shop)
        if install.status == UNINSTALLED:
            now = self.clock.now()
            install.status, install.installed_at, install.uninstalled_at = NEEDS_VISIT, now, None
            install.setup, install.web_pixel_gid, install.app_installation_gid = {}, None, None
            install.is_enabled = True
            await self._mark_brand(install.brand_id, None)
        return install

    async def keep_tokens(self, install: ShopifyInstall, sealed: Mapping[str, object]) -> None:
        """From a visit: they replace whatever was there. `sealed` is made by `OfflineTokens.sealed`."""
        await self.session.execute(
            update(ShopifyInstall)
            .where(ShopifyInstall.brand_id == install.brand_id, ShopifyInstall.status != UNINSTALLED)
            .values(
                **sealed,
                status=ACTIVE,
                token_version=ShopifyInstall.token_version + 1,
                refreshing_until=None,
                updated_at=self.clock.now(),
            )
        )

    async def keep_facts(self, install: ShopifyInstall, facts: ShopFacts, extra_origins: Sequence[str] = ()) -> None:
        """Name, money, and the pages that may show the frame."""
        brand = await self.session.get_one(Brand, install.brand_id)
        brand.name = facts.name[:200]
        brand.allowed_origins = origins_of(install.shop, facts.hosts, extra_origins)
        install.shop_gid, install.app_installation_gid = facts.gid, facts.app_installation_gid
        install.currency, install.iana_timezone = facts.currency, facts.iana_timezone
        install.domains, install.domains_read_at = list(facts.hosts), self.clock.now()
        install.scopes = ",".join(facts.scopes)

    async def uninstall(self, install: ShopifyInstall) -> None:
        """Tokens are gone and shopper tokens refused; what was made stays until it is to be erased. Idempotent."""
        now = self.clock.now()
        done = await self.session.execute(
            update(ShopifyInstall)
            .where(ShopifyInstall.brand_id == install.brand_id, ShopifyInstall.status != UNINSTALLED)
            .values(
                **NO_TOKENS,
                status=UNINSTALLED,
                uninstalled_at=now,
                token_version=ShopifyInstall.token_version + 1,
                updated_at=now,
            )
            .returning(ShopifyInstall.id)
        )
        if done.one_or_none() is not None:
            await self._mark_brand(install.brand_id, now)

    async def _create(self, shop: str) -> ShopifyInstall:
        """Two first visits at once meet in the same rows."""
        now = self.clock.now()
        stamps = {"created_at": now, "updated_at": now}
        brand = {"id": uuid7(), "name": shop, "shopify_shop_domain": shop, "allowed_origins": [], **stamps}
        await insert_new(self.session, Brand, [brand], unique=("shopify_shop_domain",), returning=Brand.id)
        brand_id = (await self.session.scalars(select(Brand.id).where(Brand.shopify_shop_domain == shop))).one()
        install = {
            "id": uuid7(),
            "brand_id": brand_id,
            "shop": shop,
            "status": NEEDS_VISIT,
            "installed_at": now,
            **stamps,
        }
        await insert_new(self.session, ShopifyInstall, [install], unique=("shop",), returning=ShopifyInstall.id)
        await self._mark_brand(brand_id, None)
        return cast("ShopifyInstall", await self.find(shop))

    async def _mark_brand(self, brand_id: UUID, uninstalled_at: datetime | None) -> None:
        await self.session.execute(
            update(Brand).where(Brand.id == brand_id).values(uninstalled_at=uninstalled_at, updated_at=self.clock.now())
        )


def origins_of(shop: str, hosts: Sequence[str], extra: Sequence[str] = ()) -> list[str]:
    """Exact origins, the permanent one first, each once."""
    named = [normal_origin(f"https://{host}") for host in (shop, *hosts)]
    return list(dict.fromkeys([*named, *extra]))
