"""From a button pressed in a shop to the frame's address with a one-use code: what the shop's app proxy may ask for."""

import re
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.errors import InvalidOrigin
from backend.brands.models import Brand
from backend.brands.service import normal_origin
from backend.shopify.customers import customer_ref
from backend.shopify.errors import PlanLimit, ProductNotReady, ProxyUnverified, ShopifyError, UnknownOrigin
from backend.shopify.installs import InstallService
from backend.shopify.models import UNINSTALLED, ShopifyInstall
from backend.shopify.readiness import is_ready
from backend.shopify.shop import Shopify
from backend.shopify.signatures import ProxyCall, read_proxy_call
from backend.shopify.spent import spend
from backend.shoppers.errors import OriginNotAllowed
from backend.shoppers.service import IssuedCode, ShopperService

log = structlog.get_logger()

SIGNATURE_MEMORY = timedelta(seconds=180)
"""Twice the tolerance of the timestamp: after that a replay is too old in any case."""
DOMAINS_AGE = timedelta(minutes=10)
"""An unknown page makes us read the shop's addresses anew, this often at most."""
PRODUCT_ID = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class OpenedFrame(msgspec.Struct, frozen=True):
    """`src` is the frame's address with the one-use code in its fragment, which no server sees."""

    src: str
    expires_at: datetime


class ProxyService:
    def __init__(self, shopify: Shopify) -> None:
        self.shopify = shopify
        self.settings = shopify.settings
        self.clock = shopify.clock

    def read(self, query: bytes) -> ProxyCall:
        """Raises `ProxyUnverified`."""
        return read_proxy_call(query, self.settings.shopify_secrets, self.clock.now())

    async def open_frame(self, query: bytes) -> OpenedFrame:
        """Raises `ProxyUnverified`, `PlanLimit`, `ProductNotReady`, `UnknownOrigin`; a refusal spends no signature."""
        call = self.read(query)
        try:
            return await self._open(call)
        except UnknownOrigin:
            if not await self._read_domains_anew(call.shop):
                raise
        return await self._open(call)

    async def _open(self, call: ProxyCall) -> OpenedFrame:
        async with self.shopify.database.transaction() as session:
            install = await InstallService(session, self.clock).find(call.shop)
            if install is None or install.status == UNINSTALLED:
                raise ProxyUnverified
            if not await spend(
                session, self.clock, install.brand_id, "proxy_signature", call.signature, SIGNATURE_MEMORY
            ):
                raise ProxyUnverified
            product_id = await _ready_product(session, install, call)
            brand = await session.get_one(Brand, install.brand_id)
            code = await self._code(session, brand, install, call, product_id)
        return OpenedFrame(f"{self.settings.public_base_url}/embed?k={brand.embed_key}#c={code.code}", code.expires_at)

    async def _code(
        self, session: AsyncSession, brand: Brand, install: ShopifyInstall, call: ProxyCall, product_id: int
    ) -> IssuedCode:
        shoppers = ShopperService(session, self.clock, self.settings.token_signing_key)
        customer = customer_ref(brand.cache_secret, call.customer_id) if call.customer_id else None
        try:
            origin = normal_origin(call.parameters.get("origin", ""))
            return await shoppers.issue_code(brand.id, origin, customer, install_id=install.id, product_id=product_id)
        except (InvalidOrigin, OriginNotAllowed) as error:
            raise UnknownOrigin("This page is not one of the shop's own.") from error

    async def _read_domains_anew(self, shop: str) -> bool:
        """Whether they were read; a shop that Shopify does not let us ask keeps the ones it had."""
        async with self.shopify.database.transaction() as session:
            is_due = await InstallService(session, self.clock).may_read_domains(shop, self.clock.now() - DOMAINS_AGE)
        if not is_due:
            return False
        try:
            await self.shopify.setup.read_shop(shop)
        except ShopifyError as error:
            log.warning("install.domains_not_read", shop=shop, reason=error.code)
            return False
        return True


async def _ready_product(session: AsyncSession, install: ShopifyInstall, call: ProxyCall) -> int:
    """A merchant's own pause looks like a product that is not ready."""
    if not install.is_plan_open:
        raise PlanLimit("The shop's plan has no fittings left.")
    text = call.parameters.get("product_id", "")
    if install.is_enabled and PRODUCT_ID.fullmatch(text) and await is_ready(session, install.brand_id, int(text)):
        return int(text)
    raise ProductNotReady("There is no try-on for this product now.")
