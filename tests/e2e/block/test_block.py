"""The theme block on pages, carts and frames of every kind, in a real browser."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.sample_shop import (
    CHALK_M,
    EXTENSION,
    FRAME,
    PRODUCT_ID,
    Block,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OWN_ASSETS = {"tryon.js", "tryon.css"}
WATCH_SHIFTS = (
    "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => { shift += value; }))"
    ".observe({ type: 'layout-shift', buffered: true })"
)
SIZES = [(390, 844), (1280, 900)]


class TestIdle:
    @pytest.mark.parametrize(("width", "height"), SIZES)
    def test_asks_for_its_two_files_and_moves_nothing(self, block: Block, width: int, height: int) -> None:
        page = block.page
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.add_init_script(WATCH_SHIFTS)
        page.set_viewport_size({"width": width, "height": height})
        block.visit()
        page.wait_for_load_state("networkidle")
        page.mouse.move(200, 300)
        page.wait_for_timeout(300)
        own = [url for url in asked if "tryon" in url.rsplit("/", 1)[1]]
        assert {url.rsplit("/", 1)[1] for url in own} == OWN_ASSETS
        assert len(own) == len(OWN_ASSETS)
        assert not [url for url in asked if "/apps/" in url or FRAME in url]
        assert page.evaluate("shift") == 0
        button = page.locator("tryon-launcher > .tryon__button").bounding_box()
        assert button
        assert button["height"] >= 44

    def test_stores_nothing(self, block: Block) -> None:
        block.visit()
        assert block.page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


class TestOpening:
    def test_asks_the_shops_own_proxy_once_with_what_the_server_needs(self, block: Block) -> None:
        block.open("?locale=de")
        (call,) = block.calls
        query = dict(part.split("=", 1) for part in call.split("?", 1)[1].split("&"))
        assert query["product_id"] == PRODUCT_ID
        assert query["variant_id"] == CHALK_M
        assert query["locale"] == "de"
        assert query["origin"] == block.shop.replace(":", "%3A").replace("/", "%2F")
        assert len(query["n"].replace("-", "")) == 32

    def test_frame_may_use_the_camera_and_has_a_name(self, block: Block) -> None:
        block.open()
        frame = block.page.locator("dialog iframe")
        assert frame.get_attribute("allow") == f"camera {FRAME}; fullscreen {FRAME}"
        assert frame.get_attribute("title") == "Find your size: Organic Cotton Tee"
        assert frame.get_attribute("referrerpolicy") == "strict-origin-when-cross-origin"

    def test_context_goes_to_the_frame(self, block: Block) -> None:
        frame = block.open()
        context = block.heard(frame, "tryon:context")
        assert (context["productId"], context["variantId"], context["locale"]) == (PRODUCT_ID, CHALK_M, "en")
        assert [variant["available"] for variant in context["variants"]] == [True] * 5 + [False]

    def test_closing_and_opening_again_keeps_the_frame(self, block: Block) -> None:
        frame = block.open()
        block.say(frame, "tryon:close")  # it has the focus, so Escape is the frame's
        expect(block.page.get_by_role("dialog")).to_have_count(0)
        block.press()
        block.heard(frame, "tryon:opened")
        assert len(block.all_heard(frame, "tryon:closed")) == len(block.all_heard(frame, "tryon:opened")) == 1
        assert len(block.calls) == 1

    def test_works_when_defined_before_its_children_are_parsed(self, block: Block, shop: str) -> None:
        def early(route: Any) -> None:
            html = route.fetch().text()
            assert " async></script>" in html
            route.fulfill(body=html.replace(" async></script>", "></script>"), content_type="text/html")

        block.page.route(f"{shop}/products/**", early)
        block.open()


class TestRefusals:
    def test_an_error_offers_another_try(self, block: Block) -> None:
        block.answers = [(503, {"code": "unavailable"}), (401, {"code": "proxy_unverified"})]
        block.visit()
        block.press()
        status = block.page.get_by_role("status")
        retry = block.page.get_by_role("button", name="Try again")
        for _ in range(2):
            expect(status).to_contain_text("not available right now")
            retry.click()
        block.frame()
        expect(retry).to_have_count(0)
        assert len(block.calls) == 3

    def test_a_refusal_that_stays_is_said_calmly(self, block: Block) -> None:
        block.visit()
        for status in (402, 403, 409):
            block.answers = [(status, {"code": "plan_limit", "detail": "shop x is over its plan"})]
            block.press()
            expect(block.page.get_by_role("status")).to_have_text(
                "The size finder is closed for this product at the moment. Your cart is not affected."
            )
            expect(block.page.get_by_role("button", name="Try again")).to_have_count(0)
            block.page.keyboard.press("Escape")

    def test_an_address_that_is_none_is_an_error(self, block: Block) -> None:
        block.answers = [(200, {"src": "not an address"})]
        block.visit()
        block.press()
        expect(block.page.get_by_role("status")).to_contain_text("not available right now")

    def test_a_frame_that_stays_silent_makes_way(self, block: Block) -> None:
        block.page.clock.install()
        block.visit()
        block.press()
        block.frame()
        block.page.clock.fast_forward(21_000)
        expect(block.page.get_by_role("button", name="Try again")).to_be_visible()
        expect(block.page.locator("dialog iframe")).to_have_count(0)


class TestRenewal:
    def test_a_new_code_comes_by_a_new_call(self, block: Block) -> None:
        frame = block.open()
        block.say(frame, "tryon:renew")
        answer = block.heard(frame, "tryon:code")
        assert answer["code"] == f"code-{'x' * 16}2"
        assert len(set(block.calls)) == 2, "no two calls are the same"

    def test_no_code_is_made_up_where_the_shop_refuses(self, block: Block) -> None:
        frame = block.open()
        block.answers = [(401, {"code": "proxy_unverified"})]
        block.say(frame, "tryon:renew")
        assert block.all_heard(frame, "tryon:code") == []


class TestEditor:
    def test_shows_a_still_picture_and_never_a_frame(self, block: Block) -> None:
        block.visit("?design")
        block.press()
        dialog = block.page.get_by_role("dialog")
        expect(dialog.locator("svg")).to_be_visible()
        expect(dialog).to_contain_text("A still picture")
        block.page.wait_for_timeout(200)
        assert block.calls == []
        expect(dialog.locator("iframe")).to_have_count(0)


class TestEverybody:
    def test_goes_by_keyboard_alone(self, block: Block) -> None:
        block.visit()
        keyboard = block.page.keyboard
        for _ in range(30):
            keyboard.press("Tab")
            if block.page.evaluate("document.activeElement.matches('.tryon__button')"):
                break
        keyboard.press("Enter")
        frame = block.frame()
        assert block.page.evaluate("document.activeElement.matches('.tryon-dialog__close')"), "inside the dialog"
        block.say(frame, "tryon:ready")
        block.page.wait_for_function("document.activeElement.matches('dialog iframe')")
        keyboard.press("Tab")
        # another process holds the frame: keys go there until the page has the focus back
        block.page.wait_for_function("document.activeElement.matches('.tryon-dialog__close')")
        keyboard.press("Escape")
        block.page.wait_for_function("!document.querySelector('dialog').open")
        assert block.page.evaluate("document.activeElement.matches('.tryon__button')")

    @pytest.mark.parametrize(("width", "height"), SIZES)
    @pytest.mark.parametrize("locale", ["en", "ja"])
    def test_axe_finds_nothing(self, browser: Browser, shop: str, locale: str, width: int, height: int) -> None:
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        block = Block(context.new_page(), shop)
        block.visit(f"?locale={locale}")
        assert violations(block.page) == []
        block.answers = [(503, {})]
        block.press()
        expect(block.page.get_by_role("status")).not_to_be_empty()
        assert violations(block.page) == []
        block.page.locator("dialog .tryon__button").click()
        block.say(block.frame(), "tryon:ready")
        block.page.wait_for_selector("dialog[data-ready]")
        assert violations(block.page) == []
        context.close()

    def test_axe_finds_nothing_in_the_editor(self, block: Block) -> None:
        block.visit("?design")
        block.press()
        assert violations(block.page) == []


def violations(page: Page) -> list[str]:
    """What axe-core says about the block: every rule there is, best practice included."""
    page.evaluate((EXTENSION / "node_modules" / "axe-core" / "axe.min.js").read_text())
    run = "axe.run('tryon-launcher', { iframes: false }).then(({ violations }) => violations)"
    found: list[dict[str, Any]] = page.evaluate(run)
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]
