"""What the app asks of Shopify, as its configuration says it: no scope, topic or field more than is used."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from backend.shopify.topics import resource_of

FOLDER = Path(__file__).resolve().parents[2] / "shopify_extension"
RECORDS = ("shopify.app.toml", "shopify.app.dev.toml")
OF_A_RECORD = {"client_id", "name", "application_url", "auth", "app_proxy"}
"""What may differ between the app record and the one for development: who it is and where it lives."""
COMPLIANCE = {"customers/data_request", "customers/redact", "shop/redact"}
TOPICS = {
    "app/uninstalled", "app/scopes_update",
    "orders/create", "orders/paid", "orders/cancelled", "orders/edited", "refunds/create",
    "returns/approve", "returns/process", "returns/update", "returns/close", "returns/cancel", "returns/reopen",
    "products/update", "products/delete",
}  # fmt: skip
BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "orders/create": ({"id": 7, "updated_at": "2026-11-01T10:00:00Z", "line_items": []}, "order:7"),
    "orders/edited": ({"order_edit": {"id": 3, "order_id": 7, "line_items": {"additions": []}}}, "order:7"),
    "refunds/create": ({"id": 5, "order_id": 7, "created_at": "2026-11-01T10:00:00Z"}, "order:7"),
    "products/update": ({"id": 9, "updated_at": "2026-11-01T10:00:00Z", "status": "active"}, "product:9"),
}  # fmt: skip
"""As Shopify documents them, in part, and what the worker must still read out of them. An edit is nested."""
PERSONAL = {"email", "phone", "customer", "billing_address", "shipping_address", "note", "browser_ip", "client_details"}


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text())


@pytest.mark.parametrize("name", RECORDS)
class TestAppRecord:
    def test_asks_for_the_least_scopes(self, name: str) -> None:
        scopes = set(read(name)["access_scopes"]["scopes"].split(","))
        assert scopes == {
            "read_products", "read_orders", "read_returns", "write_app_proxy", "write_pixels", "read_customer_events",
        }  # fmt: skip

    def test_hears_every_compliance_topic_and_those_that_have_work(self, name: str) -> None:
        subscriptions = read(name)["webhooks"]["subscriptions"]
        assert {topic for one in subscriptions for topic in one.get("compliance_topics", [])} == COMPLIANCE
        topics = [topic for one in subscriptions for topic in one.get("topics", [])]
        assert sorted(topics) == sorted(TOPICS)
        assert {one["uri"] for one in subscriptions} == {"/hooks/shopify"}

    def test_subscribes_to_nothing_about_a_person_and_keeps_what_orders_events(self, name: str) -> None:
        for one in read(name)["webhooks"]["subscriptions"]:
            fields = set(one.get("include_fields", []))
            assert not fields & PERSONAL
            if {"orders/create", "products/update"} & set(one.get("topics", [])):
                assert {"id", "updated_at"} <= fields

    @pytest.mark.parametrize("topic", BODIES)
    def test_what_is_left_of_a_body_still_names_its_object(self, name: str, topic: str) -> None:
        body, resource = BODIES[topic]
        (said,) = (one for one in read(name)["webhooks"]["subscriptions"] if topic in one.get("topics", []))
        kept = {field: body[field] for field in said["include_fields"] if field in body}
        assert resource_of(topic, kept) == resource

    def test_lives_on_https_and_is_embedded(self, name: str) -> None:
        app = read(name)
        proxy = app["app_proxy"]
        assert app["embedded"] is True
        for url in (app["application_url"], proxy["url"], *app["auth"]["redirect_urls"]):
            assert url.startswith("https://")
        assert (proxy["prefix"], proxy["subpath"]) == ("apps", "tryon")


def test_records_differ_in_who_and_where_alone() -> None:
    public, development = (read(name) for name in RECORDS)
    assert public.keys() == development.keys()
    assert {key for key in public if public[key] != development[key]} == OF_A_RECORD


def test_one_api_version_everywhere() -> None:
    extensions = [f"extensions/{name}/shopify.extension.toml" for name in ("tryon-theme", "tryon-pixel")]
    said = {read(name)["webhooks"]["api_version"] for name in RECORDS} | {
        read(file)["api_version"] for file in extensions
    }
    assert len(said) == 1
