"""Stored offline tokens: sealed in the install's row, refreshed under a lease, replaced only by who saw the last one.

The refresh token turns over with each use. Two processes that used the same one would lose both, so exactly one
refreshes at a time; what is lost in a crash between Shopify's answer and our commit is found out at the next use, and
the install then waits for the merchant's next visit, which brings new tokens.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import or_, select, update

from backend.core.clock import Clock
from backend.core.db import Database
from backend.shopify.admin import Sleep
from backend.shopify.errors import NeedsVisit, NotInstalled, ShopifyUnavailable, TokenRefused
from backend.shopify.grants import Grant
from backend.shopify.models import ACTIVE, NEEDS_VISIT, UNINSTALLED, ShopifyInstall
from backend.shopify.sealing import Sealer, Unreadable
from backend.shopify.token_endpoint import NewTokens, TokenEndpoint

log = structlog.get_logger()

REFRESH_BEFORE = timedelta(minutes=5)
LEASE = timedelta(seconds=30)
"""Longer than the token endpoint may take in all."""
POLL_S = 0.1
POLLS = 300
ACCESS, REFRESH = "access token", "refresh token"


class OfflineTokens:
    """The `TokenSource` of today."""

    def __init__(
        self, database: Database, clock: Clock, sealer: Sealer, endpoint: TokenEndpoint, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.database = database
        self.clock = clock
        self.sealer = sealer
        self.endpoint = endpoint
        self.sleep = sleep

    async def grant(self, shop: str) -> Grant:
        """Good for five minutes at least, or (while Shopify cannot refresh) until it expires."""
        install = await self._usable(shop)
        grant = await self._open(install)
        if grant.expires_at - self.clock.now() > REFRESH_BEFORE:
            return grant
        return await self._next(install, grant)

    async def renew(self, refused: Grant) -> Grant:
        """The token of another process if that was quicker."""
        install = await self._usable(refused.shop)
        if install.token_version != refused.version:
            return await self._open(install)
        return await self._next(install, None)

    async def give_up(self, refused: Grant) -> None:
        await self._change(
            refused.brand_id, refused.version, {"status": NEEDS_VISIT, "refreshing_until": None}, ended="refused"
        )

    def sealed(self, shop: str, tokens: NewTokens) -> dict[str, object]:
        """The columns of an install that hold these tokens."""
        return {
            "access_token_sealed": self.sealer.seal(tokens.access_token, shop, ACCESS),
            "refresh_token_sealed": self.sealer.seal(tokens.refresh_token, shop, REFRESH),
            "access_expires_at": tokens.access_expires_at,
            "refresh_expires_at": tokens.refresh_expires_at,
            "scopes": tokens.scopes,
        }

    async def _usable(self, shop: str) -> ShopifyInstall:
        async with self.database.transaction(read_only=True) as session:
            install = await session.scalar(
                select(ShopifyInstall).where(ShopifyInstall.shop == shop)  # tenant: the shop is the tenant's own name
            )
        if install is None or install.status == UNINSTALLED:
            raise NotInstalled(f"{shop} does not have the app.")
        if install.status != ACTIVE:
            raise NeedsVisit(f"{shop} waits for its merchant.")
        return install

    async def _open(self, install: ShopifyInstall) -> Grant:
        try:
            token = self.sealer.unseal(install.access_token_sealed or "", install.shop, ACCESS)
        except Unreadable as error:
            changes = {"status": NEEDS_VISIT, "refreshing_until": None}
            await self._change(install.brand_id, install.token_version, changes, ended="unreadable")
            raise NeedsVisit(f"The token of {install.shop} cannot be read with the present key.") from error
        return Grant(
            shop=install.shop,
            brand_id=install.brand_id,
            access_token=token,
            scopes=tuple(install.scopes.split(",")),
            version=install.token_version,
            expires_at=install.access_expires_at or install.created_at,
        )

    async def _next(self, install: ShopifyInstall, present: Grant | None) -> Grant:
        """`present` may be used meanwhile, as long as it lives."""
        for _ in range(POLLS):
            if await self._take_lease(install):
                return await self._refresh(install, present)
            if present is not None and present.expires_at > self.clock.now():
                return present
            await self.sleep(POLL_S)
            newer = await self._usable(install.shop)
            if newer.token_version != install.token_version:
                return await self._open(newer)
        raise ShopifyUnavailable(f"The token of {install.shop} is being refreshed for too long.")

    async def _take_lease(self, install: ShopifyInstall) -> bool:
        now = self.clock.now()
        async with self.database.transaction() as session:
            taken = await session.execute(
                update(ShopifyInstall)
                .where(
                    ShopifyInstall.brand_id == install.brand_id,
                    ShopifyInstall.token_version == install.token_version,
                    ShopifyInstall.status == ACTIVE,
                    or_(ShopifyInstall.refreshing_until.is_(None), ShopifyInstall.refreshing_until <= now),
                )
                .values(refreshing_until=now + LEASE, updated_at=now)
                .returning(ShopifyInstall.id)
            )
            return taken.one_or_none() is not None

    async def _refresh(self, install: ShopifyInstall, present: Grant | None) -> Grant:
        try:
            tokens = await self._new_tokens(install, self.clock.now())
        except ShopifyUnavailable:
            await self._change(install.brand_id, install.token_version, {"refreshing_until": None})
            if present is not None and present.expires_at > self.clock.now():
                return present
            raise
        except NeedsVisit:
            await self._change(
                install.brand_id,
                install.token_version,
                {"status": NEEDS_VISIT, "refreshing_until": None},
                ended="not refreshed",
            )
            raise
        changes = self.sealed(install.shop, tokens) | {"refreshing_until": None}
        await self._change(install.brand_id, install.token_version, changes, is_new_token=True)
        return await self._open(await self._usable(install.shop))

    async def _new_tokens(self, install: ShopifyInstall, now: datetime) -> NewTokens:
        if install.refresh_expires_at is None or install.refresh_expires_at <= now:
            raise NeedsVisit(f"The refresh token of {install.shop} has expired.")
        try:
            refresh_token = self.sealer.unseal(install.refresh_token_sealed or "", install.shop, REFRESH)
            return await self.endpoint.refresh(install.shop, refresh_token)
        except (Unreadable, TokenRefused) as error:
            raise NeedsVisit(f"The refresh token of {install.shop} is of no use.") from error

    async def _change(
        self, brand_id: UUID, version: int, values: Mapping[str, object], *, is_new_token: bool = False, ended: str = ""
    ) -> None:
        """Only if the tokens are still the ones that the caller saw."""
        if is_new_token:
            values = {**values, "token_version": version + 1}
        async with self.database.transaction() as session:
            changed = await session.execute(
                update(ShopifyInstall)
                .where(
                    ShopifyInstall.brand_id == brand_id,
                    ShopifyInstall.token_version == version,
                    ShopifyInstall.status == ACTIVE,
                )
                .values(**values, updated_at=self.clock.now())
                .returning(ShopifyInstall.shop)
            )
            shop = changed.scalar_one_or_none()
        if ended and shop is not None:
            log.warning("install.needs_visit", shop=shop, reason=ended)
