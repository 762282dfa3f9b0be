"""Products as garments in draft, kept as the shop has them, and offered on the storefront when they are ready."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from backend.garments.models import Garment
from backend.shopify.catalogue import CatalogueEntry, CatalogueService
from backend.shopify.chores import LEASE, Chore, ChoreBook, Chores, ChoreSpec
from backend.shopify.documents import SET_METAFIELDS
from backend.shopify.inbox_models import WebhookDelivery
from backend.shopify.readiness import ready_products, shards_of
from backend.shopify.work_models import ShopifyChore, ShopifyProduct
from tests.backend.shopify.scene import CLEAR_CHART, OTHER_PRODUCT, PRODUCT, Scene


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """One engine, but for the classes that say otherwise."""
    return sqlite_database


async def chores(scene: Scene) -> None:
    """Everything that is due now or in a few seconds."""
    scene.clock.advance(seconds=5)
    while await scene.work.chores.run_due():
        scene.clock.advance(seconds=5)


async def pick(scene: Scene, *product_ids: int) -> int:
    async with scene.database.transaction() as session:
        return await CatalogueService(session, scene.clock).pick(scene.brand.id, product_ids)


async def entry(scene: Scene, product_id: int = PRODUCT) -> CatalogueEntry:
    async with scene.database.transaction(read_only=True) as session:
        return await CatalogueService(session, scene.clock).entry(scene.brand.id, product_id)


async def told(scene: Scene, product_id: int, **changes: Any) -> None:
    scene.clock.advance(seconds=2)
    scene.shop.change_product(product_id, **changes)
    await scene.tell("products/update", scene.shop.product_payload(product_id))


def shard(scene: Scene, product_id: int = PRODUCT) -> dict[str, int]:
    """What the storefront reads."""
    field = scene.shop.metafields.get(("tryon", f"r{product_id % 16}"))
    read: dict[str, int] = json.loads(field["value"]) if field else {}
    return read


class TestTakingIn:
    async def test_first_visit_reads_the_whole_catalogue(self, scene: Scene) -> None:
        scene.shop.add_product("Jeans", options={"Größe": ["28", "30"], "Farbe": ["Blau"]}, status="DRAFT")
        await chores(scene)
        found = {row.title: row for row in await scene.rows(ShopifyProduct)}
        assert set(found) == {"Organic Cotton Tee", "Linen Skirt", "Jeans"}
        jeans = found["Jeans"]
        assert (jeans.size_option, jeans.sizes, jeans.status) == ("Größe", ["28", "30"], "DRAFT")
        assert sorted(jeans.variants.values()) == ["28", "30"]
        assert str(jeans.image_url).startswith("https://cdn.shopify.com/")

    async def test_picked_products_are_read_one_by_one(self, scene: Scene) -> None:
        number = int(scene.shop.add_product("Late Arrival")["id"].rpartition("/")[2])
        await chores(scene)
        late = int(scene.shop.add_product("Later Still")["id"].rpartition("/")[2])
        assert await pick(scene, late, number) == 1
        await chores(scene)
        assert (await entry(scene, late)).product.title == "Later Still"

    async def test_picked_product_that_is_gone_is_marked(self, scene: Scene) -> None:
        await pick(scene, 123456)
        await chores(scene)
        assert (await entry(scene, 123456)).product.status == "DELETED"

    async def test_chart_in_a_metafield_is_suggested(self, scene: Scene) -> None:
        field = {"namespace": "custom", "key": "size_chart", "type": "json", "value": '{"sizes": {"S": {"chest": 90}}}'}
        number = int(scene.shop.add_product("Charted", metafields=[field])["id"].rpartition("/")[2])
        await pick(scene, number)
        await chores(scene)
        suggested = (await entry(scene, number)).product.suggested_chart
        assert suggested == {"unit": "cm", "measures": "body", "sizes": {"S": {"chest": 90.0}}}

    async def test_size_option_in_doubt_is_the_merchants_choice(self, scene: Scene) -> None:
        options = {"Oben": ["S", "M"], "Unten": ["S", "M", "L"]}
        number = int(scene.shop.add_product("Set", options=options)["id"].rpartition("/")[2])
        await pick(scene, number)
        await chores(scene)
        assert (await entry(scene, number)).product.size_option is None
        async with scene.database.transaction() as session:
            chosen = await CatalogueService(session, scene.clock).choose_size_option(scene.brand.id, number, "Unten")
        assert chosen.product.sizes == ["S", "M", "L"]
        await chores(scene)
        kept = (await entry(scene, number)).product
        assert (kept.size_option, set(kept.variants.values())) == ("Unten", {"S", "M", "L"})
        await told(scene, number, title="Set of two")
        assert (await entry(scene, number)).product.size_option == "Unten"


class TestProductNews:
    async def test_title_follows_until_the_merchant_names_the_garment(self, scene: Scene) -> None:
        await chores(scene)
        await told(scene, PRODUCT, title="Better Tee")
        [garment] = await scene.rows(Garment)
        assert garment.name == "Better Tee"
        path, headers = f"/v1/garments/{garment.id}", scene.brand.headers
        assert (await scene.http.patch(path, headers=headers, json={"name": "My own"})).is_success
        await told(scene, PRODUCT, title="Best Tee")
        assert [one.name for one in await scene.rows(Garment)] == ["My own"]

    async def test_old_news_changes_nothing(self, scene: Scene) -> None:
        await chores(scene)
        await told(scene, PRODUCT, title="New")
        scene.shop.products[PRODUCT] |= {"title": "Old", "updatedAt": "2026-01-01T00:00:00Z"}
        await scene.tell("products/update", scene.shop.product_payload(PRODUCT) | {"n": 1})
        assert (await entry(scene)).product.title == "New"

    async def test_lost_news_heal_in_a_day(self, scene: Scene) -> None:
        await chores(scene)
        scene.clock.advance(hours=20)
        scene.shop.change_product(PRODUCT, title="Unheard of")
        scene.clock.advance(hours=20)
        await scene.work.look_round()
        await chores(scene)
        assert (await entry(scene)).product.title == "Unheard of"

    async def test_product_that_nobody_holds_is_not_read(self, scene: Scene) -> None:
        before = len(scene.shop.requests)
        await scene.tell("products/update", {"id": 4242})
        assert len(scene.shop.requests) == before

    async def test_sizes_that_do_not_meet_are_named(self, scene: Scene) -> None:
        await chores(scene)
        value = {"optionValues": [{"id": f"gid://shopify/ProductOptionValue/{n}", "name": n} for n in ("S", "M", "XL")]}
        options = [scene.shop.products[PRODUCT]["options"][0] | value]
        await told(scene, PRODUCT, options=options)
        found = (await entry(scene)).attention
        assert [(one.code, one.sizes) for one in found] == [
            ("chart_size_without_option", ("L",)),
            ("option_without_chart_size", ("XL",)),
        ]


class TestReadiness:
    async def test_garment_of_a_sold_product_is_offered(self, scene: Scene) -> None:
        await chores(scene)
        assert shard(scene) == {str(PRODUCT): 1}
        assert shard(scene, OTHER_PRODUCT) == {}

    @pytest.mark.parametrize("status", ["DRAFT", "ARCHIVED", "UNLISTED"])
    async def test_not_while_the_product_is_not_sold(self, scene: Scene, status: str) -> None:
        await chores(scene)
        await told(scene, PRODUCT, status=status)
        await chores(scene)
        assert shard(scene) == {}
        await told(scene, PRODUCT, status="ACTIVE")
        await chores(scene)
        assert shard(scene) == {str(PRODUCT): 1}

    async def test_not_when_the_product_is_deleted(self, scene: Scene) -> None:
        await chores(scene)
        del scene.shop.products[PRODUCT]
        await scene.tell("products/delete", {"id": PRODUCT})
        await chores(scene)
        assert shard(scene) == {}

    async def test_not_when_no_size_is_left(self, scene: Scene) -> None:
        await chores(scene)
        option = scene.shop.products[PRODUCT]["options"][0]
        await told(scene, PRODUCT, options=[option | {"optionValues": [{"id": "gid://shopify/x/1", "name": "XXL"}]}])
        await chores(scene)
        assert shard(scene) == {}

    async def test_garments_made_and_deleted_by_any_road_are_noticed(self, scene: Scene) -> None:
        await chores(scene)
        skirt = await scene.given.garment(
            scene.brand, name="Skirt", shopify_product_id=OTHER_PRODUCT, size_chart=CLEAR_CHART
        )
        await self._look(scene)
        assert shard(scene, OTHER_PRODUCT) == {str(OTHER_PRODUCT): 1}
        path = f"/v1/garments/{skirt['id']}"
        assert (await scene.http.delete(path, headers=scene.brand.headers)).is_success
        await self._look(scene)
        assert shard(scene, OTHER_PRODUCT) == {}

    async def test_burst_of_news_is_written_once(self, scene: Scene) -> None:
        await chores(scene)
        before = self._writes(scene)
        for number in range(4):
            await told(scene, PRODUCT, title=f"Tee {number}", status="DRAFT" if number % 2 else "ACTIVE")
        await chores(scene)
        assert self._writes(scene) - before == 1

    async def test_somebody_elses_write_in_between_is_not_lost(self, scene: Scene) -> None:
        """The digest of what was read no longer fits: it is read and written anew."""
        stale = scene.shop.set_metafield
        interfered: list[str] = []

        def interfere(namespace: str, key: str, kind: str, value: str) -> dict[str, Any]:
            interfered.append(key)
            return stale(namespace, key, kind, value)

        scene.shop.set_metafield("tryon", f"r{PRODUCT % 16}", "json", '{"1":1}')
        run = scene.app.state.shopify.app_data.admin.run
        raced = Racer(run, lambda: interfere("tryon", f"r{PRODUCT % 16}", "json", '{"2":1}'))
        scene.app.state.shopify.app_data.admin.run = raced
        await chores(scene)
        assert interfered == [f"r{PRODUCT % 16}"]
        assert shard(scene) == {str(PRODUCT): 1}

    async def test_proxy_and_storefront_agree(self, scene: Scene) -> None:
        await chores(scene)
        async with scene.database.transaction(read_only=True) as session:
            assert await ready_products(session, scene.brand.id) == {PRODUCT}
        await told(scene, PRODUCT, status="ARCHIVED")
        async with scene.database.transaction(read_only=True) as session:
            assert await ready_products(session, scene.brand.id) == set()

    def test_shards_hold_every_product_once(self) -> None:
        shards = shards_of(set(range(1000, 3000)))
        assert len(shards) == 16
        assert sorted(int(one) for part in shards.values() for one in part) == list(range(1000, 3000))
        largest = dict.fromkeys(range(9_000_000_000_000, 9_000_000_000_000 + 6_900), 1)
        assert len(json.dumps(largest, separators=(",", ":"))) <= 128 * 1024

    async def _look(self, scene: Scene) -> None:
        scene.clock.advance(seconds=30)
        await scene.work.look_round()
        await chores(scene)

    def _writes(self, scene: Scene) -> int:
        return sum(request["query"] == SET_METAFIELDS.text for request in scene.shop.requests)


class Racer:
    """Somebody writes just before the first of our writes."""

    def __init__(self, run: Callable[..., Any], interfere: Callable[[], object]) -> None:
        self.run = run
        self.interfere: Callable[[], object] | None = interfere

    async def __call__(self, shop: str, document: Any, variables: Any = None) -> Any:
        if document is SET_METAFIELDS and self.interfere is not None:
            self.interfere()
            self.interfere = None
        return await self.run(shop, document, variables)


class TestChores:
    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(f"{request.param}_database"))

    async def _ask(self, scene: Scene) -> None:
        async with scene.database.transaction() as session:
            await ChoreBook(session, scene.clock).ask(scene.brand.id, "check_reasons")

    def _chores(self, scene: Scene, run: Callable[[Chore], Any]) -> Chores:
        return Chores(scene.database, scene.clock, {"check_reasons": ChoreSpec(run)})

    async def test_many_requests_are_one_piece_of_work(self, scene: Scene) -> None:
        ran: list[str] = []

        async def run(chore: Chore) -> None:
            ran.append(chore.shop)

        for _ in range(3):
            await self._ask(scene)
        book = self._chores(scene, run)
        assert [await book.run_due(), await book.run_due()] == [1, 0]
        assert ran == [scene.shop.domain]

    async def test_request_that_comes_while_it_runs_is_not_lost(self, scene: Scene) -> None:
        ran: list[str] = []

        async def run(chore: Chore) -> None:
            ran.append(chore.kind)
            if len(ran) == 1:
                await self._ask(scene)

        await self._ask(scene)
        book = self._chores(scene, run)
        await book.run_due()
        await book.run_due()
        await book.run_due()
        assert len(ran) == 2

    async def test_run_that_died_is_taken_up_again(self, scene: Scene) -> None:
        ran: list[dict[str, object]] = []

        async def run(chore: Chore) -> None:
            ran.append(chore.progress)

        await self._ask(scene)
        died, survivor = self._chores(scene, run), self._chores(scene, run)
        [row] = [one for one in await scene.rows(ShopifyChore) if one.kind == "check_reasons"]
        claimed = await died._claim(row.id)
        assert claimed is not None
        await died.note(claimed, {"done": 3})
        assert await survivor.run_due() == 0
        scene.clock.advance(seconds=LEASE.total_seconds())
        await survivor.run_due()
        assert ran == [{"done": 3}]

    async def test_long_one_of_a_shop_holds_up_nothing_else(self, scene: Scene) -> None:
        await chores(scene)
        under_way, is_over = asyncio.Event(), asyncio.Event()

        async def read_for_hours(_: Chore) -> None:
            under_way.set()
            await is_over.wait()

        scene.work.chores.specs = {
            **scene.work.chores.specs,
            "import_catalogue": ChoreSpec(read_for_hours, is_long=True),
        }
        async with scene.database.transaction() as session:
            for kind in ("import_catalogue", "write_shards"):
                await ChoreBook(session, scene.clock).ask(scene.brand.id, kind)
        await scene.fake.webhooks.send(
            scene.http, scene.fake.webhooks.make("products/delete", scene.shop.domain, {"id": PRODUCT})
        )
        running = [asyncio.create_task(loop.step()) for loop in scene.work.loops]
        await under_way.wait()
        await asyncio.gather(*running[:3])
        assert [row.state for row in await scene.rows(WebhookDelivery)] == ["done"]
        due = {
            row.kind
            for row in await scene.rows(ShopifyChore)
            if row.due_at is not None and row.leased_until is not None
        }
        assert due == {"import_catalogue"}
        is_over.set()
        await asyncio.gather(*running)

    async def test_fault_is_put_off_with_growing_distance(self, scene: Scene) -> None:
        async def run(_: Chore) -> None:
            raise RuntimeError("broken")

        await self._ask(scene)
        book = self._chores(scene, run)
        waits = []
        for _ in range(10):
            await book.run_due()
            [row] = [one for one in await scene.rows(ShopifyChore) if one.kind == "check_reasons"]
            waits.append((row.due_at - scene.clock.now()).total_seconds() / 60)
            scene.clock.advance(minutes=waits[-1])
        assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]

    async def test_shop_that_took_the_app_out_is_left_alone(self, scene: Scene) -> None:
        scene.shop.uninstall()
        await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})
        await chores(scene)
        assert {row.due_at for row in await scene.rows(ShopifyChore) if row.kind != "read_plan"} == {None}

    async def test_shop_that_comes_back_is_looked_after_again(self, scene: Scene) -> None:
        await scene.work.look_round()
        scene.shop.uninstall()
        await scene.tell("app/uninstalled", {"id": 1, "myshopify_domain": scene.shop.domain})
        await chores(scene)
        scene.shop.is_installed = True
        token = scene.fake.session_token(scene.shop.domain)
        assert (await scene.http.get("/admin", params={"id_token": token})).status_code == 200
        scene.clock.advance(minutes=1)
        await scene.work.look_round()
        regular = {kind for kind, spec in scene.work.chores.specs.items() if spec.every is not None}
        assert regular <= {row.kind for row in await scene.rows(ShopifyChore) if row.due_at is not None}
