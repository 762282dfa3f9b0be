"""What happens in the world, for the demo and the browser tests: an order is placed, a parcel comes back, a token dies.

POST /_/shops/{shop}                     {"hosts": {…}, "products": [{…}]}
GET  /_/shops/{shop}                     what Shopify keeps for it
GET  /_/shops/{shop}/id_token            a session token of its merchant
GET  /_/shops/{shop}/products            for the resource picker: ids and titles
GET  /_/shops/{shop}/extensions          as `shopify.app.extensions()` answers
POST /_/shops/{shop}/block               the merchant has placed the block and saved
POST /_/shops/{shop}/orders              {"lines": [{…}], "topics": ["orders/create", "orders/paid"]}
POST /_/shops/{shop}/refunds             {"order_id", "units": {line id: n}, "restock_type"?, "return_id"?}
POST /_/shops/{shop}/returns             {"order_id", "units": {…}, "reason"}
POST /_/shops/{shop}/webhooks            {"topic", "payload", "times"?}
POST /_/shops/{shop}/faults              {"kind": "status" | "network" | "throttled", "status"?, "retry_after"?}
POST /_/shops/{shop}/revoke, …/uninstall
GET  /_/bulk/{shop}/{id}.jsonl           the file of a bulk operation
GET  /_/app_events                       what was charged
"""

import json
from collections.abc import Sequence
from typing import Any

import httpx
from litestar import Response

from backend.demo.fake_shopify.orders import Order
from backend.demo.fake_shopify.shop import FakeShop, Fault
from backend.demo.fake_shopify.webhooks import PATH
from backend.demo.fake_shopify.world import FakeShopify

Answer = Response[Any]


async def answer(fake: FakeShopify, target: str, method: str, parts: Sequence[str], body: bytes) -> Answer:
    """`target` is the app's origin: its pages alone may read what is said here."""
    if method == "GET":
        return _read(fake, target, parts)
    given: dict[str, Any] = json.loads(body) if body else {}
    match parts:
        case "shops", domain:
            return _said(_set_up(fake.shop(domain), given), target)
        case "shops", domain, what:
            made = _happen(fake, fake.shop(domain), what, given)
            delivered = await _deliver(fake, target, int(given.get("times", 1)))
            return _said({**made, "delivered": delivered}, target)
    return _said({"errors": "Not Found"}, target, status=404)


def _read(fake: FakeShopify, target: str, parts: Sequence[str]) -> Answer:
    match parts:
        case ("app_events",):
            return _said({"charged": fake.app_events.charged, "received": fake.app_events.received}, target)
        case "bulk", domain, name:
            operation = fake.shop(domain).bulk[int(name.partition(".")[0])]
            return Response(operation.content, media_type="application/jsonl")
        case "shops", domain:
            return _said(_state(fake.shop(domain)), target)
        case "shops", domain, what:
            said = _of_shop(fake, fake.shop(domain), what)
            return _said(said or {"errors": "Not Found"}, target, status=200 if said else 404)
    return _said({"errors": "Not Found"}, target, status=404)


def _of_shop(fake: FakeShopify, shop: FakeShop, what: str) -> dict[str, Any]:
    """What the stand-in for App Bridge asks; empty: nothing of that name."""
    match what:
        case "id_token":
            return {"id_token": fake.session_token(shop.domain)}
        case "products":
            return {"products": [{"id": number, "title": one["title"]} for number, one in shop.products.items()]}
        case "extensions":
            return {"extensions": [_extension(shop)]}
    return {}


def _happen(fake: FakeShopify, shop: FakeShop, what: str, given: dict[str, Any]) -> dict[str, Any]:
    now = fake.clock.now()
    match what:
        case "orders":
            order = shop.desk.place(given["lines"], now, shop.currency, test=bool(given.get("test")))
            for topic in given.get("topics", ["orders/create", "orders/paid"]):
                fake.webhooks.make(topic, shop.domain, shop.desk.order_payload(order))
            return {"order_id": order.id, "line_ids": [line.id for line in order.lines]}
        case "refunds":
            order = shop.desk.orders[int(given["order_id"])]
            named = {"restock_type": given.get("restock_type", "RETURN"), "return_id": given.get("return_id")}
            refund = shop.desk.refund(order, _units(order, given), now, **named)
            fake.webhooks.make("refunds/create", shop.domain, shop.desk.refund_payload(order, refund))
            return {"refund_id": refund.id}
        case "returns":
            order = shop.desk.orders[int(given["order_id"])]
            back = shop.desk.send_back(order, _units(order, given), given.get("reason", "unknown"), now)
            fake.webhooks.make("returns/approve", shop.domain, shop.desk.return_payload(order, back))
            return {"return_id": back.id}
        case "webhooks":
            fake.webhooks.make(given["topic"], shop.domain, given["payload"])
        case "faults":
            shop.faults.append(Fault(given["kind"], int(given.get("status", 500)), str(given.get("retry_after", ""))))
        case "block":
            shop.is_block_placed = True
        case "revoke":
            shop.revoke_tokens()
        case "uninstall":
            shop.uninstall()
            fake.webhooks.make("app/uninstalled", shop.domain, {"id": shop.number, "myshopify_domain": shop.domain})
    return {}


def _extension(shop: FakeShop) -> dict[str, Any]:
    """Of the published theme."""
    block = {
        "handle": "tryon_button",
        "name": "Size finder",
        "target": "section",
        "status": "active" if shop.is_block_placed else "available",
        "activations": [{"target": "template--product", "themeId": "1"}] if shop.is_block_placed else [],
    }
    return {"handle": "tryon-theme", "type": "theme_app_extension", "activations": [block]}


def _units(order: Order, given: dict[str, Any]) -> dict[int, int]:
    """Of the lines named, else of every line whole."""
    named = {int(line): int(count) for line, count in (given.get("units") or {}).items()}
    return named or {line.id: line.current_quantity for line in order.lines}


async def _deliver(fake: FakeShopify, target: str, times: int) -> list[int]:
    """What waits goes out now, `times` over under the same id; statuses as answered."""
    if not target:
        return []
    statuses = []
    async with httpx.AsyncClient() as http:
        for webhook in list(fake.webhooks.made):
            sent = [(await fake.webhooks.send(http, webhook, f"{target}{PATH}")).status_code for _ in range(times)]
            statuses += sent
            if sent and sent[-1] < httpx.codes.BAD_REQUEST:
                fake.webhooks.made.remove(webhook)
    return statuses


def _set_up(shop: FakeShop, given: dict[str, Any]) -> dict[str, Any]:
    shop.hosts |= given.get("hosts", {})
    for product in given.get("products", []):
        shop.add_product(**product)
    return _state(shop)


def _state(shop: FakeShop) -> dict[str, Any]:
    return {
        "shop": shop.domain,
        "is_installed": shop.is_installed,
        "products": list(shop.products.values()),
        "app_metafields": {
            f"{namespace}.{key}": json.loads(field["value"]) for (namespace, key), field in shop.metafields.items()
        },
        "pixel": shop.pixel,
        "orders": sorted(shop.desk.orders),
    }


def _said(body: dict[str, Any], reader: str, status: int = 200) -> Answer:
    headers = {"Access-Control-Allow-Origin": reader} if reader else {}
    return Response(body, status_code=status, headers=headers)
