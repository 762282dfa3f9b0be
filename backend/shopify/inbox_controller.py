# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from typing import Any

import structlog
from litestar import Controller, MediaType, Request, post
from litestar.datastructures import State

from backend.core.db import Database
from backend.core.problems import AppError, BodyTooLarge, refusals
from backend.shopify.errors import ShopifyOff
from backend.shopify.inbox import MAX_WEBHOOK_BYTES, Inbox, envelope_of
from backend.shopify.signatures import webhook_is_signed

log = structlog.get_logger()


class WebhookUnverified(AppError):
    """One text for every fault, so that nothing can be learned from the difference."""

    status = 401
    code = "webhook_unverified"
    title = "Not a webhook of Shopify"

    def __init__(self) -> None:
        super().__init__("The body was not signed with the secret of this app, or its headers are not Shopify's.")


class WebhookController(Controller):
    tags = ["shopify"]  # noqa: RUF012  Litestar's own form

    @post(
        "/hooks/shopify",
        operation_id="receive_shopify_webhook",
        status_code=200,
        media_type=MediaType.TEXT,
        request_max_body_size=MAX_WEBHOOK_BYTES,
        responses=refusals(WebhookUnverified, BodyTooLarge, ShopifyOff),
    )
    async def receive_shopify_webhook(self, request: Request[Any, Any, Any], state: State) -> str:
        """Stored, then answered: the work comes later. A delivery that is here already gets the same answer."""
        if not state.settings.shopify_secrets:
            raise ShopifyOff
        body = await request.body()
        envelope = envelope_of(request.headers)
        is_signed = webhook_is_signed(
            body, request.headers.get("x-shopify-hmac-sha256"), state.settings.shopify_secrets
        )
        if not is_signed or not envelope.is_sound:
            raise WebhookUnverified
        database: Database = state.database
        async with database.transaction() as session:
            is_new = await Inbox(session, state.clock).take(envelope, body)
        log.info("webhook.received", topic=envelope.topic, shop=envelope.shop, is_new=is_new)
        if is_new:
            await state.shopify_work.loop.wake()
        return ""
