"""What does not come from our frame, or is no message of ours, changes nothing."""

from typing import Any

import pytest

from tests.e2e.sample_shop import (
    CHALK_L,
    FRAME,
    ORDER,
    RECORDER,
    SESSION,
    Block,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EVIL = "http://evil.test"
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
