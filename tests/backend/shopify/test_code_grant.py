"""The way in for a single store's own app: asked by us, signed by Shopify, once; nothing left in the package."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import shopify as package

from backend.demo.fake_shopify.shop import Fault
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.code_grant import _session_class
from backend.shopify.installs import InstallService
from backend.shopify.scopes import NEEDED
from backend.shopify.shop import Shopify
from tests.backend.shopify.conftest import CLIENT_ID, PREVIOUS_SECRET, SECRET, SHOP_A, SHOP_B
from tests.conftest import BASE_URL
from tests.fakes import HandClock


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


async def ask(http: httpx.AsyncClient, shop: str = SHOP_A) -> dict[str, str]:
    """What the shop's permission page is told."""
    answer = await http.get("/admin/install", params={"shop": shop})
    assert answer.status_code == 302
    address = urlsplit(answer.headers["location"])
    assert (address.scheme, address.netloc, address.path) == ("https", shop, "/admin/oauth/authorize")
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def signed(
    fake: FakeShopify, state: str, *, shop: str = SHOP_A, code: str = "c1", secret: str = SECRET
) -> dict[str, str]:
    answer = {
        "code": code,
        "host": "YWRtaW4",
        "shop": shop,
        "state": state,
        "timestamp": str(int(fake.clock.now().timestamp())),
    }
    return answer | {"hmac": _session_class(CLIENT_ID, secret).calculate_hmac(answer)}


async def come_back(http: httpx.AsyncClient, answer: dict[str, str]) -> httpx.Response:
    return await http.get("/admin/install/callback", params=answer)


class TestCodeGrant:
    async def test_ends_in_an_install_that_is_set_up(
        self, http: httpx.AsyncClient, fake: FakeShopify, shopify: Shopify
    ) -> None:
        fake.shop(SHOP_A).codes.add("c1")
        told = await ask(http)
        assert told["redirect_uri"] == f"{BASE_URL}/admin/install/callback"
        assert set(told["scope"].split(",")) == set(NEEDED)
        answer = await come_back(http, signed(fake, told["state"]))
        assert (answer.status_code, answer.headers["location"]) == (302, f"https://{SHOP_A}/admin/apps/{CLIENT_ID}")
        async with shopify.database.transaction(read_only=True) as session:
            install = await InstallService(session, shopify.clock).get(SHOP_A)
        assert install.status == "active"
        assert install.setup["shop"] == "done"
        assert (package.Session.api_key, package.Session.secret) == (None, None)

    async def test_previous_secret_is_good_too(self, http: httpx.AsyncClient, fake: FakeShopify) -> None:
        fake.shop(SHOP_A).codes.add("c1")
        answer = signed(fake, (await ask(http))["state"], secret=PREVIOUS_SECRET)
        assert (await come_back(http, answer)).status_code == 302

    async def test_same_answer_twice(self, http: httpx.AsyncClient, fake: FakeShopify) -> None:
        fake.shop(SHOP_A).codes.add("c1")
        answer = signed(fake, (await ask(http))["state"])
        assert [(await come_back(http, answer)).status_code for _ in range(2)] == [302, 401]

    async def test_forged_foreign_old_and_incomplete_answers(
        self, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock
    ) -> None:
        fake.shop(SHOP_A).codes.add("c1")
        fake.shop(SHOP_B)
        state = (await ask(http))["state"]
        good = signed(fake, state)
        bad = [
            *({name: value for name, value in good.items() if name != left_out} for left_out in good),
            *(good | {name: value + "x"} for name, value in good.items()),
            good | {"shop": SHOP_B},
            signed(fake, state, shop=SHOP_B),
            signed(fake, "not.our.state"),
            signed(fake, ""),
            signed(fake, state, secret="x" * 40),
            signed(fake, state, code="unknown"),
            {},
        ]
        assert {(await come_back(http, answer)).status_code for answer in bad} == {401}
        fresh = signed(fake, (await ask(http))["state"])
        clock.advance(minutes=10, seconds=1)
        assert (await come_back(http, fresh)).status_code == 401
        late = (await ask(http))["state"]
        clock.advance(minutes=10)
        assert (await come_back(http, signed(fake, late))).status_code == 401

    @pytest.mark.parametrize("shop", ["", "evil.example", "a.myshopify.com.evil.example", "A.myshopify.com"])
    async def test_nobody_is_sent_elsewhere(self, http: httpx.AsyncClient, shop: str) -> None:
        answer = await http.get("/admin/install", params={"shop": shop})
        assert answer.status_code == 422
        assert "location" not in answer.headers

    async def test_shopify_away(self, http: httpx.AsyncClient, fake: FakeShopify) -> None:
        fake.shop(SHOP_A).faults.append(Fault("status", 502))
        answer = await come_back(http, signed(fake, (await ask(http))["state"]))
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
