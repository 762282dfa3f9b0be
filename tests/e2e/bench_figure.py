"""From `POST /v1/tryon-sessions` to the garment in the frame of the demo: `make bench-figure`.

Each run is a new shopper who asks for the figure at once, so that the body is built within the time too.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.e2e.conftest import CHROMIUM_FLAGS, Demo, start_demo, stop_demo
from tests.e2e.test_walk import open_frame

RUNS = 15
PORT = 18900
WATCH = """
window.seen = { at: {} };
seen.final = new Promise((resolve) => { seen.isFinal = resolve; });
const ask = window.fetch;
window.fetch = (what, how) => {
  if (how?.method === "POST" && String(what.url ?? what).endsWith("/v1/tryon-sessions")) seen.at.asked ??= Date.now();
  return ask(what, how);
};
const frame = () => new Promise(requestAnimationFrame);
async function note(dressing) {
  await frame();
  await frame();
  const gl = document.querySelector(".figure canvas").getContext("webgl2");
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  seen.at[dressing] ??= Date.now();
  if (dressing === "final") seen.isFinal();
}
let told = "";
new MutationObserver(() => {
  const dressing = document.querySelector(".figure")?.dataset.dressing;
  if (dressing === told) return;
  told = dressing;
  if (dressing === "draft" || dressing === "final") void note(dressing);
}).observe(document, { subtree: true, attributes: true, childList: true });
"""
"""In the frame itself, since whoever asks from outside asks twice a second: from the question to the end of drawing."""


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
    context.add_init_script(WATCH)
    page = context.new_page()
    frame = open_frame(page, demo)
    frame.get_by_label("Height").fill(str(165 + run))
    frame.get_by_label("Weight").fill(str(62 + run))
    frame.get_by_label("Female", exact=True).check(force=True)
    frame.get_by_role("button", name="Show my size").click()
    frame.locator("[data-action=figure]").click()
    frame.locator(".figure[data-dressing=final]").wait_for(timeout=60_000)
    seen = frame.locator("body").evaluate("async () => { await seen.final; return seen.at; }")
    context.close()
    return (seen.get("draft", seen["final"]) - seen["asked"]) / 1000, (seen["final"] - seen["asked"]) / 1000


if __name__ == "__main__":
    main()
