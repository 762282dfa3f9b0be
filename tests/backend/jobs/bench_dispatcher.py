"""How many jobs one dispatcher sees through: `python -m tests.backend.jobs.bench_dispatcher`. JSON on stdout.

Jobs lie in their rows; a fast endpoint in a process of its own answers every `/run` and `/status` at once. Measured are
the product's own rounds: rows → `/run` accepted and its id kept (`sent`), then manifest → effect (`taken_in`).
`per_cpu_s` is by the processor time of the dispatcher's process alone, which other work on the machine does not change;
`per_s` by the clock. Postgres runs without fsync, SQLite as ever (WAL, `synchronous=NORMAL`).
"""

import argparse
import asyncio
import cProfile
import io
import json
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import msgspec
from aiohttp import web
from alembic import command
from litestar import Litestar
from sqlalchemy import select, update

from backend.app import create_app
from backend.brands.service import BrandService
from backend.core import logging
from backend.core.clock import SystemClock
from backend.core.storage import GLB, ObjectStore
from backend.jobs import states
from backend.jobs.models import Job, JobAttempt
from backend.jobs.providers import Provider, Providers
from backend.jobs.queue import RunPodQueue
from backend.jobs.service import JobService
from backend.jobs.work import JSON, MANIFEST, ObjectOutput, Order, Priority, Work
from backend.migrate import alembic_config
from backend.provider_settings import ProviderSettings
from backend.settings import Settings
from gpu_worker.contract import CONTRACT_VERSION, Manifest
from tests.postgres import TEMPLATE, OwnCluster, PostgresMissing

JOBS = 1000
OUTPUTS = {name: ObjectOutput(GLB, 1_000_000, is_optional=True) for name in ("avatar.glb", "body.glb")}
BUCKET = "avatars"


def serve_endpoint() -> None:
    """Takes whatever comes, and says that all of it is done."""

    async def run(request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"id": body["input"]["attempt_id"], "status": "IN_QUEUE"})

    async def status(_: web.Request) -> web.Response:
        return web.json_response({"status": "COMPLETED", "delayTime": 10, "executionTime": 20, "workerId": "w"})

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.post("/v2/fast/run", run), web.get("/v2/fast/status/{id}", status)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


@asynccontextmanager
async def dispatcher_on(database_url: str, port: int, folder: Path) -> AsyncIterator[Litestar]:
    settings = Settings.from_env({"DATA_DIR": str(folder), "DATABASE_URL": database_url, "RUNPOD_API_KEY": "k"})
    clock = SystemClock()
    base_url = f"http://127.0.0.1:{port}/v2"
    row = ProviderSettings(name="fast", base_url=base_url, endpoint_id="fast")
    queue = RunPodQueue(base_url, "fast", lambda: "k", limits={})
    queue.is_local = False  # as one far away: this machine's own is given four at a time
    app = create_app(settings, clock=clock, providers=Providers([Provider(row, queue, clock)], clock))
    async with app.lifespan():
        yield app


async def order(app: Litestar, count: int) -> None:
    async with app.state.database.transaction() as session:
        brand = await BrandService(session, app.state.clock).create("Bench", [])
        jobs = JobService(session, app.state.clock)
        for number in range(count):
            work = Work(BUCKET, f"{brand.id}/{brand.id}/{number}/", OUTPUTS, {"number": number, "padding": "x" * 500})
            placed = Order(brand.id, "noop", UUID(int=number + 1), f"key {number}", work, Priority.WAITED_FOR)
            await jobs.submit(placed, is_result_kept=True)


async def upload(app: Litestar) -> None:
    """The manifest of each attempt, as its worker would; not measured."""
    store: ObjectStore = app.state.store
    async with app.state.database.transaction() as session:
        found = await session.execute(select(JobAttempt, Job.input).join(Job, Job.id == JobAttempt.job_id))
        for attempt, content in found:
            work = msgspec.convert(content, Work)
            manifest = Manifest(str(attempt.id), CONTRACT_VERSION, "1", {}, None, "cpu", "w", False, {})
            key = work.folder(attempt.id, attempt.secret) + MANIFEST
            body = msgspec.json.encode(manifest)
            await store.put(BUCKET, key, body, content_type=JSON)
        await session.execute(update(JobAttempt).values(poll_at=app.state.clock.now()))


async def measured(name: str, step: Callable[[], Awaitable[int]], count: int, profiled: str) -> dict[str, float]:
    profile = cProfile.Profile() if profiled == name else None
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    if profile:
        profile.enable()
    done = 0
    while done < count:
        done += await step()
    if profile:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(70)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return {"per_s": round(done / wall_s, 1), "per_cpu_s": round(done / cpu_s, 1)}


async def measure(database_url: str, port: int, folder: Path, count: int, profiled: str) -> dict[str, dict[str, float]]:
    async with dispatcher_on(database_url, port, folder) as app:
        await order(app, count)
        sweeper = app.state.sweeper
        sent = await measured("sent", sweeper.dispatcher.run_due, count, profiled)
        await upload(app)
        taken_in = await measured("taken_in", sweeper.reconciler.run_due, count, profiled)
        async with app.state.database.transaction(read_only=True) as session:
            over = (await session.scalars(select(Job.state))).all()  # tenant: of all there is
            if set(over) != {states.SUCCEEDED} or len(over) != count:
                raise RuntimeError("Not every job has succeeded.")
    return {"sent": sent, "taken_in": taken_in}


def migrated(url: str) -> str:
    command.upgrade(alembic_config(url), "head")
    return url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), action="append")
    parser.add_argument("--profile", choices=("sent", "taken_in"), default="")
    parser.add_argument("--as-endpoint", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_endpoint:
        serve_endpoint()
        return
    warnings.simplefilter("ignore")
    logging.configure(io.StringIO())
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "tests.backend.jobs.bench_dispatcher", "--as-endpoint"],
        stdout=subprocess.PIPE,
        text=True,
    )
    figures = {}
    try:
        port = int(endpoint.stdout.readline()) if endpoint.stdout else 0
        for engine in arguments.engine or ("sqlite", "postgres"):
            folder = Path(tempfile.mkdtemp())
            try:
                figures[engine] = _on(engine, folder, port, arguments.jobs, arguments.profile)
            finally:
                shutil.rmtree(folder)
    finally:
        endpoint.terminate()
        endpoint.wait()
    print(json.dumps(figures))


def _on(engine: str, folder: Path, port: int, count: int, profiled: str) -> dict[str, dict[str, float]] | str:
    if engine == "sqlite":
        url = migrated(f"sqlite+aiosqlite:///{folder / 'tryon.db'}")
        return asyncio.run(measure(url, port, folder, count, profiled))
    try:
        cluster = OwnCluster()
    except PostgresMissing as reason:
        return f"not measured: {reason}"
    with cluster:
        return asyncio.run(measure(migrated(cluster.create(TEMPLATE)), port, folder, count, profiled))


if __name__ == "__main__":
    main()
