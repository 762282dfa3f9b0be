"""What an order's lines are worth, and what counts as come back, cancelled or kept."""

from typing import Any

import pytest

from backend.demo.fake_shopify.orders import Order
from tests.backend.shopify.scene import Scene


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


class TestMoney:
    async def test_gross_counts_codes_and_net_all_discounts(self, scene: Scene) -> None:
        order = scene.place(
            None, quantity=2, price="50.00", line_discount="10.00", code_discount="5.00", order_discount="15.00"
        )
        await scene.hear_of(order)
        [line] = await scene.lines()
        assert (line.gross_minor, line.net_minor) == (8500, 7000)

    async def test_net_is_without_refunded_units(self, scene: Scene) -> None:
        order = scene.place(None, quantity=2)
        scene.shop.desk.refund(order, {order.lines[0].id: 1}, scene.clock.now())
        await scene.hear_of(order)
        [line] = await scene.lines()
        assert (line.gross_minor, line.net_minor, line.kept_units) == (5800, 2900, 1)

    async def test_currency_without_minor_units(self, scene: Scene) -> None:
        scene.shop.currency = "JPY"
        await scene.hear_of(scene.place(None, price="2900"))
        [line] = await scene.lines()
        assert line.net_minor == 2900


class TestReturns:
    """The table of what counts as what."""

    @pytest.fixture
    async def order(self, scene: Scene) -> Order:
        order = scene.place((await scene.try_on())["id"], quantity=3)
        await scene.hear_of(order)
        scene.clock.advance(days=3)
        return order

    async def _line(self, scene: Scene, order: Order, topic: str, payload: dict[str, Any]) -> Any:
        await scene.tell(topic, payload)
        [line] = await scene.lines()
        return line

    async def test_return_counts_by_its_status(self, scene: Scene) -> None:
        counted = {"OPEN": 1, "CLOSED": 1, "REQUESTED": 0, "DECLINED": 0, "CANCELED": 0}
        desk = scene.shop.desk
        for status, units in counted.items():
            order = scene.place(None, quantity=3)
            await scene.hear_of(order)
            back = desk.send_back(order, {order.lines[0].id: 1}, "too-small", scene.clock.now(), status)
            await scene.tell("returns/update", desk.return_payload(order, back))
            [line] = [one for one in await scene.lines() if one.line_ref == str(order.lines[0].id)]
            assert (line.returned_units, line.kept_units) == (units, 3 - units), status
        assert len(await scene.events("purchase_returned")) == 2

    async def test_reason_is_kept_raw_and_classed(self, scene: Scene) -> None:
        classes = {
            "too-small": "too_small",
            "too-tight": "too_small",
            "too-big": "too_large",
            "color-too-bright": "look",
            "quality": "quality",
            "changed-my-mind": "changed_mind",
            "sleeves-too-long": "fit_other",
            "something-new": "other",
        }
        order = scene.place(None, quantity=16)
        for handle in classes:
            scene.shop.desk.send_back(order, {order.lines[0].id: 2}, handle, scene.clock.now())
        await scene.hear_of(order)
        assert {one.handle: one.reason for one in await scene.returns()} == classes
        assert {one.quantity for one in await scene.returns()} == {2}
        told = await scene.events("purchase_returned")
        assert sorted(str(one.payload["reason"]) for one in told) == sorted(classes.values())

    async def test_refund_of_a_return_is_the_same_units(self, scene: Scene, order: Order) -> None:
        desk, line_id = scene.shop.desk, order.lines[0].id
        back = desk.send_back(order, {line_id: 1}, "too-small", scene.clock.now())
        await self._line(scene, order, "returns/approve", desk.return_payload(order, back))
        refund = desk.refund(order, {line_id: 1}, scene.clock.advance(days=1), return_id=back.id)
        line = await self._line(scene, order, "refunds/create", desk.refund_payload(order, refund))
        assert (line.returned_units, line.kept_units, line.net_minor) == (1, 2, 5800)
        assert len(await scene.events("purchase_returned")) == 1

    async def test_refund_without_a_return_counts_by_its_kind(self, scene: Scene) -> None:
        kinds = {"RETURN": (1, 0, 0), "LEGACY_RESTOCK": (1, 0, 0), "CANCEL": (0, 1, 0), "NO_RESTOCK": (0, 0, 1)}
        desk = scene.shop.desk
        for kind, counted in kinds.items():
            order = scene.place(None, quantity=3)
            await scene.hear_of(order)
            refund = desk.refund(order, {order.lines[0].id: 1}, scene.clock.now(), restock_type=kind)
            await scene.tell("refunds/create", desk.refund_payload(order, refund))
            [line] = [one for one in await scene.lines() if one.line_ref == str(order.lines[0].id)]
            assert (line.returned_units, line.cancelled_units, line.refund_only_units) == counted, kind
        assert [one.payload["reason"] for one in await scene.events("purchase_returned")] == ["unknown"] * 2
        assert len(await scene.events("purchase_cancelled")) == 1

    async def test_cancelled_order_is_no_return(self, scene: Scene, order: Order) -> None:
        scene.shop.desk.cancel(order, scene.clock.now())
        line = await self._line(scene, order, "orders/cancelled", scene.shop.desk.order_payload(order))
        assert (line.returned_units, line.cancelled_units, line.kept_units) == (0, 3, 0)
        assert await scene.events("purchase_returned") == []

    async def test_return_called_off_is_gone_again(self, scene: Scene, order: Order) -> None:
        desk = scene.shop.desk
        back = desk.send_back(order, {order.lines[0].id: 1}, "style", scene.clock.now())
        await self._line(scene, order, "returns/approve", desk.return_payload(order, back))
        back.status, order.updated_at = "CANCELED", scene.clock.advance(hours=1)
        line = await self._line(scene, order, "returns/cancel", desk.return_payload(order, back))
        assert (line.returned_units, line.kept_units, await scene.returns()) == (0, 3, [])

    async def test_line_stays_in_the_book_when_its_garment_is_deleted(self, scene: Scene) -> None:
        order = scene.place(None)
        await scene.hear_of(order)
        gone = await scene.http.delete(f"/v1/garments/{scene.garment['id']}", headers=scene.brand.headers)
        assert gone.status_code == 204
        scene.clock.advance(days=3)
        await self._refund(scene, order)
        [line] = await scene.lines()
        assert (line.returned_units, line.kept_units, line.net_minor) == (1, 0, 0)

    async def _refund(self, scene: Scene, order: Order) -> None:
        desk = scene.shop.desk
        refund = desk.refund(order, {order.lines[0].id: 1}, scene.clock.now())
        await scene.tell("refunds/create", desk.refund_payload(order, refund))

    async def test_return_that_does_not_name_its_order_is_asked_for(self, scene: Scene, order: Order) -> None:
        desk = scene.shop.desk
        back = desk.send_back(order, {order.lines[0].id: 1}, "style", scene.clock.now())
        payload = desk.return_payload(order, back)
        del payload["order"]
        line = await self._line(scene, order, "returns/approve", payload)
        assert line.returned_units == 1
