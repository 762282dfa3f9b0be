"""The Admin API as it is on bad days: throttled, away, forbidden, or asked for something that it does not have."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import msgspec
import pytest

from backend.demo.fake_shopify.server import FakeTransport
from backend.demo.fake_shopify.shop import FakeShop, Fault
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify import documents
from backend.shopify.addresses import Addresses
from backend.shopify.admin import AdminClient
from backend.shopify.documents import Document
from backend.shopify.errors import (
    DocumentRefused,
    NotInstalled,
    ScopeMissing,
    ShopifyUnavailable,
    TokenRefused,
    UserErrors,
)
from backend.shopify.grants import Grant
from tests.backend.shopify.conftest import SHOP_A
from tests.fakes import HandClock

TOO_DEAR = """query Q { products(first: 250) { nodes { variants(first: 250) { nodes {
    metafields(first: 250) { nodes { id } } } } } } }"""


class Waits:
    """Sleeping moves the clock, and so fills Shopify's bucket."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.slept_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.clock.advance(seconds=seconds)


@pytest.fixture
def shop(fake: FakeShopify) -> FakeShop:
    shop = fake.shop(SHOP_A)
    for number in range(3):
        shop.add_product(f"Tee {number}", product_id=7001 + number)
    return shop


@pytest.fixture
def waits(clock: HandClock) -> Waits:
    return Waits(clock)


@pytest.fixture
def grant(shop: FakeShop) -> Grant:
    tokens = shop.issue()
    return Grant(SHOP_A, UUID(int=1), tokens.access, tuple(shop.granted.split(",")), 1, tokens.access_until)


@pytest.fixture
async def client(fake: FakeShopify, waits: Waits) -> AsyncIterator[AdminClient]:
    async with httpx.AsyncClient(transport=FakeTransport(fake)) as http:
        yield AdminClient(http, Addresses(), waits)


class TestAnswers:
    async def test_data_comes_back(self, client: AdminClient, grant: Grant, waits: Waits) -> None:
        data = await client.run(grant, documents.PRODUCTS)
        assert [product["title"] for product in data["products"]["nodes"]] == ["Tee 0", "Tee 1", "Tee 2"]
        assert waits.slept_s == []

    async def test_every_page_is_one_document(self, client: AdminClient, grant: Grant, shop: FakeShop) -> None:
        for number in range(120):
            shop.add_product(f"Shirt {number}")
        titles, after = set(), None
        for _ in range(3):
            page = (await client.run(grant, documents.PRODUCTS, {"after": after}))["products"]
            titles |= {product["title"] for product in page["nodes"]}
            after = page["pageInfo"]["endCursor"]
        assert len(titles) == 123
        assert page["pageInfo"]["hasNextPage"] is False

    async def test_grant_shows_no_token(self, grant: Grant) -> None:
        assert grant.access_token not in repr(grant)


class TestThrottling:
    async def test_waits_until_the_bucket_holds_enough(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.points = 0.0
        assert await client.run(grant, documents.PRODUCTS)
        [slept_s] = waits.slept_s
        assert 0.1 < slept_s < 2

    async def test_gives_up_after_four_tries(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.faults.extend(Fault("throttled") for _ in range(4))
        shop.points = 0.0
        with pytest.raises(ShopifyUnavailable):
            await client.run(grant, documents.PRODUCTS)
        assert len(waits.slept_s) == 3
        assert not shop.requests

    async def test_more_than_the_bucket_holds_gets_through(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.points = 60.0
        for _ in range(12):
            await client.run(grant, documents.PRODUCTS)
        assert len(shop.requests) - len(waits.slept_s) == 12
        assert sum(waits.slept_s) > 1


class TestFaults:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    async def test_passing_fault_is_waited_out(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits, status: int
    ) -> None:
        shop.faults.extend([Fault("status", status), Fault("status", status, retry_after="3.5")])
        assert await client.run(grant, documents.PRODUCTS)
        assert waits.slept_s == [1.0, 3.5]

    async def test_connection_that_breaks_is_tried_again(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.faults.extend([Fault("network"), Fault("network")])
        assert await client.run(grant, documents.PRODUCTS)
        assert waits.slept_s == [1.0, 2.0]

    async def test_fault_inside_an_answer_is_waited_out(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.faults.extend([Fault("internal"), Fault("internal")])
        assert await client.run(grant, documents.PRODUCTS)
        assert waits.slept_s == [1.0, 2.0]
        shop.faults.append(Fault("internal"))
        with pytest.raises(DocumentRefused):
            await client.run(grant, documents.START_BULK, {"query": documents.BULK_PRODUCTS.text})

    async def test_lasting_fault_is_left_for_later(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.faults.extend(Fault("status", 503) for _ in range(9))
        with pytest.raises(ShopifyUnavailable):
            await client.run(grant, documents.PRODUCTS)
        assert len(shop.faults) == 5

    async def test_long_wait_is_not_slept_through(
        self, client: AdminClient, grant: Grant, shop: FakeShop, waits: Waits
    ) -> None:
        shop.faults.append(Fault("status", 429, retry_after="600"))
        with pytest.raises(ShopifyUnavailable):
            await client.run(grant, documents.PRODUCTS)
        assert waits.slept_s == []

    @pytest.mark.parametrize("fault", [Fault("network"), Fault("status", 502)])
    async def test_what_adds_is_never_sent_twice(
        self, client: AdminClient, grant: Grant, shop: FakeShop, fault: Fault
    ) -> None:
        shop.faults.append(fault)
        with pytest.raises(ShopifyUnavailable):
            await client.run(grant, documents.START_BULK, {"query": documents.BULK_PRODUCTS.text})
        assert not shop.bulk
        assert not shop.faults


class TestRefusals:
    async def test_token_of_nobody_expired_or_revoked(
        self, client: AdminClient, grant: Grant, shop: FakeShop, clock: HandClock
    ) -> None:
        clock.advance(minutes=59)
        assert await client.run(grant, documents.PRODUCTS)
        clock.advance(minutes=1)
        fresh = msgspec.structs.replace(grant, access_token=shop.issue().access)
        assert await client.run(fresh, documents.PRODUCTS)
        shop.revoke_tokens()
        for dead in (grant, fresh, msgspec.structs.replace(grant, access_token="")):
            with pytest.raises(TokenRefused):
                await client.run(dead, documents.PRODUCTS)

    async def test_scope_that_was_not_granted_is_named(self, client: AdminClient, grant: Grant, shop: FakeShop) -> None:
        shop.granted = "read_products"
        with pytest.raises(ScopeMissing, match="read_orders"):
            await client.run(grant, documents.ORDERS_UPDATED, {"query": ""})

    @pytest.mark.parametrize(
        "text",
        [
            "query Q { products(first: 1) { nodes { vendorName } } }",
            "query Q { products(first: 1) { nodes { id } }",
            "query Q($n: Int!) { products(first: $n) { nodes { id } } }",
            "mutation M { productBurn(id: 1) { ok } }",
            TOO_DEAR,
        ],
        ids=["unknown field", "syntax", "variable missing", "unknown mutation", "too dear"],
    )
    async def test_document_that_shopify_does_not_accept(
        self, client: AdminClient, grant: Grant, waits: Waits, text: str
    ) -> None:
        with pytest.raises(DocumentRefused):
            await client.run(grant, Document("wrong", text))
        assert waits.slept_s == []

    async def test_user_errors_are_raised_with_their_codes(
        self, client: AdminClient, grant: Grant, shop: FakeShop
    ) -> None:
        shop.pixel = {"id": "gid://shopify/WebPixel/1", "settings": "{}"}
        with pytest.raises(UserErrors) as refused:
            await client.run(grant, documents.CREATE_WEB_PIXEL, {"settings": {"accountID": "a", "endpoint": "b"}})
        assert refused.value.codes == {"TAKEN"}

    async def test_shop_that_is_gone_and_shop_that_is_frozen(
        self, client: AdminClient, grant: Grant, shop: FakeShop
    ) -> None:
        for status, raised in ((404, NotInstalled), (402, ShopifyUnavailable), (423, ShopifyUnavailable)):
            shop.faults.append(Fault("status", status))
            with pytest.raises(raised):
                await client.run(grant, documents.PRODUCTS)

    async def test_no_other_host_is_ever_addressed(self, client: AdminClient, grant: Grant) -> None:
        for host in ("evil.example", "evil.example/shop-a.myshopify.com", "a.myshopify.com.evil.example", ""):
            stranger = Grant(host, grant.brand_id, "t", (), 1, grant.expires_at)
            with pytest.raises(ValueError, match="permanent address"):
                await client.run(stranger, documents.PRODUCTS)
