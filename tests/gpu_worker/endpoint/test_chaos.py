"""Many jobs, careless workers, an endpoint that is restarted: every job ends, its result is kept, none is lost."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from gpu_worker.local_endpoint.limits import Limits
from tests.gpu_worker.endpoint.driver import Clock, Endpoint, Json, Worker, endpoint_in

SEED, JOBS, WORKERS, RESTARTS = 1, 150, 4, 3
QUICK = Limits(ping_interval_s=0.05, take_hold_s=0.2, tick_s=0.02, stopping_slot_s=0.3, max_deliveries=50)
HEARTBEAT_TIMEOUT_S = QUICK.heartbeat_timeout_s
FAULTS = ("dies", "drops the connection", "loses the result", "answers twice", "says it is idle", "works")


@dataclass
class World:
    """What is shared by submitters and workers while endpoints come and go."""

    dice: random.Random
    current: Endpoint | None = None
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    submitted: dict[str, int] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    async def endpoint(self) -> Endpoint:
        await self.is_up.wait()
        assert self.current is not None
        return self.current


async def submit_all(world: World) -> None:
    number = 0
    while number < JOBS:
        endpoint = await world.endpoint()
        try:
            world.submitted[await endpoint.run(number)] = number
        except (aiohttp.ClientError, RuntimeError):
            await asyncio.sleep(0.02)
            continue
        number += 1
        await asyncio.sleep(world.dice.uniform(0, 0.02))


async def work(world: World, name: str) -> None:
    lives = 0
    while not world.is_over:
        endpoint = await world.endpoint()
        worker = endpoint.worker(f"{name}-{lives}")
        try:
            has_died = await one_job(world, worker)
        except (aiohttp.ClientError, RuntimeError, AssertionError):  # the endpoint is being restarted
            await asyncio.sleep(0.02)
            continue
        lives += has_died


async def one_job(world: World, worker: Worker) -> bool:
    """Take one job and treat it well or badly; True if this worker is dead afterwards."""
    fault = world.dice.choices(FAULTS, weights=(1, 1, 1, 1, 1, 6))[0]
    if fault == "drops the connection":
        poll = worker.parked()
        await asyncio.sleep(world.dice.uniform(0, 0.02))
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        world.fired[fault] += 1
        return False
    await worker.ping()
    job = await worker.take()
    if job is None:
        return False
    world.fired[fault] += 1
    if fault == "dies":
        return True
    if fault == "says it is idle":
        await worker.ping(job["id"])
        return False  # the next take says so
    world.runs[job["id"]] += 1
    if fault != "loses the result":
        result = {"output": {"value": job["input"]["value"]}}
        for _ in range(2 if fault == "answers twice" else 1):
            assert await worker.done(job["id"], **result) == 200
    return False


async def test_every_job_ends_once_with_its_own_result(tmp_path: Path) -> None:
    world = World(random.Random(SEED))
    clock = Clock()
    tasks = [asyncio.create_task(work(world, f"w{n}")) for n in range(WORKERS)]
    submitting = asyncio.create_task(submit_all(world))
    final: dict[str, Json] = {}
    for restart in range(RESTARTS + 1):
        async with endpoint_in(tmp_path, clock, QUICK) as endpoint:
            world.current = endpoint
            world.is_up.set()
            if restart < RESTARTS:
                await asyncio.sleep(0.7)
            else:
                await submitting
                clock.ahead_s += HEARTBEAT_TIMEOUT_S  # what dead workers still hold comes back
                async with asyncio.timeout(30):
                    final = await all_final(endpoint, world)
                world.is_over = True
            world.is_up.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert set(FAULTS) == world.fired.keys(), "a fault that never fired proves nothing"
    assert len(final) == len(world.submitted) >= JOBS
    for job_id, value in world.submitted.items():
        assert (final[job_id]["status"], final[job_id]["output"]) == ("COMPLETED", {"value": value})
        assert world.runs[job_id] >= 1
    extra = sum(world.runs.values()) - JOBS
    assert extra <= 1.5 * sum(world.fired[fault] for fault in FAULTS if fault != "works")


async def all_final(endpoint: Endpoint, world: World) -> dict[str, Json]:
    while True:
        seen = {job_id: await endpoint.status(job_id) for job_id in world.submitted}
        if all(job["status"] == "COMPLETED" for job in seen.values()):
            return seen
        await asyncio.sleep(0.1)
        endpoint.clock.ahead_s += 0.5
