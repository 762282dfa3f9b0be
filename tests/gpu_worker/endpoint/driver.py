"""Speaks to a local endpoint from both sides: as a backend, and as a worker that does only what it is told."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gpu_worker.local_endpoint.keys import Keys
from gpu_worker.local_endpoint.limits import Limits
from gpu_worker.local_endpoint.server import EndpointSettings, running

Json = dict[str, Any]


class Clock:
    """Real time, moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Endpoint:
    """One running endpoint."""

    base: str
    keys: Keys
    session: aiohttp.ClientSession
    clock: Clock
    limits: Limits
    name: str = "local"

    async def client(self, method: str, path: str, **given: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.keys.client_key}"} | given.pop("headers", {})
        async with self.session.request(
            method, f"{self.base}/v2/{self.name}{path}", headers=headers, **given
        ) as answer:
            return answer.status, await answer.json()

    async def run(self, value: Any = 1, **more: Any) -> str:
        status, answer = await self.client("POST", "/run", json={"input": {"value": value}, **more})
        assert (status, answer["status"]) == (200, "IN_QUEUE")
        job_id: str = answer["id"]
        return job_id

    async def status(self, job_id: str) -> Json:
        status, answer = await self.client("GET", f"/status/{job_id}")
        assert status == 200, answer
        content: Json = answer
        return content

    def worker(self, name: str) -> "Worker":
        return Worker(self, name)

    async def pass_time(self, seconds: float) -> None:
        """Move the endpoint's clock and let it look at it."""
        self.clock.ahead_s += seconds
        await asyncio.sleep(4 * self.limits.tick_s)


@dataclass
class Worker:
    """A worker of the protocol, step by step."""

    endpoint: Endpoint
    id: str

    async def request(self, method: str, path: str, **given: Any) -> tuple[int, Any]:
        url = f"{self.endpoint.base}/v2/{self.endpoint.name}{path}"
        headers = {"Authorization": self.endpoint.keys.worker_key} | given.pop("headers", {})
        async with self.endpoint.session.request(method, url, headers=headers, **given) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def take(self, *, busy: bool = False) -> Json | None:
        status, job = await self.request("GET", f"/job-take/{self.id}?gpu=x&job_in_progress={int(busy)}")
        assert status in {200, 204}, status
        content: Json | None = job
        return content

    async def done(self, job_id: str, **result: Any) -> int:
        path = f"/job-done/{self.id}/{job_id}?gpu=x&isStream=false"
        form = {"Content-Type": "application/x-www-form-urlencoded"}  # what the SDK says of its JSON
        status, _ = await self.request("POST", path, data=json.dumps(result), headers=form)
        return status

    async def ping(self, *job_ids: str) -> None:
        named = f"&job_id={','.join(job_ids)}" if job_ids else ""
        status, _ = await self.request("GET", f"/ping/{self.id}?gpu=x{named}&runpod_version=1.12.0")
        assert status == 200

    async def stop_orders(self) -> list[str]:
        _, answer = await self.request("GET", f"/job-stop/{self.id}?gpu=x")
        orders: list[str] = answer["jobsToStop"] if answer else []
        return orders

    def parked(self, *, busy: bool = False) -> "asyncio.Task[Json | None]":
        return asyncio.create_task(self.take(busy=busy))


@contextlib.asynccontextmanager
async def endpoint_in(
    data_dir: Path, clock: Clock, limits: Limits, *, port: int = 0, webhook_origins: tuple[str, ...] = ()
) -> AsyncIterator[Endpoint]:
    """An endpoint in this process; the same folder again is the same endpoint after a restart."""
    settings = EndpointSettings(data_dir, port, webhook_origins=webhook_origins, limits=limits)
    async with running(settings, clock) as base, aiohttp.ClientSession() as session:
        yield Endpoint(base, Keys.load(settings.folder), session, clock, limits)
