from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Schema
from msgspec import Meta

from analytics.vocabulary import EVENT_TYPES

MAX_EVENTS = 500
MAX_BATCH_BYTES = 256_000

EVENT = Schema(
    type=OpenAPIType.OBJECT,
    required=["id", "type", "occurred_at"],
    properties={
        "id": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID, description="Made when it happened."),
        "type": Schema(type=OpenAPIType.STRING, enum=EVENT_TYPES),
        "occurred_at": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        "session_id": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
        "metadata": Schema(type=OpenAPIType.OBJECT, description="Only the keys listed for its type are kept."),
    },
)
"""What an event should be. Intake judges each by itself, so the batch is not refused for one that is otherwise."""


class EventBatch(msgspec.Struct, frozen=True):
    events: Annotated[list[Any], Meta(extra_json_schema={"extra": {"max_items": MAX_EVENTS, "items": EVENT}})]
    sent_at: Annotated[datetime, Meta(tz=True)] | None = None
    """The sender's clock when it sent; lets us correct a wrong one."""
    visitor_id: Annotated[str, Meta(max_length=64)] | None = None
    token: str | None = None
    """Only in `text/plain` bodies: a beacon cannot set headers."""
