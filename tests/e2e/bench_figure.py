"""From the answer of `POST /v1/tryon-sessions` to the garment in the frame of the demo: `make bench-figure`.

Each run is a new shopper who asks for the figure at once, so that the body is built within the time too.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, FrameLocator, sync_playwright

from tests.e2e.conftest import CHROMIUM_FLAGS, Demo, start_demo, stop_demo
from tests.e2e.test_walk import open_frame

RUNS = 15
PORT = 18900


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = start_demo(Path(folder) / "data", PORT)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        try:
            rows = []
            for run in range(RUNS + 1):
                rows.append(one_shopper(browser, demo, run))
                print(f"\r{run}/{RUNS} shoppers", end="", file=sys.stderr)
        finally:
            browser.close()
            stop_demo(demo)
    print(file=sys.stderr)
    for name, column in (("draft", 0), ("final", 1)):
        seen = sorted(row[column] for row in rows[1:])
        print(f"{name}: p50 {statistics.median(seen):.2f} s, worst of {RUNS} {seen[-1]:.2f} s")


def one_shopper(browser: Browser, demo: Demo, run: int) -> tuple[float, float]:
    """Seconds to the draft and to the final picture; heights differ, so that every body is a new one."""
    context = browser.new_context(viewport={"width": 1180, "height": 900}, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    answered: list[float] = []
    page.on(
        "response",
        lambda answer: (
            answered.append(time.monotonic())
            if answer.request.method == "POST" and answer.url.endswith("/v1/tryon-sessions")
            else None
        ),
    )
    frame = open_frame(page, demo)
    frame.get_by_label("Height").fill(str(165 + run))
    frame.get_by_label("Weight").fill(str(62 + run))
    frame.get_by_label("Female", exact=True).check(force=True)
    frame.get_by_role("button", name="Show my size").click()
    frame.locator("[data-action=figure]").click()
    draft_at = _until(frame, "[data-dressing=draft], [data-dressing=final]")
    final_at = _until(frame, "[data-dressing=final]")
    context.close()
    return draft_at - answered[0], final_at - answered[0]


def _until(frame: FrameLocator, state: str) -> float:
    frame.locator(f".figure:is({state})").wait_for(timeout=60_000)
    return time.monotonic()


if __name__ == "__main__":
    main()
