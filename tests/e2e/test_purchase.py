"""From a try-on to a sale to a parcel that comes back: what is claimed, once, whoever tells it and in which order."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from backend.core.clock import SystemClock
from backend.demo.shop import SHOP
from tests.e2e.conftest import Demo, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PRODUCT = {"product_id": 7001, "variant_id": 7001001, "quantity": 1, "price": "29.00"}
NAMES = {"title": "Organic Cotton Tee", "variant_title": "Chalk / M"}


@dataclass(frozen=True)
class World:
    """What happens outside the browser: Shopify's side, and a pixel that can be quick, slow or heard twice."""

    demo: Demo
    http: httpx.Client

    @property
    def shopify(self) -> str:
        (process,) = self.demo.running("fake_shopify")
        command = process.cmdline()
        return f"http://127.0.0.1:{command[command.index('--port') + 1]}/_/shops/{SHOP}"

    def tell(self, what: str, **body: Any) -> dict[str, Any]:
        said: dict[str, Any] = self.http.post(f"{self.shopify}/{what}", json=body).raise_for_status().json()
        assert all(status == 200 for status in said["delivered"]), said
        return said

    def place(self, session: str | None, *topics: str) -> str:
        """An order of one tee, told of by these topics."""
        properties = {"_tryon_session": session} if session else {}
        order = self.tell("orders", lines=[{**PRODUCT, **NAMES, "properties": properties}], topics=topics)
        return str(order["order_id"])

    def webhook(self, order: str, topic: str, session: str | None, times: int = 1) -> None:
        """With the body of the moment when the order was placed, as Shopify's retries have it."""
        long_ago = "2026-01-01T00:00:00Z"
        line = {"id": 1, "product_id": 7001, "variant_id": 7001001, "quantity": 1, "price": "29.00", "properties": []}
        if session:
            line["properties"] = [{"name": "_tryon_session", "value": session}]
        body = {"id": int(order), "admin_graphql_api_id": f"gid://shopify/Order/{order}", "test": False}
        body |= {"created_at": long_ago, "updated_at": long_ago, "line_items": [line]}
        self.tell("webhooks", topic=topic, payload=body, times=times)

    def pixel(self, order: str, session: str, times: int = 1) -> None:
        settings = self.http.get(self.shopify).json()["pixel"]["settings"]
        settings = json.loads(settings) if isinstance(settings, str) else settings
        now = SystemClock().now().isoformat()
        event = {"id": str(uuid.uuid4()), "type": "checkout_linked", "occurred_at": now, "session_id": session}
        batch = {"token": settings["accountID"], "sent_at": now, "events": [event | {"metadata": {"order_id": order}}]}
        for _ in range(times):
            headers = {"content-type": "text/plain"}
            answer = self.http.post(settings["endpoint"], content=json.dumps(batch), headers=headers)
            assert answer.status_code == 202
            assert answer.json()["rejected"] == []

    def session(self) -> str:
        """A shopper's finished try-on of the tee."""
        with self.demo.api() as api:
            who = {"user_ref": str(uuid.uuid4())}
            facts = {"height_cm": "178", "weight_kg": "74", "sex": "male", **who}
            avatar = api.post("/v1/avatars", data=facts, files={"none": b""}).raise_for_status().json()
            garments = api.get("/v1/garments").json()["items"]
            tee = next(one["id"] for one in garments if one["shopify_product_id"] == 7001)
            tryon = {"avatar_id": avatar["id"], "garment_id": tee}
            made: str = api.post("/v1/tryon-sessions", json=tryon).raise_for_status().json()["id"]
        return made

    def events(self, order: str, event_type: str) -> list[dict[str, Any]]:
        sql = "select metadata from events where event_type = ? and metadata like ?"
        return [json.loads(text) for (text,) in self.demo.rows(sql, event_type, f'%"{order}"%')]

    def line(self, order: str) -> tuple[Any, ...] | None:
        """(direct, assisted, quantity, kept, returned, net) of the order's one line."""
        sql = (
            "select l.is_direct, l.is_assisted, l.quantity, l.kept_units, l.returned_units, l.net_minor"
            " from order_lines l join orders o on o.id = l.order_id where o.order_ref = ?"
        )
        rows = self.demo.rows(sql, order)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def wait_for_line(self, order: str, expected: tuple[Any, ...]) -> None:
        try:
            wait_for("the order's line", lambda: self.line(order) == expected or None, timeout_s=30)
        except AssertionError:
            assert self.line(order) == expected


@pytest.fixture(scope="module")
def demo(shared_demo: Demo) -> Demo:
    return shared_demo


@pytest.fixture(scope="module")
def world(demo: Demo) -> Iterator[World]:
    with httpx.Client(timeout=15) as http:
        yield World(demo, http)


@pytest.fixture(scope="module")
def session(world: World) -> str:
    """One try-on for every order here; orders have whole seconds, and it must come before them."""
    made = world.session()
    time.sleep(1.1)
    return made


SOLD = (1, 0, 1, 1, 0, 2900)
SENT_BACK = (1, 0, 1, 0, 1, 0)
HELPED = (0, 1, 1, 1, 0, 2900)


def test_tried_on_bought_and_sent_back_in_a_browser(world: World, demo: Demo, page: Page) -> None:
    page.goto(demo.storefront)
    page.get_by_label("Allow statistics").check()
    page.get_by_role("link", name="Organic Cotton Tee").first.click()
    page.locator("label", has_text="Moss").click()
    page.locator("tryon-launcher button").first.click()
    frame = page.frame_locator("dialog iframe")
    frame.get_by_label("Height").fill("178")
    frame.get_by_label("Weight").fill("74")
    frame.get_by_label("Male", exact=True).check(force=True)
    frame.get_by_role("button", name="Show my size").click()
    frame.locator("[data-action=cart]").click()
    frame.locator(".cart__status", has_text="in your cart").wait_for()
    (line,) = page.evaluate("fetch('/cart.js').then((answer) => answer.json())")["items"]
    assert line["variant_title"].startswith("Moss / "), "the frame follows the variant chosen on the page"
    session = line["properties"]["_tryon_session"]

    page.goto(f"{demo.storefront}/cart")
    page.get_by_role("button", name="Check out").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    order = page.url.rsplit("/", 1)[1]
    world.wait_for_line(order, SOLD)
    (purchase,) = world.events(order, "purchase_completed")
    assert (purchase["attribution"], purchase["quantity"], purchase["net_minor"]) == ("direct", 1, 2900)
    wait_for("the pixel's word", lambda: world.events(order, "checkout_linked") or None, timeout_s=15)
    sql = "select count(*) from events where event_type = 'added_to_cart' and source = 'P' and session_id = ?"
    assert demo.rows(sql, session.replace("-", ""))[0][0] >= 1

    page.reload()
    page.get_by_role("button", name="Send everything back").click()
    expect(page.locator("main")).to_contain_text("paid back")
    world.wait_for_line(order, SENT_BACK)
    assert len(world.events(order, "purchase_returned")) == 1
    assert len(world.events(order, "purchase_completed")) == len(world.events(order, "checkout_linked")) == 1


def test_a_visitor_who_allows_nothing_is_not_told_of(world: World, demo: Demo, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{demo.storefront}/products/organic-cotton-tee")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Added").wait_for()
    page.goto(f"{demo.storefront}/cart")
    page.get_by_role("button", name="Check out").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "sandbox" in url or "/v1/events" in url]
    assert world.events(page.url.rsplit("/", 1)[1], "checkout_linked") == []


Telling = Callable[[World, str], str]


def pixel_first(world: World, session: str) -> str:
    order = world.place(session)
    world.pixel(order, session)
    world.webhook(order, "orders/create", session)
    world.webhook(order, "orders/paid", session)
    return order


def webhook_first(world: World, session: str) -> str:
    order = world.place(session, "orders/create", "orders/paid")
    world.wait_for_line(order, SOLD)
    world.pixel(order, session)
    return order


def everything_thrice(world: World, session: str) -> str:
    order = world.place(session, "orders/paid", "orders/create")
    for topic in ("orders/create", "orders/paid"):
        world.webhook(order, topic, session, times=3)
    world.pixel(order, session, times=3)
    world.pixel(order, session)
    return order


@pytest.mark.parametrize("telling", [pixel_first, webhook_first, everything_thrice])
def test_a_sale_is_counted_once_however_it_is_told(world: World, session: str, telling: Telling) -> None:
    order = telling(world, session)
    world.wait_for_line(order, SOLD)
    (purchase,) = world.events(order, "purchase_completed")
    assert purchase["attribution"] == "direct"
    assert len(world.events(order, "checkout_linked")) == 1


def test_news_that_comes_after_the_refund_changes_nothing(world: World, session: str) -> None:
    order = world.place(session)
    world.tell("refunds", order_id=order)
    for topic in ("orders/paid", "orders/create", "orders/paid"):
        world.webhook(order, topic, session)
    world.pixel(order, session)
    world.wait_for_line(order, SENT_BACK)
    world.tell("refunds", order_id=order, units={})
    assert len(world.events(order, "purchase_completed")) == len(world.events(order, "purchase_returned")) == 1


@pytest.mark.parametrize("is_pixel_first", [True, False])
def test_a_session_that_only_the_pixel_names_helps_and_is_no_sale(
    world: World, session: str, is_pixel_first: bool
) -> None:
    order = world.place(None)
    if is_pixel_first:
        world.pixel(order, session)
    world.webhook(order, "orders/create", None)
    world.webhook(order, "orders/paid", None)
    if not is_pixel_first:
        wait_for("the order", lambda: world.line(order), timeout_s=30)
        world.pixel(order, session)
    world.wait_for_line(order, HELPED)
    (purchase,) = world.events(order, "purchase_completed")
    assert purchase["attribution"] == "none"


def test_a_session_typed_in_by_hand_claims_nothing(world: World) -> None:
    order = world.place(str(uuid.uuid4()), "orders/create", "orders/paid")
    world.wait_for_line(order, (0, 0, 1, 1, 0, 2900))
    assert world.events(order, "purchase_completed")[0]["attribution"] == "none"


def test_shopify_keeps_no_secret_of_ours(world: World, demo: Demo) -> None:
    """Whoever can read the shop's metafields and the pixel's settings learns nothing that opens anything."""
    state = world.http.get(world.shopify).json()
    kept = json.dumps([state["app_metafields"], state["pixel"]])
    assert state["app_metafields"]["tryon.enabled"] is True
    app = json.loads((demo.data_dir / "demo-app.json").read_text())
    for secret in (*app.values(), demo.brand["api_key"], "shpat_", "shprt_"):
        assert secret not in kept
