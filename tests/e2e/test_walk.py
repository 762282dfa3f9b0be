"""A shopper's whole way in a real browser, from the product page to a turning figure and the event rows."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import FrameLocator, Page, expect

from backend.demo.shop import SHOP
from tests.e2e.conftest import Demo, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FIGURE_READY_MS = 60_000
TURNS = 6
EVENTS_OF_A_WALK = {
    "widget_opened",
    "questionnaire_completed",
    "size_recommended",
    "tryon_started",
    "consent_given",
    "photo_submitted",
    "avatar_created",
    "view_shown",
}


def open_frame(page: Page, demo: Demo) -> FrameLocator:
    """From the shop's first page to the frame that the block opened."""
    page.goto(demo.storefront)
    page.get_by_role("link", name="Organic Cotton Tee").first.click()
    page.locator("tryon-launcher button").first.click()
    return page.frame_locator("dialog iframe")


def answer_questions(frame: FrameLocator) -> None:
    frame.get_by_label("Height").fill("178")
    frame.get_by_label("Weight").fill("74")
    frame.get_by_label("Male", exact=True).check(force=True)
    frame.get_by_role("button", name="Show my size").click()


def picture_of(frame: FrameLocator) -> str:
    return hashlib.sha256(frame.locator(".figure canvas").screenshot()).hexdigest()


def test_questions_then_photo_then_a_figure_that_turns(demo: Demo, page: Page, person_photo: Path) -> None:
    frame = open_frame(page, demo)
    answer_questions(frame)
    expect(frame.locator(".answer__card")).to_contain_text("in 10")

    frame.get_by_role("button", name="Add a photo").click()
    release = frame.get_by_role("checkbox").first
    expect(release).not_to_be_checked()
    release.check()
    frame.get_by_role("button", name="Go on to the photo").click()
    frame.locator("input[type=file]").first.set_input_files(person_photo)
    frame.get_by_role("button", name="Use this photo").click()

    expect(frame.locator(".figure[data-state=ready] canvas")).to_be_visible(timeout=FIGURE_READY_MS)
    expect(frame.locator("main")).to_contain_text("With your photo")
    before = picture_of(frame)
    frame.locator(".figure canvas").focus()
    for _ in range(TURNS):
        page.keyboard.press("ArrowRight")
    wait_for("the picture to change", lambda: picture_of(frame) != before or None, timeout_s=10)

    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    wait_for("the events", lambda: event_types(demo).issuperset(EVENTS_OF_A_WALK) or None, timeout_s=15)


def event_types(demo: Demo) -> set[str]:
    return {str(kind) for (kind,) in demo.rows("select distinct event_type from events")}


def test_the_merchants_page_knows_the_products_that_the_shop_offers(demo: Demo) -> None:
    (stand_in,) = demo.running("fake_shopify")
    shop = f"http://127.0.0.1:{stand_in.cmdline()[stand_in.cmdline().index('--port') + 1]}/_/shops/{SHOP}"
    proof = {"Authorization": f"Bearer {httpx.get(f'{shop}/id_token').json()['id_token']}"}
    products = httpx.get(f"{demo.backend}/admin/api/products", headers=proof).raise_for_status().json()["products"]
    assert [product["is_ready"] for product in products] == [True, True, True]
    (extension,) = httpx.get(f"{shop}/extensions").json()["extensions"]
    assert extension["activations"][0]["status"] == "active"


def test_nothing_is_asked_before_the_press(demo: Demo, page: Page) -> None:
    asked: list[str] = []
    page.goto(demo.storefront)
    page.get_by_role("link", name="Organic Cotton Tee").first.click()
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: asked.append(request.url))
    page.mouse.move(400, 400)
    page.wait_for_timeout(500)
    assert asked == []
    with page.expect_request(lambda request: "/embed" in request.url):
        page.locator("tryon-launcher button").first.click()


def test_frame_refuses_a_page_that_is_not_the_shops(demo: Demo, page: Page) -> None:
    """`frame-ancestors` names the brand's origins alone; a stranger's page shows nothing and hears nothing."""
    embed_key = demo.brand["embed_key"]
    policy = httpx.get(f"{demo.backend}/embed", params={"k": embed_key}, timeout=10).headers["content-security-policy"]
    (ancestors,) = [part.strip() for part in policy.split(";") if part.strip().startswith("frame-ancestors")]
    assert ancestors == f"frame-ancestors https://{SHOP} {demo.storefront}"
    with stranger(hostile(demo)) as origin:
        page.goto(origin)
        page.wait_for_timeout(1500)
        (framed,) = page.main_frame.child_frames
        assert framed.url.startswith("chrome-error:"), "the frame was shown on a stranger's page"
        assert page.evaluate("window.heard") == []


@contextmanager
def stranger(html: str) -> Iterator[str]:
    """A web server on another origin that answers everything with one page."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def hostile(demo: Demo) -> str:
    """A page that frames the app and writes down every message it gets."""
    return (
        "<script>window.heard = []; addEventListener('message', (event) => heard.push(event.data));"
        "addEventListener('load', () => frames[0].postMessage({ type: 'tryon:context', version: 1 }, '*'))</script>"
        f"<iframe src='{demo.backend}/embed?k={demo.brand['embed_key']}'></iframe>"
    )
