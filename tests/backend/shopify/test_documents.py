"""Every document against Shopify's own schema, and the scopes that they take against those that the app asks for."""

import tomllib
from pathlib import Path

import pytest
from graphql import GraphQLObjectType

from backend.demo.fake_shopify.schema import MAX_QUERY_COST, AdminSchema
from backend.shopify import documents
from backend.shopify.documents import API_VERSION, Document
from backend.shopify.scopes import NEEDED, missing
from tests.backend.shopify.conftest import load_schema

REPOSITORY = Path(__file__).resolve().parents[3]
NEXT_VERSION = "unstable"
"""What comes after the pinned version stands there first."""
BEYOND_THE_SCHEMA = {"write_app_proxy", "read_customer_events"}
"""The first is for the toml's own section; the second stands only in the prose of the field `webPixelCreate`."""
NOT_YET_REPLACEABLE = {"Shop.domains": "domainsPaginated"}
"""Deprecated for a field that the pinned version does not have yet."""

DOCUMENTS = [value for value in vars(documents).values() if isinstance(value, Document)]


@pytest.fixture(scope="module", params=[API_VERSION, NEXT_VERSION])
def any_schema(request: pytest.FixtureRequest) -> AdminSchema:
    return load_schema(request.param)


def covering(scopes: frozenset[str]) -> set[str]:
    """Of the scopes of which one suffices, those that the app asks for (write implies read)."""
    return {one for one in scopes if not missing(",".join(NEEDED), [one])}


class TestDocuments:
    def test_each_is_valid_and_uses_nothing_deprecated(
        self, any_schema: AdminSchema, admin_schema: AdminSchema
    ) -> None:
        assert len(DOCUMENTS) >= 14
        for document in DOCUMENTS:
            parsed, errors = any_schema.check(document.text)
            assert not errors, (document.name, errors)
            assert parsed is not None
            for field, reason in any_schema.deprecated_in(parsed).items():
                replacement = NOT_YET_REPLACEABLE.get(field)
                assert replacement, (document.name, field, reason)
                owner = admin_schema.schema.get_type(field.partition(".")[0])
                assert isinstance(owner, GraphQLObjectType)
                assert replacement not in owner.fields, f"{field}: {replacement} has come"

    def test_names_are_their_own(self) -> None:
        assert len({document.name for document in DOCUMENTS}) == len(DOCUMENTS)

    def test_none_costs_more_than_shopify_allows(self, admin_schema: AdminSchema) -> None:
        for document in DOCUMENTS:
            if document is documents.BULK_PRODUCTS:
                continue  # not asked at once
            parsed, _ = admin_schema.check(document.text)
            assert parsed is not None
            assert admin_schema.cost_of(parsed, {}) <= MAX_QUERY_COST, document.name

    def test_cost_is_what_shopify_was_seen_to_ask(self, admin_schema: AdminSchema) -> None:
        """A query published with the 25 points that it was told."""
        parsed, _ = admin_schema.check(
            "query Q($id: ID!) { product(id: $id) { variants(first: 250) { nodes { inventoryItem { id tracked } } } } }"
        )
        assert parsed is not None
        assert admin_schema.cost_of(parsed, {}) == 25

    def test_no_personal_data_is_selected(self, admin_schema: AdminSchema) -> None:
        for document in DOCUMENTS:
            words = set(document.text.replace("{", " ").replace("}", " ").split())
            named = {"email", "phone", "customer", "firstName", "lastName", "shippingAddress", "billingAddress"}
            assert not words & named, document.name


class TestScopes:
    def test_those_needed_are_those_asked_for_and_no_other(self, admin_schema: AdminSchema) -> None:
        used: set[str] = set()
        for document in DOCUMENTS:
            parsed, _ = admin_schema.check(document.text)
            assert parsed is not None
            for field, scopes in admin_schema.scopes_of(parsed).items():
                mine = covering(scopes)
                assert mine, f"{document.name}: {field} needs one of {sorted(scopes)}"
                used |= mine
        implied = {"read_pixels"}  # by write_pixels
        assert (used - implied) | BEYOND_THE_SCHEMA == set(NEEDED)

    def test_app_configuration_asks_for_the_same(self) -> None:
        configuration = tomllib.loads((REPOSITORY / "shopify_extension" / "shopify.app.toml").read_text())
        assert set(configuration["access_scopes"]["scopes"].split(",")) == set(NEEDED)
        assert configuration["webhooks"]["api_version"] == API_VERSION

    @pytest.mark.parametrize(
        ("granted", "lacking"),
        [
            (",".join(NEEDED), []),
            ("write_products,read_orders,read_returns,write_app_proxy,write_pixels,read_customer_events", []),
            ("read_products", list(NEEDED[1:])),
            ("", list(NEEDED)),
            ("read_pixels," + ",".join(set(NEEDED) - {"write_pixels"}), ["write_pixels"]),
        ],
    )
    def test_what_was_not_granted_is_named(self, granted: str, lacking: list[str]) -> None:
        assert missing(granted) == lacking
