"""A whole catalogue by one bulk operation, with its progress, whatever happens on the way."""

import pytest

from backend.demo.fake_shopify.shop import FakeShop
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.bulk import BulkOperations, Progress, Row
from backend.shopify.documents import BULK_PRODUCTS, START_BULK
from backend.shopify.errors import BulkFailed, ShopifyUnavailable
from backend.shopify.shop import Shopify
from tests.backend.shopify.conftest import SHOP_A, Visit


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@pytest.fixture
async def shop(visit: Visit, fake: FakeShopify) -> FakeShop:
    await visit(SHOP_A)
    shop = fake.shop(SHOP_A)
    for number in range(60):
        shop.add_product(f"Tee {number}", product_id=7001 + number)
    return shop


class Reading:
    def __init__(self, shopify: Shopify) -> None:
        self.progress: list[Progress] = []
        self.waits_s: list[float] = []
        self.bulk = BulkOperations(shopify.admin, shopify.http, shopify.addresses, self.wait)

    async def wait(self, seconds: float) -> None:
        self.waits_s.append(seconds)

    async def note(self, progress: Progress) -> None:
        self.progress.append(progress)

    async def rows(self) -> list[Row]:
        return [row async for row in self.bulk.read(SHOP_A, BULK_PRODUCTS, self.note)]


@pytest.fixture
def reading(shopify: Shopify) -> Reading:
    return Reading(shopify)


class TestBulk:
    async def test_every_product_with_its_variants_after_it(self, reading: Reading, shop: FakeShop) -> None:
        rows = await reading.rows()
        products = [row for row in rows if "__parentId" not in row]
        assert [row["title"] for row in products] == [f"Tee {number}" for number in range(60)]
        assert len(rows) == 60 * 4
        at = {row["id"]: position for position, row in enumerate(rows)}
        assert all(at[row["__parentId"]] < position for position, row in enumerate(rows) if "__parentId" in row)

    async def test_progress_is_told_while_it_runs(self, reading: Reading, shop: FakeShop) -> None:
        await reading.rows()
        assert [progress.status for progress in reading.progress] == ["RUNNING", "COMPLETED"]
        assert [progress.objects for progress in reading.progress] == [120, 240]
        assert len(reading.waits_s) == 1

    async def test_empty_shop(self, visit: Visit, reading: Reading) -> None:
        await visit(SHOP_A)
        assert await reading.rows() == []

    async def test_one_of_ours_that_runs_already_is_waited_for(
        self, reading: Reading, shop: FakeShop, shopify: Shopify
    ) -> None:
        await shopify.admin.run(SHOP_A, START_BULK, {"query": BULK_PRODUCTS.text})
        assert len(await reading.rows()) == 240
        assert len(shop.bulk) == 1

    async def test_another_that_runs_already_is_left_alone(
        self, reading: Reading, shop: FakeShop, shopify: Shopify
    ) -> None:
        other = "query O { products { edges { node { id } } } }"
        await shopify.admin.run(SHOP_A, START_BULK, {"query": other})
        with pytest.raises(ShopifyUnavailable):
            await reading.rows()

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED", "EXPIRED"])
    async def test_one_that_ends_badly(self, reading: Reading, shop: FakeShop, shopify: Shopify, status: str) -> None:
        await shopify.admin.run(SHOP_A, START_BULK, {"query": BULK_PRODUCTS.text})
        [operation] = shop.bulk.values()
        operation.ends_with, operation.error = status, "INTERNAL_SERVER_ERROR"
        with pytest.raises(BulkFailed, match=status):
            await reading.rows()
