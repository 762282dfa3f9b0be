"""Webhooks: sent at once, again when refused, kept over a restart, and only where the operator allowed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gpu_worker.local_endpoint.limits import Limits
from tests.gpu_worker.endpoint.driver import Clock, Endpoint, endpoint_in


class Receiver:
    """A backend's hook: answers with the statuses it is told, then with 200."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.statuses: list[int] = []
        self.slow_path = ""
        self.origin = ""
        self.arrived = asyncio.Event()

    async def hook(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.json()))
        self.arrived.set()
        if request.path == self.slow_path:
            await asyncio.sleep(5)
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": f"{self.origin}/elsewhere"})

    async def count(self, expected: int) -> None:
        async with asyncio.timeout(3):
            while len(self.got) < expected:
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.hook)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def endpoint(tmp_path: Path, clock: Clock, limits: Limits, receiver: Receiver) -> AsyncIterator[Endpoint]:
    async with endpoint_in(tmp_path, clock, limits, webhook_origins=(receiver.origin,)) as running:
        yield running


async def finish_one(endpoint: Endpoint, webhook: str) -> str:
    job_id = await endpoint.run(5, webhook=webhook)
    worker = endpoint.worker("w1")
    await worker.take()
    await worker.done(job_id, output={"size": "M"})
    return job_id


async def test_the_whole_job_is_sent(endpoint: Endpoint, receiver: Receiver) -> None:
    url = f"{receiver.origin}/hooks/jobs/1/secret"
    job_id = await finish_one(endpoint, url)
    await receiver.count(1)
    path, body = receiver.got[0]
    assert path == "/hooks/jobs/1/secret"
    assert body == {**await endpoint.status(job_id), "input": {"value": 5}, "webhook": url}


@pytest.mark.parametrize("status", [500, 204, 302])
async def test_anything_but_200_is_tried_again_after_ten_seconds_three_times_in_all(
    endpoint: Endpoint, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status] * 9
    await finish_one(endpoint, f"{receiver.origin}/hook")
    for tries in (1, 2, 3):
        await receiver.count(tries)
        await asyncio.sleep(0.05)  # the answer is back and the next try is planned
        await endpoint.pass_time(9)
        assert len(receiver.got) == tries
        await endpoint.pass_time(2)
        await finish_one(endpoint, "http://127.0.0.1:1/unrelated")  # an end wakes the sender
    await asyncio.sleep(0.1)
    assert [path for path, _ in receiver.got] == ["/hook"] * 3


async def test_cancelled_and_timed_out_jobs_are_told_too(endpoint: Endpoint, receiver: Receiver) -> None:
    job_id = await endpoint.run(webhook=f"{receiver.origin}/hook")
    await endpoint.client("POST", f"/cancel/{job_id}")
    await receiver.count(1)
    assert receiver.got[0][1]["status"] == "CANCELLED"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/hook", "http://user@{host}/hook", "https://{host}/hook"])
async def test_other_origins_are_never_called(endpoint: Endpoint, receiver: Receiver, address: str) -> None:
    host = receiver.origin.removeprefix("http://")
    await finish_one(endpoint, address.replace("{host}", host))
    await finish_one(endpoint, f"{receiver.origin}/allowed")
    await receiver.count(1)
    await asyncio.sleep(0.05)
    assert [path for path, _ in receiver.got] == ["/allowed"]


async def test_a_slow_receiver_holds_up_nobody_else(endpoint: Endpoint, receiver: Receiver) -> None:
    receiver.slow_path = "/slow"
    await finish_one(endpoint, f"{receiver.origin}/slow")
    await finish_one(endpoint, f"{receiver.origin}/quick")
    async with asyncio.timeout(0.5):
        await receiver.count(2)
    assert {path for path, _ in receiver.got} == {"/slow", "/quick"}


async def test_a_pending_one_survives_a_restart(
    tmp_path: Path, clock: Clock, limits: Limits, receiver: Receiver
) -> None:
    receiver.statuses = [503]
    folder = tmp_path / "own"
    async with endpoint_in(folder, clock, limits, webhook_origins=(receiver.origin,)) as endpoint:
        job_id = await finish_one(endpoint, f"{receiver.origin}/hook")
        await receiver.count(1)
        await asyncio.sleep(0.05)
    clock.ahead_s += 11
    async with endpoint_in(folder, clock, limits, webhook_origins=(receiver.origin,)):
        await receiver.count(2)
    assert receiver.got[1][1]["id"] == job_id
