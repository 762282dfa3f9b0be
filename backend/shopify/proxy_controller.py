# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from typing import Any

import msgspec
from litestar import Controller, Request, get, post
from litestar.datastructures import State

from backend.core.problems import refusals
from backend.shopify.errors import PlanLimit, ProductNotReady, ProxyUnverified, ShopifyOff, UnknownOrigin
from backend.shopify.proxy_service import OpenedFrame, ProxyService

NO_STORE = {"Cache-Control": "no-store"}
MAX_BODY_BYTES = 10_000


class Pong(msgspec.Struct, frozen=True):
    """That the path leads here, and for which shop."""

    app: str
    shop: str


class ProxyController(Controller):
    """What a storefront asks through the shop's own address. Always JSON, never Liquid: nothing of ours is rendered."""

    path = "/proxy"
    tags = ["shopify"]  # noqa: RUF012  Litestar's own form

    @post(
        "/session",
        operation_id="open_shopify_frame",
        status_code=200,
        request_max_body_size=MAX_BODY_BYTES,
        response_headers=NO_STORE,
        responses=refusals(ProxyUnverified, PlanLimit, ProductNotReady, UnknownOrigin, ShopifyOff),
    )
    async def open_shopify_frame(self, request: Request[Any, Any, State], state: State) -> OpenedFrame:
        """Everything is in the query, because Shopify signs the query alone; the body is not read."""
        return await _service(state).open_frame(request.scope["query_string"])

    @get(
        "/ping",
        operation_id="answer_shopify_ping",
        response_headers=NO_STORE,
        responses=refusals(ProxyUnverified, ShopifyOff),
    )
    async def answer_shopify_ping(self, request: Request[Any, Any, State], state: State) -> Pong:
        """Tells our own server that the shop's proxy path is the right one."""
        return Pong("tryon", _service(state).read(request.scope["query_string"]).shop)


def _service(state: State) -> ProxyService:
    if state.shopify is None:
        raise ShopifyOff
    return ProxyService(state.shopify)
