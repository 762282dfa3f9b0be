"""The running product: `tryon demo` in a folder of its own, and a real browser in front of it."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

START_TIMEOUT_S = 120.0
T = TypeVar("T")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


@dataclass(frozen=True)
class Demo:
    """One `tryon demo`: its address, its folder, its processes."""

    process: subprocess.Popen[str]
    storefront: str
    data_dir: Path

    @property
    def brand(self) -> dict[str, str]:
        brand: dict[str, str] = json.loads((self.data_dir / "demo-brand.json").read_text())
        return brand

    @property
    def backend(self) -> str:
        (backend,) = self.running("backend.cli")
        port = backend.cmdline()[backend.cmdline().index("--port") + 1]
        return f"http://127.0.0.1:{port}"

    def api(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.backend, headers={"Authorization": f"Bearer {self.brand['api_key']}"}, timeout=15
        )

    def running(self, word: str) -> list[psutil.Process]:
        """Our processes whose command line holds `word`, oldest first."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.status() != psutil.STATUS_ZOMBIE and any(word in part for part in child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return sorted(found, key=lambda child: child.create_time())

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.data_dir / 'tryon.db'}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


def start_demo(data_dir: Path, port: int) -> Demo:
    log = data_dir.parent / f"{data_dir.name}.log"
    command = [sys.executable, "-m", "backend.cli", "demo", "--port", str(port), "--data-dir", str(data_dir)]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, text=True)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        said = log.read_text()
        if ready := re.search(r"^Ready: (http://127\.0\.0\.1:\d+)$", said, re.MULTILINE):
            return Demo(process, ready[1], data_dir)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise AssertionError(f"The demo did not come up:\n{log.read_text()}")


def stop_demo(demo: Demo) -> None:
    demo.process.send_signal(signal.SIGINT)
    try:
        demo.process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        demo.process.kill()
        demo.process.wait()
        raise


@pytest.fixture(scope="session")
def shared_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """For tests that end nothing and count only what is their own."""
    running = start_demo(tmp_path_factory.mktemp("shared-demo") / "data", 18500)
    yield running
    stop_demo(running)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = start_demo(tmp_path_factory.mktemp("demo") / "data", 18400)
    yield running
    stop_demo(running)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set and no chromium is on the PATH")
        pytest.skip("NOT TESTED: no chromium on the PATH, so nothing was shown to a browser")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, locale="en-GB")
    opened = context.new_page()
    yield opened
    context.close()


@pytest.fixture(scope="session")
def person_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered man of 178 cm and 74 kg in ordinary clothes."""
    file = tmp_path_factory.mktemp("photo") / "person.jpg"
    command = [sys.executable, "-m", "gpu_worker.training.scenes", "--out", str(file), "--seed", "7", "--sex", "male"]
    command += ["--height-cm", "178", "--weight-kg", "74"]
    subprocess.run(command, check=True)
    return file


def wait_for(what: str, probe: Callable[[], T | None], timeout_s: float = 60.0, every_s: float = 0.05) -> T:
    """The first answer of `probe` that is not None."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = probe()
        if answer is not None:
            return answer
        time.sleep(every_s)
    raise AssertionError(f"{what} did not happen within {timeout_s:.0f} s")
