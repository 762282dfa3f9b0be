"""The service under test: the real app on SQLite and, with the same tests, on Postgres."""

import asyncio
import itertools
import os
import shutil
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from alembic import command
from litestar import Litestar
from pytest_socket import socket_allow_hosts

from backend.app import create_app, wire
from backend.core import logging
from backend.core.clock import Clock
from backend.jobs.providers import Providers, only
from backend.jobs.queue import ComputeQueue, RunPodQueue
from backend.migrate import alembic_config
from backend.settings import Settings
from tests.factories import Given
from tests.fakes import HandClock
from tests.postgres import TEMPLATE, Cluster, OwnCluster, PostgresMissing

BASE_URL = "http://tryon.test"
LOOPBACK = ["127.0.0.1", "::1", "localhost"]


def pytest_runtest_setup() -> None:
    """No test reaches beyond this machine."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


def migrate(url: str) -> None:
    command.upgrade(alembic_config(url), "head")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """`TEST_DATABASE_URL` (its database name is replaced), else a cluster of our own; skipped loudly without both."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield _with_template(Cluster(given.rsplit("/", 1)[0] + "/{name}"))
        return
    try:
        cluster = OwnCluster()
    except PostgresMissing as reason:
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            raise
        warnings.warn(pytest.PytestWarning(f"Nothing was tested on Postgres: {reason}."), stacklevel=1)
        pytest.skip(f"NOT TESTED ON POSTGRES: {reason}")
    with cluster:
        yield _with_template(cluster)


def _with_template(cluster: Cluster) -> Cluster:
    cluster.drop(TEMPLATE)
    migrate(cluster.create(TEMPLATE))
    return cluster


_numbers = itertools.count(1)


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    copy = tmp_path / "tryon.db"
    shutil.copyfile(sqlite_template, copy)
    return f"sqlite+aiosqlite:///{copy}"


@pytest.fixture
def postgres_database(postgres: Cluster) -> Iterator[str]:
    name = f"tryon_test_{os.getpid()}_{next(_numbers)}"
    yield postgres.clone(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of its own for each test, on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_database")
    return url


@pytest.fixture(autouse=True)
def _log_as_in_production() -> None:
    logging.configure(sys.stderr)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings.from_env(
        {
            "DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": database_url,
            "PUBLIC_BASE_URL": BASE_URL,
            "TOKEN_SIGNING_KEY": "token-signing-key-of-the-tests-0123456789",
            "STORAGE_SIGNING_KEY": "storage-signing-key-of-the-tests-0123456789",
            "RUNPOD_API_KEY": "endpoint-key-of-the-tests",
        }
    )


def _nobody_listens(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no endpoint here", request=request)


@pytest.fixture
def queue() -> ComputeQueue:
    """No endpoint is there, unless the test brings one."""
    transport = httpx.MockTransport(_nobody_listens)
    return RunPodQueue("http://127.0.0.1:8100/v2", "local", lambda: "key", transport=transport)


@pytest.fixture
def providers(queue: ComputeQueue, clock: Clock) -> Providers:
    return only(queue, clock)


@pytest.fixture
def shopify_http() -> httpx.AsyncClient | None:
    """What leads to Shopify, where the test has one."""
    return None


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Litestar:
    """Built once: reading every handler's signature takes longer than most tests do."""
    keys = {"TOKEN_SIGNING_KEY": "t" * 32, "STORAGE_SIGNING_KEY": "s" * 32}
    return create_app(Settings.from_env({"DATA_DIR": str(tmp_path_factory.mktemp("unused")), **keys}))


@pytest.fixture
async def app(
    routes: Litestar,
    settings: Settings,
    clock: Clock,
    providers: Providers,
    shopify_http: httpx.AsyncClient | None,
) -> AsyncIterator[Litestar]:
    """The service as `create_app` puts it together, with everything behind the routes of this test's own."""
    wiring = wire(settings, clock=clock, providers=providers, shopify_http=shopify_http)
    routes.state = wiring.state
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with AsyncExitStack() as stack:
            for lifespan in wiring.lifespans:
                await stack.enter_async_context(lifespan(routes))
            started.set()
            await stop.wait()

    life = asyncio.create_task(live())  # one task enters and leaves: fixtures may be torn down in another
    await asyncio.wait({life, asyncio.create_task(started.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        life.result()
    yield routes
    stop.set()
    await life


@pytest.fixture
async def http(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the app in this process; background work is done when an answer is back."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        yield client


@pytest.fixture
def given(app: Litestar) -> Given:
    return Given(app)
