"""Every event there is, in one list: who may emit it and what it may carry. Intake checks against nothing else.

A new type or key is a row here and a migration of the table's check; tests hold the two equal. No body number, no free
text and no contact data can be an event's metadata: what is not listed is dropped.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID

MAX_TEXT = 64
MAX_SIZE_TEXT = 32
MAX_LIST = 16
MAX_METADATA_BYTES = 2_000


class Source(StrEnum):
    """Who says so. Facts made by the server outrank claims made by a browser."""

    BACKEND = "B"
    EMBED = "E"
    PIXEL = "P"
    SHOPIFY = "S"
    BRAND_KEY = "K"


KeyKind = Literal["text", "size", "names", "number", "integer", "flag"]

KEYS: dict[str, KeyKind] = {
    "arm": "text",
    "attribution": "text",
    "best": "text",
    "between": "names",
    "bytes": "integer",
    "cached": "flag",
    "code": "text",
    "confidence": "number",
    "currency": "text",
    "duration_ms": "number",
    "estimator": "text",
    "evidence": "names",
    "experiment_id": "text",
    "fit_model": "text",
    "followed": "flag",
    "from": "size",
    "garment_id": "text",
    "has_photo": "flag",
    "latency_ms": "number",
    "line_id": "text",
    "load_ms": "number",
    "net_minor": "integer",
    "optional_answers": "names",
    "order_id": "text",
    "p_change": "number",
    "placement": "text",
    "product_id": "text",
    "purpose": "text",
    "quantity": "integer",
    "reason": "text",
    "recommended": "size",
    "recommended_size": "size",
    "retryable": "flag",
    "return_line_id": "text",
    "scope": "text",
    "screen": "text",
    "size": "size",
    "source": "text",
    "stage": "text",
    "to": "size",
    "unit_system": "text",
    "version": "text",
    "views": "integer",
    "where": "text",
}
"""Every metadata key and the one kind of value it takes; `names` is a list of short texts."""


@dataclass(frozen=True)
class EventType:
    name: str
    sources: frozenset[Source]
    required: frozenset[str]
    optional: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        return self.required | self.optional


def _event(name: str, sources: str, optional: str = "", required: str = "") -> EventType:
    return EventType(
        name,
        frozenset(Source(letter) for letter in sources),
        frozenset(required.split()),
        frozenset(optional.split()),
    )


_PURCHASE = "garment_id size quantity net_minor currency attribution followed"

VOCABULARY: dict[str, EventType] = {
    event.name: event
    for event in (
        _event("experiment_exposed", "PEK", "product_id", required="experiment_id arm"),
        _event("widget_viewed", "PEK", "product_id placement"),
        _event("widget_opened", "E", "product_id garment_id"),
        _event("questionnaire_started", "E", "optional_answers unit_system duration_ms"),
        _event("questionnaire_completed", "E", "optional_answers unit_system duration_ms"),
        _event(
            "size_recommended",
            "B",
            "recommended_size between confidence evidence fit_model latency_ms",
            required="garment_id",
        ),
        _event("evidence_offered", "E", "p_change best"),
        _event("consent_given", "B", "purpose", required="version"),
        _event("consent_withdrawn", "B", "purpose", required="version"),
        _event("photo_submitted", "B", "views source"),
        _event("photo_refused", "BE", "where", required="code"),
        _event("avatar_created", "B", "estimator evidence duration_ms cached"),
        _event("avatar_failed", "B", "stage retryable", required="code"),
        _event("tryon_started", "B", "has_photo", required="garment_id"),
        _event("garment_dressed", "B", "stage duration_ms cached"),
        _event("view_shown", "E", "load_ms bytes"),
        _event("view_failed", "E", "code"),
        _event("size_switched", "E", "recommended", required="from to"),
        _event("added_to_cart", "EPK", "garment_id product_id size followed quantity"),
        _event("checkout_linked", "P", required="order_id"),
        _event("purchase_completed", "SK", _PURCHASE, required="order_id line_id"),
        _event("purchase_cancelled", "SK", "quantity", required="order_id line_id"),
        _event("purchase_returned", "SK", "quantity net_minor reason return_line_id", required="order_id line_id"),
        _event("widget_closed", "E", "screen duration_ms"),
        _event("widget_error", "E", "code"),
        _event("data_erased", "B", "scope"),
    )
}

EVENT_TYPES = tuple(sorted(VOCABULARY))
PURCHASE_TYPES = frozenset({"purchase_completed", "purchase_cancelled", "purchase_returned"})

_CURRENCY = re.compile(r"[A-Z]{3}")


class MetadataRefused(Exception):
    """The code that the sender gets: `bad_metadata` or `bad_purchase`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def clean_metadata(event: EventType, metadata: Mapping[str, object]) -> dict[str, object]:
    """The listed keys with values of their kind; unlisted keys are left out, wrong values are refused."""
    code = "bad_purchase" if event.name in PURCHASE_TYPES else "bad_metadata"
    kept = {key: value for key, value in metadata.items() if key in event.keys and value is not None}
    if not event.required <= kept.keys():
        raise MetadataRefused(code)
    if not all(_has_kind(value, KEYS[key]) for key, value in kept.items()):
        raise MetadataRefused(code)
    if event.name in PURCHASE_TYPES and not _is_sound_purchase(kept):
        raise MetadataRefused(code)
    return kept


def natural_key(event: EventType, metadata: Mapping[str, object], session_id: UUID | None = None) -> str | None:
    """For facts that reach us by several roads, or again and again: all of them meet the same row."""
    order, line = metadata.get("order_id"), metadata.get("line_id")
    match event.name:
        case "checkout_linked":
            return f"{checkout_key(str(order))}{session_id or '-'}"
        case "purchase_completed":
            return f"purchase:{order}:{line}"
        case "purchase_cancelled":
            return f"cancel:{order}:{line}"
        case "purchase_returned" if "return_line_id" in metadata:
            return f"return:{order}:{line}:{metadata['return_line_id']}"
    return None


def checkout_key(order_id: str) -> str:
    """What the keys of all links to one order begin with; an id or a GID alike."""
    return f"checkout:{order_id.rsplit('/', 1)[-1]}:"


def _has_kind(value: object, kind: KeyKind) -> bool:
    match kind:
        case "text":
            return _is_text(value, MAX_TEXT)
        case "size":
            return _is_text(value, MAX_SIZE_TEXT)
        case "names":
            return (
                isinstance(value, list) and len(value) <= MAX_LIST and all(_is_text(item, MAX_TEXT) for item in value)
            )
        case "flag":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: object, limit: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()


def _is_sound_purchase(metadata: Mapping[str, object]) -> bool:
    quantity, currency = metadata.get("quantity", 1), metadata.get("currency", "EUR")
    return isinstance(quantity, int) and quantity > 0 and _CURRENCY.fullmatch(str(currency)) is not None
