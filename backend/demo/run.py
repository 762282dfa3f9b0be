"""`tryon demo`: the whole product on this machine, one line of progress for each step, one address at the end."""

import asyncio
import json
import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import httpx

from backend.demo import preflight
from backend.demo.sample import BRAND_FILE, DemoBrand, ensure_brand, ensure_garments
from backend.demo.shop import SHOP, AppSecrets, Merchant, ShopNotInstalled, app_environment, ensure_secrets
from backend.demo.supervisor import Service, ServiceFailed, Supervisor
from backend.migrate import migrate
from backend.settings import DevelopmentModeWarning, Settings

REPOSITORY = Path(__file__).resolve().parents[2]
STOREFRONT_SCRIPT = REPOSITORY / "shopify_extension" / "dev" / "storefront.mjs"
EMBED_PAGE = REPOSITORY / "embed" / "dist" / "index.html"
STEPS = 7
DEFAULT_PORT = 8400
SETTING_PREFIXES = (
    "DATABASE_", "DATA_DIR", "EMBED_", "HMR2_", "PUBLIC_BASE_URL", "RUNPOD_", "SHOPIFY_", "STORAGE_", "SUPABASE_",
    "TOKEN_", "TRYON_", "WORKER_",
)  # fmt: skip
POLITELY = ("nice", "-n", "5")
"""On a small machine requests are answered before bodies are built."""


@dataclass(frozen=True)
class Ports:
    storefront: int
    backend: int
    endpoint: int
    shopify: int

    @classmethod
    def choose(cls, wanted: int) -> "Ports":
        return cls(*(preflight.free_port(wanted + offset) for offset in range(4)))


@dataclass(frozen=True)
class Origins:
    """Where each service answers."""

    storefront: str
    backend: str
    endpoint: str
    shopify: str

    @classmethod
    def of(cls, ports: Ports) -> "Origins":
        return cls(*(f"http://127.0.0.1:{port}" for port in astuple(ports)))


def run_demo(port: int, data_dir: Path) -> int:
    """Run until Ctrl-C; 0 after a clean stop, 2 when this machine lacks something."""
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    try:
        return asyncio.run(_demo(port, data_dir.resolve()))
    except (preflight.PreflightFailed, ServiceFailed, ShopNotInstalled) as failure:
        print(failure, file=sys.stderr)
        return 2


async def _demo(port: int, data_dir: Path) -> int:
    _step(1, "Checking this machine", preflight.check_python(), preflight.check_node(), preflight.check_platform())
    preflight.check_front_end(EMBED_PAGE)
    ports = Ports.choose(port)
    stopped = _stop_signal()
    supervisor = Supervisor(data_dir / "logs", _without_settings(os.environ), lambda line: print(line, flush=True))
    http = httpx.AsyncClient(timeout=15)
    try:
        await _start_all(supervisor, ports, data_dir, http)
        print(f"The merchant's page: {Origins.of(ports).backend}/admin?shop={SHOP}")
        print(f"The brand's API key: {data_dir / BRAND_FILE}")
        print(f"Logs and data are in {data_dir}. Ctrl-C stops everything.")
        print(f"Ready: http://127.0.0.1:{ports.storefront}", flush=True)
        await stopped.wait()
        print("Stopping.", flush=True)
    finally:
        await supervisor.stop()
        await http.aclose()
    return 0


async def _start_all(supervisor: Supervisor, ports: Ports, data_dir: Path, http: httpx.AsyncClient) -> None:
    """The stand-in for Shopify comes up beside the rest, which does not need it before the app is installed."""
    origins = Origins.of(ports)
    app = ensure_secrets(data_dir)
    merchant = Merchant(http, origins.shopify, origins.backend, origins.storefront)
    await asyncio.gather(
        supervisor.start(_shopify(http, origins, app, merchant.install)),
        _start_product(supervisor, origins, data_dir, http, app, merchant),
    )
    await merchant.install()
    _step(7, "App installed", f"{SHOP} at {origins.shopify}")


async def _start_product(
    supervisor: Supervisor,
    origins: Origins,
    data_dir: Path,
    http: httpx.AsyncClient,
    app: AppSecrets,
    merchant: Merchant,
) -> None:
    await supervisor.start(_endpoint(http, origins, data_dir))
    _step(2, "Local endpoint", origins.endpoint)
    environment = backend_environment(data_dir, origins.backend, origins.endpoint) | app_environment(app)
    environment |= {"SHOPIFY_TOKEN_KEY": app.token_key, "SHOPIFY_DEMO_URL": origins.shopify}
    environment |= {"SHOPIFY_DEMO_STOREFRONT": origins.storefront}
    settings = merchant.settings = _embedded_settings(environment)
    await asyncio.to_thread(migrate, settings)
    brand = await ensure_brand(settings, data_dir, origins.storefront, SHOP)
    _step(3, "Database", settings.database_url)
    await supervisor.start(_backend(http, origins.backend, environment))
    _step(4, "Backend", origins.backend)
    async with httpx.AsyncClient(base_url=origins.backend, timeout=10) as api:
        count = await ensure_garments(api, brand.api_key)
    await asyncio.gather(
        supervisor.start(_worker(http, origins, data_dir)),
        supervisor.start(_storefront(http, origins, brand, app)),
    )
    photo = "questions and photos" if preflight.has_photo_estimator() else "questions only: no photo estimator here"
    _step(5, "Worker", photo)
    _step(6, "Sample storefront", f"{count} garments")


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The shell's environment less every setting of ours: the demo never touches a database that was exported there."""
    return {name: value for name, value in environ.items() if not name.startswith(SETTING_PREFIXES)}


def _embedded_settings(environment: dict[str, str]) -> Settings:
    """Settings of the embedded default; what it made up for itself is said in plain lines."""
    with warnings.catch_warnings(record=True) as stand_ins:
        warnings.simplefilter("always", DevelopmentModeWarning)
        settings = Settings.from_env(environment)
    for stand_in in stand_ins:
        print(f"      {stand_in.message}", flush=True)
    return settings


def backend_environment(data_dir: Path, backend_origin: str, endpoint_origin: str) -> dict[str, str]:
    """What the backend needs to reach the local endpoint; all else has embedded defaults."""
    return {
        "DATA_DIR": str(data_dir),
        "PUBLIC_BASE_URL": backend_origin,
        "RUNPOD_ENDPOINT_BASE_URL": f"{endpoint_origin}/v2",
        "EMBED_DIST_DIR": str(EMBED_PAGE.parent),
        "RUNPOD_ENDPOINT_ID": "local",
        "RUNPOD_API_KEY": _endpoint_keys(data_dir)["client_key"],
    }


def _endpoint_keys(data_dir: Path) -> dict[str, str]:
    keys: dict[str, str] = json.loads((data_dir / "endpoint" / "keys.json").read_text())
    return keys


def _answers(http: httpx.AsyncClient, url: str) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return (await http.get(url)).is_success

    return ready


def _endpoint(http: httpx.AsyncClient, origins: Origins, data_dir: Path) -> Service:
    command = [
        sys.executable, "-m", "gpu_worker.cli", "endpoint",
        "--port", _port(origins.endpoint), "--data-dir", str(data_dir), "--webhook-origin", origins.backend,
    ]  # fmt: skip
    return Service("endpoint", command, {}, _answers(http, f"{origins.endpoint}/_/ready"))


def _backend(http: httpx.AsyncClient, origin: str, environment: dict[str, str]) -> Service:
    command = [sys.executable, "-m", "backend.cli", "serve", "--port", _port(origin)]
    return Service("backend", command, environment, _answers(http, f"{origin}/ready"))


def _worker(http: httpx.AsyncClient, origins: Origins, data_dir: Path) -> Service:
    command = [
        *POLITELY, sys.executable, "-m", "gpu_worker.cli", "serve",
        "--endpoint", origins.endpoint, "--data-dir", str(data_dir),
    ]  # fmt: skip

    async def ready() -> bool:
        keys = {"Authorization": f"Bearer {_endpoint_keys(data_dir)['client_key']}"}
        health = (await http.get(f"{origins.endpoint}/v2/local/health", headers=keys)).raise_for_status().json()
        workers = health["workers"]
        return bool(workers["idle"] + workers["running"])

    return Service("worker", command, {"WORKER_STORAGE_ORIGIN": origins.backend}, ready)


def _shopify(
    http: httpx.AsyncClient, origins: Origins, app: AppSecrets, restarted: Callable[[], Awaitable[None]]
) -> Service:
    command = [
        sys.executable, "-m", "backend.demo.fake_shopify",
        "--port", _port(origins.shopify), "--target", origins.backend, "--shop", SHOP,
    ]  # fmt: skip
    return Service(
        "shopify", command, app_environment(app), _answers(http, f"{origins.shopify}/_/shops/{SHOP}"), restarted
    )


def _storefront(http: httpx.AsyncClient, origins: Origins, brand: DemoBrand, app: AppSecrets) -> Service:
    command = [
        "node", str(STOREFRONT_SCRIPT), "--port", _port(origins.storefront), "--backend", origins.backend,
        "--shopify", origins.shopify, "--shop", SHOP,
    ]  # fmt: skip
    keys = {"TRYON_API_KEY": brand.api_key, "SHOPIFY_CLIENT_SECRET": app.client_secret}
    return Service("storefront", command, keys, _answers(http, f"{origins.storefront}/"))


def _port(origin: str) -> str:
    return origin.rsplit(":", 1)[1]


def _step(number: int, what: str, *facts: str) -> None:
    print(f"[{number}/{STEPS}] {what}: {', '.join(facts)}", flush=True)


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    return stopped
