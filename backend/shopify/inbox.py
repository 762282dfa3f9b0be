"""Taking a webhook: checked, stored, answered. Nothing is read and nobody is asked before the answer."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.shopify.inbox_models import IGNORED, NEW, WebhookDelivery
from backend.shopify.shop_domain import is_shop_domain
from backend.shopify.topics import HINTS, TOPICS

MAX_WEBHOOK_BYTES = 5 * 1024 * 1024
MAX_ID_CHARS = 200
MAX_TOPIC_CHARS = 100


class Envelope(msgspec.Struct, frozen=True):
    """The headers around a body. Unsigned: anyone with a captured body may have written them."""

    webhook_id: str
    topic: str
    shop: str
    event_id: str | None
    api_version: str | None
    triggered_at: datetime | None

    @property
    def is_sound(self) -> bool:
        return (
            0 < len(self.webhook_id) <= MAX_ID_CHARS
            and self.webhook_id.isprintable()
            and 0 < len(self.topic) <= MAX_TOPIC_CHARS
            and is_shop_domain(self.shop)
        )


def envelope_of(headers: Mapping[str, str]) -> Envelope:
    def value(name: str) -> str | None:
        return headers.get(f"x-shopify-{name}")

    return Envelope(
        webhook_id=value("webhook-id") or "",
        topic=value("topic") or "",
        shop=(value("shop-domain") or "").lower(),
        event_id=(value("event-id") or "")[:MAX_ID_CHARS] or None,
        api_version=(value("api-version") or "")[:MAX_TOPIC_CHARS] or None,
        triggered_at=_moment(value("triggered-at")),
    )


class Inbox:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def take(self, envelope: Envelope, body: bytes) -> bool:
        """False for what is here already: the same delivery again, or a hint's body under another id."""
        now = self.clock.now()
        kind = TOPICS.get(envelope.topic)
        body_sha256 = hashlib.sha256(body).hexdigest()
        is_hint = kind in HINTS
        row = {
            "id": uuid7(),
            "webhook_id": envelope.webhook_id,
            "event_id": envelope.event_id,
            "topic": envelope.topic,
            "shop": envelope.shop,
            "api_version": envelope.api_version,
            "triggered_at": envelope.triggered_at,
            "body_sha256": body_sha256,
            "body": body if kind else None,
            "repeat_key": f"{envelope.shop} {envelope.topic} {body_sha256}" if is_hint else None,
            "state": NEW if kind else IGNORED,
            "attempts": 0,
            "next_at": now,
            "received_at": now,
            "finished_at": None if kind else now,
            "created_at": now,
            "updated_at": now,
        }
        inserted = await insert_new(self.session, WebhookDelivery, [row], unique=(), returning=WebhookDelivery.id)
        return bool(inserted)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None
