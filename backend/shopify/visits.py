"""A merchant opens the admin page: Shopify's signed word that the shop has the app, and how we come to its tokens."""

from collections.abc import Mapping
from datetime import timedelta

import structlog
from sqlalchemy import or_, update

from backend.core.clock import Clock
from backend.core.db import Database
from backend.settings import Settings
from backend.shopify import code_grant, session_tokens
from backend.shopify.errors import SessionTokenRefused, ShopifyUnavailable, TokenRefused
from backend.shopify.installs import InstallService
from backend.shopify.models import NEEDS_VISIT, ShopifyInstall
from backend.shopify.session_tokens import LEEWAY, SessionClaims
from backend.shopify.spent import spend
from backend.shopify.token_endpoint import NewTokens, TokenEndpoint
from backend.shopify.tokens import LEASE, OfflineTokens

log = structlog.get_logger()

MIN_MEMORY = timedelta(minutes=5)


class Visits:
    def __init__(
        self, database: Database, clock: Clock, settings: Settings, endpoint: TokenEndpoint, tokens: OfflineTokens
    ) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self.endpoint = endpoint
        self.tokens = tokens

    def verify(self, token: str) -> SessionClaims:
        """Raises `SessionTokenRefused`."""
        return session_tokens.verify(
            token, self.settings.shopify_client_id, self.settings.shopify_secrets, self.clock.now()
        )

    async def open_document(self, token: str) -> ShopifyInstall:
        """For the token in a page's address, which lies in logs and histories: accepted once."""
        claims = self.verify(token)
        async with self.database.transaction() as session:
            install = await InstallService(session, self.clock).ensure(claims.shop)
            memory = max(claims.expires_at + 2 * LEEWAY - self.clock.now(), MIN_MEMORY)
            if not await spend(session, self.clock, install.brand_id, "document_token", claims.token_id, memory):
                raise SessionTokenRefused
        return await self.connect(install, token)

    async def connect(self, install: ShopifyInstall, token: str) -> ShopifyInstall:
        """Tokens for an install that waits for them; one visit of several at once asks. The token was verified.

        Failing, the install keeps waiting and the page says so.
        """
        if install.status != NEEDS_VISIT or not await self._take_lease(install):
            return install
        try:
            given = await self.endpoint.exchange(install.shop, token)
        except (TokenRefused, ShopifyUnavailable) as error:
            log.warning("install.not_connected", shop=install.shop, reason=error.code)
            await self._drop_lease(install)
            return install
        return await self._keep(install, given)

    def ask_permission(self, shop: str) -> str:
        """The address of the shop's own permission page, which sends the merchant back with a code."""
        state = code_grant.new_state(self.settings.token_signing_key, shop, self.clock.now())
        return code_grant.permission_url(self.settings.shopify_client_id, shop, self._came_back_to, state)

    async def take_code(self, answer: Mapping[str, str]) -> ShopifyInstall:
        """What Shopify sent the merchant back with, once. Raises `SessionTokenRefused` and as the endpoint does."""
        now, client_id = self.clock.now(), self.settings.shopify_client_id
        is_signed = [code_grant.is_signed(client_id, one, answer, now) for one in self.settings.shopify_secrets]
        state = code_grant.read_state(self.settings.token_signing_key, answer.get("state", ""), now)
        if not any(is_signed) or state is None or state[0] != answer["shop"]:
            raise SessionTokenRefused
        shop, state_id = state
        async with self.database.transaction() as session:
            install = await InstallService(session, self.clock).ensure(shop)
            lifetime = code_grant.STATE_LIFETIME
            if not await spend(session, self.clock, install.brand_id, "document_token", state_id, lifetime):
                raise SessionTokenRefused
        return await self._keep(install, await self.endpoint.redeem(shop, answer.get("code", "")))

    @property
    def _came_back_to(self) -> str:
        return f"{self.settings.public_base_url}/admin/install/callback"

    async def _keep(self, install: ShopifyInstall, given: NewTokens) -> ShopifyInstall:
        async with self.database.transaction() as session:
            installs = InstallService(session, self.clock)
            await installs.keep_tokens(install, self.tokens.sealed(install.shop, given))
        log.info("install.connected", shop=install.shop)
        async with self.database.transaction(read_only=True) as session:
            return await InstallService(session, self.clock).get(install.shop)

    async def _take_lease(self, install: ShopifyInstall) -> bool:
        now = self.clock.now()
        async with self.database.transaction() as session:
            taken = await session.execute(
                update(ShopifyInstall)
                .where(
                    ShopifyInstall.brand_id == install.brand_id,
                    ShopifyInstall.status == NEEDS_VISIT,
                    or_(ShopifyInstall.refreshing_until.is_(None), ShopifyInstall.refreshing_until <= now),
                )
                .values(refreshing_until=now + LEASE, updated_at=now)
                .returning(ShopifyInstall.id)
            )
            return taken.one_or_none() is not None

    async def _drop_lease(self, install: ShopifyInstall) -> None:
        async with self.database.transaction() as session:
            await session.execute(
                update(ShopifyInstall)
                .where(ShopifyInstall.brand_id == install.brand_id, ShopifyInstall.status == NEEDS_VISIT)
                .values(refreshing_until=None, updated_at=self.clock.now())
            )
