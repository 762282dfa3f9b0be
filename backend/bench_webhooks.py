"""How long Shopify waits for the answer to a webhook while the service also works on them.

    python -m backend.bench_webhooks [--per-second 50] [--seconds 30] [--database-url URL]

Starts `tryon serve` on a database of its own (SQLite, or an empty one that is named), and sends signed webhooks on a
fixed schedule whatever the answers: an answer that is late makes the next ones no later, and counts in full.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx

GOAL_P99_MS = 100.0
START_TIMEOUT_S = 60.0
TOPICS = ("orders/create", "orders/paid", "products/update", "refunds/create", "customers/data_request")
SHOPS = 20
LINES = 12
"""Of an order's body: about 4 kB, as Shopify sends them with the fields that the app asks for."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m backend.bench_webhooks", description=__doc__.splitlines()[0])
    parser.add_argument("--per-second", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--database-url", help="an empty Postgres database; SQLite otherwise")
    arguments = parser.parse_args()
    with running_service(arguments.database_url) as (url, secret):
        waits_ms = asyncio.run(send(url, secret, arguments.per_second, arguments.per_second * arguments.seconds))
    engine = "Postgres" if arguments.database_url else "SQLite"
    sys.exit(report(engine, arguments.per_second, waits_ms))


def report(engine: str, per_second: int, waits_ms: list[float]) -> int:
    """0 when the goal is met, 1 when not."""
    cuts = statistics.quantiles(waits_ms, n=100)
    p99 = cuts[98]
    print(  # noqa: T201
        f"webhook answers, {engine}, {per_second}/s, {len(waits_ms)} sent: p50 {cuts[49]:.1f} ms,"
        f" p95 {cuts[94]:.1f} ms, p99 {p99:.1f} ms, max {max(waits_ms):.1f} ms;"
        f" goal: p99 < {GOAL_P99_MS:.0f} ms: {'met' if p99 < GOAL_P99_MS else 'NOT MET'}"
    )
    return 0 if p99 < GOAL_P99_MS else 1


async def send(url: str, secret: str, per_second: int, count: int) -> list[float]:
    """Milliseconds from the moment at which each should have left to its answer."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as http:
        await deliver(http, secret, 0)  # the first one opens the database
        start = time.perf_counter() + 0.1

        async def one(number: int) -> float:
            planned = start + number / per_second
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            await deliver(http, secret, number + 1)
            return (time.perf_counter() - planned) * 1000

        return list(await asyncio.gather(*(one(number) for number in range(count))))


async def deliver(http: httpx.AsyncClient, secret: str, number: int) -> None:
    shop = f"bench-{number % SHOPS}.myshopify.com"
    body = json.dumps(
        {
            "id": number,
            "order_id": number,
            "updated_at": "2026-11-21T12:00:00Z",
            "shop_domain": shop,
            "line_items": [
                {"id": line, "product_id": line, "quantity": 1, "properties": [], "note": "x" * 250}
                for line in range(LINES)
            ],
        }
    ).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    headers = {
        "X-Shopify-Topic": TOPICS[number % len(TOPICS)],
        "X-Shopify-Shop-Domain": shop,
        "X-Shopify-Webhook-Id": str(uuid.uuid4()),
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
    }
    answer = await http.post("/hooks/shopify", content=body, headers=headers)
    if answer.status_code != HTTPStatus.OK:
        raise SystemExit(f"A webhook was answered with {answer.status_code}: {answer.text[:200]}")


@contextmanager
def running_service(database_url: str | None) -> Iterator[tuple[str, str]]:
    """`tryon serve` with a Shopify app, on a free port; its address and the secret."""
    with tempfile.TemporaryDirectory() as folder:
        secret = secrets.token_hex(16)
        environment = os.environ | {
            "DATA_DIR": folder,
            "SHOPIFY_CLIENT_ID": "bench",
            "SHOPIFY_CLIENT_SECRET": secret,
            "SHOPIFY_TOKEN_KEY": secrets.token_hex(32),
        }
        if database_url:
            environment["DATABASE_URL"] = database_url
        tryon = [sys.executable, "-W", "ignore", "-m", "backend.cli"]
        subprocess.run([*tryon, "migrate"], env=environment, check=True)  # noqa: S603
        port = free_port()
        service = subprocess.Popen(  # noqa: S603
            [*tryon, "serve", "--port", str(port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url)
            yield url, secret
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=30)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=1).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("The service did not start.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
