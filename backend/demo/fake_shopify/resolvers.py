"""The fields at the root of the Admin API that the app uses; any other is completed by type."""

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backend.demo.fake_shopify.orders import gid
from backend.demo.fake_shopify.shop import BulkOperation, FakeShop

if TYPE_CHECKING:
    from backend.demo.fake_shopify.graphql_api import AdminApi

Rows = list[dict[str, Any]]
"""Of a connection; the pages are cut where they are asked for."""

UPDATED_SINCE = re.compile(r"updated_at:>=?'?([0-9TZ:.+-]+)'?")
PIXEL_FIELDS = {"accountID", "endpoint"}
"""As in the pixel extension's settings."""
MAX_METAFIELDS = 25
MAX_JSON_BYTES = 128 * 1024
POLLS_UNTIL_DONE = 2


class Root:
    """One method or property for each root field, named as Shopify names it."""

    def __init__(self, shop: FakeShop, api: "AdminApi", *, is_bulk: bool = False) -> None:
        self.state = shop
        self.api = api
        self.is_bulk = is_bulk

    # ---- queries -----------------------------------------------------------------------------------------------
    def shop(self) -> dict[str, Any]:
        state = self.state
        domains = [
            {"host": host, "sslEnabled": has_tls, "url": f"https://{host}"} for host, has_tls in state.hosts.items()
        ]
        return {
            "id": gid("Shop", state.number),
            "name": state.name,
            "myshopifyDomain": state.domain,
            "currencyCode": state.currency,
            "ianaTimezone": "Europe/Copenhagen",
            "primaryDomain": domains[0],
            "domains": domains,
        }

    def currentAppInstallation(self) -> dict[str, Any]:
        def metafields(*, keys: list[str] | None = None, **_: Any) -> Rows:
            return [
                field
                for (namespace, key), field in self.state.metafields.items()
                if keys is None or f"{namespace}.{key}" in keys
            ]

        scopes = [{"handle": handle} for handle in self.state.granted.split(",")]
        return {"id": self.state.installation_gid, "accessScopes": scopes, "metafields": metafields}

    def webPixel(self, **_: Any) -> dict[str, Any] | None:
        return self.state.pixel

    def products(self, *, query: str | None = None, **_: Any) -> Rows:
        is_wanted = "status:active" in (query or "").lower()
        return [row for row in self.state.products.values() if not is_wanted or row["status"] == "ACTIVE"]

    def product(self, *, id: str) -> dict[str, Any] | None:  # noqa: A002  Shopify's own name
        return self.state.products.get(_number(id))

    def order(self, *, id: str) -> dict[str, Any] | None:  # noqa: A002
        order = self.state.desk.orders.get(_number(id))
        return self.state.desk.order_node(order) if order else None

    def orders(self, *, query: str | None = None, **_: Any) -> Rows:
        since = UPDATED_SINCE.search(query or "")
        moment = _moment(since.group(1)) if since else None
        found = sorted(self.state.desk.orders.values(), key=lambda order: (order.updated_at, order.id))
        return [self.state.desk.order_node(order) for order in found if moment is None or order.updated_at >= moment]

    def return_(self, *, id: str) -> dict[str, Any] | None:  # noqa: A002
        for order in self.state.desk.orders.values():
            for back in order.returns:
                if back.id == _number(id):
                    return {"id": id, "order": self.state.desk.order_node(order)}
        return None

    def returnReasonDefinitions(self, **_: Any) -> Rows:
        desk = self.state.desk
        return [desk.reason_node(handle) for handle in desk.reasons]

    # ---- bulk operations ---------------------------------------------------------------------------------------
    def bulkOperation(self, *, id: str) -> dict[str, Any] | None:  # noqa: A002
        """Each look moves it on: created, half done, done."""
        operation = self.state.bulk.get(_number(id))
        if operation is None:
            return None
        operation.polls += 1
        if operation.status in {"CREATED", "RUNNING"}:
            operation.status = operation.ends_with if operation.polls >= POLLS_UNTIL_DONE else "RUNNING"
        return self._bulk_node(operation)

    def bulkOperations(self, **_: Any) -> Rows:
        return [self._bulk_node(one) for one in self.state.bulk.values() if one.status in {"CREATED", "RUNNING"}]

    def bulkOperationRunQuery(self, *, query: str, groupObjects: bool = True) -> dict[str, Any]:  # noqa: ARG002
        if any(one.status in {"CREATED", "RUNNING"} for one in self.state.bulk.values()):
            message = "A bulk operation is already in progress."
            error = {"field": None, "message": message, "code": "OPERATION_IN_PROGRESS"}
            return {"bulkOperation": None, "userErrors": [error]}
        rows = self.api.read_all(self.state, query)
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        operation = BulkOperation(next(self.state.numbers), query, len(rows), content)
        self.state.bulk[operation.id] = operation
        return {"bulkOperation": self._bulk_node(operation), "userErrors": []}

    def _bulk_node(self, operation: BulkOperation) -> dict[str, Any]:
        is_done = operation.status == "COMPLETED"
        seen = operation.objects if is_done else min(operation.objects, operation.objects * operation.polls // 2)
        url = f"{self.api.base_url}/_/bulk/{self.state.domain}/{operation.id}.jsonl" if operation.objects else None
        return {
            "id": gid("BulkOperation", operation.id),
            "status": operation.status,
            "type": "QUERY",
            "query": operation.query,
            "objectCount": str(seen),
            "rootObjectCount": str(seen),
            "errorCode": operation.error,
            "url": url if is_done else None,
        }

    # ---- mutations ---------------------------------------------------------------------------------------------
    def metafieldsSet(self, *, metafields: list[dict[str, Any]]) -> dict[str, Any]:
        """All or none."""
        errors = [error for at, one in enumerate(metafields) if (error := self._metafield_fault(at, one))]
        if len(metafields) > MAX_METAFIELDS:
            errors.append(_error("LESS_THAN_OR_EQUAL_TO", "At most 25 metafields at a time.", None))
        if errors:
            return {"metafields": [], "userErrors": errors}
        made = [self.state.set_metafield(one["namespace"], one["key"], one["type"], one["value"]) for one in metafields]
        return {"metafields": made, "userErrors": []}

    def _metafield_fault(self, at: int, given: dict[str, Any]) -> dict[str, Any] | None:
        known = self.state.metafields.get((given["namespace"], given["key"]))
        if given["ownerId"] != self.state.installation_gid:
            return _error("APP_NOT_AUTHORIZED", "Access to this owner is not allowed.", at)
        if given["type"] not in {"json", "boolean"} or not _is_json(given["value"]):
            return _error("INVALID_VALUE", "The value does not fit the type.", at)
        if len(given["value"].encode()) > MAX_JSON_BYTES:
            return _error("TOO_LONG", "The value is too long.", at)
        if "compareDigest" in given and given["compareDigest"] != (known or {}).get("compareDigest"):
            return _error("STALE_OBJECT", "The resource has been updated since it was loaded.", at)
        return None

    def webPixelCreate(self, *, webPixel: dict[str, Any]) -> dict[str, Any]:
        if self.state.pixel is not None:
            return _refused("TAKEN", "Web pixel is already set.")
        return self._keep_pixel(gid("WebPixel", next(self.state.numbers)), webPixel["settings"])

    def webPixelUpdate(self, *, id: str, webPixel: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
        if self.state.pixel is None or self.state.pixel["id"] != id:
            return _refused("NOT_FOUND", "No web pixel with this id.")
        return self._keep_pixel(id, webPixel["settings"])

    def _keep_pixel(self, pixel_id: str, settings: Any) -> dict[str, Any]:
        given = json.loads(settings) if isinstance(settings, str) else settings
        if set(given) != PIXEL_FIELDS or not all(given.values()):
            return _refused("INVALID_SETTINGS", "The settings do not fit the extension's definition.")
        self.state.pixel = {"id": pixel_id, "settings": json.dumps(given)}
        return {"webPixel": self.state.pixel, "userErrors": []}


def _number(identifier: str) -> int:
    text = identifier.rpartition("/")[2]
    return int(text) if text.isdigit() else 0


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _error(code: str, message: str, at: int | None) -> dict[str, Any]:
    return {"field": ["metafields", str(at)], "message": message, "code": code, "elementIndex": at}


def _refused(code: str, message: str) -> dict[str, Any]:
    return {"webPixel": None, "userErrors": [{"code": code, "field": ["webPixel"], "message": message}]}
