"""Every object store there is, each with the way a browser or a worker reaches its addresses."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from pytest_socket import socket_allow_hosts

from backend.core import problems
from backend.core.clock import Clock, SystemClock
from backend.core.folder_store import FolderStore
from backend.core.memory_store import MemoryStore
from backend.core.object_routes import ObjectController
from backend.core.object_tokens import ObjectSigner
from backend.core.storage import BUCKETS, ObjectStore
from backend.core.supabase_store import SupabaseStore
from tests.fake_supabase_faults import FaultyWay
from tests.fake_supabase_storage import FakeSupabaseStorage
from tests.fakes import HandClock

OWN_URL = "http://tryon.test"
SUPABASE_URL = "http://storage.test"
SIGNING_KEY = "signing-key-of-the-tests-0123456789"
PROJECT_URL, PROJECT_KEY = os.environ.get("SUPABASE_TEST_URL", ""), os.environ.get("SUPABASE_TEST_KEY", "")
LOOPBACK = ["127.0.0.1", "::1", "localhost"]

At = Callable[[str], str]


@dataclass
class Place:
    """A store, a client without any credential, and a folder of the test's own."""

    store: ObjectStore
    http: httpx.AsyncClient
    clock: HandClock | None
    root: str

    def at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def now(self) -> datetime:
        return (self.clock or SystemClock()).now()

    def wait(self, **amount: float) -> None:
        if self.clock is None:
            pytest.skip("time cannot be moved in a real project")
        self.clock.advance(**amount)


@asynccontextmanager
async def open_place(kind: str, folder: Path, clock: HandClock) -> AsyncIterator[Place]:
    root = f"contract/{uuid4().hex}"
    store: ObjectStore
    transport: httpx.AsyncBaseTransport | None
    match kind:
        case "folder" | "memory":
            store, transport = _own_store(kind, folder, clock)
        case "supabase":
            store, transport = await supabase_on_fake(FakeSupabaseStorage(clock), clock)
        case _:
            store, transport = await _real_project(), None
    async with httpx.AsyncClient(transport=transport, timeout=30) as http:
        yield Place(store, http, None if kind == "project" else clock, root)
    if kind == "project":
        for bucket in BUCKETS:
            await store.delete_prefix(bucket, f"{root}/")
    await store.close()


def _own_store(kind: str, folder: Path, clock: Clock) -> tuple[ObjectStore, httpx.AsyncBaseTransport]:
    store: ObjectStore = (
        FolderStore(folder / "objects", OWN_URL, SIGNING_KEY, clock)
        if kind == "folder"
        else MemoryStore(OWN_URL, SIGNING_KEY, clock)
    )
    service = Litestar(
        [ObjectController],
        plugins=[problems.plugin()],
        state=State({"store": store, "clock": clock, "object_signer": ObjectSigner(SIGNING_KEY)}),
        openapi_config=None,
        logging_config=None,
    )
    return store, httpx.ASGITransport(service, raise_app_exceptions=False)  # type: ignore[arg-type]


async def supabase_on_fake(server: FakeSupabaseStorage, clock: Clock) -> tuple[SupabaseStore, FaultyWay]:
    way = FaultyWay(server)
    store = SupabaseStore(SUPABASE_URL, server.service_key, clock, transport=way, pause=way.pause)
    await store.make_buckets()
    way.seen.clear()
    return store, way


@asynccontextmanager
async def on_a_socket(server: FakeSupabaseStorage) -> AsyncIterator[str]:
    """Served on a free port of this machine, for clients that make connections of their own."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(server, lifespan="off", log_level="warning", access_log=False, log_config=None)
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started:  # noqa: ASYNC110  uvicorn offers no event
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    running.should_exit = True
    await serving


async def _real_project() -> SupabaseStore:
    """Buckets are made; objects of the test are deleted after it. Never a project with shoppers in it."""
    socket_allow_hosts([*LOOPBACK, str(urlsplit(PROJECT_URL).hostname)], allow_unix_socket=True)
    store = SupabaseStore(PROJECT_URL, PROJECT_KEY, SystemClock())
    await store.make_buckets()
    return store
