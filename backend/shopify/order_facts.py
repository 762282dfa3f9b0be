"""An order as Shopify gives it → facts about its lines: what was bought, came back, was cancelled, is kept. Pure."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec

from backend.shopify.money import minor_units
from backend.shopify.return_reasons import ReasonClass, classify
from backend.shopify.topics import SESSION_PROPERTY

COUNTED_RETURNS = frozenset({"OPEN", "CLOSED"})
"""Requested, declined and cancelled ones are nothing (yet)."""
PAID = frozenset({"PAID", "PARTIALLY_REFUNDED", "REFUNDED"})
PAYMENTS = frozenset({"SALE", "CAPTURE"})
RESTOCKED = frozenset({"RETURN", "LEGACY_RESTOCK"})


class ReturnedUnits(msgspec.Struct, frozen=True):
    """Units of one line that came back, or are on their way."""

    ref: str
    """Stable: the return line, or the refund line where no return was made."""
    quantity: int
    handle: str | None
    """Shopify's own; raw, because the table of classes may change."""
    reason: ReasonClass
    net_minor: int | None
    happened_at: datetime


class LineFacts(msgspec.Struct, frozen=True):
    line_ref: str
    product_id: int | None
    variant_id: int | None
    variant_title: str | None
    """Option values joined with ` / `."""
    session_property: str | None
    quantity: int
    gross_minor: int
    net_minor: int
    """After all discounts and before taxes; without refunded and removed units."""
    cancelled_units: int
    """Before shipping: refunds of the kind CANCEL, and units an edit took out."""
    refund_only_units: int
    """Goodwill: money back, goods kept."""
    kept_units: int
    returned: tuple[ReturnedUnits, ...]

    @property
    def returned_units(self) -> int:
        return sum(one.quantity for one in self.returned)


class OrderFacts(msgspec.Struct, frozen=True):
    order_ref: str
    ordered_at: datetime
    changed_at: datetime
    cancelled_at: datetime | None
    is_test: bool
    paid_at: datetime | None
    """None: not paid in full, or not yet."""
    currency: str
    lines: tuple[LineFacts, ...]


def last_segment(gid: str) -> str:
    return gid.rsplit("/", 1)[-1]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def read_order(order: dict[str, Any]) -> OrderFacts:
    """From the `ORDER` document, its connections complete."""
    returned, unrefunded = _returns(order)
    refunded = _refunds(order)
    lines = tuple(
        _line(line, returned[line["id"]] + refunded[line["id"]].returned, unrefunded[line["id"]], refunded[line["id"]])
        for line in order["lineItems"]["nodes"]
    )
    cancelled_at = order["cancelledAt"]
    return OrderFacts(
        order_ref=last_segment(order["id"]),
        ordered_at=moment(order["createdAt"]),
        changed_at=moment(order["updatedAt"]),
        cancelled_at=moment(cancelled_at) if cancelled_at else None,
        is_test=order["test"],
        paid_at=_paid_at(order),
        currency=order["currencyCode"],
        lines=lines,
    )


def _paid_at(order: dict[str, Any]) -> datetime | None:
    """When the last of its money came; the order's own time where no payment is listed (nothing was to be paid)."""
    if order["displayFinancialStatus"] not in PAID:
        return None
    payments = [
        moment(one["processedAt"])
        for one in order["transactions"]
        if one["kind"] in PAYMENTS and one["status"] == "SUCCESS" and one["processedAt"]
    ]
    return max(payments, default=moment(order["createdAt"]))


class _Refunded(msgspec.Struct):
    """Of one line, from refunds that no return stands behind."""

    returned: list[ReturnedUnits] = msgspec.field(default_factory=list)
    cancelled: int = 0
    refund_only: int = 0
    all_units: int = 0
    """With those that belong to returns: what `currentQuantity` leaves out for a refund."""


def _returns(order: dict[str, Any]) -> tuple[dict[str, list[ReturnedUnits]], dict[str, int]]:
    """Returned units by line, and how many of them are not refunded yet."""
    returned: dict[str, list[ReturnedUnits]] = defaultdict(list)
    unrefunded: dict[str, int] = defaultdict(int)
    for one in order["returns"]["nodes"]:
        if one["status"] not in COUNTED_RETURNS:
            continue
        for line in one["returnLineItems"]["nodes"]:
            fulfilled = line.get("fulfillmentLineItem")
            if fulfilled is None or not line["quantity"]:
                continue  # unverified: not tied to a line of this order
            definition = line.get("returnReasonDefinition")
            handle = definition["handle"] if definition else None
            value = line.get("value")
            returned[fulfilled["lineItem"]["id"]].append(
                ReturnedUnits(
                    ref=last_segment(line["id"]),
                    quantity=line["quantity"],
                    handle=handle,
                    reason=classify(handle),
                    net_minor=_minor(value) if value else None,
                    happened_at=moment(one["createdAt"]),
                )
            )
            unrefunded[fulfilled["lineItem"]["id"]] += max(0, line["quantity"] - line.get("refundedQuantity", 0))
    return returned, unrefunded


def _refunds(order: dict[str, Any]) -> dict[str, _Refunded]:
    """By the refund's kind. A refund with a return is that return's own units and is not counted again."""
    lines: dict[str, _Refunded] = defaultdict(_Refunded)
    for refund in order["refunds"]:
        for item in refund["refundLineItems"]["nodes"]:
            line = lines[item["lineItem"]["id"]]
            line.all_units += item["quantity"]
            if refund["return"] is not None:
                continue
            kind = item["restockType"]
            if kind == "CANCEL":
                line.cancelled += item["quantity"]
            elif kind in RESTOCKED:
                line.returned.append(_restocked(refund, item))
            else:
                line.refund_only += item["quantity"]
    return lines


def _restocked(refund: dict[str, Any], item: dict[str, Any]) -> ReturnedUnits:
    own = item["id"] or f"{last_segment(refund['id'])}-{last_segment(item['lineItem']['id'])}"
    return ReturnedUnits(
        ref=f"refund-{last_segment(own)}",
        quantity=item["quantity"],
        handle=None,
        reason="unknown",
        net_minor=_minor(item["subtotalSet"]),
        happened_at=moment(refund["createdAt"]),
    )


def _line(line: dict[str, Any], returned: list[ReturnedUnits], unrefunded: int, refunded: _Refunded) -> LineFacts:
    current = line["currentQuantity"]
    edited_out = max(0, line["quantity"] - current - refunded.all_units)
    return LineFacts(
        line_ref=last_segment(line["id"]),
        product_id=_number(line["product"]),
        variant_id=_number(line["variant"]),
        variant_title=line["variantTitle"],
        session_property=next(
            (one["value"] for one in line["customAttributes"] if one["key"] == SESSION_PROPERTY and one["value"]), None
        ),
        quantity=line["quantity"],
        gross_minor=_minor(line["gross"]),
        net_minor=_minor(line["net"]),
        cancelled_units=refunded.cancelled + edited_out,
        refund_only_units=refunded.refund_only,
        kept_units=max(0, current - unrefunded),
        returned=tuple(returned),
    )


def _number(thing: dict[str, Any] | None) -> int | None:
    return int(last_segment(thing["id"])) if thing else None


def _minor(money_set: dict[str, Any]) -> int:
    money = money_set["shopMoney"]
    return minor_units(money["amount"], money["currencyCode"])
