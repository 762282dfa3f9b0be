"""One shop of the stand-in: everything that Shopify would keep for it, so that mixed-up tenants show."""

import hashlib
import itertools
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backend.core.clock import Clock
from backend.demo.fake_shopify.orders import OrderDesk, gid

BUCKET_POINTS = 2000.0
RESTORED_POINTS_PER_S = 100.0
ACCESS_LIFETIME = timedelta(hours=1)
REFRESH_LIFETIME = timedelta(days=90)
ALL_SCOPES = "read_products,read_orders,read_returns,write_app_proxy,write_pixels,read_customer_events"
RETURN_REASONS = {
    "too-small": "Too small",
    "too-large": "Too large",
    "too-tight": "Too tight",
    "comfort": "Not comfortable",
    "style": "Style",
    "color-too-bright": "Colour too bright",
    "quality": "Quality",
    "defective": "Defective",
    "arrived-late": "Arrived late",
    "wrong-item": "Wrong item",
    "unwanted": "Changed my mind",
    "unknown": "Unknown",
    "other": "Other",
}


@dataclass
class Tokens:
    access: str
    refresh: str
    access_until: datetime
    refresh_until: datetime


@dataclass
class Fault:
    """What goes wrong next: `status` with an HTTP code, `network`, `throttled`, or `internal` (a fault in a 200)."""

    kind: str
    status: int = 500
    retry_after: str = ""


@dataclass
class BulkOperation:
    id: int
    query: str
    objects: int
    content: bytes
    status: str = "CREATED"
    polls: int = 0
    ends_with: str = "COMPLETED"
    error: str | None = None


class FakeShop:
    """State, and what a merchant or a shopper does to it. Orders have their own desk."""

    def __init__(self, domain: str, clock: Clock, number: int, first_id: int = 0) -> None:
        self.domain = domain
        self.clock = clock
        self.number = number
        self.name = domain.partition(".")[0].replace("-", " ").title()
        self.currency = "EUR"
        self.hosts: dict[str, bool] = {domain: True}
        """Host to whether it has TLS; the first is the primary one."""
        self.proxy_path = "apps/tryon"
        """As the merchant may have renamed it."""
        self.has_password = False
        self.granted = ALL_SCOPES
        self.is_installed = True
        self.numbers = itertools.count(first_id + number * 1_000_000 + 1)
        self.products: dict[int, dict[str, Any]] = {}
        self.desk = OrderDesk(self.numbers, dict(RETURN_REASONS))
        self.metafields: dict[tuple[str, str], dict[str, Any]] = {}
        self.is_block_placed = False
        self.pixel: dict[str, Any] | None = None
        self.tokens: list[Tokens] = []
        self.codes: set[str] = set()
        """Of the code grant: each once."""
        self.bulk: dict[int, BulkOperation] = {}
        self.faults: deque[Fault] = deque()
        self.requests: list[dict[str, Any]] = []
        """Every GraphQL request that was let in: `query`, `variables`, `token`."""
        self.points = BUCKET_POINTS
        self._points_at = clock.now()

    # ---- tokens ------------------------------------------------------------------------------------------------
    def issue(self) -> Tokens:
        now = self.clock.now()
        made = Tokens(
            f"shpat_{secrets.token_hex(16)}",
            f"shprt_{secrets.token_hex(16)}",
            now + ACCESS_LIFETIME,
            now + REFRESH_LIFETIME,
        )
        self.tokens.append(made)
        return made

    def turn_over(self, refresh_token: str) -> Tokens | None:
        """The old pair is worth nothing from now on."""
        found = next((one for one in self.tokens if one.refresh == refresh_token), None)
        if found is None or found.refresh_until <= self.clock.now():
            return None
        self.tokens.remove(found)
        return self.issue()

    def accepts(self, access_token: str) -> bool:
        now = self.clock.now()
        return self.is_installed and any(one.access == access_token and one.access_until > now for one in self.tokens)

    def revoke_tokens(self) -> None:
        self.tokens.clear()

    def uninstall(self) -> None:
        """Shopify deletes what the app had there."""
        self.is_installed = False
        self.tokens.clear()
        self.metafields.clear()
        self.pixel = None

    # ---- throttling --------------------------------------------------------------------------------------------
    def take_points(self, cost: float) -> bool:
        now = self.clock.now()
        restored = (now - self._points_at).total_seconds() * RESTORED_POINTS_PER_S
        self.points, self._points_at = min(BUCKET_POINTS, self.points + restored), now
        if self.points < cost:
            return False
        self.points -= cost
        return True

    # ---- the catalogue -----------------------------------------------------------------------------------------
    def add_product(
        self,
        title: str = "Organic Cotton Tee",
        *,
        product_id: int | None = None,
        options: dict[str, list[str]] | None = None,
        status: str = "ACTIVE",
        product_type: str = "T-Shirt",
        metafields: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """With one variant for each combination of its options."""
        number = product_id or next(self.numbers)
        options = options or {"Size": ["S", "M", "L"]}
        listed = [
            {
                "id": gid("ProductOption", number * 10 + position),
                "name": name,
                "position": position + 1,
                "optionValues": [
                    {"id": gid("ProductOptionValue", number * 1000 + position * 100 + at), "name": value}
                    for at, value in enumerate(values)
                ],
            }
            for position, (name, values) in enumerate(options.items())
        ]
        product = {
            "id": gid("Product", number),
            "title": title,
            "handle": title.lower().replace(" ", "-"),
            "status": status,
            "productType": product_type,
            "updatedAt": self._now(),
            "featuredMedia": _picture(number),
            "options": listed,
            "metafields": [
                {"id": gid("Metafield", next(self.numbers)), "type": "json", **field_} for field_ in metafields or []
            ],
            "variants": [
                {
                    "id": gid("ProductVariant", number * 1000 + position),
                    "title": " / ".join(values),
                    "sku": None,
                    "selectedOptions": [
                        {"name": option["name"], "value": value, "optionValue": _value_named(option, value)}
                        for option, value in zip(listed, values, strict=True)
                    ],
                }
                for position, values in enumerate(itertools.product(*options.values()))
            ],
        }
        self.products[number] = product
        return product

    def change_product(self, number: int, **changes: Any) -> dict[str, Any]:
        self.products[number] |= {**changes, "updatedAt": self._now()}
        return self.products[number]

    def product_payload(self, number: int) -> dict[str, Any]:
        """`products/update` with the fields that the app subscribes to; of a deleted one only its id is left."""
        product = self.products.get(number)
        if product is None:
            return {"id": number}
        return {
            "id": number,
            "admin_graphql_api_id": product["id"],
            "updated_at": product["updatedAt"],
            "status": product["status"].lower(),
        }

    # ---- the app's metafields ----------------------------------------------------------------------------------
    def set_metafield(self, namespace: str, key: str, kind: str, value: str) -> dict[str, Any]:
        known = self.metafields.get((namespace, key))
        made = {
            "id": known["id"] if known else gid("Metafield", next(self.numbers)),
            "namespace": namespace,
            "key": key,
            "type": kind,
            "value": value,
            "compareDigest": hashlib.sha256(value.encode()).hexdigest(),
        }
        self.metafields[namespace, key] = made
        return made

    @property
    def installation_gid(self) -> str:
        return gid("AppInstallation", self.number)

    def _now(self) -> str:
        return self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _picture(number: int) -> dict[str, Any]:
    url = f"https://cdn.shopify.com/s/files/1/0001/products/{number}.jpg"
    image = {"url": url, "altText": None, "width": 1200, "height": 1600}
    return {"__typename": "MediaImage", "preview": {"image": image}}


def _value_named(option: dict[str, Any], name: str) -> dict[str, Any]:
    value: dict[str, Any] = next(one for one in option["optionValues"] if one["name"] == name)
    return value
