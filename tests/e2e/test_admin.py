"""A merchant's first minutes: install, products, a pasted chart, the block; in few clicks, and for everybody."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.e2e.conftest import Demo
from tests.e2e.test_for_everybody import violations

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SHOP = "first-minutes.myshopify.com"
PRODUCT = 8801
CHART = "Size\tChest (cm)\tLength\nS\t96\t68\nM\t102–104\t70\nL\tabout 110\t72"
MOST_CLICKS = 12
MOST_SHIFT = 0.1
WATCH_SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""


@pytest.fixture
def shopify(shared_demo: Demo) -> Iterator[httpx.Client]:
    """The stand-in for Shopify beside the demo, with a shop that has just installed the app."""
    (process,) = shared_demo.running("fake_shopify")
    port = process.cmdline()[process.cmdline().index("--port") + 1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/_/shops/{SHOP}", timeout=15) as client:
        sizes = {"Size": ["S", "M", "L"], "Colour": ["Chalk"]}
        products = [{"title": "Heavy Tee", "product_id": PRODUCT, "options": sizes}]
        client.post("", json={"products": products}).raise_for_status()
        yield client


@pytest.fixture
def admin(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB", reduced_motion="reduce")
    context.add_init_script(WATCH_SHIFTS)
    yield context.new_page()
    context.close()


@pytest.fixture
def click() -> Callable[[Locator], None]:
    clicks = []

    def once(target: Locator) -> None:
        clicks.append(target)
        assert len(clicks) <= MOST_CLICKS
        target.click()

    return once


def test_from_the_install_to_a_button_that_shoppers_see(
    shared_demo: Demo, shopify: httpx.Client, admin: Page, click: Callable[[Locator], None]
) -> None:
    admin.goto(f"{shared_demo.backend}/admin?shop={SHOP}")
    admin.locator(".step--done").first.wait_for(timeout=60_000)
    assert "id_token" not in admin.url
    assert violations(admin) == []
    assert admin.evaluate("window.shift") <= MOST_SHIFT

    click(admin.get_by_role("button", name="Choose products"))
    click(admin.locator("[data-page=products]").get_by_role("button", name="Choose products"))
    click(admin.get_by_role("checkbox", name="Heavy Tee"))
    click(admin.get_by_role("button", name="Select"))
    admin.get_by_text("S, M, L").wait_for(timeout=60_000)
    assert violations(admin) == []

    click(admin.get_by_role("button", name="Add chart of Heavy Tee"))
    admin.get_by_label("waist of S").fill("80")
    admin.get_by_label("Paste a table").fill(CHART)
    admin.get_by_text("waist is not in this table and was left out.").wait_for()
    admin.get_by_text("Row 4, column 2: “about 110” is no number.").wait_for()
    assert admin.get_by_label("chest of M").input_value() == "103"
    admin.get_by_label("chest of L").fill("1100")
    click(admin.get_by_role("button", name="Save and show the button"))
    admin.locator("[aria-label='chest of L'][aria-invalid=true]").wait_for()
    assert admin.locator(".problem:visible").count() == 2
    admin.get_by_text("Not saved: see the marks in the table.").wait_for()
    assert violations(admin) == []
    admin.get_by_label("chest of L").fill("110")
    click(admin.get_by_role("button", name="Save and show the button"))
    admin.get_by_text("See the button").wait_for(timeout=60_000)

    shopify.post("/block", json={})
    click(admin.get_by_role("link", name="Home"))
    admin.locator(".step--done").nth(3).wait_for(timeout=60_000)
    assert violations(admin) == []

    def is_offered() -> bool:
        shard: dict[str, int] = shopify.get("").json()["app_metafields"].get(f"tryon.r{PRODUCT % 16}", {})
        return str(PRODUCT) in shard

    for _ in range(60):
        if is_offered():
            break
        admin.wait_for_timeout(500)
    assert is_offered()


def test_settings_are_kept_and_the_theme_hears_of_them(shared_demo: Demo, shopify: httpx.Client, admin: Page) -> None:
    admin.goto(f"{shared_demo.backend}/admin?shop={SHOP}&page=settings")
    box = admin.get_by_label("Show the button to shoppers")
    box.wait_for(timeout=60_000)
    assert violations(admin) == []
    days = admin.get_by_label("Keep a shopper’s figure for this many days")
    days.fill("0")
    days.blur()
    admin.get_by_text("1 to 30 days").wait_for()
    assert days.get_attribute("aria-invalid") == "true"
    assert violations(admin) == []
    days.fill("7")
    days.blur()
    admin.get_by_text("Saved.").wait_for()
    assert days.get_attribute("aria-invalid") == "false"
    admin.get_by_text("1 to 30 days").wait_for(state="hidden")

    box.uncheck()
    for _ in range(60):
        if shopify.get("").json()["app_metafields"].get("tryon.enabled") is False:
            return
        admin.wait_for_timeout(500)
    raise AssertionError("The theme was never told.")
