"""A merchant's first visit, later ones, going away and coming back."""

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import select, text

from backend.brands.models import Brand
from backend.demo.fake_shopify.shop import Fault
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.errors import NeedsVisit, NotInstalled
from backend.shopify.installs import InstallService
from backend.shopify.models import ShopifyInstall
from backend.shopify.shop import Shopify
from tests.backend.shopify.conftest import SHOP_A, SHOP_B, Visit
from tests.conftest import BASE_URL
from tests.fakes import HandClock


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """What differs between the databases is in test_at_once.py."""
    return sqlite_database


async def install_of(shopify: Shopify, shop: str) -> ShopifyInstall:
    async with shopify.database.transaction(read_only=True) as session:
        found = await InstallService(session, shopify.clock).find(shop)
    assert found is not None
    return found


async def brand_of(shopify: Shopify, shop: str) -> Brand:
    async with shopify.database.transaction(read_only=True) as session:
        return (await session.scalars(select(Brand).where(Brand.shopify_shop_domain == shop))).one()


class TestFirstVisit:
    async def test_makes_the_brand_and_sets_everything_up(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        state = fake.shop(SHOP_A)
        state.hosts = {"www.atelier.example": True, SHOP_A: True, "old.example": False}
        answer = await visit(SHOP_A)
        assert answer.status_code == 200
        install, brand = await install_of(shopify, SHOP_A), await brand_of(shopify, SHOP_A)
        assert install.status == "active"
        assert install.setup == {"shop": "done", "switches": "done", "pixel": "done"} | dict.fromkeys(
            shopify.setup.steps, "done"
        )
        assert (install.currency, install.domains) == ("EUR", ["www.atelier.example", SHOP_A])
        assert brand.allowed_origins == [f"https://{SHOP_A}", "https://www.atelier.example"]
        assert brand.name == "Shop A"
        metafields = {key: field["value"] for (_, key), field in state.metafields.items()}
        assert metafields["config"] == '{"proxy":"/apps/tryon"}'
        assert metafields["enabled"] == "true"
        assert state.pixel is not None
        assert f"{BASE_URL}/" in state.pixel["settings"]

    async def test_tokens_are_sealed_in_the_database(self, app: Litestar, visit: Visit, fake: FakeShopify) -> None:
        await visit(SHOP_A)
        [tokens] = fake.shop(SHOP_A).tokens
        async with app.state.database.transaction(read_only=True) as session:
            [row] = (await session.execute(text("SELECT * FROM shopify_installs"))).all()
        assert tokens.access not in str(row)
        assert tokens.refresh not in str(row)

    async def test_step_that_failed_is_done_at_the_next_look_and_no_other_again(
        self, visit: Visit, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify
    ) -> None:
        state = fake.shop(SHOP_A)
        state.granted = "read_products,read_orders,read_returns,write_app_proxy"
        await visit(SHOP_A)
        assert (await install_of(shopify, SHOP_A)).setup["pixel"] == "scope_missing"
        asked = len(state.requests)
        state.granted += ",write_pixels,read_customer_events"
        headers = {"Authorization": f"Bearer {fake.session_token(SHOP_A)}"}
        status = (await http.get("/admin/api/status", headers=headers)).json()
        assert status["is_set_up"] is True
        assert len(state.requests) == asked + 1

    async def test_shopify_away_leaves_a_shell_that_connects_later(
        self, visit: Visit, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify
    ) -> None:
        fake.shop(SHOP_A).faults.append(Fault("status", 503))
        assert (await visit(SHOP_A)).status_code == 200
        assert (await install_of(shopify, SHOP_A)).status == "needs_visit"
        headers = {"Authorization": f"Bearer {fake.session_token(SHOP_A)}"}
        assert (await http.get("/admin/api/status", headers=headers)).json()["status"] == "active"

    async def test_pixel_that_is_there_already_gets_our_settings(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        state = fake.shop(SHOP_A)
        state.pixel = {"id": "gid://shopify/WebPixel/77", "settings": "{}"}
        await visit(SHOP_A)
        assert (await install_of(shopify, SHOP_A)).web_pixel_gid == "gid://shopify/WebPixel/77"
        assert "px_" in state.pixel["settings"]


class TestUninstall:
    async def leave(self, shopify: Shopify) -> None:
        async with shopify.database.transaction() as session:
            installs = InstallService(session, shopify.clock)
            found = await installs.find(SHOP_A)
            assert found is not None
            await installs.uninstall(found)

    async def test_tokens_are_gone_and_doing_it_twice_changes_nothing(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        fake.shop(SHOP_A).uninstall()
        await self.leave(shopify)
        first = await install_of(shopify, SHOP_A)
        clock.advance(minutes=1)
        await self.leave(shopify)
        again = await install_of(shopify, SHOP_A)
        assert (again.status, again.access_token_sealed, again.refresh_token_sealed) == ("uninstalled", None, None)
        assert again.uninstalled_at == first.uninstalled_at
        with pytest.raises(NotInstalled):
            await shopify.tokens.grant(SHOP_A)

    async def test_coming_back_finds_the_old_brand_and_sets_up_anew(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        await visit(SHOP_A)
        before = await brand_of(shopify, SHOP_A)
        state = fake.shop(SHOP_A)
        state.uninstall()
        await self.leave(shopify)
        state.is_installed = True
        await visit(SHOP_A)
        after = await brand_of(shopify, SHOP_A)
        install = await install_of(shopify, SHOP_A)
        assert (after.id, after.uninstalled_at, install.status) == (before.id, None, "active")
        assert state.pixel is not None
        assert set(install.setup.values()) == {"done"}

    async def test_shop_that_came_back_before_the_news_is_connected_by_its_second_visit(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        await visit(SHOP_A)
        state = fake.shop(SHOP_A)
        state.uninstall()
        state.is_installed = True
        with pytest.raises(NeedsVisit):
            await shopify.setup.read_shop(SHOP_A)
        await visit(SHOP_A)
        assert await shopify.tokens.grant(SHOP_A)


class TestDomains:
    async def test_addresses_are_read_daily(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        await visit(SHOP_B)
        fake.shop(SHOP_A).hosts["new.example"] = True
        assert await shopify.tidy() == 0
        clock.advance(hours=24, minutes=1)
        assert await shopify.tidy() >= 2
        assert "https://new.example" in (await brand_of(shopify, SHOP_A)).allowed_origins
        assert "https://new.example" not in (await brand_of(shopify, SHOP_B)).allowed_origins

    async def test_address_in_letters_of_its_own_language_is_known_as_browsers_say_it(
        self, visit: Visit, fake: FakeShopify, shopify: Shopify
    ) -> None:
        """One that no browser could say is left out and stops nothing."""
        fake.shop(SHOP_A).hosts |= {"münchen.example": True, "not a host": True}
        await visit(SHOP_A)
        origins = (await brand_of(shopify, SHOP_A)).allowed_origins
        assert "https://xn--mnchen-3ya.example" in origins
        assert not any("not a host" in origin for origin in origins)
        assert set((await install_of(shopify, SHOP_A)).setup.values()) == {"done"}
