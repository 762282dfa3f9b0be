"""What only a real connection shows: a refused upload is answered before its body is read."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import uvicorn
from litestar import Litestar

from tests.conftest import BASE_URL

JSON = "application/json"
MEGABYTES_19 = 19_000_000


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@pytest.fixture
async def server(app: Litestar) -> AsyncIterator[str]:
    """The app of the test, on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110  uvicorn offers no event
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_large_refused_upload_is_answered_at_once_and_the_next_works(app: Litestar, server: str) -> None:
    store = app.state.store
    signed = await store.signed_put_url(
        "avatars", "b/u/a.json", content_type=JSON, max_bytes=20_000_000, min_ttl=timedelta(minutes=30)
    )
    url = signed.url.replace(BASE_URL, server)
    async with httpx.AsyncClient(timeout=10) as http:
        started = time.monotonic()
        refused = await http.put(url, content=b"x" * MEGABYTES_19, headers={"Content-Type": "text/html"})
        assert refused.status_code == 415
        assert time.monotonic() - started < 2
        taken = await http.put(url, content=b"x" * MEGABYTES_19, headers=signed.headers)
        assert taken.status_code == 200, taken.text
    assert (await store.stat("avatars", "b/u/a.json")).size == MEGABYTES_19


async def test_twenty_uploads_at_once_are_quick(app: Litestar) -> None:
    store = app.state.store
    started = time.monotonic()
    await asyncio.gather(
        *(store.put("avatars", f"b/u/{number}.json", b"x" * 100_000, content_type=JSON) for number in range(20))
    )
    assert time.monotonic() - started < 3  # the goal is 0.3 s; a busy machine gets ten times as much
