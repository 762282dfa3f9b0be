"""The garment on the shopper's figure: draft, then final; every size in the very next picture; colours for the room."""

import pytest
from playwright.sync_api import Browser, Frame, Page, expect

from tests.e2e.conftest import Demo, wait_for
from tests.e2e.test_walk import answer_questions, open_frame

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

DRESSED_MS = 60_000
FINE_SCREEN, COARSE_SCREEN = 2, 1
"""Device pixels a CSS pixel: on a coarse screen a picture that stays is drawn once more, finely."""
PICK_AND_LOOK = """async (size) => {
  const canvas = document.querySelector('.figure canvas');
  const before = canvas.toDataURL();
  document.querySelector(`.size input[value="${size}"]`).click();
  // Registered after the viewer's own request, so it runs after its drawing, in the same frame.
  await new Promise((resolve) => requestAnimationFrame(resolve));
  return { isNew: canvas.toDataURL() !== before, size: document.querySelector('.figure').dataset.size };
}"""
COUNT_PICTURES = """
  window.pictures = 0;
  const gl = WebGL2RenderingContext.prototype;
  const { bindFramebuffer, clear } = gl;
  gl.bindFramebuffer = function (target, buffer) {
    this.isOffScreen = buffer !== null;
    bindFramebuffer.call(this, target, buffer);
  };
  gl.clear = function (mask) {
    if (!this.isOffScreen) window.pictures += 1;
    clear.call(this, mask);
  };
"""


@pytest.fixture(params=[FINE_SCREEN])
def dressed(shared_demo: Demo, browser: Browser, request: pytest.FixtureRequest) -> Frame:
    """A shopper looks at her figure in the recommended size."""
    context = browser.new_context(
        viewport={"width": 1180, "height": 900},
        locale="en-GB",
        reduced_motion="reduce",
        device_scale_factor=request.param,
    )
    context.add_init_script(COUNT_PICTURES)
    page = context.new_page()
    inside = open_frame(page, shared_demo)
    answer_questions(inside)
    inside.locator("[data-action=figure]").click()
    expect(inside.locator(".figure[data-dressing=final]")).to_be_visible(timeout=DRESSED_MS)
    return frame_of(page, shared_demo)


def frame_of(page: Page, demo: Demo) -> Frame:
    return wait_for("the frame", lambda: next((one for one in page.frames if one.url.startswith(demo.backend)), None))


def test_is_drawn_once_for_each_thing_that_comes(dressed: Frame) -> None:
    """The figure, the draft, the final picture; nothing runs while it is still."""
    drawn = dressed.evaluate("pictures")
    assert 2 <= drawn <= 3
    dressed.page.wait_for_timeout(500)
    assert dressed.evaluate("pictures") == drawn


def test_a_size_is_drawn_in_the_very_next_frame(dressed: Frame) -> None:
    worn = dressed.locator(".figure").get_attribute("data-size")
    assert worn is not None
    others = [size for size in ("S", "M", "L", "XL") if size != worn]
    for size in (*others, worn):
        assert dressed.evaluate(PICK_AND_LOOK, size) == {"isNew": True, "size": size}
    label = dressed.locator(".figure canvas").get_attribute("aria-label") or ""
    assert f"It wears size {worn}:" in label


def test_keys_turn_it_one_way_and_the_other(dressed: Frame) -> None:
    canvas = dressed.locator(".figure canvas")

    def picture() -> str:
        return str(canvas.evaluate("(canvas) => canvas.toDataURL()"))

    front = picture()
    canvas.press("ArrowRight")
    turned = wait_for("the turn", lambda: next((seen for seen in [picture()] if seen != front), None))
    canvas.press("ArrowLeft")
    wait_for("the way back", lambda: picture() != turned or None)


def test_colours_show_the_room_and_can_be_switched_off_again(dressed: Frame) -> None:
    canvas, switch = dressed.locator(".figure canvas"), dressed.locator("[data-action=heat]")
    plain = canvas.evaluate("(canvas) => canvas.toDataURL()")
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "true")
    expect(dressed.locator(".clothes__legend")).to_be_visible()
    wait_for("the colours", lambda: canvas.evaluate("(canvas) => canvas.toDataURL()") != plain or None)
    switch.click()
    expect(dressed.locator(".clothes__legend")).to_be_hidden()
    wait_for("the cloth", lambda: canvas.evaluate("(canvas) => canvas.toDataURL()") == plain or None)


@pytest.mark.parametrize("dressed", [COARSE_SCREEN], indirect=True)
def test_another_size_is_draped_too_and_the_figure_stays_where_it_is(dressed: Frame) -> None:
    worn = dressed.locator(".figure").get_attribute("data-size")
    dressed.locator("[data-view=side]").click()
    dressed.locator(f".size:has(input:not([value='{worn}']))").first.click()
    figure = dressed.locator(".figure")
    chosen = figure.get_attribute("data-size")
    assert chosen != worn
    expect(figure).to_have_attribute("data-dressing", "final", timeout=DRESSED_MS)
    assert figure.get_attribute("data-size") == chosen
    assert "seen from the side" in (dressed.locator(".figure canvas").get_attribute("aria-label") or "")
    fineness = "(canvas) => canvas.width / canvas.clientWidth"
    wait_for("the fine picture", lambda: dressed.locator(".figure canvas").evaluate(fineness) == FINE_SCREEN or None)
