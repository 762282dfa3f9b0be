"""Rights of people and shops: done once, proven by a receipt, and nothing is left."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import func, select, text

from backend.brands.models import Brand
from backend.core.db import Base
from backend.core.problems import InvalidRequest
from backend.core.storage import AVATARS, BUCKETS, PHOTOS, ObjectStore
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.commands import compile_data, say_uninstalled
from backend.shopify.customers import customer_ref
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.inbox_work import Outcome
from backend.shopify.models import ShopifyInstall
from backend.shopify.topics import Kind
from backend.shoppers.models import Shopper
from tests.backend.shopify.conftest import SHOP_B
from tests.backend.shopify.scene import Scene, session_id, set_the_scene
from tests.factories import GivenShopper
from tests.fakes import HandClock

CUSTOMER = 8001


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


async def a_customer(scene: Scene, customer_id: int = CUSTOMER) -> GivenShopper:
    """A shopper who was logged in to the shop."""
    async with scene.database.transaction() as session:
        brand = await session.get_one(Brand, scene.brand.id)
    return await scene.given.shopper(scene.brand, customer_ref(brand.cache_secret, str(customer_id)))


async def receipts(scene: Scene) -> list[Any]:
    return [row.receipt for row in await scene.rows(WebhookDelivery) if row.receipt is not None]


def redaction(scene: Scene, *, orders: tuple[int, ...] = (), customer_id: int = CUSTOMER) -> dict[str, Any]:
    return {
        "shop_id": scene.shop.number,
        "shop_domain": scene.shop.domain,
        "customer": {"id": customer_id, "email": "ada@example.com", "phone": "+4511111111"},
        "orders_to_redact": list(orders),
    }


async def objects(store: ObjectStore) -> list[str]:
    return [f"{bucket}/{one.key}" for bucket in BUCKETS async for one in store.list(bucket, "")]


async def mentions(scene: Scene, *ids: object) -> list[str]:
    """Tables in which any of the ids stands in any column, whatever its type."""
    needles = {str(one).replace("-", "") for one in ids}
    found = []
    async with scene.database.transaction(read_only=True) as session:
        for table in Base.metadata.sorted_tables:
            rows = await session.execute(text(f"SELECT * FROM {table.name}"))
            said = " ".join(str(tuple(row)) for row in rows).replace("-", "")
            found += [table.name for needle in needles if needle in said]
    return sorted(set(found))


class TestCustomerRedact:
    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(f"{request.param}_database"))

    async def test_leaves_no_row_and_no_object(self, scene: Scene, app: Litestar) -> None:
        shopper = await a_customer(scene)
        await scene.given.avatar_with_photo(shopper)
        session = await scene.try_on(shopper)
        order = scene.place(session["id"])
        await scene.hear_of(order)
        assert any(str(shopper.id) in key for key in await objects(app.state.store))
        before = await mentions(scene, shopper.id, session["id"])
        assert {"users", "consents", "tryon_sessions", "order_lines", "events"} <= set(before)
        await scene.tell("customers/redact", redaction(scene))
        left = await mentions(scene, shopper.id, session["id"])
        assert set(left) <= {"erasures"}, "only the orders to delete objects, which are its proof"
        assert not any(str(shopper.id) in key for key in await objects(app.state.store))
        [receipt] = await receipts(scene)
        assert (receipt["outcome"], receipt["shoppers"]) == ("erased", 1)

    async def test_finds_guests_by_the_orders_to_redact(self, scene: Scene) -> None:
        guest = await scene.given.shopper(scene.brand)
        session = await scene.try_on(guest)
        order = scene.place(session["id"])
        await scene.hear_of(order)
        await scene.tell("customers/redact", redaction(scene, orders=(order.id,), customer_id=1))
        assert set(await mentions(scene, guest.id, session["id"], order.id)) <= {"erasures"}
        [receipt] = await receipts(scene)
        assert (receipt["shoppers"], receipt["orders"]) == (1, 1)

    async def test_neighbours_stay(self, scene: Scene) -> None:
        neighbour = await a_customer(scene, 8002)
        session = await scene.try_on(neighbour)
        await scene.tell("customers/redact", redaction(scene))
        kept = await scene.http.get(f"/v1/tryon-sessions/{session['id']}", headers=neighbour.headers)
        assert kept.status_code == 200

    async def test_same_customer_of_another_shop_stays(
        self, scene: Scene, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock
    ) -> None:
        other = await set_the_scene(app, http, fake, clock, SHOP_B)
        theirs = await a_customer(other)
        await a_customer(scene)
        await scene.tell("customers/redact", redaction(scene))
        assert [one.id for one in await scene.rows(Shopper)] == [theirs.id]

    async def test_twice_is_once_with_two_receipts(self, scene: Scene) -> None:
        await a_customer(scene)
        for _ in range(2):
            await scene.tell("customers/redact", redaction(scene))
        assert [receipt["outcome"] for receipt in await receipts(scene)] == ["erased", "nothing_held"]

    async def test_receipt_outlives_a_fault_between_rows_and_objects(self, scene: Scene) -> None:
        shopper = await a_customer(scene)
        await scene.given.avatar_with_photo(shopper)
        compliance = scene.work.inbox.handlers["compliance"].__self__  # type: ignore[index,attr-defined]
        compliance.eraser, eraser = None, compliance.eraser
        await scene.tell("customers/redact", redaction(scene))
        compliance.eraser = eraser
        scene.clock.advance(minutes=1)
        await scene.work_off()
        [receipt] = await receipts(scene)
        assert (receipt["outcome"], receipt["shoppers"]) == ("erased", 1)
        assert not any(str(shopper.id) in key for key in await objects(compliance.store))

    async def test_tokens_of_the_redacted_are_void(self, scene: Scene) -> None:
        shopper = await a_customer(scene)
        await scene.tell("customers/redact", redaction(scene))
        assert (await scene.http.get(f"/v1/avatars/{UUID(int=1)}", headers=shopper.headers)).status_code == 401

    async def test_receipt_names_nobody(self, scene: Scene) -> None:
        await a_customer(scene)
        await scene.tell("customers/redact", redaction(scene))
        [row] = await scene.rows(WebhookDelivery)
        assert row.body is None
        assert "ada" not in str(row.receipt)
        assert str(CUSTOMER) not in str(row.receipt)


class TestDataRequest:
    async def test_names_what_is_held_and_copies_nothing(self, scene: Scene) -> None:
        shopper = await a_customer(scene)
        order = scene.place((await scene.try_on(shopper))["id"])
        await scene.hear_of(order)
        body = redaction(scene) | {"orders_requested": [order.id], "data_request": {"id": 1}}
        await scene.tell("customers/data_request", body)
        [receipt] = await receipts(scene)
        assert (receipt["outcome"], receipt["user_ids"]) == ("compiled", [str(shopper.id)])
        assert receipt["order_refs"] == [str(order.id)]
        assert "measurements" not in str(receipt)

    async def test_everything_that_is_held_is_handed_out(self, scene: Scene) -> None:
        shopper = await a_customer(scene)
        session = await scene.try_on(shopper)
        order = scene.place(session["id"])
        await scene.hear_of(order)
        await scene.tell("customers/data_request", redaction(scene) | {"orders_requested": [order.id]})
        [row] = [one for one in await scene.rows(WebhookDelivery) if one.topic == "customers/data_request"]
        held = await compile_data(scene.app.state.settings, row.webhook_id)
        [person], [bought] = held["shoppers"], held["orders"]
        assert person["stated"]["height_cm"] == 178
        assert [one["id"] for one in person["try_ons"]] == [session_id(session)]
        assert {"tryon_started", "purchase_completed"} <= {one["what"] for one in person["events"]}
        assert (bought["ordered_at"], bought["currency"]) == (order.created_at, "EUR")
        assert (bought["lines"][0]["net_minor"], bought["lines"][0]["recommended_size"]) == (2900, "M")

    async def test_whom_it_was_about_goes_with_the_person(self, scene: Scene) -> None:
        shopper = await a_customer(scene)
        order = scene.place((await scene.try_on(shopper))["id"])
        await scene.hear_of(order)
        await scene.tell("customers/data_request", redaction(scene) | {"orders_requested": [order.id]})
        await scene.tell("customers/redact", redaction(scene, orders=(order.id,)))
        assert set(await mentions(scene, shopper.id, order.id)) <= {"erasures"}
        assert [receipt["outcome"] for receipt in await receipts(scene)] == ["compiled", "erased"]

    async def test_of_a_stranger_says_so(self, scene: Scene) -> None:
        await scene.tell("customers/data_request", redaction(scene, customer_id=1))
        assert [receipt["outcome"] for receipt in await receipts(scene)] == ["nothing_held"]


class TestShopRedact:
    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(f"{request.param}_database"))

    async def test_erases_everything_of_the_shop_and_nothing_of_others(
        self, scene: Scene, app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock
    ) -> None:
        other = await set_the_scene(app, http, fake, clock, SHOP_B)
        theirs = await other.given.shopper(other.brand)
        await other.given.avatar_with_photo(theirs)
        shopper = await a_customer(scene)
        await scene.given.avatar_with_photo(shopper)
        await scene.hear_of(scene.place((await scene.try_on(shopper))["id"]))
        store: ObjectStore = app.state.store
        kept = [key for key in await objects(store) if str(other.brand.id) in key]
        await self._uninstall(scene)
        clock.advance(hours=48)
        await scene.tell("shop/redact", {"shop_id": 1, "shop_domain": scene.shop.domain})
        assert await mentions(scene, scene.brand.id) == ["webhook_inbox"]
        assert await objects(store) == kept
        assert kept
        assert await self._counts(scene, other) > 0
        await self._late_upload(store, scene)
        clock.advance(minutes=126)
        await scene.work_off()
        assert await objects(store) == kept
        [receipt] = await receipts(scene)
        assert (receipt["outcome"], receipt["brand_id"]) == ("erased", str(scene.brand.id))
        assert receipt["rows"] > 5
        assert receipt["objects"] >= 2
        assert [row.state for row in await scene.rows(WebhookDelivery)][-1] == "done"

    async def test_leaves_nobodys_name_in_the_inbox(self, scene: Scene, app: Litestar) -> None:
        """Not in a right that could not be granted, nor in whom a data request was about."""
        shopper = await a_customer(scene)
        await scene.tell("customers/data_request", redaction(scene))
        handlers = scene.work.inbox.handlers

        async def broken(delivery: WebhookDelivery, body: dict[str, object] | None) -> Outcome:
            raise ConnectionError(delivery.topic, body)

        scene.work.inbox.handlers = {**handlers, Kind.COMPLIANCE: broken}
        hook = scene.fake.webhooks.make("customers/redact", scene.shop.domain, redaction(scene))
        await scene.fake.webhooks.send(scene.http, hook)
        for _ in range(8):
            await scene.work_off()
            scene.clock.advance(hours=12)
        scene.work.inbox.handlers = handlers
        assert "dead" in {row.state for row in await scene.rows(WebhookDelivery)}
        await self._uninstall(scene)
        await scene.tell("shop/redact", {"shop_id": 1, "shop_domain": scene.shop.domain})
        rows = await scene.rows(WebhookDelivery)
        assert {row.body for row in rows if row.topic != "shop/redact"} <= {None}
        assert str(shopper.id) not in str([row.receipt for row in rows])

    async def test_of_an_installed_app_is_refused_and_alarmed(self, scene: Scene) -> None:
        """A replay, or a header somebody wrote: the app is there, and its token works."""
        await scene.tell("shop/redact", {"shop_id": 1, "shop_domain": scene.shop.domain})
        assert [receipt["outcome"] for receipt in await receipts(scene)] == ["refused_app_is_installed"]
        assert len(await scene.rows(ShopifyInstall)) == 1

    async def test_shop_that_may_have_come_back_is_left_to_an_operator(self, scene: Scene) -> None:
        scene.shop.revoke_tokens()
        await scene.tell("shop/redact", {"shop_id": 1, "shop_domain": scene.shop.domain})
        [row] = await scene.rows(WebhookDelivery)
        assert (row.state, row.error_code) == ("new", "StillInDoubt")
        assert len(await scene.rows(Brand)) == 1

    async def test_operator_who_knows_better_ends_the_doubt(self, scene: Scene) -> None:
        """News of the uninstall was lost; the right must be granted all the same."""
        settings, domain = scene.app.state.settings, scene.shop.domain
        with pytest.raises(InvalidRequest):
            await say_uninstalled(settings, domain, scene.clock)
        scene.shop.revoke_tokens()
        await scene.tell("shop/redact", {"shop_id": 1, "shop_domain": domain})
        await say_uninstalled(settings, domain, scene.clock)
        scene.clock.advance(minutes=1)
        await scene.work_off()
        assert (await scene.rows(Brand), [receipt["outcome"] for receipt in await receipts(scene)]) == ([], ["erased"])
        with pytest.raises(InvalidRequest):
            await say_uninstalled(settings, domain, scene.clock)

    async def test_of_an_unknown_shop_leaves_a_receipt(self, scene: Scene, fake: FakeShopify) -> None:
        hook = fake.webhooks.make("shop/redact", "gone.myshopify.com", {"shop_domain": "gone.myshopify.com"})
        await fake.webhooks.send(scene.http, hook)
        await scene.work_off()
        assert [receipt["outcome"] for receipt in await receipts(scene)] == ["nothing_held"]

    async def test_crash_between_rows_and_objects_is_made_good(self, scene: Scene, app: Litestar) -> None:
        await scene.given.avatar_with_photo(await a_customer(scene))
        await self._uninstall(scene)
        store: ObjectStore = app.state.store
        broken = Unplugged(store)
        compliance = scene.work.inbox.handlers["compliance"].__self__  # type: ignore[index,attr-defined]
        compliance.store = broken
        await scene.tell("shop/redact", {"shop_id": 1, "shop_domain": scene.shop.domain})
        assert await objects(store) != []
        compliance.store = store
        scene.clock.advance(minutes=1)
        await scene.work_off()
        assert await objects(store) == []
        [receipt] = await receipts(scene)
        assert receipt["outcome"] == "erased"

    async def _uninstall(self, scene: Scene) -> None:
        scene.shop.uninstall()
        await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})

    async def _counts(self, scene: Scene, other: Scene) -> int:
        async with scene.database.transaction(read_only=True) as session:
            owned = select(func.count()).select_from(Shopper).where(Shopper.brand_id == other.brand.id)
            return await session.scalar(owned) or 0

    async def _late_upload(self, store: ObjectStore, scene: Scene) -> None:
        """An address signed just before is used after."""
        key = f"{scene.brand.id}/{UUID(int=1)}/late.png"
        await store.put(AVATARS.name, key, b"\x89PNG\r\n\x1a\n" + b"0" * 30, content_type="image/png")
        assert PHOTOS.name != AVATARS.name


class Unplugged:
    """A store that answers nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    async def list(self, _bucket: str, _prefix: str) -> AsyncIterator[Any]:
        raise ConnectionError
        yield


class TestUninstalled:
    async def test_drops_tokens_and_refuses_shoppers(self, scene: Scene) -> None:
        shopper = await scene.given.shopper(scene.brand)
        scene.shop.uninstall()
        for _ in range(2):
            await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})
        [install] = await scene.rows(ShopifyInstall)
        assert (install.status, install.access_token_sealed, install.refresh_token_sealed) == (
            "uninstalled",
            None,
            None,
        )
        answer = await scene.http.get(f"/v1/avatars/{UUID(int=1)}", headers=shopper.headers)
        assert answer.status_code == 401

    async def test_old_story_told_again_is_ignored(self, scene: Scene) -> None:
        await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})
        [install] = await scene.rows(ShopifyInstall)
        assert install.status == "active"

    async def test_news_of_scopes_that_cannot_be_read_holds_nothing_up(self, scene: Scene) -> None:
        """The first is tried again for hours; until the second is heard shoppers would be let in."""
        scene.shop.uninstall()
        await scene.tell("app/scopes_update", {"id": 1, "previous": [], "current": []})
        await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})
        [install] = await scene.rows(ShopifyInstall)
        assert install.status == "uninstalled"

    async def test_scopes_are_read_anew(self, scene: Scene) -> None:
        scene.shop.granted = "read_products"
        await scene.tell("app/scopes_update", {"id": 1, "previous": [], "current": ["write_everything"]})
        [install] = await scene.rows(ShopifyInstall)
        assert install.scopes == "read_products"


@pytest.mark.parametrize("topic", ["customers/redact", "customers/data_request", "shop/redact", "app/uninstalled"])
async def test_shop_of_the_header_must_be_that_of_the_body(scene: Scene, topic: str) -> None:
    body = redaction(scene) | {"shop_domain": SHOP_B, "myshopify_domain": SHOP_B}
    await a_customer(scene)
    await scene.tell(topic, body)
    [row] = await scene.rows(WebhookDelivery)
    assert (row.state, row.error_code) == ("ignored", "shop_mismatch")
    assert len(await scene.rows(Shopper)) == 1
