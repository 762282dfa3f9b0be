"""What a merchant does on the page: pick, chart, pause, look at results. All of it of the token's own shop."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar

from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.sales_report import return_rate
from tests.backend.shopify.conftest import SHOP_A, SHOP_B, Visit
from tests.fakes import HandClock

PRODUCT = 7001
CHART = {
    "category": "t-shirt",
    "size_chart": {"unit": "cm", "measures": "garment", "sizes": {"S": {"chest": 96}, "M": {"chest": 102}}},
}
CHART_WITH_XL = {
    "category": "t-shirt",
    "size_chart": {"unit": "cm", "measures": "garment", "sizes": {"S": {"chest": 96}, "XL": {"chest": 120}}},
}
_keys = itertools.count()

Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def ask(http: httpx.AsyncClient, fake: FakeShopify) -> Ask:
    """As App Bridge does it: a fresh session token on every request; a key on every change."""

    async def send(
        method: str, path: str, *, shop: str = SHOP_A, key: str | None = None, **body: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {fake.session_token(shop)}"}
        if method != "GET":
            headers["Idempotency-Key"] = key if key is not None else f"key-{next(_keys)}"
        return await http.request(method, f"/admin/api{path}", headers=headers, **body)

    return send


@pytest.fixture
async def shop(fake: FakeShopify, visit: Visit) -> str:
    options = {"Size": ["S", "M"], "Colour": ["Red"]}
    fake.shop(SHOP_A).add_product("Organic Tee", product_id=PRODUCT, options=options)
    for domain in (SHOP_A, SHOP_B):
        await visit(domain)
    return SHOP_A


@pytest.fixture
def work(app: Litestar, clock: HandClock) -> Callable[[], Awaitable[None]]:
    """What the background does, some seconds later."""

    async def run() -> None:
        for _ in range(3):
            clock.advance(seconds=10)
            await app.state.shopify_work.step()

    return run


@pytest.fixture
async def picked(shop: str, ask: Ask, work: Callable[[], Awaitable[None]]) -> str:
    assert (await ask("POST", "/products", json={"product_ids": [PRODUCT]})).json() == {"new": 1}
    await work()
    return shop


async def product(ask: Ask, shop: str = SHOP_A) -> dict[str, Any]:
    (found,) = (await ask("GET", "/products", shop=shop)).json()["products"]
    assert isinstance(found, dict)
    return found


class TestProducts:
    async def test_a_picked_product_is_read_from_the_shop(self, picked: str, ask: Ask) -> None:
        found = await product(ask)
        assert (found["title"], found["sizes"], found["size_option"]) == ("Organic Tee", ["S", "M"], "Size")
        assert (found["garment"], found["is_ready"]) == (None, False)
        listed = (await ask("GET", "/products")).json()
        assert (listed["progress"]["is_running"], listed["progress"]["error_code"]) == (False, None)
        assert listed["next_after"] is None

    async def test_with_a_chart_shoppers_see_the_button(
        self, picked: str, ask: Ask, fake: FakeShopify, work: Callable[[], Awaitable[None]]
    ) -> None:
        saved = await ask("PUT", f"/products/{PRODUCT}/garment", json=CHART)
        assert saved.status_code == 200, saved.text
        assert saved.json()["product"]["is_ready"] is True
        await work()
        shard = fake.shop(SHOP_A).metafields[("tryon", f"r{PRODUCT % 16}")]
        assert str(PRODUCT) in str(shard)

    async def test_a_changed_chart_changes_the_same_garment(self, picked: str, ask: Ask) -> None:
        first = (await ask("PUT", f"/products/{PRODUCT}/garment", json=CHART)).json()["garment_id"]
        wider = {**CHART, "size_chart": {**CHART["size_chart"], "sizes": {"S": {"chest": 98}, "M": {"chest": 104}}}}  # type: ignore[dict-item]
        second = (await ask("PUT", f"/products/{PRODUCT}/garment", json=wider)).json()
        assert second["garment_id"] == first
        assert second["product"]["garment"]["size_chart"]["sizes"]["S"] == {"chest": 98}

    async def test_a_chart_that_cannot_be_is_refused_cell_by_cell(self, picked: str, ask: Ask) -> None:
        wrong = {**CHART, "size_chart": {**CHART["size_chart"], "sizes": {"S": {"chest": 960}}}}  # type: ignore[dict-item]
        answer = await ask("PUT", f"/products/{PRODUCT}/garment", json=wrong)
        assert answer.status_code == 422
        (problem,) = answer.json()["problems"]
        assert (problem["size"], problem["measure"]) == ("S", "chest")

    async def test_what_the_chart_lacks_is_named(self, picked: str, ask: Ask) -> None:
        only_s = {**CHART, "size_chart": {**CHART["size_chart"], "sizes": {"S": {"chest": 96}}}}  # type: ignore[dict-item]
        saved = (await ask("PUT", f"/products/{PRODUCT}/garment", json=only_s)).json()
        assert [attention["sizes"] for attention in saved["product"]["attention"]] == [["M"]]

    async def test_another_option_may_be_the_size(self, picked: str, ask: Ask) -> None:
        answer = await ask("PUT", f"/products/{PRODUCT}/size-option", json={"name": "Colour"})
        assert answer.json()["sizes"] == ["Red"]
        unknown = await ask("PUT", f"/products/{PRODUCT}/size-option", json={"name": "Cut"})
        assert unknown.status_code == 422

    async def test_what_is_let_go_takes_its_garment_along(self, picked: str, ask: Ask) -> None:
        await ask("PUT", f"/products/{PRODUCT}/garment", json=CHART)
        assert (await ask("DELETE", f"/products/{PRODUCT}")).status_code == 204
        assert (await ask("GET", "/products")).json()["products"] == []
        assert (await ask("DELETE", f"/products/{PRODUCT}")).status_code == 404

    async def test_a_large_catalogue_is_searched_and_turned_over(
        self, shop: str, ask: Ask, fake: FakeShopify, work: Callable[[], Awaitable[None]]
    ) -> None:
        numbers = range(PRODUCT + 1, PRODUCT + 60)
        for number in numbers:
            fake.shop(shop).add_product(f"100% wool no. {number}", product_id=number, options={"Size": ["S", "M"]})
        await work()
        last = numbers[-1]
        await ask("POST", "/products", json={"product_ids": list(numbers)})
        await work()
        saved = await ask("PUT", f"/products/{last}/garment", json=CHART_WITH_XL)
        assert saved.status_code == 200
        first = (await ask("GET", "/products")).json()
        second = (await ask("GET", f"/products?after={first['next_after']}")).json()
        listed = [one["product_id"] for one in first["products"] + second["products"]]
        assert (listed, second["next_after"]) == ([PRODUCT, *numbers], None)
        found = (await ask("GET", "/products", params={"search": f"0% WOOL no. {last}"})).json()["products"]
        assert [(one["product_id"], one["is_ready"]) for one in found] == [(last, True)]
        assert (await ask("GET", "/products", params={"search": "_"})).json()["products"] == []
        summary = (await ask("GET", "/products/summary")).json()
        assert (summary["products"], summary["ready"]) == (60, 1)
        assert [(one["title"], one["attention"][0]["sizes"]) for one in summary["attention"]] == [
            (f"100% wool no. {last}", ["XL"])
        ]

    async def test_the_first_reading_of_the_catalogue_is_shown(
        self, shop: str, ask: Ask, work: Callable[[], Awaitable[None]]
    ) -> None:
        assert (await ask("GET", "/products")).json()["progress"]["is_running"] is True
        await work()
        assert (await ask("GET", "/products")).json()["progress"]["is_running"] is False

    async def test_another_shop_sees_and_changes_nothing_of_it(self, picked: str, ask: Ask) -> None:
        assert (await ask("GET", "/products", shop=SHOP_B)).json()["products"] == []
        answer = await ask("PUT", f"/products/{PRODUCT}/garment", shop=SHOP_B, json=CHART)
        assert answer.status_code == 404
        assert (await product(ask))["garment"] is None


class TestChanges:
    async def test_the_same_change_twice_is_made_once(self, picked: str, ask: Ask) -> None:
        assert (await ask("PUT", f"/products/{PRODUCT}/garment", key="k", json=CHART)).status_code == 200
        again = await ask("PUT", f"/products/{PRODUCT}/garment", key="k", json=CHART)
        assert (again.status_code, again.json()["code"]) == (409, "request_repeated")

    async def test_a_refused_change_may_be_sent_again_under_its_key(self, picked: str, ask: Ask) -> None:
        wrong = {**CHART, "size_chart": {**CHART["size_chart"], "sizes": {}}}  # type: ignore[dict-item]
        assert (await ask("PUT", f"/products/{PRODUCT}/garment", key="k", json=wrong)).status_code == 422
        assert (await ask("PUT", f"/products/{PRODUCT}/garment", key="k", json=CHART)).status_code == 200

    @pytest.mark.parametrize("key", ["", "x" * 201])
    async def test_a_change_without_a_key_is_refused(self, picked: str, ask: Ask, key: str) -> None:
        answer = await ask("PUT", f"/products/{PRODUCT}/garment", key=key, json=CHART)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/products"),
            ("GET", "/products/summary"),
            ("POST", "/products"),
            ("PUT", "/products/1/garment"),
            ("PUT", "/products/1/size-option"),
            ("DELETE", "/products/1"),
            ("POST", "/charts"),
            ("GET", "/results"),
            ("GET", "/settings"),
            ("PATCH", "/settings"),
            ("GET", "/plan"),
        ],
    )
    async def test_without_a_session_token_nothing_is_said(
        self, shop: str, http: httpx.AsyncClient, method: str, path: str
    ) -> None:
        for headers in ({}, {"Authorization": "Bearer x.y.z"}):
            answer = await http.request(method, f"/admin/api{path}", headers=headers, json={})
            assert answer.status_code == 401
            assert answer.headers["x-shopify-retry-invalid-session-request"] == "1"


class TestPage:
    async def test_a_pasted_chart_is_read_and_not_stored(self, shop: str, ask: Ask) -> None:
        read = (await ask("POST", "/charts", json={"text": "Size\tChest\nS\t96\nM\tabout 102"})).json()
        assert read["sizes"] == {"S": {"chest": 96.0}, "M": {}}
        assert [problem["row"] for problem in read["problems"]] == [3]

    async def test_pausing_reaches_the_theme_by_the_shops_own_data(
        self, shop: str, ask: Ask, fake: FakeShopify, work: Callable[[], Awaitable[None]]
    ) -> None:
        answer = await ask("PATCH", "/settings", json={"is_enabled": False, "retention_days": 7})
        assert answer.json() == {"is_enabled": False, "retention_days": 7}
        await work()
        assert "false" in str(fake.shop(SHOP_A).metafields[("tryon", "enabled")]).lower()
        assert (await ask("GET", "/settings", shop=SHOP_B)).json()["is_enabled"] is True

    @pytest.mark.parametrize("days", [0, 31])
    async def test_retention_has_its_limits(self, shop: str, ask: Ask, days: int) -> None:
        assert (await ask("PATCH", "/settings", json={"retention_days": days})).status_code == 422

    async def test_results_of_nothing_are_zero_and_no_rate(self, shop: str, ask: Ask) -> None:
        results = (await ask("GET", "/results")).json()
        assert {step["step"]: step["reached"] for step in results["funnel"]["steps"]}["purchased"] == 0
        assert results["sales"]["tried_on"]["rate"] is None
        assert results["sales"]["revenue"] == []

    async def test_the_plan_leads_to_shopifys_own_page(self, shop: str, ask: Ask) -> None:
        plan = (await ask("GET", "/plan")).json()
        assert (plan["is_open"], plan["fittings"]) == (True, 0)
        assert plan["plans_url"].startswith("https://admin.shopify.com/store/shop-a/charges/")


@pytest.mark.parametrize(
    ("units", "returned", "low", "high"),
    [(10, 0, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (100, 25, 0.1755, 0.3430), (1, 1, 0.2065, 1.0)],
)
def test_a_return_rate_has_wilsons_interval(units: int, returned: int, low: float, high: float) -> None:
    rate = return_rate(units, returned)
    assert rate.low == pytest.approx(low, abs=5e-4)
    assert rate.high == pytest.approx(high, abs=5e-4)
