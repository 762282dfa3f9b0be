"""Everything that speaks with Shopify, put together once; None in the app's state where no Shopify app is set up."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx
import structlog

from backend.core.clock import Clock
from backend.core.db import Database
from backend.settings import Settings
from backend.shopify.addresses import Addresses
from backend.shopify.admin import Admin, AdminClient, Sleep
from backend.shopify.app_data import AppData
from backend.shopify.bulk import BulkOperations
from backend.shopify.errors import ShopifyError
from backend.shopify.installs import InstallService
from backend.shopify.sealing import Sealer
from backend.shopify.setup import Setup, Step
from backend.shopify.spent import forget_expired
from backend.shopify.token_endpoint import TokenEndpoint
from backend.shopify.tokens import OfflineTokens
from backend.shopify.visits import Visits

log = structlog.get_logger()

MAX_CONNECTIONS = 50
TIDY_INTERVAL = timedelta(minutes=1)
DOMAINS_LIFETIME = timedelta(hours=24)
BATCH = 10
USER_AGENT = "TryOn/1.0"
"""Shopify's billing host refuses callers without one."""


class Shopify:
    """`further_steps`: what other parts set up in a shop at its first visit."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: Settings,
        http: httpx.AsyncClient,
        *,
        further_steps: Mapping[str, Step] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self._tidied_at: datetime | None = None
        self.http = http
        self.addresses = Addresses(settings.shopify_demo_url)
        endpoint = TokenEndpoint(
            http, self.addresses, clock, settings.shopify_client_id, settings.shopify_client_secret
        )
        self.tokens = OfflineTokens(database, clock, Sealer(settings.shopify_token_key), endpoint, sleep)
        self.admin = Admin(self.tokens, AdminClient(http, self.addresses, sleep))
        self.app_data = AppData(self.admin)
        self.bulk = BulkOperations(self.admin, http, self.addresses, sleep)
        self.visits = Visits(database, clock, settings, endpoint, self.tokens)
        self.setup = Setup(database, clock, settings, self.admin, further_steps)

    async def tidy(self) -> int:
        """Once a minute; how much there was to do."""
        now = self.clock.now()
        if self._tidied_at is not None and now - self._tidied_at < TIDY_INTERVAL:
            return 0
        self._tidied_at = now
        return await forget_expired(self.database, self.clock) + await self._read_old_domains(now)

    async def _read_old_domains(self, now: datetime) -> int:
        """Daily: merchants add and drop addresses, and only the present ones may show the frame."""
        async with self.database.transaction() as session:
            shops = await InstallService(session, self.clock).with_domains_older_than(now - DOMAINS_LIFETIME, BATCH)
        for shop in shops:
            try:
                await self.setup.read_shop(shop)
            except ShopifyError as error:
                log.warning("install.domains_not_read", shop=shop, reason=error.code)
        return len(shops)

    async def close(self) -> None:
        await self.http.aclose()


def new_http() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
    return httpx.AsyncClient(limits=limits, headers={"User-Agent": USER_AGENT}, follow_redirects=False)
