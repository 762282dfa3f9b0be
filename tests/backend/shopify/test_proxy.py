"""The button pressed in a shop: what its app proxy gets from us, and everything that is not it gets nothing."""

import asyncio
import itertools
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import httpx
import jwt
import pytest
from sqlalchemy import select, update

from backend.brands.models import Brand
from backend.brands.service import BrandService
from backend.core.clock import Clock
from backend.demo.fake_shopify.shop import Fault
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.installs import InstallService
from backend.shopify.models import ShopifyInstall
from backend.shopify.shop import Shopify
from backend.shoppers.models import Shopper
from tests.backend.shopify.conftest import PREVIOUS_SECRET, SHOP_A, SHOP_B, Visit
from tests.conftest import BASE_URL
from tests.factories import Given, GivenBrand
from tests.fakes import HandClock

PRODUCT = 7001
ORIGIN_A = f"https://{SHOP_A}"

_nonces = itertools.count()


def asked(**changes: str) -> dict[str, str]:
    """As the block asks."""
    return {
        "product_id": str(PRODUCT),
        "variant_id": "7001001",
        "locale": "en",
        "origin": ORIGIN_A,
        "n": f"{next(_nonces):032x}",
    } | changes


async def press(http: httpx.AsyncClient, query: str) -> httpx.Response:
    return await http.post(f"/proxy/session?{query}")


async def add_garment(given: Given, shopify: Shopify, shop: str, product_id: int = PRODUCT) -> None:
    async with shopify.database.transaction() as session:
        install = await InstallService(session, shopify.clock).get(shop)
        key = await BrandService(session, shopify.clock).create_key(install.brand_id, "test")
    await given.garment(GivenBrand(install.brand_id, "", key), shopify_product_id=product_id)


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """What differs between the databases is in test_at_once.py."""
    return sqlite_database


@pytest.fixture
async def shop_a(visit: Visit, given: Given, shopify: Shopify) -> str:
    """Installed, with one product that can be tried on."""
    await visit(SHOP_A)
    await add_garment(given, shopify, SHOP_A)
    return SHOP_A


class TestOpenFrame:
    async def test_code_leads_to_a_token_of_this_shop_product_and_page(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop_a: str, clock: HandClock
    ) -> None:
        answer = await press(http, fake.proxy_query(shop_a, asked()))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert datetime.fromisoformat(body["expires_at"]) - clock.now() == timedelta(seconds=60)
        async with shopify.database.transaction(read_only=True) as session:
            install = await InstallService(session, shopify.clock).get(shop_a)
            brand = await session.get_one(Brand, install.brand_id)
        address, _, code = body["src"].partition("#c=")
        assert address == f"{BASE_URL}/embed?k={brand.embed_key}"
        token = (await http.post("/embed/token", json={"code": code})).json()["token"]
        said = jwt.decode(token, options={"verify_signature": False})
        assert (said["brand"], said["install"], said["product"]) == (str(brand.id), str(install.id), PRODUCT)
        assert said["origin"] == ORIGIN_A

    async def test_renewed_token_keeps_shop_and_product(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str, clock: HandClock
    ) -> None:
        token = await shopper_token(http, fake, shop_a)
        clock.advance(minutes=10)
        renewed = (await http.post("/embed/token", json={"token": token})).json()["token"]
        old, new = (jwt.decode(one, options={"verify_signature": False}) for one in (token, renewed))
        kept = ("sub", "brand", "install", "product", "origin", "auth_time")
        assert [new[name] for name in kept] == [old[name] for name in kept]

    async def test_shop_signs_with_its_former_secret_for_a_while(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str
    ) -> None:
        answer = await press(http, fake.proxy_query(shop_a, asked(), secret=PREVIOUS_SECRET))
        assert answer.status_code == 200

    async def test_guests_are_strangers_and_a_customer_is_the_same_person(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop_a: str
    ) -> None:
        people = [await person(http, fake, shop_a, customer) for customer in ("", "", "99", "99", "100")]
        assert people[0] != people[1]
        assert people[2] == people[3] != people[4]
        async with shopify.database.transaction(read_only=True) as session:
            install = await InstallService(session, shopify.clock).get(shop_a)
            refs = await session.scalars(select(Shopper.external_ref).where(Shopper.brand_id == install.brand_id))
            assert all(ref is None or (ref.startswith("shopify:") and len(ref) == 72) for ref in refs)

    async def test_ping_says_for_which_shop(self, http: httpx.AsyncClient, fake: FakeShopify) -> None:
        answer = await http.get(f"/proxy/ping?{fake.proxy_query(SHOP_A, {})}")
        assert (answer.status_code, answer.json()) == (200, {"app": "tryon", "shop": SHOP_A})
        assert (await http.get("/proxy/ping?shop=" + SHOP_A)).status_code == 401


NOT_SERVED = [
    ({"product_id": "7002"}, 409, "not_ready"),
    ({"product_id": ""}, 409, "not_ready"),
    ({"product_id": "7001.0"}, 409, "not_ready"),
    ({"product_id": "-7001"}, 409, "not_ready"),
    ({"product_id": "9" * 40}, 409, "not_ready"),
    ({"product_id": "٧٠٠١"}, 409, "not_ready"),
    ({"origin": "https://evil.example"}, 403, "unknown_origin"),
    ({"origin": "null"}, 403, "unknown_origin"),
    ({"origin": ""}, 403, "unknown_origin"),
    ({"origin": f"http://{SHOP_A}"}, 403, "unknown_origin"),
    ({"origin": f"https://{SHOP_A}.evil.example"}, 403, "unknown_origin"),
    ({"origin": f"https://{SHOP_B}"}, 403, "unknown_origin"),
]
"""Changes of a sound call, and what it is then told."""


class TestRefused:
    async def test_signed_but_not_to_be_served(self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str) -> None:
        for changes, status, code in NOT_SERVED:
            answer = await press(http, fake.proxy_query(shop_a, asked(**changes)))
            assert (answer.status_code, answer.json()["code"]) == (status, code), changes

    async def test_plan_used_up_and_block_switched_off(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop_a: str
    ) -> None:
        await change(shopify, shop_a, is_plan_open=False)
        answer = await press(http, fake.proxy_query(shop_a, asked()))
        assert (answer.status_code, answer.json()["code"]) == (402, "plan_limit")
        await change(shopify, shop_a, is_plan_open=True, is_enabled=False)
        answer = await press(http, fake.proxy_query(shop_a, asked()))
        assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")

    async def test_shop_without_the_app_and_shop_that_took_it_out(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop_a: str
    ) -> None:
        token = await shopper_token(http, fake, shop_a)
        opened = (await press(http, fake.proxy_query(shop_a, asked()))).json()
        async with shopify.database.transaction() as session:
            installs = InstallService(session, shopify.clock)
            await installs.uninstall(await installs.get(shop_a))
        for shop in (shop_a, "never.myshopify.com"):
            answer = await press(http, fake.proxy_query(shop, asked()))
            assert (answer.status_code, answer.json()["code"]) == (401, "proxy_unverified")
        headers = {"Authorization": f"Bearer {token}"}
        assert (await http.post("/v1/events", headers=headers, json={"events": []})).status_code == 401
        assert (await http.post("/embed/token", json={"token": token})).status_code == 401
        code = opened["src"].partition("#c=")[2]
        assert (await http.post("/embed/token", json={"code": code})).status_code == 401

    async def test_waiting_for_the_merchant_serves_shoppers_still(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop_a: str
    ) -> None:
        await shopify.tokens.give_up(await shopify.tokens.grant(shop_a))
        assert (await press(http, fake.proxy_query(shop_a, asked()))).status_code == 200

    async def test_of_ten_with_one_signature_one_is_served(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str, clock: HandClock
    ) -> None:
        query = fake.proxy_query(shop_a, asked())
        answers = await asyncio.gather(*(press(http, query) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
        clock.advance(seconds=89)
        assert (await press(http, query)).status_code == 401
        clock.advance(seconds=2)
        assert (await press(http, query)).status_code == 401

    async def test_spent_signatures_are_forgotten_when_they_are_too_old_anyway(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify, shop_a: str, clock: HandClock
    ) -> None:
        await press(http, fake.proxy_query(shop_a, asked()))
        clock.advance(seconds=170)
        assert await shopify.tidy() == 0
        clock.advance(minutes=10)
        assert await shopify.tidy() >= 1


class TestUnknownPage:
    async def test_new_address_of_the_shop_is_found_out_once_in_ten_minutes(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str, clock: HandClock
    ) -> None:
        state = fake.shop(shop_a)
        clock.advance(minutes=9)
        asked_before = len(state.requests)
        state.hosts["new.example"] = True
        unknown = asked(origin="https://new.example")
        assert (await press(http, fake.proxy_query(shop_a, unknown))).status_code == 403
        assert len(state.requests) == asked_before
        clock.advance(minutes=2)
        for _ in range(3):
            later = asked(origin="https://new.example")
            assert (await press(http, fake.proxy_query(shop_a, later))).status_code == 200
        assert len(state.requests) == asked_before + 1

    async def test_shopify_away_means_unknown_still(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str, clock: HandClock
    ) -> None:
        clock.advance(minutes=11)
        fake.shop(shop_a).faults.append(Fault("status", 404))
        answer = await press(http, fake.proxy_query(shop_a, asked(origin="https://new.example")))
        assert (answer.status_code, answer.json()["code"]) == (403, "unknown_origin")

    async def test_shopify_away_is_not_asked_for_each_press(
        self, http: httpx.AsyncClient, fake: FakeShopify, shop_a: str, clock: HandClock
    ) -> None:
        """Anyone can name a page in the query: a reading that failed counts for the ten minutes too."""
        clock.advance(minutes=11)
        state = fake.shop(shop_a)
        state.faults += [Fault("status", 404)] * 3
        asked_before = len(state.requests)
        for _ in range(3):
            await press(http, fake.proxy_query(shop_a, asked(origin="https://evil.example")))
        assert (len(state.faults), len(state.requests) - asked_before) == (2, 0)


class TestForgeries:
    """Two hundred and more, each made from a call that would have been served."""

    async def test_none_is_served(
        self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit, shop_a: str, clock: HandClock
    ) -> None:
        await visit(SHOP_B)
        used = fake.proxy_query(shop_a, asked())
        assert (await press(http, used)).status_code == 200
        forged = [used, *forgeries(fake, shop_a, clock)]
        assert len(forged) > 200
        answers = [await press(http, query) for query in forged]
        said = {(answer.status_code, answer.json()["code"]) for answer in answers}
        assert said == {(401, "proxy_unverified")}
        assert len({answer.json()["detail"] for answer in answers}) == 1
        assert (await press(http, fake.proxy_query(shop_a, asked()))).status_code == 200


def forgeries(fake: FakeShopify, shop: str, clock: Clock) -> list[str]:
    now = int(clock.now().timestamp())
    made = []
    for _ in range(20):
        pairs = parse_qsl(fake.proxy_query(shop, asked()), keep_blank_values=True)
        call = dict(pairs)
        made += [
            *(urlencode([pair for pair in pairs if pair[0] != name]) for name in call),
            urlencode(call | {"shop": SHOP_B}),
            urlencode(call | {"timestamp": str(now + 1)}),
            urlencode(call | {"signature": call["signature"][:-1]}),
            urlencode(call | {"signature": call["signature"][::-1]}),
            urlencode(call | {"signature": call["signature"].upper()}),
            urlencode(call | {"logged_in_customer_id": "1"}),
            urlencode([*pairs, ("shop", SHOP_B)]),
            urlencode([*pairs, ("product_id", "7002")]),
            fake.proxy_query(shop, asked(), secret="not the secret"),
            fake.proxy_query("shop-a.myshopify.com.evil.example", asked()),
        ]
    return made


async def shopper_token(http: httpx.AsyncClient, fake: FakeShopify, shop: str, customer: str = "") -> str:
    opened = (await press(http, fake.proxy_query(shop, asked(), customer_id=customer))).json()
    exchanged = await http.post("/embed/token", json={"code": opened["src"].partition("#c=")[2]})
    token: str = exchanged.json()["token"]
    return token


async def person(http: httpx.AsyncClient, fake: FakeShopify, shop: str, customer: str) -> UUID:
    token = await shopper_token(http, fake, shop, customer)
    return UUID(jwt.decode(token, options={"verify_signature": False})["sub"])


async def change(shopify: Shopify, shop: str, **values: bool) -> None:
    async with shopify.database.transaction() as session:
        install = await InstallService(session, shopify.clock).get(shop)
        await session.execute(
            update(ShopifyInstall).where(ShopifyInstall.brand_id == install.brand_id).values(**values)
        )
