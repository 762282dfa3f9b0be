"""The page inside Shopify's admin: who may frame it, who may read its data, and tokens that work once."""

import itertools
from typing import Any

import httpx
import msgspec
import pytest

from backend.demo.fake_shopify.world import FakeShopify
from backend.settings import Settings
from backend.shopify.admin_controller import ASSETS
from tests.backend.shopify.conftest import CLIENT_ID, PREVIOUS_SECRET, SHOP_A, SHOP_B, Visit
from tests.factories import Given
from tests.fakes import HandClock


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    """What differs between the databases is in test_at_once.py."""
    return sqlite_database


def framed_by(answer: httpx.Response) -> str:
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    return rules["frame-ancestors"]


def is_bounce(answer: httpx.Response) -> bool:
    return "/admin/assets/bounce.js" in answer.text and "/admin/assets/admin.js" not in answer.text


async def status(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await http.get("/admin/api/status", headers={"Authorization": f"Bearer {token}"})


class TestDocument:
    async def test_only_this_shops_admin_may_frame_it(self, visit: Visit) -> None:
        for shop in (SHOP_A, SHOP_B):
            answer = await visit(shop)
            assert framed_by(answer) == f"https://{shop} https://admin.shopify.com"
            assert answer.headers["cache-control"] == "no-store"
            assert "*" not in answer.headers["content-security-policy"]

    async def test_app_bridge_is_the_first_script_and_waits_for_nothing(self, visit: Visit) -> None:
        page = (await visit(SHOP_A)).text
        head = page[: page.index("</head>")]
        assert f'<meta name="shopify-api-key" content="{CLIENT_ID}">' in head
        first = head[head.index("<script") : head.index("</script>")]
        assert first == '<script src="https://cdn.shopify.com/shopifycloud/app-bridge.js">'

    async def test_token_in_an_address_works_once(
        self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit
    ) -> None:
        await visit(SHOP_A)
        token = fake.session_token(SHOP_A)
        address = {"shop": SHOP_A, "id_token": token}
        first, second = [await http.get("/admin", params=address) for _ in range(2)]
        assert not is_bounce(first)
        assert is_bounce(second)
        assert SHOP_A not in second.text

    async def test_shop_of_the_query_decides_nothing(
        self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit
    ) -> None:
        await visit(SHOP_A)
        answer = await http.get("/admin", params={"shop": SHOP_B, "id_token": fake.session_token(SHOP_A)})
        assert framed_by(answer) == f"https://{SHOP_A} https://admin.shopify.com"
        assert SHOP_B not in answer.text

    async def test_bounce_page_for_no_shop_cannot_be_framed(self, http: httpx.AsyncClient) -> None:
        for shop in ("", "evil.example", "*", f"{SHOP_A} https://evil.example", f"{SHOP_A};script-src *", "x'>"):
            answer = await http.get("/admin", params={"shop": shop})
            assert answer.status_code == 200
            assert is_bounce(answer)
            assert framed_by(answer) == "'none'"
            assert "evil" not in answer.text

    async def test_nothing_is_redirected(self, http: httpx.AsyncClient) -> None:
        for name in ("shopify-reload", "redirect", "return_to", "host"):
            answer = await http.get("/admin", params={"shop": SHOP_A, name: "https://evil.example"})
            assert answer.status_code == 200
            assert "evil" not in answer.text


class TestData:
    async def test_fresh_token_may_be_shared_by_requests_at_once(
        self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit
    ) -> None:
        await visit(SHOP_A)
        token = fake.session_token(SHOP_A)
        answers = [await status(http, token) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].json()["shop"] == SHOP_A
        assert answers[0].json()["missing_scopes"] == []

    async def test_each_shop_sees_itself(self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit) -> None:
        for shop in (SHOP_A, SHOP_B):
            await visit(shop)
        for shop in (SHOP_A, SHOP_B):
            headers = {"Authorization": f"Bearer {fake.session_token(shop)}", "X-Shopify-Shop-Domain": SHOP_B}
            answer = await http.get("/admin/api/status", params={"shop": SHOP_B}, headers=headers)
            assert answer.json()["shop"] == shop

    async def test_two_hundred_forged_tokens_are_refused(
        self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit, given: Given, clock: HandClock
    ) -> None:
        await visit(SHOP_A)
        brand = await given.brand()
        tokens = [*forged_tokens(fake, clock), brand.key.api_key, (await given.shopper(brand)).token, "", "x"]
        assert len(tokens) > 200
        answers = [await status(http, token) for token in tokens]
        assert {answer.status_code for answer in answers} == {401}
        assert {answer.headers["x-shopify-retry-invalid-session-request"] for answer in answers} == {"1"}
        assert len({answer.text for answer in answers}) == 1
        assert (await http.get("/admin/api/status")).status_code == 401
        assert (await status(http, fake.session_token(SHOP_A))).status_code == 200

    async def test_valid_token_of_a_shop_that_never_came(self, http: httpx.AsyncClient, fake: FakeShopify) -> None:
        assert (await status(http, fake.session_token("never.myshopify.com"))).status_code == 401

    async def test_scope_not_granted_is_named(self, http: httpx.AsyncClient, fake: FakeShopify, visit: Visit) -> None:
        fake.shop(SHOP_A).granted = "write_products,read_orders,write_app_proxy,write_pixels,read_customer_events"
        await visit(SHOP_A)
        assert (await status(http, fake.session_token(SHOP_A))).json()["missing_scopes"] == ["read_returns"]


class TestAssets:
    async def test_our_own_scripts(self, http: httpx.AsyncClient) -> None:
        for file in ASSETS.iterdir():
            answer = await http.get(f"/admin/assets/{file.name}")
            assert (answer.status_code, answer.content) == (200, file.read_bytes())

    async def test_nothing_else(self, http: httpx.AsyncClient) -> None:
        for name in ("missing.js", "..%2Fpages.py", "pages.py", "%2e%2e%2fshop.py", "ADMIN.JS"):
            assert (await http.get(f"/admin/assets/{name}")).status_code == 404


def forged_tokens(fake: FakeShopify, clock: HandClock) -> list[str]:
    now = int(clock.now().timestamp())
    wrong: dict[str, list[Any]] = {
        "iss": [None, f"https://{SHOP_B}/admin", "https://evil.example/admin"],
        "dest": [None, "https://evil.example", f"http://{SHOP_A}", SHOP_A],
        "aud": [None, "another", [CLIENT_ID]],
        "exp": [None, now - 11, 0],
        "nbf": [None, now + 60],
        "jti": [None, ""],
        "sub": [None, ""],
    }
    singles = [{claim: value} for claim, some in wrong.items() for value in some]
    pairs = [one | other for one, other in itertools.combinations(singles, 2) if one.keys() != other.keys()]
    good = fake.session_token(SHOP_A)
    return [
        *(fake.session_token(SHOP_A, **changes) for changes in [*singles, *pairs]),
        *(good[:at] for at in range(0, len(good), 20)),
        *(fake.session_token(SHOP_A, secret=secret) for secret in ("x" * 40, CLIENT_ID * 2, PREVIOUS_SECRET + "x")),
    ]


class TestOff:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """No Shopify app is set up."""
        off = {"shopify_client_id": "", "shopify_client_secret": "", "shopify_token_key": ""}
        return msgspec.structs.replace(settings, **off, shopify_client_secret_previous="")

    async def test_routes_say_so(self, http: httpx.AsyncClient) -> None:
        paths = ("/admin", "/admin/api/status", "/admin/install", "/admin/install/callback", "/proxy/ping")
        answers = [await http.get(path) for path in paths] + [await http.post("/proxy/session")]
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "shopify_off")}
        assert all("SHOPIFY_CLIENT_ID" in answer.json()["detail"] for answer in answers)
