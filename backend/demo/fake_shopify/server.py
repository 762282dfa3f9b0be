# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""The stand-in over HTTP: by host name as in the world, or every shop under its own path on one loopback port."""

import json
from typing import Any

import httpx
from litestar import Litestar, Request, Response, route

from backend.demo.fake_shopify import control
from backend.demo.fake_shopify.graphql_api import throttled
from backend.demo.fake_shopify.scripts import SCRIPTS
from backend.demo.fake_shopify.shop import FakeShop
from backend.demo.fake_shopify.storefronts import Storefronts
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.shop_domain import is_shop_domain

Answer = Response[Any]


class FakeTransport(httpx.AsyncBaseTransport):
    """For an HTTP client in the same process: every host leads to the stand-in, no socket is opened."""

    def __init__(self, fake: FakeShopify) -> None:
        self.fake = fake
        self.storefronts = Storefronts(fake)
        self._inner = httpx.ASGITransport(app=make_server(fake), raise_app_exceptions=True)  # type: ignore[arg-type]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        shop = self.fake.shops.get(request.url.host)
        if shop is not None and shop.faults and shop.faults[0].kind == "network":
            shop.faults.popleft()
            raise httpx.ReadTimeout("The connection broke.", request=request)
        owner = self.storefronts.at(request.url.host)
        if owner is not None and not request.url.path.startswith("/admin/"):
            return await self.storefronts.answer(owner, request)
        return await self._inner.handle_async_request(request)


def make_server(fake: FakeShopify, target: str = "") -> Litestar:
    """`target`: the app's address, where webhooks go that the control endpoints fire."""

    @route(["/", "/{path:path}"], http_method=["GET", "POST"])
    async def answer(request: Request[Any, Any, Any]) -> Answer:
        parts = [part for part in request.url.path.split("/") if part]
        body = await request.body()
        if parts and parts[0] == "_":
            return await control.answer(fake, target, request.method, parts[1:], body)
        return _answer(fake, request, parts, body)

    return Litestar([answer], openapi_config=None, logging_config=None)


def _answer(fake: FakeShopify, request: Request[Any, Any, Any], parts: list[str], body: bytes) -> Answer:
    """By the shop that the path or else the host names; else what belongs to Shopify as a whole."""
    named = parts[0] if parts and is_shop_domain(parts[0]) else ""
    rest = "/".join(parts[1:] if named else parts)
    shop = fake.shops.get(named or request.headers.get("host", "").partition(":")[0])
    if shop is not None:
        return _of_shop(fake, shop, request, rest, body)
    if rest in SCRIPTS:
        return Response(SCRIPTS[rest], media_type="text/javascript")
    if request.method == "POST" and rest == "auth/access_token":
        return _said(fake.app_events.token(json.loads(body), request.headers.get("user-agent", "")))
    if request.method == "POST" and rest.startswith("app/") and rest.endswith("/events"):
        return _said(fake.app_events.take(json.loads(body), request.headers.get("authorization", "")))
    return _said((404, {"errors": "Not Found"}))


def _of_shop(fake: FakeShopify, shop: FakeShop, request: Request[Any, Any, Any], rest: str, body: bytes) -> Answer:
    fault = shop.faults.popleft() if shop.faults and request.method == "POST" else None
    if fault is not None and fault.kind == "status":
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        return Response({"errors": "An unexpected error."}, status_code=fault.status, headers=headers)
    if rest == "admin/oauth/access_token":
        return _said(fake.token(shop, json.loads(body)))
    if rest == f"admin/api/{fake.api.schema.version}/graphql.json":
        return _graphql(fake, shop, request, json.loads(body), fault.kind if fault else "")
    return _said((404, {"errors": "Not Found"}))


def _graphql(
    fake: FakeShopify, shop: FakeShop, request: Request[Any, Any, Any], body: dict[str, Any], fault: str
) -> Answer:
    token = request.headers.get("x-shopify-access-token", "")
    if not shop.accepts(token):
        return _said((401, {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}))
    if fault == "throttled":
        return _said((200, throttled(shop, 100)))
    if fault == "internal":
        return _said(
            (200, {"errors": [{"message": "Internal error.", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]})
        )
    shop.requests.append({"query": body["query"], "variables": body.get("variables") or {}, "token": token})
    return _said((200, fake.api.answer(shop, body["query"], body.get("variables") or {})))


def _said(answer: tuple[int, dict[str, Any]]) -> Answer:
    return Response(answer[1], status_code=answer[0])
