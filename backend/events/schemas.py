from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_EVENTS = 500
MAX_BATCH_BYTES = 256_000


class EventBatch(msgspec.Struct, frozen=True):
    """Each event is `{id, type, occurred_at, session_id?, metadata?}` and is judged by itself."""

    events: list[Any]
    sent_at: datetime | None = None
    """The sender's clock when it sent; lets us correct a wrong one."""
    visitor_id: Annotated[str, Meta(max_length=64)] | None = None
    token: str | None = None
    """Only in `text/plain` bodies: a beacon cannot set headers."""
