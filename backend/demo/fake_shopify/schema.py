"""Shopify's own Admin schema, read from the installed JavaScript development packages and never copied.

It decides what a document may ask, which scopes that takes, and what it would cost.
"""

import gzip
import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    build_client_schema,
    get_named_type,
    is_composite_type,
    parse,
    validate,
    visit,
)

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = REPOSITORY / "shopify_extension" / "node_modules" / "@shopify" / "dev-mcp" / "dist" / "data"
MAX_QUERY_COST = 1000
UNKNOWN_PAGE_SIZE = 50
CONNECTION_COST = 2


class SchemaMissing(Exception):
    """The JavaScript development packages are not installed."""


class AdminSchema:
    """One version. Building it takes about a second; share it."""

    def __init__(self, version: str, folder: Path = FOLDER) -> None:
        path = folder / f"admin_{version}.json.gz"
        if not path.exists():
            raise SchemaMissing(f"{path.name} is missing: run `make install`, which installs @shopify/dev-mcp.")
        self.version = version
        self._checked: dict[str, tuple[DocumentNode | None, list[GraphQLError]]] = {}
        with gzip.open(path) as file:
            self._document = json.load(file)

    @cached_property
    def schema(self) -> GraphQLSchema:
        return build_client_schema(self._document["data"], assume_valid=True)

    @cached_property
    def scopes(self) -> dict[tuple[str, str | None], frozenset[str]]:
        """By type, and by type and field: scopes of which any one suffices."""
        return {
            (item["typeName"], item.get("fieldName")): frozenset(item["offlineScopes"])
            for item in self._document["offline_scopes"]["items"]
            if item.get("offlineScopes")
        }

    def check(self, text: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        """The same text has the same answer; looking costs milliseconds."""
        if text not in self._checked:
            try:
                document = parse(text)
            except GraphQLError as error:
                return None, [error]
            self._checked[text] = document, validate(self.schema, document)
        return self._checked[text]

    def scopes_of(self, document: DocumentNode) -> dict[str, frozenset[str]]:
        """By field or type of the document: the scopes of which one is needed."""
        walk = _Fields(self.schema)
        visit(document, TypeInfoVisitor(walk.info, walk))
        return {
            ".".join(part for part in key if part): self.scopes[key]
            for parent, field, type_name, _ in walk.fields
            for key in ((parent, field), (type_name, None))
            if key in self.scopes
        }

    def deprecated_in(self, document: DocumentNode) -> dict[str, str]:
        """By `Type.field`: what Shopify says instead."""
        walk = _Fields(self.schema)
        visit(document, TypeInfoVisitor(walk.info, walk))
        return {f"{parent}.{field}": reason for parent, field, _, reason in walk.fields if reason}

    def cost_of(self, document: DocumentNode, variables: Mapping[str, Any]) -> int:
        """About what Shopify asks: objects 1, pages growing with the logarithm of their size."""
        cost = _Cost(self.schema, variables)
        visit(document, TypeInfoVisitor(cost.info, cost))
        return max(1, math.ceil(cost.total))


class _Fields(Visitor):
    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self.info = TypeInfo(schema)
        self.fields: list[tuple[str, str, str, str | None]] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent, type_, definition = self.info.get_parent_type(), self.info.get_type(), self.info.get_field_def()
        if parent is not None and type_ is not None and definition is not None:
            named = get_named_type(type_)
            self.fields.append((parent.name, node.name.value, named.name, definition.deprecation_reason))


class _Cost(Visitor):
    """A node's objects count as often as the pages around it are long; two per doubling and a half, as observed."""

    def __init__(self, schema: GraphQLSchema, variables: Mapping[str, Any]) -> None:
        super().__init__()
        self.info = TypeInfo(schema)
        self.variables = variables
        self.total = 0.0
        self._factors = [1.0]

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        type_ = self.info.get_type()
        named = get_named_type(type_) if type_ is not None else None
        factor = self._factors[-1]
        is_page = isinstance(named, GraphQLObjectType) and named.name.endswith("Connection")
        if is_page:
            self.total += CONNECTION_COST * factor
            factor *= max(1.0, math.floor(2 * math.log(max(1, self._size(node)))))
        elif named is not None and is_composite_type(named) and node.name.value not in {"edges", "pageInfo"}:
            self.total += factor
        self._factors.append(factor)

    def leave_field(self, *_: Any) -> None:
        self._factors.pop()

    def _size(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value in {"first", "last"}:
                if isinstance(argument.value, IntValueNode):
                    return int(argument.value.value)
                if isinstance(argument.value, VariableNode):
                    return int(self.variables.get(argument.value.name.value) or UNKNOWN_PAGE_SIZE)
        return UNKNOWN_PAGE_SIZE
