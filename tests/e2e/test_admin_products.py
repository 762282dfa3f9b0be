"""A merchant among many products: pages, search, and a chart that is being typed while the catalogue is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

import backend.demo.fake_shopify
from backend.shopify.admin_controller import ASSETS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

POLARIS = Path(backend.demo.fake_shopify.__file__).with_name("polaris.js")
SHELL = """<!doctype html><html lang="en"><meta charset="utf-8"><title>TryOn</title>
<script>window.shopify = { idToken: async () => 'token' };</script><script src="/polaris.js"></script>
<link rel="stylesheet" href="/admin/assets/admin.css"><script type="module" src="/admin/assets/admin.js"></script>
<main id="app"></main></html>"""
NUMBERS = range(1, 61)
FIRST_PAGE = 50


def product(number: int) -> dict[str, Any]:
    return {
        "product_id": number, "title": f"Tee {number}", "image_url": None, "status": "ACTIVE", "sizes": ["S", "M"],
        "size_option": "Size", "option_names": ["Size"], "attention": [], "is_ready": False, "suggested_chart": None,
        "garment": None,
    }  # fmt: skip


class Service:
    """What the page asks of ours, and what it asked last."""

    def __init__(self) -> None:
        self.is_reading = False
        self.asked: list[str] = []

    def answer(self, route: Route) -> None:
        address = route.request.url.partition("//")[2].partition("/")[2]
        path, _, query = address.partition("?")
        self.asked.append(address)
        if path == "polaris.js":
            route.fulfill(path=POLARIS)
        elif path.startswith("admin/assets/"):
            route.fulfill(path=ASSETS / path.removeprefix("admin/assets/"))
        elif path == "admin/api/products":
            given = dict(part.partition("=")[::2] for part in query.split("&"))
            route.fulfill(json=self._list(int(given["after"]), given["search"]))
        else:
            route.fulfill(body=SHELL, content_type="text/html")

    def _list(self, after: int, search: str) -> dict[str, Any]:
        found = [product(number) for number in NUMBERS if number > after and search in f"Tee {number}"]
        progress = {"is_running": self.is_reading, "done": 0, "total": 0, "error_code": None}
        next_after = found[FIRST_PAGE - 1]["product_id"] if len(found) > FIRST_PAGE else None
        return {"products": found[:FIRST_PAGE], "next_after": next_after, "progress": progress}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def admin(browser: Browser, service: Service) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/*", service.answer)
    yield page
    context.close()


def test_every_product_can_be_come_to(admin: Page) -> None:
    admin.goto("https://app.example/admin?page=products")
    admin.get_by_role("rowheader", name="Tee 50").wait_for()
    admin.get_by_role("button", name="Further products").click()
    admin.get_by_role("rowheader", name="Tee 60").wait_for()
    assert admin.get_by_role("row").count() == 1 + len(NUMBERS) - FIRST_PAGE
    admin.get_by_role("button", name="Back").click()
    admin.get_by_role("rowheader", name="Tee 1", exact=True).wait_for()
    admin.get_by_label("Search by title").fill("59")
    admin.get_by_label("Search by title").blur()
    admin.get_by_role("rowheader", name="Tee 59").wait_for()
    assert admin.get_by_role("row").count() == 2


def test_chart_that_is_being_typed_stays_while_the_catalogue_is_read(admin: Page, service: Service) -> None:
    service.is_reading = True
    admin.goto("https://app.example/admin?page=products")
    admin.get_by_role("button", name="Add chart of Tee 1", exact=True).click()
    admin.get_by_label("chest of S").fill("96")
    asked = len(service.asked)
    admin.wait_for_timeout(2_000)  # longer than the list waits until it looks again
    assert admin.get_by_label("chest of S").input_value() == "96"
    assert len(service.asked) == asked


def test_search_that_is_being_typed_stays_too(admin: Page, service: Service) -> None:
    service.is_reading = True
    admin.goto("https://app.example/admin?page=products")
    admin.get_by_label("Search by title").press_sequentially("5")
    with admin.expect_response("**/admin/api/products?*"):
        pass
    admin.get_by_label("Search by title").press_sequentially("9")
    assert admin.get_by_label("Search by title").input_value() == "59"
