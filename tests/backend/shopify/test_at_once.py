"""Many things at the same time, on both databases: shops never mixed up, tokens refreshed by one alone."""

import asyncio
from collections import Counter
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from backend.demo.fake_shopify.shop import Fault
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify import documents, token_endpoint
from backend.shopify.addresses import Addresses
from backend.shopify.errors import NeedsVisit, NotInstalled, ShopifyUnavailable
from backend.shopify.installs import InstallService
from backend.shopify.models import ShopifyInstall
from backend.shopify.sealing import Sealer, Unreadable
from backend.shopify.shop import Shopify
from backend.shopify.spent import spend
from backend.shopify.tokens import LEASE, OfflineTokens
from tests.backend.shopify.conftest import SHOP_A, SHOP_B, Dripping, Visit
from tests.fakes import HandClock


async def status_of(shopify: Shopify, shop: str) -> str:
    async with shopify.database.transaction(read_only=True) as session:
        found = await InstallService(session, shopify.clock).find(shop)
    assert found is not None
    return found.status


class TestTwoShopsAtOnce:
    async def test_neither_ever_sees_the_others_token_or_data(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        """Forty readers of each shop start together."""
        for shop in (SHOP_A, SHOP_B):
            fake.shop(shop).add_product(f"Only in {shop}")
            await visit(shop)
        barrier = asyncio.Barrier(80)
        seen: Counter[tuple[str, str]] = Counter()

        async def read(shop: str) -> None:
            await barrier.wait()
            data = await shopify.admin.run(shop, documents.PRODUCTS)
            seen[shop, data["products"]["nodes"][0]["title"]] += 1

        await asyncio.gather(*(read(shop) for _ in range(40) for shop in (SHOP_A, SHOP_B)))
        assert seen == {(shop, f"Only in {shop}"): 40 for shop in (SHOP_A, SHOP_B)}
        tokens = [{request["token"] for request in fake.shop(shop).requests} for shop in (SHOP_A, SHOP_B)]
        assert tokens[0].isdisjoint(tokens[1])

    async def test_tokens_that_run_out_together_are_refreshed_once_for_each_shop(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        shops = [SHOP_A, SHOP_B]
        for shop in shops:
            await visit(shop)
        clock.advance(minutes=61)
        barrier = asyncio.Barrier(20)

        async def read(shop: str) -> str:
            await barrier.wait()
            data = await shopify.admin.run(shop, documents.INSTALLATION)
            return str(data["shop"]["myshopifyDomain"])

        answers = await asyncio.gather(*(read(shop) for _ in range(10) for shop in shops))
        assert Counter(answers) == dict.fromkeys(shops, 10)
        for shop in shops:
            assert len(fake.shop(shop).tokens) == 1
            async with shopify.database.transaction(read_only=True) as session:
                install = await InstallService(session, shopify.clock).get(shop)
            assert (install.token_version, install.refreshing_until) == (2, None)

    async def test_a_token_cannot_be_read_as_another_shops(self) -> None:
        sealer = Sealer("k" * 32)
        sealed = sealer.seal("shpat_1", SHOP_A, "access token")
        assert sealer.unseal(sealed, SHOP_A, "access token") == "shpat_1"
        for shop, purpose, key in (
            (SHOP_B, "access token", "k" * 32),
            (SHOP_A, "refresh token", "k" * 32),
            (SHOP_A, "access token", "x" * 32),
        ):
            with pytest.raises(Unreadable):
                Sealer(key).unseal(sealed, shop, purpose)
        for damaged in ("", "v1.", sealed[:-4], sealed[:-2] + "AA", "v2" + sealed[2:], "v1.é"):
            with pytest.raises(Unreadable):
                sealer.unseal(damaged, SHOP_A, "access token")
        assert sealer.seal("shpat_1", SHOP_A, "access token") != sealed


class TestOnce:
    async def test_of_many_that_present_the_same_one_is_first(
        self, visit: Visit, shopify: Shopify, clock: HandClock
    ) -> None:
        for shop in (SHOP_A, SHOP_B):
            await visit(shop)
        barrier = asyncio.Barrier(16)

        async def present(shop: str) -> bool:
            await barrier.wait()
            async with shopify.database.transaction() as session:
                install = await InstallService(session, clock).get(shop)
                return await spend(session, clock, install.brand_id, "request", "same", timedelta(minutes=1))

        came = await asyncio.gather(*(present(shop) for _ in range(8) for shop in (SHOP_A, SHOP_B)))
        assert [sum(came[at::2]) for at in (0, 1)] == [1, 1]

    async def test_two_first_visits_at_once_make_one_brand_and_one_token(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        answers = await asyncio.gather(*(visit(SHOP_A) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(fake.shop(SHOP_A).tokens) == 1
        assert await status_of(shopify, SHOP_A) == "active"


class TestRefresh:
    async def test_token_near_its_end_is_replaced_before_it_is_used(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        first = await shopify.tokens.grant(SHOP_A)
        clock.advance(minutes=54)
        assert (await shopify.tokens.grant(SHOP_A)).access_token == first.access_token
        clock.advance(minutes=2)
        second = await shopify.tokens.grant(SHOP_A)
        assert second.access_token != first.access_token
        assert second.expires_at - clock.now() == timedelta(hours=1)

    async def test_revoked_token_is_renewed_once_and_then_waits_for_the_merchant(
        self, visit: Visit, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify
    ) -> None:
        await visit(SHOP_A)
        state = fake.shop(SHOP_A)
        [tokens] = state.tokens
        tokens.access = "shpat_only-the-access-token-was-revoked"
        assert await shopify.admin.run(SHOP_A, documents.INSTALLATION)
        state.revoke_tokens()
        with pytest.raises(NeedsVisit):
            await shopify.admin.run(SHOP_A, documents.INSTALLATION)
        asked = len(state.requests)
        with pytest.raises(NeedsVisit):
            await shopify.admin.run(SHOP_A, documents.INSTALLATION)
        assert len(state.requests) == asked
        assert await status_of(shopify, SHOP_A) == "needs_visit"
        headers = {"Authorization": f"Bearer {fake.session_token(SHOP_A)}"}
        assert (await http.get("/admin/api/status", headers=headers)).json()["status"] == "active"
        assert await shopify.admin.run(SHOP_A, documents.INSTALLATION)

    async def test_token_that_shopify_refuses_twice(self, visit: Visit, fake: FakeShopify, shopify: Shopify) -> None:
        await visit(SHOP_A)
        fake.shop(SHOP_A).faults.extend([Fault("status", 401)])
        assert await shopify.admin.run(SHOP_A, documents.INSTALLATION)
        grant = await shopify.tokens.grant(SHOP_A)
        await shopify.tokens.give_up(grant)
        assert await status_of(shopify, SHOP_A) == "needs_visit"

    async def test_shopify_away_keeps_the_token_that_still_lives(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        first = await shopify.tokens.grant(SHOP_A)
        clock.advance(minutes=57)
        fake.shop(SHOP_A).faults.append(Fault("status", 503))
        assert (await shopify.tokens.grant(SHOP_A)).access_token == first.access_token
        clock.advance(minutes=4)
        fake.shop(SHOP_A).faults.append(Fault("network"))
        with pytest.raises(ShopifyUnavailable):
            await shopify.tokens.grant(SHOP_A)
        assert await shopify.tokens.grant(SHOP_A)

    async def test_refresh_lost_in_a_crash_waits_for_the_merchant(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        """Shopify turned the tokens over and the process died before it wrote them down."""
        await visit(SHOP_A)
        clock.advance(minutes=57)
        await lease(shopify, clock.now() + timedelta(seconds=30))
        [tokens] = fake.shop(SHOP_A).tokens
        fake.shop(SHOP_A).turn_over(tokens.refresh)
        assert (await shopify.tokens.grant(SHOP_A)).access_token == tokens.access  # another holds the lease
        clock.advance(seconds=31)
        with pytest.raises(NeedsVisit):
            await shopify.tokens.grant(SHOP_A)
        await visit(SHOP_A)
        assert await shopify.admin.run(SHOP_A, documents.INSTALLATION)

    async def test_refresh_token_too_old(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        clock.advance(days=90)
        with pytest.raises(NeedsVisit):
            await shopify.tokens.grant(SHOP_A)

    async def test_new_sealing_key_needs_a_visit_and_no_more(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        sealer = Sealer("another key of thirty-two bytes and more")
        with pytest.raises(NeedsVisit):
            await OfflineTokens(shopify.database, clock, sealer, shopify.tokens.endpoint).grant(SHOP_A)
        assert await status_of(shopify, SHOP_A) == "needs_visit"
        await visit(SHOP_A)
        assert await shopify.admin.run(SHOP_A, documents.INSTALLATION)

    async def test_shop_nobody_knows(self, shopify: Shopify) -> None:
        with pytest.raises(NotInstalled):
            await shopify.admin.run("never.myshopify.com", documents.INSTALLATION)


class TestMetafields:
    async def test_two_writers_at_once_lose_nothing(self, visit: Visit, fake: FakeShopify, shopify: Shopify) -> None:
        await visit(SHOP_A)

        async def add(number: int) -> None:
            await shopify.app_data.change(SHOP_A, {"r1": lambda old: {**(old or {}), str(number): 1}})

        await asyncio.gather(*(add(number) for number in range(4)))
        assert await shopify.app_data.read(SHOP_A, "r1") == {str(number): 1 for number in range(4)}

    async def test_what_stands_there_is_not_written_again(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        await visit(SHOP_A)
        await shopify.app_data.set(SHOP_A, {"enabled": True})
        assert "metafieldsSet" not in fake.shop(SHOP_A).requests[-1]["query"]
        assert await shopify.app_data.read(SHOP_A, "nothing") is None


async def lease(shopify: Shopify, until: object) -> None:
    async with shopify.database.transaction() as session:
        install = await InstallService(session, shopify.clock).get(SHOP_A)
        await session.execute(
            update(ShopifyInstall).where(ShopifyInstall.brand_id == install.brand_id).values(refreshing_until=until)
        )


async def test_refresh_is_over_before_its_lease(monkeypatch: pytest.MonkeyPatch, clock: HandClock) -> None:
    """An endpoint that is never silent for long and never done: two would spend one refresh token."""
    assert LEASE.total_seconds() > token_endpoint.TOTAL_TIMEOUT_S
    monkeypatch.setattr(token_endpoint, "TOTAL_TIMEOUT_S", 0.05)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Dripping()))
    async with httpx.AsyncClient(transport=transport) as http, asyncio.timeout(20):
        endpoint = token_endpoint.TokenEndpoint(http, Addresses(), clock, "id", "secret")
        with pytest.raises(ShopifyUnavailable):
            await endpoint.refresh(SHOP_A, "shprt_1")
