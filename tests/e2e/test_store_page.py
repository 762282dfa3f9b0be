"""The store page and the frame do not trust each other: what each can learn from the other and make it do."""

from typing import Any

import pytest
from playwright.sync_api import Frame, FrameLocator, Page

from tests.e2e.conftest import Demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PRODUCT = "/products/organic-cotton-tee"
NEIGHBOUR = """([origin, message]) => {
    const frame = Object.assign(document.createElement('iframe'), { src: `${origin}/cart` });
    frame.onload = () => {
        const say = `top.frames[0].postMessage(${JSON.stringify(message)}, '*'); window.said = true`;
        const script = Object.assign(frame.contentDocument.createElement('script'), { textContent: say });
        frame.contentDocument.body.append(script);
    };
    document.body.append(frame);
}"""
LISTEN = "window.heard = []; addEventListener('message', (event) => heard.push(event.data))"


@pytest.fixture(scope="module")
def demo(shared_demo: Demo) -> Demo:
    return shared_demo


def open_frame(page: Page, demo: Demo) -> FrameLocator:
    page.goto(demo.storefront + PRODUCT)
    page.evaluate(LISTEN)
    page.click(".tryon__button")
    page.wait_for_selector("dialog[data-ready]")
    return page.frame_locator("dialog iframe")


def answer_questions(frame: FrameLocator) -> None:
    frame.locator("[name=height]").fill("178")
    frame.locator("[name=weight]").fill("74")
    frame.locator("[name=shape][value=male]").check()
    frame.locator("button[type=submit]").click()
    frame.locator(".answer").wait_for()


def embedded(page: Page, demo: Demo) -> Frame:
    return next(frame for frame in page.frames if frame.url.startswith(demo.backend))


def cart(page: Page) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = page.evaluate("fetch('/cart.js').then((answer) => answer.json())")["items"]
    return items


class TestStorePage:
    def test_gets_nothing_stored_in_its_name(self, page: Page, demo: Demo) -> None:
        answer_questions(open_frame(page, demo))
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
        assert [cookie["name"] for cookie in page.context.cookies()] == ["cart"]

    def test_hears_that_there_is_a_session_and_nothing_else(self, page: Page, demo: Demo) -> None:
        frame = open_frame(page, demo)
        answer_questions(frame)
        frame.locator("[data-action=figure]").click()
        frame.locator(".figure[data-state=ready]").wait_for()
        heard = page.evaluate("heard")
        ((session_id,),) = demo.rows("SELECT id FROM tryon_sessions ORDER BY created_at DESC LIMIT 1")
        assert [sorted(message) for message in heard] == [["type", "v"], ["session", "type", "v"]]
        assert heard[1]["session"].replace("-", "") == session_id

    def test_drops_orders_that_do_not_come_from_the_frame(self, page: Page, demo: Demo) -> None:
        frame = open_frame(page, demo)
        answer_questions(frame)
        order = {
            "v": 1,
            "type": "tryon:add-to-cart",
            "id": "0190b8f0-1111-7000-8000-000000000001",
            "variantId": "7001002",
            "session": page.evaluate("heard.at(-1).session"),
            "quantity": 1,
        }
        page.evaluate("(message) => window.postMessage(message, '*')", order)
        for wrong in ({"quantity": 11}, {"variantId": "7001002 "}, {"session": "me"}, {"id": "1"}, {"v": 2}):
            embedded(page, demo).evaluate("(message) => parent.postMessage(message, '*')", order | wrong)
        page.wait_for_timeout(300)
        assert cart(page) == []

    def test_frame_hears_neither_nonsense_nor_a_neighbour(self, page: Page, demo: Demo) -> None:
        """The page may say which variant was chosen; a frame beside ours may not, though it is of the shop's origin."""
        frame = open_frame(page, demo)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        moss = {"v": 1, "type": "tryon:variant", "variantId": "7001007"}
        nonsense = (
            {**moss, "type": ["tryon:variant"]},
            {**moss, "v": 2},
            {**moss, "variantId": 7001007},
            {**moss, "type": "constructor"},
            {"v": 1, "type": "tryon:cart", "id": "1", "ok": True},
            {"v": 1, "type": "tryon:code", "code": "<script>"},
            None,
        )
        for message in nonsense:
            page.evaluate(
                "(message) => document.querySelector('dialog iframe').contentWindow.postMessage(message, '*')", message
            )
        page.evaluate(NEIGHBOUR, [demo.storefront, moss])
        page.wait_for_function("window.frames.length === 2 && window.frames[1].said")
        answer_questions(frame)
        frame.locator("[data-action=cart]").click()
        frame.locator(".cart__status", has_text="in your cart").wait_for()
        (line,) = cart(page)
        assert line["variant_title"].startswith("Chalk / ")
        assert errors == []

    def test_adds_the_size_once_with_the_session_when_the_shopper_asks(self, page: Page, demo: Demo) -> None:
        frame = open_frame(page, demo)
        answer_questions(frame)
        frame.locator("[data-action=cart]").click()
        frame.locator(".cart__status", has_text="in your cart").wait_for()
        (line,) = cart(page)
        assert line["properties"] == {"_tryon_session": page.evaluate("heard[1].session")}
        assert page.evaluate("new FormData(document.querySelector('#product-form')).has('properties[_tryon_session]')")

    def test_closes_on_escape_inside_the_frame_and_takes_the_focus_back(self, page: Page, demo: Demo) -> None:
        frame = open_frame(page, demo)
        frame.locator("[name=height]").press("Escape")
        page.wait_for_function("!document.querySelector('dialog').open")
        assert page.evaluate("document.activeElement.classList.contains('tryon__button')")


class TestFrameWithoutGraphics:
    def test_says_in_words_what_the_figure_would_show(self, page: Page, demo: Demo) -> None:
        page.add_init_script(
            "const real = HTMLCanvasElement.prototype.getContext;"
            "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
            "  return kind.startsWith('webgl') ? null : real.call(this, kind, ...rest); };"
        )
        frame = open_frame(page, demo)
        answer_questions(frame)
        frame.locator("[data-action=figure]").click()
        frame.locator(".figure[data-state=failed]").wait_for()
        assert "cannot show the 3D figure" in frame.locator(".figure").inner_text()
        frame.locator("summary").click()
        assert frame.locator("table tbody tr").count() == 5


class TestErasure:
    def test_leaves_nothing_and_lets_the_shopper_begin_anew(self, page: Page, demo: Demo) -> None:
        frame = open_frame(page, demo)
        answer_questions(frame)
        frame.get_by_role("button", name="My data").click()
        before = demo.rows("SELECT id FROM avatars")
        frame.locator("[data-action=delete]").click()
        frame.locator("[data-action=confirm]").click()
        frame.locator("[role=status]", has_text="Deleted at").wait_for()
        assert len(demo.rows("SELECT id FROM avatars")) == len(before) - 1
        frame.get_by_role("button", name="Start again").click()
        answer_questions(frame)
        assert frame.locator(".answer__size").inner_text() == "M"
