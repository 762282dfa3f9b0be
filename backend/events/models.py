"""One row per event; append-only, and unique per brand by what it reports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from analytics.vocabulary import EVENT_TYPES, Source
from backend.core.columns import Json
from backend.core.db import BrandOwned, at_most, one_of, tenant_root

CLOCKS = ("client", "corrected", "server")


class Event(BrandOwned):
    """No foreign key but the brand: erasing a person clears `user_id` and `session_id` and keeps the count."""

    __tablename__ = "events"
    __table_args__ = (
        tenant_root(),
        UniqueConstraint("brand_id", "dedup_key"),
        Index("ix_events_brand_id", "brand_id", "occurred_at"),
        Index("ix_events_event_type", "event_type", "occurred_at"),
        Index("ix_events_brand_id_event_type", "brand_id", "event_type", "occurred_at"),
        Index("ix_events_user_id", "brand_id", "user_id"),
        Index(  # what the keys of links to an order begin with
            "ix_events_checkout_linked",
            "brand_id",
            "dedup_key",
            postgresql_where=text("event_type = 'checkout_linked'"),
            sqlite_where=text("event_type = 'checkout_linked'"),
            postgresql_ops={"dedup_key": "text_pattern_ops"},
        ),
        one_of("event_type", EVENT_TYPES),
        one_of("source", tuple(source.value for source in Source)),
        one_of("clock", CLOCKS),
        at_most("dedup_key", 300),
        at_most("visitor_id", 64),
    )

    user_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    visitor_id: Mapped[str | None]
    event_type: Mapped[str]
    payload: Mapped[dict[str, object]] = mapped_column("metadata", Json())
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    dedup_key: Mapped[str]
    source: Mapped[str]
    clock: Mapped[str]
    is_bot: Mapped[bool] = mapped_column(default=False)
