"""The block beside the theme's own form: which variant is chosen, what goes into the cart, what goes with it."""

from typing import Any

import pytest

from tests.e2e.sample_shop import (
    CHALK_L,
    ORDER,
    PRODUCT_ID,
    REQUEST,
    SESSION,
    SOLD_OUT,
    Block,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LATE_CONSENT = (
    "delete Shopify.customerPrivacy;"
    " Shopify.loadFeatures = ([{ name }], done) => { if (name === 'consent-tracking-api')"
    " Shopify.customerPrivacy = { analyticsProcessingAllowed: () => true }; done() }"
)


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
