"""Who is calling: guards that a handler names, and the contexts every query starts from.

A brand calls with `Authorization: Bearer tryon_…` (an API key), a shopper's frame with `Bearer <shopper token>`.
The two checks themselves belong to `brands` and `shoppers`; `create_app` hands them in as ports.
"""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from backend.core.problems import Unauthorized

API_KEY_PREFIX = "tryon_"
PIXEL_PREFIX = "px_"
BRAND_KEY = "brand_key"
SHOPPER_TOKEN = "shopper_token"  # noqa: S105  the name of a scheme in the OpenAPI document

BRAND_SECURITY: list[dict[str, list[str]]] = [{BRAND_KEY: []}]
SHOPPER_SECURITY: list[dict[str, list[str]]] = [{SHOPPER_TOKEN: []}]
EITHER_SECURITY: list[dict[str, list[str]]] = [{BRAND_KEY: []}, {SHOPPER_TOKEN: []}]


class BrandContext(msgspec.Struct, frozen=True, tag=True):
    """A brand's own server, by an API key that is live now."""

    brand_id: UUID
    key_id: UUID


class ShopperContext(msgspec.Struct, frozen=True, tag=True):
    """One shopper of one brand, by a token that is valid now."""

    brand_id: UUID
    user_id: UUID
    origin: str
    auth_time: datetime | None = None
    """Of the token; None where the service itself acts for the shopper."""


class PixelContext(msgspec.Struct, frozen=True, tag=True):
    """A shop's web pixel, by its publishable token: may add a pixel's events and nothing else; no guard lets it in."""

    brand_id: UUID


Principal = BrandContext | ShopperContext
"""Whoever it is, `brand_id` is the tenant every query starts from."""


class BrandAuthenticator(Protocol):
    async def authenticate(self, credential: str) -> BrandContext: ...


class ShopperAuthenticator(Protocol):
    async def authenticate(self, credential: str) -> ShopperContext: ...


class PixelAuthenticator(Protocol):
    async def authenticate(self, credential: str) -> PixelContext: ...


Connection = ASGIConnection[Any, Any, Any, Any]


async def brand_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: a brand's API key; goes with `security=BRAND_SECURITY`."""
    connection.scope["auth"] = await _brand(connection, bearer(connection))


async def shopper_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: a shopper token; goes with `security=SHOPPER_SECURITY`."""
    connection.scope["auth"] = await _shopper(connection, bearer(connection))


async def brand_or_shopper(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: either; goes with `security=EITHER_SECURITY`."""
    connection.scope["auth"] = await authenticate(connection, bearer(connection))


async def authenticate(connection: Connection, credential: str) -> Principal:
    """For a credential that cannot travel in a header (a beacon's)."""
    if credential.startswith(API_KEY_PREFIX):
        return await _brand(connection, credential)
    return await _shopper(connection, credential)


def bearer(connection: Connection) -> str:
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise Unauthorized
    return credential.strip()


async def _brand(connection: Connection, credential: str) -> BrandContext:
    keys: BrandAuthenticator = connection.app.state.brand_keys
    return await keys.authenticate(credential)


async def _shopper(connection: Connection, credential: str) -> ShopperContext:
    tokens: ShopperAuthenticator = connection.app.state.shopper_tokens
    return await tokens.authenticate(credential)


async def provide_brand(request: Request[Any, Any, Any]) -> BrandContext:
    context: BrandContext = _authenticated(request, BrandContext)
    return context


async def provide_shopper(request: Request[Any, Any, Any]) -> ShopperContext:
    context: ShopperContext = _authenticated(request, ShopperContext)
    return context


async def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    context: Principal = _authenticated(request, Principal)
    return context


def _authenticated(request: Request[Any, Any, Any], kind: Any) -> Any:
    """A handler that asks for a caller without naming a guard is refused, not served."""
    principal = request.scope.get("auth")
    if not isinstance(principal, kind):
        raise Unauthorized
    return principal
