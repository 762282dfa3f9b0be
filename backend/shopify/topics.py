"""Which webhooks there are, and what each is about. Pure."""

import json
import re
from enum import StrEnum
from typing import Any

import msgspec


class Kind(StrEnum):
    """What the worker does with a delivery."""

    COMPLIANCE = "compliance"
    """A person's or a shop's right: done as the body says, once for each delivery."""
    APP = "app"
    """About the installation itself."""
    ORDER = "order"
    """A hint that an order, its refunds or its returns changed: the order is read anew."""
    PRODUCT = "product"
    """A hint that a product changed: it is read anew."""


TOPICS: dict[str, Kind] = {
    "customers/data_request": Kind.COMPLIANCE,
    "customers/redact": Kind.COMPLIANCE,
    "shop/redact": Kind.COMPLIANCE,
    "app/uninstalled": Kind.APP,
    "app/scopes_update": Kind.APP,
    "orders/create": Kind.ORDER,
    "orders/paid": Kind.ORDER,
    "orders/cancelled": Kind.ORDER,
    "orders/edited": Kind.ORDER,
    "refunds/create": Kind.ORDER,
    "returns/approve": Kind.ORDER,
    "returns/process": Kind.ORDER,
    "returns/update": Kind.ORDER,
    "returns/close": Kind.ORDER,
    "returns/cancel": Kind.ORDER,
    "returns/reopen": Kind.ORDER,
    "products/update": Kind.PRODUCT,
    "products/delete": Kind.PRODUCT,
}
HINTS = frozenset({Kind.ORDER, Kind.PRODUCT})
"""Only say where to look, so one look answers all that came before it, and equal bodies say the same."""

SHOP_RESOURCE = "shop"
_GID_END = re.compile(r"gid://shopify/[A-Za-z]+/(\d{1,19})")
_DIGITS = re.compile(r"\d{1,19}")


class BadBody(Exception):
    """Signed by Shopify, and yet not what the topic promises."""


class OrderHint(msgspec.Struct, frozen=True):
    """What a body says about an order; nothing of it is believed."""

    order_id: int | None
    """None: only the return is named, and Shopify is to be asked for its order."""
    return_id: int | None
    sessions: frozenset[str]
    """Values of `_tryon_session` on its lines."""
    product_ids: frozenset[int]
    has_lines: bool
    """False: the topic carries no lines, so they say nothing about whether the order matters."""


def read_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadBody("not JSON") from error
    if not isinstance(body, dict):
        raise BadBody("not an object")
    return body


def resource_of(topic: str, body: dict[str, Any]) -> str:
    """Deliveries of one shop with the same resource are worked on one after the other, in their order."""
    match TOPICS[topic]:
        case Kind.PRODUCT:
            return f"product:{_number(body.get('id'))}"
        case Kind.ORDER:
            hint = order_hint(topic, body)
            return f"order:{hint.order_id}" if hint.order_id is not None else f"return:{hint.return_id}"
        case Kind.APP:  # an uninstall waits for nothing
            return topic
        case _:
            return SHOP_RESOURCE


def order_hint(topic: str, body: dict[str, Any]) -> OrderHint:
    if topic.startswith("orders/"):
        given = body.get("line_items")
        lines = [line for line in given if isinstance(line, dict)] if isinstance(given, list) else []
        return OrderHint(
            order_id=_number(body.get("id", _nested(body, "order_edit", "order_id"))),
            return_id=None,
            sessions=frozenset(session for line in lines for session in _sessions(line)),
            product_ids=frozenset(id_ for line in lines if isinstance(id_ := line.get("product_id"), int)),
            has_lines=isinstance(given, list),
        )
    nothing: frozenset[Any] = frozenset()
    order = body.get("order_id", _nested(body, "order", "id"))
    if topic.startswith("refunds/"):
        return OrderHint(_number(order), None, nothing, nothing, has_lines=False)
    return_id = _number(body.get("id", body.get("admin_graphql_api_id")))
    return OrderHint(None if order is None else _number(order), return_id, nothing, nothing, has_lines=False)


def _sessions(line: dict[str, Any]) -> list[str]:
    properties = line.get("properties")
    if not isinstance(properties, list):
        return []
    return [
        str(one.get("value")) for one in properties if isinstance(one, dict) and one.get("name") == SESSION_PROPERTY
    ]


SESSION_PROPERTY = "_tryon_session"


def _nested(body: dict[str, Any], outer: str, inner: str) -> Any:
    value = body.get(outer)
    return value.get(inner) if isinstance(value, dict) else None


def _number(value: Any) -> int:
    """A number, digits, or the end of a GID."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    gid = _GID_END.fullmatch(text)
    digits = gid.group(1) if gid else text
    if _DIGITS.fullmatch(digits) is None:
        raise BadBody("names no object")
    return int(digits)
