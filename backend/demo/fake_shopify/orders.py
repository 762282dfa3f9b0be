"""Orders as Shopify keeps them: what was bought, taken off, sent back and paid back, and how that is told."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

CENT = Decimal("0.01")


def gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


@dataclass
class Line:
    id: int
    product_id: int
    variant_id: int
    quantity: int
    price: Decimal
    """Of one unit, before discounts."""
    properties: dict[str, str] = field(default_factory=dict)
    title: str = "Tee"
    variant_title: str = "M"
    line_discount: Decimal = Decimal(0)
    """On the whole line, by an automatic discount."""
    code_discount: Decimal = Decimal(0)
    """On the whole line, by a code."""
    order_discount: Decimal = Decimal(0)
    """The line's share of a discount on the whole order."""
    gone: int = 0
    """Units refunded or removed."""

    @property
    def current_quantity(self) -> int:
        return self.quantity - self.gone

    @property
    def net(self) -> Decimal:
        discounts = self.line_discount + self.code_discount + self.order_discount
        whole = self.price * self.quantity - discounts
        return (whole * self.current_quantity / self.quantity).quantize(CENT) if self.quantity else Decimal(0)


@dataclass
class RefundLine:
    line: Line
    quantity: int
    restock_type: str


@dataclass
class Refund:
    id: int
    created_at: datetime
    lines: list[RefundLine]
    return_id: int | None


@dataclass
class ReturnLine:
    id: int
    line: Line
    quantity: int
    reason: str
    """The handle of a return reason definition."""
    refunded: int = 0


@dataclass
class Return:
    id: int
    created_at: datetime
    lines: list[ReturnLine]
    status: str = "OPEN"


@dataclass
class Order:
    id: int
    created_at: datetime
    updated_at: datetime
    currency: str
    lines: list[Line]
    test: bool = False
    is_paid: bool = True
    cancelled_at: datetime | None = None
    refunds: list[Refund] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)

    def line_of(self, line_id: int) -> Line:
        return next(line for line in self.lines if line.id == line_id)

    def return_of(self, return_id: int) -> Return:
        return next(one for one in self.returns if one.id == return_id)


class OrderDesk:
    """What happens to orders, and what Shopify then says of them. `numbers` are the shop's own."""

    def __init__(self, numbers: "itertools.count[int]", reasons: dict[str, str]) -> None:
        self.numbers = numbers
        self.reasons = reasons
        self.orders: dict[int, Order] = {}

    def place(self, lines: Sequence[dict[str, Any]], now: datetime, currency: str, *, test: bool = False) -> Order:
        """Lines with `product_id variant_id quantity price properties` and, if wanted, discounts and titles."""
        made = [
            Line(
                **{
                    **line,
                    "id": next(self.numbers),
                    **{name: Decimal(str(line[name])) for name in line if name == "price" or "discount" in name},
                }
            )
            for line in lines
        ]
        order = Order(next(self.numbers), now, now, currency, made, test=test)
        self.orders[order.id] = order
        return order

    def refund(
        self,
        order: Order,
        units: dict[int, int],
        now: datetime,
        *,
        restock_type: str = "RETURN",
        return_id: int | None = None,
    ) -> Refund:
        """`units` by line id. With a return, its units are the ones paid back."""
        lines = [RefundLine(order.line_of(line), count, restock_type) for line, count in units.items()]
        for one in lines:
            one.line.gone += one.quantity
        if return_id is not None:
            for returned in order.return_of(return_id).lines:
                returned.refunded += units.get(returned.line.id, 0)
        refund = Refund(next(self.numbers), now, lines, return_id)
        order.refunds.append(refund)
        order.updated_at = now
        return refund

    def send_back(
        self, order: Order, units: dict[int, int], reason: str, now: datetime, status: str = "OPEN"
    ) -> Return:
        lines = [ReturnLine(next(self.numbers), order.line_of(line), count, reason) for line, count in units.items()]
        back = Return(next(self.numbers), now, lines, status)
        order.returns.append(back)
        order.updated_at = now
        return back

    def cancel(self, order: Order, now: datetime) -> None:
        for line in order.lines:
            line.gone = line.quantity
        order.cancelled_at = order.updated_at = now

    # ---- as GraphQL sees it -------------------------------------------------------------------------------------
    def order_node(self, order: Order) -> dict[str, Any]:
        return {
            "id": gid("Order", order.id),
            "createdAt": _moment(order.created_at),
            "updatedAt": _moment(order.updated_at),
            "test": order.test,
            "cancelledAt": _moment(order.cancelled_at) if order.cancelled_at else None,
            "displayFinancialStatus": "PAID" if order.is_paid else "PENDING",
            "currencyCode": order.currency,
            "lineItems": [self._line_node(line, order.currency) for line in order.lines],
            "refunds": [self._refund_node(refund, order.currency) for refund in order.refunds],
            "returns": [self._return_node(one) for one in order.returns],
        }

    def _line_node(self, line: Line, currency: str) -> dict[str, Any]:
        def gross(*, withCodeDiscounts: bool = False) -> dict[str, Any]:
            taken_off = line.line_discount + (line.code_discount if withCodeDiscounts else Decimal(0))
            return _money(line.price * line.quantity - taken_off, currency)

        return {
            "id": gid("LineItem", line.id),
            "quantity": line.quantity,
            "currentQuantity": line.current_quantity,
            "title": line.title,
            "variantTitle": line.variant_title,
            "product": {"id": gid("Product", line.product_id)},
            "variant": {"id": gid("ProductVariant", line.variant_id)},
            "customAttributes": [{"key": key, "value": value} for key, value in line.properties.items()],
            "discountedTotalSet": gross,
            "priceAfterAllDiscountsBeforeTaxesSet": _money(line.net, currency),
        }

    def _refund_node(self, refund: Refund, currency: str) -> dict[str, Any]:
        return {
            "id": gid("Refund", refund.id),
            "createdAt": _moment(refund.created_at),
            "return": {"id": gid("Return", refund.return_id)} if refund.return_id else None,
            "refundLineItems": [
                {
                    "id": gid("RefundLineItem", refund.id * 100 + position),
                    "quantity": one.quantity,
                    "restockType": one.restock_type,
                    "lineItem": {"id": gid("LineItem", one.line.id)},
                    "subtotalSet": _money(one.line.price * one.quantity, currency),
                }
                for position, one in enumerate(refund.lines)
            ],
        }

    def _return_node(self, back: Return) -> dict[str, Any]:
        return {
            "id": gid("Return", back.id),
            "status": back.status,
            "createdAt": _moment(back.created_at),
            "returnLineItems": [
                {
                    "__typename": "ReturnLineItem",
                    "id": gid("ReturnLineItem", one.id),
                    "quantity": one.quantity,
                    "refundedQuantity": one.refunded,
                    "returnReasonDefinition": self.reason_node(one.reason),
                    "fulfillmentLineItem": {
                        "id": gid("FulfillmentLineItem", one.id),
                        "lineItem": {"id": gid("LineItem", one.line.id)},
                    },
                }
                for one in back.lines
            ],
        }

    def reason_node(self, handle: str) -> dict[str, Any]:
        number = list(self.reasons).index(handle) + 1 if handle in self.reasons else 999
        return {
            "id": gid("ReturnReasonDefinition", number),
            "handle": handle,
            "name": self.reasons.get(handle, handle),
            "deleted": False,
        }

    # ---- as webhooks tell it ------------------------------------------------------------------------------------
    def order_payload(self, order: Order) -> dict[str, Any]:
        """With the fields that the app subscribes to."""
        return {
            "id": order.id,
            "admin_graphql_api_id": gid("Order", order.id),
            "created_at": _moment(order.created_at),
            "updated_at": _moment(order.updated_at),
            "test": order.test,
            "line_items": [
                {
                    "id": line.id,
                    "admin_graphql_api_id": gid("LineItem", line.id),
                    "product_id": line.product_id,
                    "variant_id": line.variant_id,
                    "quantity": line.quantity,
                    "price": str(line.price),
                    "properties": [{"name": name, "value": value} for name, value in line.properties.items()],
                }
                for line in order.lines
            ],
        }

    def refund_payload(self, order: Order, refund: Refund) -> dict[str, Any]:
        return {"id": refund.id, "order_id": order.id, "created_at": _moment(refund.created_at)}

    def return_payload(self, order: Order, back: Return) -> dict[str, Any]:
        return {
            "id": back.id,
            "admin_graphql_api_id": gid("Return", back.id),
            "status": back.status.lower(),
            "order": {"id": order.id, "admin_graphql_api_id": gid("Order", order.id)},
        }


def _moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _money(amount: Decimal, currency: str) -> dict[str, Any]:
    money = {"amount": str(amount.quantize(CENT)), "currencyCode": currency}
    return {"shopMoney": money, "presentmentMoney": money}
