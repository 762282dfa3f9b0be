"""Who calls `/admin/api`: a member of the shop's staff, by a session token that App Bridge puts on every request."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from backend.core.auth import bearer
from backend.core.problems import Unauthorized
from backend.shopify.errors import SessionTokenRefused, ShopifyOff
from backend.shopify.installs import InstallService
from backend.shopify.models import UNINSTALLED
from backend.shopify.shop import Shopify


class MerchantContext(msgspec.Struct, frozen=True):
    brand_id: UUID
    install_id: UUID
    shop: str
    user_id: str
    session_token: str

    def __repr__(self) -> str:
        """Without the token."""
        return f"MerchantContext({self.shop})"


async def merchant_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: the shop comes from the signed token; a shop in a query or header is nobody's."""
    shopify: Shopify | None = connection.app.state.shopify
    if shopify is None:
        raise ShopifyOff
    try:
        token = bearer(connection)
    except Unauthorized as error:
        raise SessionTokenRefused from error
    claims = shopify.visits.verify(token)
    async with shopify.database.transaction(read_only=True) as session:
        install = await InstallService(session, shopify.clock).find(claims.shop)
    if install is None or install.status == UNINSTALLED or claims.user_id is None:
        raise SessionTokenRefused
    connection.scope["auth"] = MerchantContext(install.brand_id, install.id, claims.shop, claims.user_id, token)


async def provide_merchant(request: Request[Any, Any, Any]) -> MerchantContext:
    context = request.scope.get("auth")
    if not isinstance(context, MerchantContext):
        raise SessionTokenRefused
    return context
