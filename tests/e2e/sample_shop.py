"""The sample shop alone: the real theme block rendered by Liquid, and a frame that only writes down and says.

No backend runs. What the proxy answers and what the frame does is played by the test, so that the block meets pages,
carts and frames that the real ones never are.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Frame, Page, Route

from tests.e2e.conftest import wait_for

EXTENSION = Path(__file__).resolve().parents[2] / "shopify_extension"
FRAME = "http://frame.test"
PRODUCT_ID, CHALK_M, CHALK_L = "7001", "7001001", "7001002"
SOLD_OUT = "7001005"
SESSION = "0190b8f0-1111-7000-8000-000000000001"
REQUEST = "0190b8f0-2222-7000-8000-000000000002"
ORDER = {"id": REQUEST, "variantId": CHALK_L, "session": SESSION, "quantity": 1}
"""What the frame says to have a size put into the cart."""
GARMENT = {
    "name": "Organic Cotton Tee",
    "category": "t-shirt",
    "shopify_product_id": int(PRODUCT_ID),
    "size_chart": {"unit": "cm", "measures": "garment", "sizes": {"S": {}, "M": {}, "L": {}}},
}
RECORDER = (
    "<!doctype html><html lang=en><title>Frame</title><body style='background:#fff'><h1 tabindex=-1>Frame</h1><script>"
    "window.heard = []; addEventListener('message', (event) => heard.push(event.data));"
    "window.say = (message) => parent.postMessage(message, '*');</script>"
)
"""A page that writes down what it hears and says what it is told to its parent."""


STATE = {
    "products": [{"id": f"gid://shopify/Product/{PRODUCT_ID}"}],
    "app_metafields": {"tryon.enabled": True, "tryon.r9": {PRODUCT_ID: 1}},
    "pixel": None,
}


class TryonAndShopify(BaseHTTPRequestHandler):
    """The two questions that the shop's server asks when it renders a page."""

    def do_GET(self) -> None:
        answer = {"items": [GARMENT], "next_cursor": None} if self.path.startswith("/v1/garments") else STATE
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def sample_shop() -> Iterator[str]:
    """The shop's origin."""
    others = ThreadingHTTPServer(("127.0.0.1", 0), TryonAndShopify)
    threading.Thread(target=others.serve_forever, daemon=True).start()
    node = shutil.which("node") or "node"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [node, str(EXTENSION / "dev" / "storefront.mjs"), "--port", str(port)]
    command += ["--backend", f"http://127.0.0.1:{others.server_port}", "--shop", "sample.myshopify.com"]
    command += ["--shopify", f"http://127.0.0.1:{others.server_port}"]
    keys = {"TRYON_API_KEY": "none", "SHOPIFY_CLIENT_SECRET": "none"}
    process = subprocess.Popen(command, env=os.environ | keys, stdout=subprocess.DEVNULL)
    try:
        origin = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(origin, process)
        yield origin
    finally:
        process.terminate()
        process.wait(10)
        others.shutdown()
        others.server_close()


def _wait_until_it_answers(origin: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(origin, timeout=5).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("The sample shop did not come up.")


class Block:
    """One product page with the block, a proxy that answers as told and a frame that is played."""

    def __init__(self, page: Page, shop: str) -> None:
        self.page = page
        self.shop = shop
        self.calls: list[str] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        """What the proxy answers first; after that it opens a frame."""
        page.route("**/apps/tryon/session?*", self._proxy)
        page.context.route(f"{FRAME}/**", lambda route: route.fulfill(body=RECORDER, content_type="text/html"))

    def _proxy(self, route: Route) -> None:
        self.calls.append(route.request.url)
        opened = (200, {"src": f"{FRAME}/embed?k=key#c=code-{'x' * 16}{len(self.calls)}", "expires_at": "soon"})
        status, body = self.answers.pop(0) if self.answers else opened
        route.fulfill(status=status, json=body)

    def visit(self, query: str = "") -> None:
        self.page.goto(f"{self.shop}/products/organic-cotton-tee{query}")
        self.page.wait_for_function("Boolean(customElements.get('tryon-launcher'))")

    def press(self) -> None:
        self.page.locator("tryon-launcher > .tryon__button").click()

    def open(self, query: str = "") -> Frame:
        """Visit, press, and let the frame say that it is ready."""
        self.visit(query)
        self.press()
        frame = self.frame()
        self.say(frame, "tryon:ready")
        self.page.wait_for_selector("dialog[data-ready]")
        return frame

    def frame(self, origin: str = FRAME) -> Frame:
        """The frame of the dialog, once its page listens."""
        frame = wait_for("the frame", lambda: self._frame(origin), timeout_s=15)
        frame.wait_for_function("Boolean(window.say)")
        return frame

    def _frame(self, origin: str) -> Frame | None:
        self.page.wait_for_timeout(10)
        frames = [frame for frame in self.page.frames if frame.url.startswith(origin)]
        return frames[0] if frames else None

    def say(self, frame: Frame, message_type: str, **fields: Any) -> None:
        frame.evaluate("(message) => say(message)", {"v": 1, "type": message_type, **fields})

    def heard(self, frame: Frame, message_type: str) -> dict[str, Any]:
        """The newest message of one type, waited for."""
        frame.wait_for_function("(type) => heard.some((message) => message.type === type)", arg=message_type)
        return self.all_heard(frame, message_type)[-1]

    def all_heard(self, frame: Frame, message_type: str) -> list[dict[str, Any]]:
        """Every message of one type, with the time for one more that would be wrong."""
        self.page.wait_for_timeout(100)
        heard: list[dict[str, Any]] = frame.evaluate("heard")
        return [message for message in heard if message["type"] == message_type]

    def cart(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.page.evaluate("fetch('/cart.js').then((answer) => answer.json())")["items"]
        return items

    def property(self) -> str | None:
        """What the theme's own button would send with the line."""
        self.page.wait_for_timeout(50)
        read = "new FormData(document.querySelector('#product-form')).get('properties[_tryon_session]')"
        value: str | None = self.page.evaluate(read)
        return value
