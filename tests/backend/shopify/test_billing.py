"""Successful fittings are charged, each once, and nothing else is."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import update

from backend.demo.fake_shopify.server import FakeTransport
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.billing import METER, Billing, Plans
from backend.shopify.chores import Chore
from backend.shopify.models import ShopifyInstall
from backend.shopify.work_models import ShopifyChore, UsageEvent
from backend.tryons.models import WornGarment
from tests.backend.shopify.scene import Scene


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


async def dress(scene: Scene, session: dict[str, Any], *, key: str | None = "worn.glb") -> None:
    """What the worker's success leaves behind; without a key, its failure."""
    async with scene.database.transaction() as db:
        worn = WornGarment(
            brand_id=scene.brand.id,
            avatar_id=UUID(session["avatar_id"]),
            garment_id=UUID(session["garment_id"]),
            what_sha256="0" * 64,
            is_under_way=False,
            wanted=[],
            worn_key=key,
            polished=[],
            unavailable=[],
            error_code=None if key else "does_not_fit",
            last_used_at=scene.clock.now(),
        )
        db.add(worn)


async def bill(scene: Scene) -> None:
    scene.clock.advance(seconds=10)
    await scene.work.send_bills()


class TestMeter:
    async def test_successful_fitting_is_charged_once(self, scene: Scene, fake: FakeShopify) -> None:
        session = await scene.try_on()
        await dress(scene, session)
        for _ in range(3):
            await bill(scene)
        [charged] = fake.app_events.charged
        assert charged["idempotency_key"] == session["id"]
        assert (charged["event_handle"], charged["shop_id"]) == (METER, str(scene.shop.number))
        assert charged["attributes"] == {"value": 1}
        assert fake.app_events.received == 1
        assert len(charged["idempotency_key"]) <= 64

    async def test_failed_or_unfinished_fitting_is_not(self, scene: Scene, fake: FakeShopify) -> None:
        await scene.try_on()
        await dress(scene, await scene.try_on(), key=None)
        await bill(scene)
        assert (fake.app_events.charged, await scene.rows(UsageEvent)) == ([], [])

    async def test_answer_that_was_lost_is_not_charged_twice(self, scene: Scene, fake: FakeShopify) -> None:
        """The event arrived and nobody said so: sent again under the same key."""
        await dress(scene, await scene.try_on())
        http = scene.app.state.shopify.http
        async with httpx.AsyncClient(transport=Deaf(fake), headers={"User-Agent": "TryOn tests"}) as deaf:
            scene.work.billing.http = deaf
            await bill(scene)
        assert len(fake.app_events.charged) == 1
        [usage] = await scene.rows(UsageEvent)
        assert (usage.state, usage.error_code) == ("waiting", "no_answer")
        scene.work.billing.http = http
        scene.clock.advance(minutes=1)
        await bill(scene)
        assert (len(fake.app_events.charged), fake.app_events.received) == (1, 2)
        assert [one.state for one in await scene.rows(UsageEvent)] == ["sent"]

    async def test_what_may_be_charged_is_not_sent_when_its_key_is_forgotten(
        self, scene: Scene, fake: FakeShopify
    ) -> None:
        """Shopify knows a key for a day; after that the same event would be charged anew."""
        await dress(scene, await scene.try_on())
        http = scene.app.state.shopify.http
        async with httpx.AsyncClient(transport=Deaf(fake), headers={"User-Agent": "TryOn tests"}) as deaf:
            scene.work.billing.http = deaf
            await bill(scene)
        scene.work.billing.http = http
        secret, fake.client_secret = fake.client_secret, "another"
        scene.work.billing._token = None
        scene.clock.advance(minutes=1)
        await bill(scene)
        fake.client_secret = secret
        scene.clock.advance(hours=24)
        await bill(scene)
        assert len(fake.app_events.charged) == 1
        assert [(one.state, one.error_code) for one in await scene.rows(UsageEvent)] == [("refused", "in_doubt")]

    async def test_what_never_arrived_is_sent_however_late(self, scene: Scene, fake: FakeShopify) -> None:
        await dress(scene, await scene.try_on())
        secret, fake.client_secret = fake.client_secret, "another"
        await bill(scene)
        fake.client_secret = secret
        scene.clock.advance(hours=30)
        await bill(scene)
        assert len(fake.app_events.charged) == 1

    async def test_answer_that_is_no_json_ends_the_matter_all_the_same(self, scene: Scene, fake: FakeShopify) -> None:
        for _ in range(2):
            await dress(scene, await scene.try_on())
        await scene.work.billing.collect()

        def billing(request: httpx.Request) -> httpx.Response:
            is_token = request.url.path.endswith("access_token")
            return httpx.Response(200, json={"access_token": "t"}) if is_token else httpx.Response(202)

        async with httpx.AsyncClient(transport=httpx.MockTransport(billing)) as http:
            scene.work.billing.http = http
            await scene.work.billing.send_due()
        assert [one.state for one in await scene.rows(UsageEvent)] == ["sent", "sent"]

    async def test_host_that_is_silent_is_asked_once_in_a_round(self, scene: Scene) -> None:
        """Each try may last for seconds, and webhooks wait behind it."""
        for _ in range(3):
            await dress(scene, await scene.try_on())
        await scene.work.billing.collect()
        asked: list[str] = []

        def silent(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            raise httpx.ConnectTimeout("nobody there", request=request)

        async with httpx.AsyncClient(transport=httpx.MockTransport(silent)) as http:
            scene.work.billing.http = http
            await scene.work.billing.send_due()
        assert len(asked) == 1

    async def test_same_shopper_in_the_same_garment_is_one_fitting(self, scene: Scene, fake: FakeShopify) -> None:
        """What merchants are told on their page: the picture is there, looking at it again is free."""
        shopper = await scene.given.shopper(scene.brand)
        first = await scene.try_on(shopper)
        again = await scene.given.session(
            scene.brand, shopper, garment_id=scene.garment["id"], avatar_id=first["avatar_id"]
        )
        await dress(scene, first)
        await bill(scene)
        scene.clock.advance(minutes=5)
        await scene.given.session(scene.brand, shopper, garment_id=scene.garment["id"], avatar_id=first["avatar_id"])
        await bill(scene)
        assert again["id"] != first["id"]
        assert [one["idempotency_key"] for one in fake.app_events.charged] == [first["id"]]

    async def test_outbox_outlives_a_crash(self, scene: Scene, fake: FakeShopify) -> None:
        await dress(scene, await scene.try_on())
        assert await scene.work.billing.collect() == 1
        shopify = scene.app.state.shopify
        survivor = Billing(scene.database, scene.clock, scene.app.state.settings, shopify.http, shopify.addresses)
        assert [await survivor.collect(), await survivor.send_due()] == [0, 1]
        assert len(fake.app_events.charged) == 1

    async def test_token_that_ran_out_is_fetched_anew(self, scene: Scene, fake: FakeShopify) -> None:
        await dress(scene, await scene.try_on())
        await bill(scene)
        fake.app_events.tokens.clear()
        await dress(scene, await scene.try_on())
        await bill(scene)
        scene.clock.advance(minutes=1)
        await bill(scene)
        assert len(fake.app_events.charged) == 2

    async def test_wrong_credentials_stop_the_round_and_nothing_is_lost(self, scene: Scene, fake: FakeShopify) -> None:
        await dress(scene, await scene.try_on())
        secret, fake.client_secret = fake.client_secret, "another"
        await bill(scene)
        assert [one.error_code for one in await scene.rows(UsageEvent)] == ["billing_refused"]
        fake.client_secret = secret
        scene.clock.advance(minutes=1)
        await bill(scene)
        assert len(fake.app_events.charged) == 1

    async def test_what_shopify_refuses_for_good_is_told_and_not_repeated(
        self, scene: Scene, fake: FakeShopify
    ) -> None:
        await dress(scene, await scene.try_on())
        await scene.work.billing.collect()
        async with scene.database.transaction() as session:
            too_late = scene.clock.now() + timedelta(minutes=9)
            await session.execute(
                update(UsageEvent).where(UsageEvent.brand_id == scene.brand.id).values(happened_at=too_late)
            )
        for _ in range(2):
            await scene.work.billing.send_due()
        assert [(one.state, one.error_code) for one in await scene.rows(UsageEvent)] == [("refused", "not_acceptable")]
        assert fake.app_events.received == 1

    async def test_brand_without_the_app_is_never_charged(self, scene: Scene, fake: FakeShopify) -> None:
        brand = await scene.given.brand()
        session = await scene.given.session(brand, await scene.given.shopper(brand))
        async with scene.database.transaction() as db:
            db.add(
                WornGarment(
                    brand_id=brand.id,
                    avatar_id=UUID(session["avatar_id"]),
                    garment_id=UUID(session["garment_id"]),
                    what_sha256="0" * 64,
                    is_under_way=False,
                    wanted=[],
                    worn_key="worn.glb",
                    polished=[],
                    unavailable=[],
                    last_used_at=scene.clock.now(),
                )
            )
        await bill(scene)
        assert fake.app_events.charged == []


class Deaf(httpx.AsyncBaseTransport):
    """Carries what it is given and brings no answer back."""

    def __init__(self, fake: FakeShopify) -> None:
        self.inner = FakeTransport(fake)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        if request.url.path.endswith("/events"):
            raise httpx.ReadTimeout("no answer", request=request)
        return answer


class TestPlan:
    @pytest.mark.parametrize(("subscription", "is_open"), [({"items": []}, True), (None, False)])
    async def test_closed_plan_is_402_at_the_proxy(self, scene: Scene, subscription: Any, is_open: bool) -> None:
        settings = msgspec.structs.replace(
            scene.app.state.settings,
            shopify_partner_organization="1",
            shopify_partner_app_gid="gid://partners/App/1",
            shopify_partner_token="prtapi_token-of-the-tests",
        )
        asked: list[dict[str, Any]] = []

        def partners(request: httpx.Request) -> httpx.Response:
            asked.append(json.loads(request.content) | {"url": str(request.url)})
            return httpx.Response(200, json={"data": {"activeSubscription": subscription}})

        async with httpx.AsyncClient(transport=httpx.MockTransport(partners)) as http:
            plans = Plans(scene.database, scene.clock, settings, http)
            await plans.read_plan(Chore(UUID(int=1), scene.brand.id, scene.shop.domain, "read_plan", {}))
        assert asked[0]["variables"] == {
            "appId": "gid://partners/App/1",
            "shopId": f"gid://shopify/Shop/{scene.shop.number}",
        }
        assert asked[0]["url"].startswith("https://partners.shopify.com/1/api/")
        [install] = await scene.rows(ShopifyInstall)
        assert install.is_plan_open is is_open
        parameters = {"product_id": "7001", "variant_id": "1", "locale": "en", "origin": f"https://{scene.shop.domain}"}
        query = scene.fake.proxy_query(scene.shop.domain, parameters | {"n": "0" * 32})
        answer = await scene.http.post(f"/proxy/session?{query}")
        assert answer.status_code == (200 if is_open else 402), answer.text
        assert is_open or answer.json()["code"] == "plan_limit"

    async def test_button_goes_with_the_plan_and_comes_back_with_it(self, scene: Scene, fake: FakeShopify) -> None:
        """What the merchant's page says: shoppers do not see it until a plan is chosen."""
        plans = Plans(scene.database, scene.clock, scene.app.state.settings, scene.app.state.shopify.http)
        for is_open in (False, True):
            await plans.open_plan(scene.brand.id, is_open=is_open)
            await scene.work.chores.run_due()
            assert json.loads(scene.shop.metafields[("tryon", "enabled")]["value"]) is is_open

    async def test_merchant_who_looks_at_a_closed_plan_has_it_read_anew(self, scene: Scene, fake: FakeShopify) -> None:
        """A plan was just chosen on Shopify's page; the night is far."""
        await scene.work.look_round()
        await scene.work.chores.run_due()
        plans = Plans(scene.database, scene.clock, scene.app.state.settings, scene.app.state.shopify.http)
        for is_open in (True, False):
            await plans.open_plan(scene.brand.id, is_open=is_open)
            headers = {"Authorization": f"Bearer {fake.session_token(scene.shop.domain)}"}
            answer = await scene.http.get("/admin/api/plan", headers=headers)
            assert answer.json()["is_open"] is is_open
            [chore] = [one for one in await scene.rows(ShopifyChore) if one.kind == "read_plan"]
            assert (chore.due_at <= scene.clock.now()) is not is_open

    async def test_without_a_partner_account_every_plan_is_open(self, scene: Scene) -> None:
        await scene.work.look_round()
        await scene.work.chores.run_due()
        [install] = await scene.rows(ShopifyInstall)
        assert install.is_plan_open
