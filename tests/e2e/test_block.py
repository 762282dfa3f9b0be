"""The theme block on pages, carts and frames of every kind, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.sample_shop import (
    CHALK_L,
    CHALK_M,
    EXTENSION,
    FRAME,
    PRODUCT_ID,
    RECORDER,
    REQUEST,
    SESSION,
    SOLD_OUT,
    Block,
    sample_shop,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EVIL = "http://evil.test"
OWN_ASSETS = {"tryon.js", "tryon.css"}
WATCH_SHIFTS = (
    "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => { shift += value; }))"
    ".observe({ type: 'layout-shift', buffered: true })"
)
LATE_CONSENT = (
    "delete Shopify.customerPrivacy;"
    " Shopify.loadFeatures = ([{ name }], done) => { if (name === 'consent-tracking-api')"
    " Shopify.customerPrivacy = { analyticsProcessingAllowed: () => true }; done() }"
)
ORDER = {"id": REQUEST, "variantId": CHALK_L, "session": SESSION, "quantity": 1}
SIZES = [(390, 844), (1280, 900)]


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with sample_shop() as origin:
        yield origin


@pytest.fixture
def block(page: Page, shop: str) -> Iterator[Block]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Block(page, shop)
    assert errors == []


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


class TestVariant:
    EVENT = """([product, variant]) => {
        const promise = variant === 'fails' ? Promise.reject(new Error()) : Promise.resolve({ variant });
        const event = new Event('shopify:product:select', { bubbles: true });
        document.querySelector('.product').dispatchEvent(Object.assign(event, { product: { id: product }, promise }));
    }"""

    @pytest.mark.parametrize("form", ["gid://shopify/{}/{}", "{1}"])
    def test_follows_the_standard_event(self, block: Block, form: str) -> None:
        frame = block.open()
        variant = {"id": form.format("ProductVariant", CHALK_L)}
        block.page.evaluate(self.EVENT, [form.format("Product", PRODUCT_ID), variant])
        assert block.heard(frame, "tryon:variant")["variantId"] == CHALK_L

    @pytest.mark.parametrize(
        ("product", "variant"),
        [("gid://shopify/Product/9", {"id": CHALK_L}), (PRODUCT_ID, None), (PRODUCT_ID, "fails")],
    )
    def test_does_not_follow_what_is_not_chosen(self, block: Block, product: str, variant: Any) -> None:
        frame = block.open()
        block.page.evaluate(self.EVENT, [product, variant])
        assert block.all_heard(frame, "tryon:variant") == []

    def test_follows_the_form(self, block: Block) -> None:
        frame = block.open()
        block.page.evaluate("document.querySelector('[name=Size][value=L]').click()")
        assert block.heard(frame, "tryon:variant")["variantId"] == CHALK_L

    def test_reads_the_form_again_when_pressed(self, block: Block) -> None:
        block.visit()
        block.page.evaluate(f"document.querySelector('[name=id]').value = '{CHALK_L}'")
        block.press()
        assert self.ready(block)["variantId"] == CHALK_L

    def test_follows_the_address_where_there_is_no_form(self, block: Block) -> None:
        block.visit()
        block.page.evaluate(
            f"document.querySelector('#product-form').remove(); history.replaceState(null, '', '?variant={CHALK_L}');"
            "document.body.dispatchEvent(new Event('change', { bubbles: true }))"
        )
        block.press()
        assert self.ready(block)["variantId"] == CHALK_L

    def ready(self, block: Block) -> dict[str, Any]:
        frame = block.frame()
        block.say(frame, "tryon:ready")
        return block.heard(frame, "tryon:context")


class TestCart:
    def test_by_ajax_with_the_property(self, block: Block) -> None:
        frame = block.open()
        block.say(frame, "tryon:add-to-cart", **ORDER)
        assert block.heard(frame, "tryon:cart") == {"v": 1, "type": "tryon:cart", "id": REQUEST, "ok": True}
        (line,) = block.cart()
        assert (str(line["variant_id"]), line["quantity"]) == (CHALK_L, 1)
        assert line["properties"] == {"_tryon_session": SESSION}

    def test_the_same_request_twice_adds_once(self, block: Block) -> None:
        frame = block.open()
        for _ in range(3):
            block.say(frame, "tryon:add-to-cart", **ORDER)
        block.heard(frame, "tryon:cart")
        assert len(block.all_heard(frame, "tryon:cart")) == 1
        assert [line["quantity"] for line in block.cart()] == [1]

    def test_sold_out_is_said(self, block: Block) -> None:
        frame = block.open()
        block.say(frame, "tryon:add-to-cart", **(ORDER | {"variantId": SOLD_OUT}))
        answer = block.heard(frame, "tryon:cart")
        assert (answer["ok"], answer["code"]) == (False, "sold_out")

    def test_a_cart_that_fails_is_said(self, block: Block) -> None:
        frame = block.open()
        block.page.route("**/cart/add.js", lambda route: route.abort())
        block.say(frame, "tryon:add-to-cart", **ORDER)
        answer = block.heard(frame, "tryon:cart")
        assert (answer["ok"], answer["code"]) == (False, "failed")

    ACTION = (
        "(answer) => { window.asked = []; Shopify.actions = { updateCart: async (payload) => {"
        " asked.push(payload); return answer; } }; }"
    )

    def test_by_the_standard_action_where_the_theme_has_it(self, block: Block) -> None:
        frame = block.open()
        block.page.evaluate(self.ACTION, {"cart": {}, "userErrors": [], "warnings": []})
        block.say(frame, "tryon:add-to-cart", **ORDER)
        answer = block.heard(frame, "tryon:cart")
        assert answer["ok"] is True
        assert block.cart() == []
        line = {
            "merchandiseId": f"gid://shopify/ProductVariant/{CHALK_L}",
            "quantity": 1,
            "attributes": [{"key": "_tryon_session", "value": SESSION}],
        }
        # Nothing about the cart as a whole: attributes there would replace the merchant's own.
        assert block.page.evaluate("asked") == [{"lines": [line]}]

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ({"userErrors": [{"code": "INVALID"}], "warnings": []}, "unavailable"),
            ({"userErrors": [], "warnings": [{"code": "MERCHANDISE_OUT_OF_STOCK"}]}, "sold_out"),
        ],
    )
    def test_refusals_of_the_standard_action(self, block: Block, answer: dict[str, Any], code: str) -> None:
        frame = block.open()
        block.page.evaluate(self.ACTION, answer)
        block.say(frame, "tryon:add-to-cart", **ORDER)
        said = block.heard(frame, "tryon:cart")
        assert (said["ok"], said["code"]) == (False, code)


class TestProperty:
    def test_goes_with_the_themes_own_button_from_the_try_on_on(self, block: Block) -> None:
        frame = block.open()
        assert block.property() is None
        block.say(frame, "tryon:session", session=SESSION)
        block.heard(frame, "tryon:context")
        assert block.property() == SESSION
        block.page.evaluate("document.querySelector('[name=Size][value=L]').click()")
        assert block.property() == SESSION, "another size of the product tried on"

    def test_goes_when_the_page_shows_a_product_that_was_not_tried_on(self, block: Block) -> None:
        frame = block.open()
        block.say(frame, "tryon:session", session=SESSION)
        block.heard(frame, "tryon:context")
        change = (
            "(id) => { const form = document.querySelector('#product-form');"
            " form.elements['product-id'].value = id; form.dispatchEvent(new Event('change', { bubbles: true })) }"
        )
        block.page.evaluate(change, "7002")
        assert block.property() is None
        block.page.evaluate(change, PRODUCT_ID)
        assert block.property() == SESSION

    def test_stays_when_the_theme_renders_the_section_anew(self, block: Block) -> None:
        frame = block.open()
        block.say(frame, "tryon:session", session=SESSION)
        block.heard(frame, "tryon:context")
        block.page.evaluate(
            "fetch(location).then((answer) => answer.text()).then((html) => {"
            " const fresh = new DOMParser().parseFromString(html, 'text/html').querySelector('.product');"
            " document.querySelector('.product').replaceWith(document.importNode(fresh, true)) })"
        )
        assert block.property() == SESSION
        block.press()
        block.frame()
        assert len(block.calls) == 2

    @pytest.mark.parametrize(
        ("consent", "stored"),
        [
            ("delete Shopify.customerPrivacy", None),
            ("Shopify.customerPrivacy = { analyticsProcessingAllowed: () => false }", None),
            ("Shopify.customerPrivacy = { analyticsProcessingAllowed: () => true }", SESSION),
            (LATE_CONSENT, SESSION),
        ],
        ids=["no word on consent", "refused", "given", "asked for when it was not there"],
    )
    def test_is_kept_for_the_pixel_with_consent_alone(self, block: Block, consent: str, stored: str | None) -> None:
        frame = block.open()
        block.page.evaluate(f"() => {{ {consent} }}")
        block.say(frame, "tryon:session", session=SESSION)
        block.heard(frame, "tryon:context")
        block.page.wait_for_timeout(50)
        assert block.page.evaluate("sessionStorage.getItem('tryon:session')") == stored


ADD = {**ORDER, "v": 1, "type": "tryon:add-to-cart"}
MALFORMED: tuple[Any, ...] = (
    {**ADD, "v": 2},
    {**ORDER, "type": "tryon:add-to-cart"},
    {**ADD, "type": ["tryon:add-to-cart"]},
    {**ADD, "type": "constructor"},
    {**ADD, "quantity": 11},
    {**ADD, "quantity": 0},
    {**ADD, "quantity": 1.5},
    {**ADD, "quantity": "1"},
    {**ADD, "variantId": int(CHALK_L)},
    {**ADD, "variantId": "9007199254740993"},
    {**ADD, "variantId": f"{CHALK_L} "},
    {**ADD, "session": "me"},
    {**ADD, "session": [SESSION]},
    {**ADD, "id": "1"},
    {"v": 1, "type": "tryon:session", "session": "<img src=x onerror=alert(1)>"},
    {"v": 1, "type": "tryon:session"},
    {"v": 1, "type": ["tryon:close"]},
    "tryon:close",
    None,
)


class TestHostile:
    def test_messages_of_the_wrong_form_are_dropped(self, block: Block) -> None:
        frame = block.open()
        for message in MALFORMED:
            frame.evaluate("(message) => say(message)", message)
        block.say(frame, "tryon:renew")
        block.heard(frame, "tryon:code")
        assert block.all_heard(frame, "tryon:cart") == []
        assert block.cart() == []
        assert block.property() is None
        assert block.page.evaluate("document.querySelector('dialog').open")

    def test_another_window_is_not_heard_even_from_the_frames_origin(self, block: Block) -> None:
        frame = block.open()
        block.page.evaluate(
            "(src) => document.body.append(Object.assign(document.createElement('iframe'), { src, name: 'other' }))",
            f"{FRAME}/other",
        )
        other = block.frame(f"{FRAME}/other")
        block.page.evaluate("(message) => window.postMessage(message, '*')", ADD)
        block.say(other, "tryon:session", session=SESSION)
        block.say(other, "tryon:close")
        block.say(other, "tryon:add-to-cart", **ORDER)
        assert block.all_heard(frame, "tryon:cart") == []
        assert block.cart() == []
        assert block.property() is None
        assert block.all_heard(other, "tryon:context") == []

    def test_a_frame_that_left_its_origin_hears_and_says_nothing(self, block: Block) -> None:
        block.open()
        block.page.context.route(f"{EVIL}/**", lambda route: route.fulfill(body=RECORDER, content_type="text/html"))
        block.page.evaluate("(src) => { document.querySelector('dialog iframe').src = src }", f"{EVIL}/")
        evil = block.frame(EVIL)
        block.say(evil, "tryon:add-to-cart", **ORDER)
        block.say(evil, "tryon:ready")
        block.page.evaluate("document.querySelector('[name=Size][value=L]').click()")
        block.page.wait_for_timeout(100)
        assert evil.evaluate("heard") == []
        assert block.cart() == []


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
