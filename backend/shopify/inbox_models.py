"""What Shopify told us, until it is dealt with."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import Row, at_most, one_of

NEW, DONE, IGNORED, DEAD = "new", "done", "ignored", "dead"
STATES = (NEW, DONE, IGNORED, DEAD)


class WebhookDelivery(Row):
    """The operator's, not a tenant's: it is there before any brand is known, and its receipt outlives the shop."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        UniqueConstraint("webhook_id"),
        UniqueConstraint("repeat_key"),
        Index("ix_webhook_inbox_state", "state", "next_at"),
        Index("ix_webhook_inbox_shop", "shop", "resource", "state"),
        one_of("state", STATES),
        at_most("webhook_id", 200),
        at_most("topic", 100),
        at_most("shop", 200),
    )

    webhook_id: Mapped[str]
    """Of the delivery: a retry has the same."""
    event_id: Mapped[str | None]
    """One event may come by several subscriptions."""
    topic: Mapped[str]
    shop: Mapped[str]
    """As the header says: not covered by the signature."""
    api_version: Mapped[str | None]
    triggered_at: Mapped[datetime | None]
    body_sha256: Mapped[str]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Gone when the work is done."""
    repeat_key: Mapped[str | None]
    """Shop, topic and body of a hint: the same body under another id is a replay. NULL where bodies repeat lawfully."""
    resource: Mapped[str | None]
    """Set when the body is first read: `order:7`, `product:7`, `app/uninstalled`, `shop`."""
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    """A process is at work on it, or died there."""
    error_code: Mapped[str | None]
    """Of the newest attempt."""
    receipt: Mapped[dict[str, object] | None] = mapped_column(Json())
    """What was done for a person's or a shop's right; such rows are kept."""
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
