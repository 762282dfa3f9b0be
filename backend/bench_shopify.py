"""How long a forged call takes to be refused, and a sound one to be served: webhooks, proxy calls, session tokens.

    python -m backend.bench_shopify [--calls 250] [--database-url URL]

The real app in this process on a database of its own (SQLite, or an empty one that is named), with the stand-in for
Shopify beside it; no socket but the database's is in the times. Ends with 1 when a forgery is served or a refusal takes
longer than the goal.
"""

import argparse
import asyncio
import base64
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec

from backend.app import create_app
from backend.brands.service import BrandService
from backend.core import logging
from backend.core.clock import SystemClock
from backend.demo.fake_shopify.schema import AdminSchema
from backend.demo.fake_shopify.server import FakeTransport
from backend.demo.fake_shopify.world import FakeShopify
from backend.migrate import migrate
from backend.settings import Settings
from backend.shopify.documents import API_VERSION
from backend.shopify.installs import InstallService
from backend.shopify.shop import Shopify

GOAL_SLOWEST_REFUSAL_MS = 100.0
SHOP, OTHER = "bench.myshopify.com", "other.myshopify.com"
ORIGIN = f"https://{SHOP}"
SEED = 20261121
REFUSED = 401
BASE_URL = "http://bench.test"
PRODUCT = 7001


class Call(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: dict[str, str] = {}
    body: bytes = b""


Make = Callable[[], Call]


def main() -> None:
    logging.configure()
    parser = argparse.ArgumentParser(prog="python -m backend.bench_shopify", description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=250, help="of each kind")
    parser.add_argument("--database-url", help="an empty Postgres database; SQLite otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(asyncio.run(measure(Path(folder), arguments.calls, arguments.database_url)))


async def measure(folder: Path, count: int, database_url: str | None) -> int:
    settings = Settings.from_env(
        {
            **({"DATABASE_URL": database_url} if database_url else {}),
            "DATA_DIR": str(folder),
            "PUBLIC_BASE_URL": BASE_URL,
            "TOKEN_SIGNING_KEY": "t" * 32,
            "STORAGE_SIGNING_KEY": "s" * 32,
            "SHOPIFY_CLIENT_ID": "bench-client",
            "SHOPIFY_CLIENT_SECRET": "bench-secret-of-32-bytes-and-more",
            "SHOPIFY_TOKEN_KEY": "k" * 32,
        }
    )
    migrate(settings)
    fake = FakeShopify(
        AdminSchema(API_VERSION), SystemClock(), settings.shopify_client_id, settings.shopify_client_secret
    )
    fake.shop(SHOP)
    app = create_app(settings, shopify_http=httpx.AsyncClient(transport=FakeTransport(fake)))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url=BASE_URL) as http:
        installed = await http.get("/admin", params={"shop": SHOP, "id_token": fake.session_token(SHOP)})
        installed.raise_for_status()
        await _sell_a_garment(app.state.shopify, http)
        slowest = await _report(http, fake, count)
    engine = "Postgres" if database_url else "SQLite"
    _say(f"{engine}: slowest refusal {slowest:.1f} ms, goal {GOAL_SLOWEST_REFUSAL_MS:.0f} ms")
    return int(slowest > GOAL_SLOWEST_REFUSAL_MS)


async def _sell_a_garment(shopify: Shopify, http: httpx.AsyncClient) -> None:
    """Else no proxy call could be served."""
    async with shopify.database.transaction() as session:
        install = await InstallService(session, shopify.clock).get(SHOP)
        key = await BrandService(session, shopify.clock).create_key(install.brand_id, "bench")
    garment = {
        "name": "Tee",
        "category": "t-shirt",
        "shopify_product_id": PRODUCT,
        "size_chart": {"unit": "cm", "measures": "garment", "sizes": {"M": {"chest": 102, "length": 70}}},
    }
    headers = {"Authorization": f"Bearer {key.api_key}"}
    (await http.post("/v1/garments", json=garment, headers=headers)).raise_for_status()


async def _report(http: httpx.AsyncClient, fake: FakeShopify, count: int) -> float:
    """Forgeries of each kind, then as many sound calls; the slowest refusal in ms, or infinity for one let in."""
    slowest = 0.0
    chance = random.Random(SEED)  # noqa: S311  which byte is altered is no secret
    for name, sound in _kinds(fake).items():
        forged = [_forge(sound(), chance) for _ in range(count)]
        refusals = [await _timed(http, call) for call in forged]
        served = [await _timed(http, sound()) for _ in range(count)]
        if any(status >= REFUSED for status, _ in served):
            raise RuntimeError(f"{name}: a sound call was not served.")
        is_clean = all(status == REFUSED for status, _ in refusals)
        times = [ms for _, ms in refusals]
        _say(_line(f"{name} forged", times) + ("" if is_clean else "  NOT ALL REFUSED"))
        _say(_line(f"{name} sound", [ms for _, ms in served]))
        slowest = max(slowest, *times) if is_clean else float("inf")
    return slowest


def _kinds(fake: FakeShopify) -> dict[str, Make]:
    numbers = iter(range(10**9))

    def proxy() -> Call:
        asked = {"product_id": str(PRODUCT), "origin": ORIGIN, "n": f"{next(numbers):032x}"}
        return Call("POST", f"/proxy/session?{fake.proxy_query(SHOP, asked)}")

    def merchant() -> Call:
        headers = {"Authorization": f"Bearer {fake.session_token(SHOP)}"}
        return Call("GET", "/admin/api/status", headers)

    def webhook() -> Call:
        made = fake.webhooks.make("products/update", SHOP, {"id": next(numbers), "updated_at": "2026-11-21T12:00:00Z"})
        return Call("POST", "/hooks/shopify", made.headers(fake.client_secret), made.body)

    return {"proxy": proxy, "session token": merchant, "webhook": webhook}


def _forge(call: Call, chance: random.Random) -> Call:
    """One byte of what was signed, or of its signature, is another."""
    if call.body:
        at = chance.randrange(len(call.body))
        return msgspec.structs.replace(call, body=call.body[:at] + b"~" + call.body[at + 1 :])
    if "Authorization" in call.headers:
        header, payload, signature = call.headers["Authorization"].removeprefix("Bearer ").split(".")
        raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
        raw[chance.randrange(len(raw))] ^= 1
        altered = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
        return msgspec.structs.replace(call, headers={"Authorization": f"Bearer {header}.{payload}.{altered}"})
    return msgspec.structs.replace(call, path=call.path.replace(SHOP, OTHER, 1))


async def _timed(http: httpx.AsyncClient, call: Call) -> tuple[int, float]:
    started = time.perf_counter()
    answer = await http.request(call.method, call.path, headers=call.headers, content=call.body)
    return answer.status_code, (time.perf_counter() - started) * 1000


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _line(name: str, times: list[float]) -> str:
    p99 = statistics.quantiles(times, n=100)[98]
    return f"{name:22} n={len(times)} p50={statistics.median(times):6.1f} p99={p99:6.1f} max={max(times):6.1f} ms"


if __name__ == "__main__":
    main()
