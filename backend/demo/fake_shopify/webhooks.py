"""Webhooks as Shopify sends them: signed over their bytes, repeated under one id, in any order."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from backend.core.clock import Clock

API_VERSION = "2026-10"
PATH = "/hooks/shopify"
TIMEOUT_S = 5


@dataclass(frozen=True)
class Webhook:
    """One delivery; sent again it keeps its id, its time and its old body."""

    topic: str
    shop: str
    body: bytes
    webhook_id: str
    event_id: str
    triggered_at: str

    def headers(self, secret: str) -> dict[str, str]:
        digest = hmac.new(secret.encode(), self.body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "X-Shopify-Topic": self.topic,
            "X-Shopify-Shop-Domain": self.shop,
            "X-Shopify-Webhook-Id": self.webhook_id,
            "X-Shopify-Event-Id": self.event_id,
            "X-Shopify-API-Version": API_VERSION,
            "X-Shopify-Triggered-At": self.triggered_at,
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        }


class Webhooks:
    """Made ones wait in `made` until somebody sends them, so that a test has the order in its hands."""

    def __init__(self, clock: Clock, secret: Callable[[], str]) -> None:
        self.clock = clock
        self.secret = secret
        self.made: list[Webhook] = []

    def make(self, topic: str, shop: str, payload: dict[str, Any], *, event_id: str | None = None) -> Webhook:
        webhook = Webhook(
            topic,
            shop,
            json.dumps(payload, separators=(",", ":")).encode(),
            str(uuid.uuid4()),
            event_id or str(uuid.uuid4()),
            self.clock.now().isoformat(),
        )
        self.made.append(webhook)
        return webhook

    async def send(
        self, http: httpx.AsyncClient, webhook: Webhook, url: str = PATH, *, secret: str | None = None
    ) -> httpx.Response:
        """Once; a second call is the retry, or the replay."""
        headers = webhook.headers(secret or self.secret())
        return await http.post(url, content=webhook.body, headers=headers, timeout=TIMEOUT_S)

    async def send_all(self, http: httpx.AsyncClient, url: str = PATH) -> list[httpx.Response]:
        """What waits, in the order in which it was made; a refused one keeps waiting."""
        answers = []
        for webhook in list(self.made):
            answer = await self.send(http, webhook, url)
            answers.append(answer)
            if answer.is_success:
                self.made.remove(webhook)
        return answers
