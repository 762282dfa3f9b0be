from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import ForeignKeyConstraint, Table, UniqueConstraint

import backend
from backend.core.db import BrandOwned
from backend.models import metadata
from tests.architecture.tenant_lint import lint, lint_tree, owned_names

BACKEND = Path(backend.__file__).parent
OPERATORS = {
    "brands": "the tenant itself",
    "webhook_inbox": "stands before any brand is known; a receipt outlives the shop it is about",
    "gpu_prices": "what the operator pays for seconds, whoever they are for",
    "photo_screens": "when the last photo was about to be taken, of no brand and nobody",
    "scaling_log": "how many workers there are, for all brands together",
}
"""Tables that belong to no brand, each with the reason why that is right."""


def subclasses(model: type) -> Iterator[type]:
    child: type
    for child in model.__subclasses__():
        yield child
        yield from subclasses(child)


class TestTenantLint:
    def test_no_query_leaves_the_tenant(self) -> None:
        assert lint_tree(BACKEND, owned_names(subclasses(BrandOwned))) == []

    @pytest.mark.parametrize(
        "query",
        [
            "select(Avatar)",
            "select(Avatar).where(Avatar.id == avatar_id)",
            "select(Avatar.id, Avatar.status).order_by(Avatar.brand_id)",
            "select(func.count(Avatar.id))",
            "update(Avatar).where(Avatar.id == avatar_id).values(brand_id=other)",
            "delete(Avatar).where(Avatar.status == 'failed')",
            "session.get(Avatar, avatar_id)",
            "session.get_one(Avatar, avatar_id)",
            "select(Avatar)  # tenant:",
            "select(Avatar).filter_by(id=avatar_id)",
        ],
    )
    def test_query_without_the_brand_is_found(self, query: str) -> None:
        assert [finding.line for finding in lint(f"rows = {query}\n", "x.py", {"Avatar"})] == [1]

    @pytest.mark.parametrize(
        "query",
        [
            "select(Avatar).where(Avatar.brand_id == brand.brand_id, Avatar.id == avatar_id)",
            "select(Avatar).filter_by(brand_id=brand_id)",
            "update(Avatar).where(Avatar.id == one).where(Avatar.brand_id == two).values(status='failed')",
            "select(Brand).where(Brand.id == brand_id)",
            "select(Avatar)  # tenant: the sweeper sees every brand",
            "headers.get('a', 'b')",
        ],
    )
    def test_query_within_the_brand_passes(self, query: str) -> None:
        assert lint(f"rows = {query}\n", "x.py", {"Avatar"}) == []


class TestTenantKeys:
    @pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
    def test_every_table_belongs_to_a_brand(self, table: Table) -> None:
        if table.name in OPERATORS:
            return
        assert not table.c.brand_id.nullable
        roots = [key for key in foreign_keys(table) if key.referred_table.name == "brands"]
        assert [list(key.column_keys) for key in roots] == [["brand_id"]]

    @pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
    def test_no_row_can_point_into_another_brand(self, table: Table) -> None:
        for key in foreign_keys(table):
            parent = key.referred_table
            if parent.name == "brands":
                continue
            assert [element.column.name for element in key.elements] == ["brand_id", "id"], key.name
            assert key.column_keys[0] == "brand_id"
            unique = [
                [column.name for column in constraint.columns]
                for constraint in parent.constraints
                if isinstance(constraint, UniqueConstraint)
            ]
            assert ["brand_id", "id"] in unique, f"{parent.name} needs tenant_key()"

    def test_every_constraint_has_a_name(self) -> None:
        unnamed = [
            f"{table.name}: {constraint!r}"
            for table in metadata.sorted_tables
            for constraint in table.constraints
            if not constraint.name
        ]
        assert unnamed == []


def foreign_keys(table: Table) -> list[ForeignKeyConstraint]:
    return [constraint for constraint in table.constraints if isinstance(constraint, ForeignKeyConstraint)]
