"""The Admin API of one shop: documents checked against Shopify's own schema, then answered from the shop's state.

What the state does not say is completed by type, so no answer ever has a field that Shopify lacks.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    execute_sync,
    get_named_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_scalar_type,
)

from backend.demo.fake_shopify.resolvers import Root, Rows
from backend.demo.fake_shopify.schema import MAX_QUERY_COST, AdminSchema
from backend.demo.fake_shopify.shop import BUCKET_POINTS, RESTORED_POINTS_PER_S, FakeShop

PAGE_LIMIT = 250
DEFAULTS: dict[str, Any] = {
    "Int": 0,
    "Float": 0.0,
    "Boolean": False,
    "UnsignedInt64": "0",
    "DateTime": "2026-01-01T00:00:00Z",
    "URL": "https://example.com/",
    "Decimal": "0.0",
}


class AdminApi:
    def __init__(self, schema: AdminSchema, base_url: str) -> None:
        self.schema = schema
        self.base_url = base_url

    def answer(self, shop: FakeShop, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """As Shopify answers with status 200: `data`, `errors`, `extensions.cost`."""
        document, errors = self.schema.check(text)
        if document is None or errors:
            return {"errors": [error.formatted for error in errors]}
        cost = self.schema.cost_of(document, variables)
        refusal = self._refusal(shop, document, cost)
        if refusal is not None:
            return refusal
        result = self._execute(document, Root(shop, self), variables)
        body: dict[str, Any] = {"data": result.data, "extensions": _cost(shop, cost)}
        if result.errors:
            body["errors"] = [error.formatted for error in result.errors]
        return body

    def read_all(self, shop: FakeShop, text: str) -> Rows:
        """What a bulk operation finds: every object of every connection, children after their parent."""
        document, errors = self.schema.check(text)
        if document is None or errors:
            raise GraphQLError("; ".join(error.message for error in errors))
        result = self._execute(document, Root(shop, self, is_bulk=True), {})
        if result.errors:
            raise result.errors[0]
        rows: Rows = []
        for connection in (result.data or {}).values():
            for edge in connection["edges"]:
                _flatten(edge["node"], None, rows)
        return rows

    def _execute(self, document: DocumentNode, root: Root, variables: Mapping[str, Any]) -> ExecutionResult:
        return execute_sync(
            self.schema.schema,
            document,
            root_value=root,
            variable_values=dict(variables),
            field_resolver=resolve,
            type_resolver=_type_name,
        )

    def _refusal(self, shop: FakeShop, document: DocumentNode, cost: int) -> dict[str, Any] | None:
        have = _covered(shop.granted)
        denied = {field: scopes for field, scopes in self.schema.scopes_of(document).items() if not scopes & have}
        if denied:
            return {"errors": [_denied(field, scopes) for field, scopes in denied.items()]}
        if cost > MAX_QUERY_COST:
            message = f"Query cost is {cost}, which exceeds the single query max cost limit ({MAX_QUERY_COST})."
            return {"errors": [{"message": message, "extensions": {"code": "MAX_COST_EXCEEDED", "cost": cost}}]}
        if not shop.take_points(cost):
            return throttled(shop, cost)
        return None


def throttled(shop: FakeShop, cost: int) -> dict[str, Any]:
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    return {"errors": [error], "extensions": _cost(shop, cost)}


def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    if isinstance(source, dict):
        value = source.get(info.field_name)
    else:  # `return` is Shopify's word and Python's
        value = getattr(source, f"{info.field_name}_", None) or getattr(source, info.field_name, None)
    named = get_named_type(info.return_type)
    is_page = named.name.endswith("Connection")
    page = {name: arguments.pop(name, None) for name in ("first", "after")} if is_page else {}
    if callable(value):
        value = value(**arguments)
    if is_page:
        return _page(value or [], is_bulk=_is_bulk(info), **page)
    return _default(info) if value is None else value


def _is_bulk(info: GraphQLResolveInfo[Any]) -> bool:
    root = info.root_value
    return isinstance(root, Root) and root.is_bulk


def _page(rows: Rows, *, is_bulk: bool, first: int | None, after: str | None) -> dict[str, Any]:
    """Cursors are positions; without `first` a page is refused, as Shopify does, except in bulk."""
    if first is None and not is_bulk:
        raise GraphQLError("you must provide one of first or last")
    if first is not None and first > PAGE_LIMIT:
        raise GraphQLError(f"first cannot exceed {PAGE_LIMIT}")
    start = int(after) + 1 if after else 0
    shown = list(itertools.islice(rows, start, None if first is None else start + first))
    end = start + len(shown)
    return {
        "nodes": shown,
        "edges": [{"node": row, "cursor": str(start + position)} for position, row in enumerate(shown)],
        "pageInfo": {
            "hasNextPage": end < len(rows),
            "hasPreviousPage": start > 0,
            "startCursor": str(start) if shown else None,
            "endCursor": str(end - 1) if shown else None,
        },
    }


def _default(info: GraphQLResolveInfo[Any]) -> Any:
    """What stands where the state is silent: nothing where that is allowed, else the plainest value of the type."""
    type_ = info.return_type
    if not is_non_null_type(type_):
        return None
    if is_list_type(type_.of_type):
        return []
    named = get_named_type(type_)
    if is_enum_type(named):
        return next(iter(named.values))
    if named.name == "ID":
        return f"gid://shopify/{info.parent_type.name}/1"
    if is_scalar_type(named):
        return DEFAULTS.get(named.name, f"{info.parent_type.name}.{info.field_name}")
    return {}


def _type_name(value: Any, info: GraphQLResolveInfo[Any], abstract: Any) -> str:
    if isinstance(value, dict) and value.get("__typename"):
        return str(value["__typename"])
    return str(info.schema.get_possible_types(abstract)[0].name)


def _covered(granted: str) -> set[str]:
    """Write implies read."""
    have = {scope.strip() for scope in granted.split(",")}
    return have | {"read_" + scope.removeprefix("write_") for scope in have if scope.startswith("write_")}


def _denied(field: str, scopes: frozenset[str]) -> dict[str, Any]:
    needed = " or ".join(f"`{scope}`" for scope in sorted(scopes))
    return {
        "message": f"Access denied for {field} field. Required access: {needed} access scope.",
        "extensions": {"code": "ACCESS_DENIED", "documentation": "https://shopify.dev/api/usage/access-scopes"},
        "path": [field],
    }


def _cost(shop: FakeShop, cost: int) -> dict[str, Any]:
    status = {
        "maximumAvailable": BUCKET_POINTS,
        "currentlyAvailable": round(shop.points),
        "restoreRate": RESTORED_POINTS_PER_S,
    }
    return {"cost": {"requestedQueryCost": cost, "actualQueryCost": cost, "throttleStatus": status}}


def _flatten(node: dict[str, Any], parent: str | None, rows: Rows) -> None:
    children = {name: value for name, value in node.items() if isinstance(value, dict) and "edges" in value}
    own = {name: value for name, value in node.items() if name not in children}
    rows.append(own | ({"__parentId": parent} if parent else {}))
    for connection in children.values():
        for edge in connection["edges"]:
            _flatten(edge["node"], own["id"], rows)
