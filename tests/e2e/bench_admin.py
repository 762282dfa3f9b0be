"""Largest paint and layout shift of the merchant's page in the demo, nine times without a cache: `make bench-admin`."""

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from backend.demo.shop import SHOP
from tests.e2e.conftest import CHROMIUM_FLAGS, start_demo, stop_demo

RUNS = 9
PORT = 19000
SETTLED_MS = 3000
WATCH = """
window.largestMs = 0; window.shift = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.largestMs = entry.startTime; })
  .observe({ type: 'largest-contentful-paint', buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""


def main() -> None:
    largest_ms, shifts = [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = start_demo(Path(folder) / "data", PORT)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        try:
            for _ in range(RUNS):
                context = browser.new_context(viewport={"width": 1100, "height": 900})
                context.add_init_script(WATCH)
                page = context.new_page()
                page.goto(f"{demo.backend}/admin?shop={SHOP}")
                page.locator(".steps").wait_for(timeout=30_000)
                page.wait_for_timeout(SETTLED_MS)
                largest_ms.append(page.evaluate("window.largestMs"))
                shifts.append(page.evaluate("window.shift"))
                context.close()
        finally:
            browser.close()
            stop_demo(demo)
    print(f"largest paint: median {statistics.median(largest_ms):.0f} ms, worst of {RUNS} {max(largest_ms):.0f} ms")
    print(f"layout shift: worst of {RUNS} {max(shifts):.3f}")


if __name__ == "__main__":
    main()
