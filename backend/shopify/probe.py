"""Is the app still in the shop? Asked of the shop itself, before news of the opposite is believed."""

from typing import Any

from backend.core.clock import Clock
from backend.core.db import Database
from backend.shopify.admin import Admin
from backend.shopify.documents import INSTALLATION
from backend.shopify.errors import NeedsVisit, NotInstalled, ScopeMissing, TokenRefused
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.inbox_work import Outcome
from backend.shopify.installs import InstallService
from backend.shopify.setup import Setup


class Probe:
    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    async def is_alive(self, shop: str) -> bool:
        """Whether our token still opens the shop; `ShopifyUnavailable` when nobody can say."""
        try:
            await self.admin.run(shop, INSTALLATION)
        except (NotInstalled, NeedsVisit, TokenRefused):
            return False
        except ScopeMissing:
            return True
        return True


class AppNews:
    """What is said about the installation itself: true or an old story told again."""

    def __init__(self, database: Database, clock: Clock, probe: Probe, setup: Setup) -> None:
        self.database = database
        self.clock = clock
        self.probe = probe
        self.setup = setup

    async def handle(self, delivery: WebhookDelivery, body: dict[str, Any] | None) -> Outcome:
        if delivery.topic == "app/scopes_update":
            await self.setup.read_shop(delivery.shop)
            return Outcome()
        if body is None or body.get("myshopify_domain") != delivery.shop:
            return Outcome("ignored", "shop_mismatch")
        if await self.probe.is_alive(delivery.shop):
            return Outcome("ignored", "app_is_installed")
        async with self.database.transaction() as session:
            installs = InstallService(session, self.clock)
            install = await installs.find(delivery.shop)
            if install is None:
                return Outcome("ignored", NotInstalled.code)
            await installs.uninstall(install)
        return Outcome()
