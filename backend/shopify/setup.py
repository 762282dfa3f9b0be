"""What a first visit sets up in the shop. Each step may run any number of times; what is done is not done again."""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from sqlalchemy import select

from backend.core.clock import Clock
from backend.core.db import Database
from backend.settings import Settings
from backend.shopify import pixel_tokens
from backend.shopify.admin import Admin
from backend.shopify.app_data import AppData
from backend.shopify.documents import CREATE_WEB_PIXEL, UPDATE_WEB_PIXEL, WEB_PIXEL
from backend.shopify.errors import NeedsVisit, NotInstalled, ShopifyError, ShopifyUnavailable, TokenRefused, UserErrors
from backend.shopify.installs import InstallService
from backend.shopify.models import UNINSTALLED, ShopifyInstall
from backend.shopify.shop_facts import read_shop

log = structlog.get_logger()

DONE = "done"
PIXEL_PATH = "/v1/events"
ENDS_THE_ROUND = (NeedsVisit, NotInstalled, TokenRefused, ShopifyUnavailable)
"""With these the next step would fail too."""

Step = Callable[[str], Awaitable[None]]
"""Takes the shop; raises `ShopifyError`."""


class Setup:
    """Steps in order; `further` are those of other parts (the first catalogue import)."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        settings: Settings,
        admin: Admin,
        further: Mapping[str, Step] | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self.admin = admin
        self.app_data = AppData(admin)
        self.steps: dict[str, Step] = {
            "shop": self.read_shop,
            "switches": self.write_switches,
            "pixel": self.turn_pixel_on,
            **(further or {}),
        }

    async def run(self, shop: str) -> dict[str, str]:
        """Every step that is not done yet; a step that fails leaves its code and the others their chance."""
        noted = dict((await self._install(shop)).setup)
        for name, step in self.steps.items():
            if noted.get(name) == DONE:
                continue
            try:
                await step(shop)
                noted[name] = DONE
            except ShopifyError as error:
                noted[name] = error.code
                log.warning("install.step_failed", shop=shop, step=name, reason=error.code)
                if isinstance(error, ENDS_THE_ROUND):
                    break
            finally:
                await self._note(shop, name, noted.get(name))
        return noted

    def is_done(self, install: ShopifyInstall) -> bool:
        return all(install.setup.get(name) == DONE for name in self.steps)

    async def read_shop(self, shop: str) -> None:
        """Name, currency, scopes, and the storefront's addresses, whose pages alone may show the frame."""
        facts = await read_shop(self.admin, shop)
        async with self.database.transaction() as session:
            installs = InstallService(session, self.clock)
            storefront = self.settings.shopify_demo_storefront
            await installs.keep_facts(await installs.get(shop), facts, [storefront] if storefront else [])

    async def write_switches(self, shop: str) -> None:
        """The metafields that the block reads before it renders anything."""
        install = await self._install(shop)
        config = {"proxy": f"/{install.proxy_path}"}
        await self.app_data.set(shop, {"config": config, "enabled": install.is_enabled and install.is_plan_open})

    async def turn_pixel_on(self, shop: str) -> None:
        """One pixel for each shop: the one there is gets our settings."""
        install = await self._install(shop)
        settings = {
            "accountID": pixel_tokens.issue(self.settings.token_signing_key, install.id),
            "endpoint": f"{self.settings.public_base_url}{PIXEL_PATH}",
        }
        try:
            data = await self.admin.run(shop, CREATE_WEB_PIXEL, {"settings": settings})
            pixel = data["webPixelCreate"]["webPixel"]
        except UserErrors as refused:
            if "TAKEN" not in refused.codes:
                raise
            pixel = (await self.admin.run(shop, WEB_PIXEL))["webPixel"]
            await self.admin.run(shop, UPDATE_WEB_PIXEL, {"id": pixel["id"], "settings": settings})
        async with self.database.transaction() as session:
            (await InstallService(session, self.clock).get(shop)).web_pixel_gid = pixel["id"]

    async def _install(self, shop: str) -> ShopifyInstall:
        async with self.database.transaction(read_only=True) as session:
            return await InstallService(session, self.clock).get(shop)

    async def _note(self, shop: str, name: str, outcome: str | None) -> None:
        """One step's outcome, beside what another visit notes at the same time."""
        if outcome is None:
            return
        async with self.database.transaction() as session:
            install = await session.scalar(
                select(ShopifyInstall)
                .where(ShopifyInstall.shop == shop)  # tenant: the shop is the tenant's own name
                .with_for_update()
            )
            if install is not None and install.status != UNINSTALLED:
                install.setup = {**install.setup, name: outcome}
