"""From an order's webhook to the book of record and the events, whatever comes when and how often."""

import itertools
import uuid
from typing import Any

import httpx
import pytest
from litestar import Litestar

from backend.demo.fake_shopify.orders import Order
from backend.demo.fake_shopify.shop import Fault
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.order_models import Order as OrderRow
from tests.backend.shopify.conftest import SHOP_B
from tests.backend.shopify.scene import OTHER_PRODUCT, PRODUCT, Scene, session_id, set_the_scene
from tests.fakes import HandClock


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


async def fates(scene: Scene) -> list[tuple[str, str | None]]:
    return [(row.state, row.error_code) for row in await scene.rows(WebhookDelivery)]


class TestAttribution:
    async def test_tried_on_and_bought_is_credited_once(self, scene: Scene) -> None:
        session = await scene.try_on()
        scene.clock.advance(minutes=5)
        order = scene.place(session["id"], quantity=2)
        await scene.hear_of(order, "orders/create")
        await scene.hear_of(order, "orders/paid")
        assert session["fit_result"]["recommended_size"] is not None
        [line] = await scene.lines()
        assert (line.is_direct, line.is_assisted, line.property_fault) == (True, False, None)
        assert (line.session_id, line.quantity, line.kept_units) == (session_id(session), 2, 2)
        assert (line.gross_minor, line.net_minor) == (5800, 5800)
        [bought] = await scene.events("purchase_completed")
        assert (bought.source, bought.session_id, bought.user_id) == ("S", session_id(session), line.user_id)
        assert bought.payload == {
            "order_id": str(order.id),
            "line_id": str(order.lines[0].id),
            "garment_id": scene.garment["id"],
            "size": "M",
            "quantity": 2,
            "net_minor": 5800,
            "currency": "EUR",
            "attribution": "direct",
            "followed": session["fit_result"]["recommended_size"] == "M",
        }

    async def test_sessions_that_never_touched_the_widget_are_never_claimed(self, scene: Scene) -> None:
        await scene.try_on()
        await scene.hear_of(scene.place(None))
        [line] = await scene.lines()
        assert (line.is_direct, line.is_assisted, line.session_id, line.user_id) == (False, False, None, None)
        [bought] = await scene.events("purchase_completed")
        assert (bought.payload["attribution"], bought.session_id, bought.user_id) == ("none", None, None)

    async def test_bad_property_is_counted_and_ignored(self, scene: Scene) -> None:
        faults = {
            "typed": "not_an_id",
            "unknown": "unknown_session",
            "another brand's": "unknown_session",
            "another product's": "other_product",
            "later": "session_later",
            "too old": "session_too_old",
        }
        orders = {what: await self._order_with(scene, what) for what in faults}
        for order in orders.values():
            await scene.hear_of(order)
        lines = {line.line_ref: line for line in await scene.lines()}
        found = {what: lines[str(order.lines[0].id)] for what, order in orders.items()}
        assert {what: line.property_fault for what, line in found.items()} == faults
        assert {(line.is_direct, line.session_id) for line in found.values()} == {(False, None)}
        bought = await scene.events("purchase_completed")
        assert {(one.payload["attribution"], one.session_id) for one in bought} == {("none", None)}
        assert len(bought) == len(faults)

    async def _order_with(self, scene: Scene, what: str) -> Order:
        match what:
            case "typed":
                value = "'; DROP TABLE orders; --"
            case "unknown":
                value = str(uuid.uuid4())
            case "another brand's":
                other = await set_the_scene(scene.app, scene.http, scene.fake, scene.clock, SHOP_B)
                value = (await other.try_on())["id"]
            case "another product's":
                skirt = await scene.given.garment(scene.brand, name="Skirt", shopify_product_id=OTHER_PRODUCT)
                value = (await scene.try_on(garment_id=skirt["id"]))["id"]
            case "later":
                order = scene.place("")
                scene.clock.advance(seconds=1)
                value = (await scene.try_on())["id"]
                order.lines[0].properties["_tryon_session"] = value
                return order
            case _:
                value = (await scene.try_on())["id"]
                scene.clock.advance(days=30, seconds=1)
        return scene.place(value)

    async def test_test_orders_are_excluded(self, scene: Scene) -> None:
        session = await scene.try_on()
        await scene.hear_of(scene.place(session["id"], test=True))
        assert await scene.rows(OrderRow) == []
        assert await scene.events("purchase_completed") == []

    async def test_unpaid_is_kept_and_not_yet_a_purchase(self, scene: Scene) -> None:
        order = scene.place((await scene.try_on())["id"])
        order.is_paid = False
        await scene.hear_of(order, "orders/create")
        assert len(await scene.lines()) == 1
        assert await scene.events("purchase_completed") == []
        order.is_paid, order.updated_at = True, scene.clock.advance(days=2)
        await scene.hear_of(order, "orders/paid")
        assert len(await scene.events("purchase_completed")) == 1

    async def test_credit_once_given_outlives_the_shopper(self, scene: Scene) -> None:
        """Erased people leave their sale, and no id."""
        shopper = await scene.given.shopper(scene.brand)
        session = await scene.try_on(shopper)
        order = scene.place(session["id"])
        await scene.hear_of(order)
        avatar = session["avatar_id"]
        gone = await scene.http.delete(f"/v1/avatars/{avatar}", headers=shopper.headers)
        assert gone.is_success
        [line] = await scene.lines()
        assert (line.is_direct, line.session_id, line.user_id) == (True, None, None)
        order.updated_at = scene.clock.advance(hours=1)
        await scene.hear_of(order, "orders/edited")
        [line] = await scene.lines()
        assert (line.is_direct, line.property_fault, line.session_id) == (True, None, None)
        assert len(await scene.events("purchase_completed")) == 1


class TestWhatIsRead:
    async def test_order_without_anything_of_ours_is_dropped_unread(self, scene: Scene) -> None:
        before = len(scene.shop.requests)
        await scene.hear_of(scene.place(None, product_id=9999))
        assert (await fates(scene), len(scene.shop.requests) - before) == ([("ignored", "nothing_of_ours")], 0)
        assert await scene.rows(OrderRow) == []

    async def test_only_our_lines_of_a_mixed_order_are_kept(self, scene: Scene) -> None:
        order = scene.place(None, None)
        order.lines[1].product_id = 9999
        await scene.hear_of(order)
        assert [line.product_id for line in await scene.lines()] == [PRODUCT]

    async def test_order_of_many_lines_is_read_whole(self, scene: Scene) -> None:
        await scene.hear_of(scene.place(*[None] * 230))
        assert len(await scene.lines()) == 230

    async def test_invented_order_is_not_found(self, scene: Scene) -> None:
        order = scene.place((await scene.try_on())["id"])
        del scene.shop.desk.orders[order.id]
        await scene.hear_of(order)
        assert await fates(scene) == [("ignored", "not_found")]

    async def test_nothing_is_asked_that_names_a_customer(self, scene: Scene) -> None:
        await scene.hear_of(scene.place((await scene.try_on())["id"]))
        said = " ".join(request["query"] for request in scene.shop.requests).lower()
        assert not any(word in said for word in ("customer", "email", "phone", "address", "firstname"))

    @pytest.mark.parametrize("fault", [Fault("status", 503), Fault("network"), Fault("status", 500)])
    async def test_shopify_down_is_tried_again_later(self, scene: Scene, fault: Fault) -> None:
        session = await scene.try_on()
        scene.shop.faults.extend([fault] * 4)
        await scene.hear_of(scene.place(session["id"]))
        assert await fates(scene) == [("new", "shopify_unavailable")]
        scene.clock.advance(minutes=1)
        await scene.work_off()
        assert await fates(scene) == [("done", None)]

    async def test_older_news_never_replaces_newer(self, scene: Scene) -> None:
        order = scene.place((await scene.try_on())["id"])
        stale = scene.clock.now()
        scene.clock.advance(hours=2)
        scene.shop.desk.refund(order, {order.lines[0].id: 1}, scene.clock.now())
        await scene.hear_of(order, "orders/create")
        order.updated_at, order.refunds, order.lines[0].gone = stale, [], 0
        await scene.hear_of(order, "orders/paid")
        [line] = await scene.lines()
        assert (line.returned_units, line.kept_units) == (1, 0)


class TestAnyOrder:
    """Webhooks and pixel in every order, doubled and late: the same book, each event once."""

    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(f"{request.param}_database"))

    @pytest.mark.parametrize("order_of_news", list(itertools.permutations(("webhook", "pixel", "refund"))))
    async def test_pixel_webhook_and_refund(self, scene: Scene, order_of_news: tuple[str, ...]) -> None:
        direct, assisted = await scene.try_on(), await scene.try_on()
        order = scene.place(direct["id"], None)
        bought, also = order.lines
        scene.clock.advance(minutes=1)
        for news in order_of_news:
            for _ in range(2):
                await self._tell(scene, order, news, assisted)
            scene.clock.advance(hours=5)
        await scene.hear_of(order, "orders/edited")
        lines = {line.line_ref: line for line in await scene.lines()}
        one, two = lines[str(bought.id)], lines[str(also.id)]
        assert (one.is_direct, one.is_assisted, one.session_id) == (True, False, session_id(direct))
        assert (two.is_direct, two.is_assisted, two.session_id) == (False, True, session_id(assisted))
        assert (one.returned_units, one.kept_units, two.kept_units) == (1, 0, 1)
        purchases = await scene.events("purchase_completed")
        assert sorted(str(event.payload["attribution"]) for event in purchases) == ["direct", "none"]
        assert len(await scene.events("purchase_returned")) == 1
        assert len(await scene.events("checkout_linked")) == 1

    async def _tell(self, scene: Scene, order: Order, news: str, assisted: dict[str, Any]) -> None:
        desk = scene.shop.desk
        if news == "webhook":
            await scene.hear_of(order, "orders/create")
            await scene.hear_of(order, "orders/paid")
        elif news == "refund":
            refund = (
                order.refunds[0] if order.refunds else desk.refund(order, {order.lines[0].id: 1}, scene.clock.now())
            )
            await scene.tell("refunds/create", desk.refund_payload(order, refund))
        else:
            event = {
                "id": str(uuid.uuid4()),
                "type": "checkout_linked",
                "session_id": assisted["id"],
                "metadata": {"order_id": str(order.id)},
            }
            assert (await scene.pixel(event)).status_code == 202

    async def test_lost_webhooks_heal_in_a_day(self, scene: Scene) -> None:
        order = scene.place((await scene.try_on())["id"])
        scene.place(None, product_id=9999)
        scene.clock.advance(hours=30)
        await scene.work.look_round()
        await scene.work.chores.run_due()
        [line] = await scene.lines()
        assert (line.is_direct, line.line_ref) == (True, str(order.lines[0].id))
        assert len(await scene.events("purchase_completed")) == 1
        scene.clock.advance(hours=24)
        await scene.work.chores.run_due()
        assert len(await scene.events("purchase_completed")) == 1

    async def test_what_happened_while_no_token_was_usable_is_made_good(self, scene: Scene) -> None:
        """Webhooks of that time are given up after a day; the look back reaches to the last that succeeded."""
        await scene.work.look_round()
        await scene.work.chores.run_due()
        scene.shop.revoke_tokens()
        scene.clock.advance(days=1)
        order = scene.place((await scene.try_on())["id"])
        scene.clock.advance(days=9)
        await scene.work.chores.run_due()
        assert await scene.lines() == []
        for _ in range(2):
            token = scene.fake.session_token(scene.shop.domain)
            await scene.http.get("/admin", params={"id_token": token})
        scene.clock.advance(hours=3)
        await scene.work.chores.run_due()
        assert [line.line_ref for line in await scene.lines()] == [str(order.lines[0].id)]


class TestTwoShops:
    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(f"{request.param}_database"))

    async def test_at_once_they_never_meet(
        self, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock, scene: Scene
    ) -> None:
        """The same order number in two shops, worked on together: each in its own brand's book."""
        other = await set_the_scene(app, http, fake, clock, SHOP_B)
        mine, theirs = scene.place((await scene.try_on())["id"]), other.place((await other.try_on())["id"], quantity=5)
        theirs.id = mine.id
        other.shop.desk.orders[mine.id] = theirs
        for one, order in ((scene, mine), (other, theirs)):
            payload = one.shop.desk.order_payload(order)
            await fake.webhooks.send(http, fake.webhooks.make("orders/paid", one.shop.domain, payload))
        await scene.work_off()
        assert {(line.brand_id, line.quantity) for line in await scene.lines()} == {
            (scene.brand.id, 1),
            (other.brand.id, 5),
        }
        assert {request["token"] for request in scene.shop.requests}.isdisjoint(
            {request["token"] for request in other.shop.requests}
        )
