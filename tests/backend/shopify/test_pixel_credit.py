"""What the web pixel may be believed: that a try-on helped, and nothing else."""

import uuid
from typing import Any

import httpx
import pytest

from backend.demo.fake_shopify.orders import Order
from backend.shopify import pixel_tokens
from backend.shopify.order_models import Order as OrderRow
from tests.backend.shopify.conftest import SHOP_B
from tests.backend.shopify.scene import Scene, set_the_scene


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


class TestPixel:
    async def _linked(self, scene: Scene, order: Order, session: dict[str, Any], **how: Any) -> httpx.Response:
        event = {
            "id": str(uuid.uuid4()),
            "type": "checkout_linked",
            "session_id": session["id"],
            "metadata": {"order_id": str(order.id)},
        }
        return await scene.pixel(event, **how)

    async def test_seven_days_and_no_more(self, scene: Scene) -> None:
        session = await scene.try_on()
        scene.clock.advance(days=7, seconds=1)
        order = scene.place(None)
        await self._linked(scene, order, session)
        await scene.hear_of(order)
        [line] = await scene.lines()
        assert not line.is_assisted

    async def test_pixel_alone_never_makes_a_purchase(self, scene: Scene) -> None:
        order = scene.place(None)
        forged = [
            {"id": str(uuid.uuid4()), "type": kind, "metadata": {"order_id": "1", "line_id": "1", "net_minor": 1}}
            for kind in ("purchase_completed", "purchase_returned", "avatar_created", "size_recommended")
        ]
        answer = await scene.pixel(*forged)
        assert {one["code"] for one in answer.json()["rejected"]} == {"type_not_allowed"}
        await self._linked(scene, order, await scene.try_on())
        assert await scene.rows(OrderRow) == []
        assert await scene.events("purchase_completed") == []

    async def test_anothers_session_is_unknown(self, scene: Scene) -> None:
        other = await set_the_scene(scene.app, scene.http, scene.fake, scene.clock, SHOP_B)
        answer = await self._linked(scene, scene.place(None), await other.try_on())
        assert answer.json()["rejected"] == [{"index": 0, "code": "unknown_session"}]

    async def test_forged_token_is_refused(self, scene: Scene) -> None:
        order, session = scene.place(None), await scene.try_on()
        for token in ("px_", f"px_{'0' * 32}_{'0' * 32}", f"px_{scene.install.id.hex}_{'0' * 32}", "garbage"):
            assert (await self._linked(scene, order, session, token=token)).status_code == 401, token

    async def test_token_opens_nothing_else(self, scene: Scene) -> None:
        token = pixel_tokens.issue(scene.app.state.settings.token_signing_key, scene.install.id)
        headers = {"Authorization": f"Bearer {token}"}
        for path in ("/v1/garments", "/v1/analytics/funnel"):
            assert (await scene.http.get(path, headers=headers)).status_code == 401
        assert (await scene.http.post("/v1/events", headers=headers, json={"events": []})).status_code == 401

    async def test_shop_without_the_app_is_not_heard(self, scene: Scene) -> None:
        order, session = scene.place(None), await scene.try_on()
        scene.shop.uninstall()
        await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})
        assert (await self._linked(scene, order, session)).status_code == 401
