"""The whole way without a mouse, on a phone and on a desk, in two languages; and what axe-core says of each screen."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page

from tests.e2e.conftest import Demo, wait_for
from tests.e2e.sample_shop import EXTENSION

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

AXE = EXTENSION / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def demo(shared_demo: Demo) -> Demo:
    return shared_demo


def violations(frame: Page | Frame) -> list[str]:
    """Every rule that axe-core has, best practice included."""
    frame.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = frame.evaluate("axe.run({ iframes: false }).then(({ violations }) => violations)")
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def inner(page: Page, demo: Demo) -> Frame:
    def found() -> Frame | None:
        page.wait_for_timeout(20)
        return next((frame for frame in page.frames if frame.url.startswith(demo.backend)), None)

    return wait_for("the frame", found, timeout_s=20)


def tab_to(page: Page, where: Page | Frame, selector: str) -> None:
    """By the Tab key alone."""
    for _ in range(60):
        if where.evaluate("(selector) => Boolean(document.activeElement?.matches(selector))", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {selector}")


@pytest.mark.parametrize(("size", "locale"), [(PHONE, "de"), (DESK, "en")], ids=["phone, German", "desk, English"])
def test_the_whole_way_by_keyboard(browser: Browser, demo: Demo, size: tuple[int, int], locale: str) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale=locale, reduced_motion="reduce"
    )
    page = context.new_page()
    keyboard = page.keyboard
    page.goto(f"{demo.storefront}/products/organic-cotton-tee?locale={locale}")
    assert violations(page) == []
    tab_to(page, page, "[name=Size]")
    keyboard.press("ArrowRight")
    tab_to(page, page, ".tryon__button")
    keyboard.press("Enter")
    page.wait_for_selector("dialog[data-ready]")
    assert violations(page) == []

    frame = inner(page, demo)
    frame.wait_for_selector("[name=height]")
    assert frame.evaluate("document.documentElement.lang").startswith(locale)
    assert violations(frame) == []
    tab_to(page, frame, "[name=height]")
    keyboard.type("178")
    tab_to(page, frame, "[name=weight]")
    keyboard.type("74")
    tab_to(page, frame, "[name=shape]")
    keyboard.press("ArrowRight")
    tab_to(page, frame, "button[type=submit]")
    keyboard.press("Enter")
    frame.wait_for_selector(".answer")
    assert violations(frame) == []
    tab_to(page, frame, "[data-action=cart]")
    keyboard.press("Enter")
    frame.wait_for_function("document.querySelector('.cart__status').textContent.length > 0")
    wait_for("the line", lambda: in_cart(page) or None, timeout_s=15)
    assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off at the side"
    keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('dialog').open")
    assert page.evaluate("document.activeElement.matches('.tryon__button')")
    context.close()


def in_cart(page: Page) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = page.evaluate("fetch('/cart.js').then((answer) => answer.json())")["items"]
    return lines
