# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""The merchant's page inside Shopify's admin: a shell that anyone's browser may load, and data for who can prove it."""

import re
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, get
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from backend.core.problems import NotFound
from backend.shopify import pages
from backend.shopify.errors import SessionTokenRefused, ShopifyError, ShopifyOff
from backend.shopify.installs import InstallService
from backend.shopify.merchants import MerchantContext, merchant_only, provide_merchant
from backend.shopify.models import ACTIVE
from backend.shopify.scopes import missing
from backend.shopify.shop import Shopify

log = structlog.get_logger()

HTML = "text/html"
ASSETS = Path(__file__).parent / "assets"
ASSET_NAME = re.compile(r"[a-z0-9_-]{1,60}\.(js|css)", re.ASCII)
MEDIA_TYPES = {"js": "text/javascript", "css": "text/css"}
REVALIDATED = {"Cache-Control": "no-cache"}


class AdminAssetNotFound(NotFound):
    code = "asset_not_found"
    title = "Asset not found"


class AdminStatus(msgspec.Struct, frozen=True):
    shop: str
    status: str
    setup: dict[str, str]
    is_set_up: bool
    missing_scopes: list[str]
    is_enabled: bool
    is_plan_open: bool
    proxy_path: str


class AdminController(Controller):
    """Outside the public contract: only our own page calls it."""

    path = "/admin"
    include_in_schema = False
    dependencies = {"merchant": Provide(provide_merchant)}  # noqa: RUF012  Litestar's own form

    @get(media_type=HTML)
    async def show_admin(
        self,
        state: State,
        id_token: Annotated[str, QueryParameter(description="Of App Bridge; accepted once.")] = "",
        shop: Annotated[str, QueryParameter(description="Only selects who may frame the empty bounce page.")] = "",
    ) -> Response[str]:
        """With a good token the shell, without one a page that fetches it; nothing is redirected anywhere."""
        shopify = _shopify(state)
        client_id = shopify.settings.shopify_client_id
        try:
            install = await shopify.visits.open_document(id_token)
        except SessionTokenRefused:
            page, framed_by, after = pages.bounce(shopify.addresses, client_id), shop, None
        else:
            page, framed_by = pages.shell(shopify.addresses, client_id, install.shop), install.shop
            is_to_do = install.status == ACTIVE and not shopify.setup.is_done(install)
            after = BackgroundTask(_set_up, shopify, install.shop) if is_to_do else None
        headers = pages.headers(shopify.addresses, framed_by)
        return Response(page, media_type=HTML, headers=headers, background=after)

    @get("/api/status", guards=[merchant_only])
    async def get_admin_status(self, state: State, merchant: NamedDependency[MerchantContext]) -> AdminStatus:
        """Also finishes what a first visit began: tokens and set-up steps that failed are tried again."""
        shopify = _shopify(state)
        async with shopify.database.transaction(read_only=True) as session:
            install = await InstallService(session, shopify.clock).get(merchant.shop)
        install = await shopify.visits.connect(install, merchant.session_token)
        setup = install.setup
        if install.status == ACTIVE and not shopify.setup.is_done(install):
            setup = await shopify.setup.run(install.shop)
            async with shopify.database.transaction(read_only=True) as session:
                install = await InstallService(session, shopify.clock).get(merchant.shop)
        return AdminStatus(
            shop=install.shop,
            status=install.status,
            setup=setup,
            is_set_up=shopify.setup.is_done(install),
            missing_scopes=missing(install.scopes) if install.status == ACTIVE else [],
            is_enabled=install.is_enabled,
            is_plan_open=install.is_plan_open,
            proxy_path=install.proxy_path,
        )

    @get("/assets/{name:str}")
    async def get_admin_asset(self, name: FromPath[str]) -> Response[bytes]:
        """Our own scripts and style sheets, by a plain file name."""
        file = ASSETS / name
        if ASSET_NAME.fullmatch(name) is None or not file.is_file():
            raise AdminAssetNotFound("There is no such file.")
        media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        return Response(file.read_bytes(), media_type=media_type, headers=REVALIDATED)


async def _set_up(shopify: Shopify, shop: str) -> None:
    """After the answer; what fails is left for the page's own request for its state."""
    try:
        await shopify.setup.run(shop)
    except ShopifyError as error:
        log.warning("install.setup_stopped", shop=shop, reason=error.code)


def _shopify(state: State) -> Shopify:
    if state.shopify is None:
        raise ShopifyOff
    shopify: Shopify = state.shopify
    return shopify
