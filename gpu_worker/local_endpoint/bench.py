"""How quick the local endpoint is: `python -m gpu_worker.local_endpoint.bench`. JSON on stdout.

The endpoint runs as its own process with its rows on disk (WAL, synchronous=NORMAL: no fsync per commit). "Light"
workers speak the worker protocol and do nothing; the SDK's figures are reported beside, because its own loops add up
to 0.1 s per job that no endpoint can take away.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gpu_worker.handler import Handler, Job, Report
from gpu_worker.local_endpoint.keys import Keys
from gpu_worker.local_endpoint.worker_environment import worker_environment
from gpu_worker.main import start
from gpu_worker.settings import Settings

IDLE_JOBS, QUEUED_JOBS, THROUGHPUT_JOBS, SDK_JOBS = 200, 200, 3000, 20
LIGHT_WORKERS, SUBMITTERS = 8, 8
INPUT = {"attempt_id": "x" * 36, "padding": "x" * 2000}
"""About the size of a real job's input."""


@dataclass
class Bench:
    """Both sides' requests."""

    base: str
    keys: Keys
    http: aiohttp.ClientSession

    async def run(self) -> str:
        headers = {"Authorization": f"Bearer {self.keys.client_key}"}
        async with self.http.post(f"{self.base}/run", json={"input": INPUT}, headers=headers) as answer:
            job_id: str = (await answer.json())["id"]
            return job_id

    async def ended(self, job_id: str) -> dict[str, Any]:
        """Poll until the job has ended."""
        headers = {"Authorization": f"Bearer {self.keys.client_key}"}
        while True:
            async with self.http.get(f"{self.base}/status/{job_id}", headers=headers) as answer:
                seen: dict[str, Any] = await answer.json()
            if seen["status"] not in {"IN_QUEUE", "IN_PROGRESS"}:
                return seen
            await asyncio.sleep(0.01)

    async def take(self, worker: str, *, busy: bool = False) -> tuple[str | None, float]:
        """Job id and the time it was in the worker's hands."""
        url = f"{self.base}/job-take/{worker}?gpu=cpu&job_in_progress={int(busy)}"
        async with self.http.get(url, headers={"Authorization": self.keys.worker_key}) as answer:
            job = await answer.json() if answer.status == 200 else None
            return (job["id"] if job else None), time.perf_counter()

    async def done(self, worker: str, job_id: str) -> None:
        url = f"{self.base}/job-done/{worker}/{job_id}?gpu=cpu&isStream=false"
        async with self.http.post(url, data='{"output":{"ok":true}}', headers={"Authorization": self.keys.worker_key}):
            pass


@asynccontextmanager
async def running_endpoint() -> AsyncIterator[Bench]:
    """A fresh endpoint process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gpu_worker.cli", "endpoint", "--port", "0", "--data-dir", folder]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        try:
            if process.stdout is None:
                raise RuntimeError("no output to read the address from")
            address = (await process.stdout.readline()).decode().split()[-1]
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                yield Bench(f"{address}/v2/local", Keys.load(Path(folder) / "endpoint"), http)
        finally:
            process.terminate()
            await process.wait()


async def idle_hand_over_ms(bench: Bench) -> list[float]:
    """From sending /run until an idle worker holds the job."""
    times = []
    for _ in range(IDLE_JOBS):
        poll = asyncio.create_task(bench.take("idle"))
        await asyncio.sleep(0.01)
        sent_s = time.perf_counter()
        await bench.run()
        job_id, taken_s = await poll
        times.append((taken_s - sent_s) * 1000)
        await bench.done("idle", job_id or "")
    return times


async def next_job_ms(bench: Bench) -> list[float]:
    """From sending job-done until the next waiting job is there, by the spare poll."""
    for _ in range(QUEUED_JOBS + 1):
        await bench.run()
    job_id, _ = await bench.take("busy")
    times = []
    for _ in range(QUEUED_JOBS):
        poll = asyncio.create_task(bench.take("busy", busy=True))
        await asyncio.sleep(0.005)
        sent_s = time.perf_counter()
        await bench.done("busy", job_id or "")
        job_id, taken_s = await poll
        times.append((taken_s - sent_s) * 1000)
    await bench.done("busy", job_id or "")
    return times


async def jobs_per_s(bench: Bench) -> float:
    """Submitted, taken and done at the same time by light workers."""
    left = THROUGHPUT_JOBS

    async def submit(count: int) -> None:
        for _ in range(count):
            await bench.run()

    async def work(name: str) -> None:
        nonlocal left
        while left > 0:
            job_id, _ = await bench.take(name)
            if job_id is not None:
                await bench.done(name, job_id)
                left -= 1

    start_s = time.perf_counter()
    workers = [asyncio.create_task(work(f"light-{n}")) for n in range(LIGHT_WORKERS)]
    await asyncio.gather(*(submit(THROUGHPUT_JOBS // SUBMITTERS) for _ in range(SUBMITTERS)))
    await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
    elapsed_s = time.perf_counter() - start_s
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return THROUGHPUT_JOBS / elapsed_s


async def sdk_take_to_handler_ms(bench: Bench) -> list[float]:
    """From hand-over until the handler of an idle SDK worker runs: the SDK's own share."""
    with tempfile.TemporaryDirectory() as home:
        base_url, endpoint = bench.base.rsplit("/v2/", 1)
        env = worker_environment(base_url, endpoint, "sdk", bench.keys.worker_key, Path(home))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gpu_worker.local_endpoint.bench",
            "--as-sdk-worker",
            env={**os.environ, **env, "WORKER_STORAGE_ORIGIN": "http://127.0.0.1:1"},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        times = []
        try:
            for _ in range(SDK_JOBS):
                sent_s = time.time()
                job_id = await bench.run()
                seen = await bench.ended(job_id)
                times.append((seen["output"]["started"] - sent_s) * 1000 - seen["delayTime"])
                await asyncio.sleep(0.13)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with its heartbeat
            await process.wait()
    return times[1:]  # the first one waited for the worker to start


def as_sdk_worker() -> None:
    """A worker process whose handler says when it was called."""

    async def handler(_job: Job) -> dict[str, Any]:
        return {"started": time.time()}

    def make(_report: Report) -> Handler:
        return handler

    start(Settings.from_env(os.environ), make)


def summary(times_ms: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum."""
    cuts = statistics.quantiles(times_ms, n=20)
    return {"p50": round(statistics.median(times_ms), 2), "p95": round(cuts[18], 2), "max": round(max(times_ms), 2)}


async def measure() -> dict[str, Any]:
    """All figures."""
    async with running_endpoint() as bench:
        figures: dict[str, Any] = {
            "synchronous": "NORMAL",
            "idle_hand_over_ms": summary(await idle_hand_over_ms(bench)),
            "done_to_next_job_ms": summary(await next_job_ms(bench)),
            "light_worker_jobs_per_s": round(await jobs_per_s(bench)),
        }
        figures["sdk_take_to_handler_ms"] = summary(await sdk_take_to_handler_ms(bench))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as-sdk-worker", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().as_sdk_worker:
        as_sdk_worker()
    else:
        print(json.dumps(asyncio.run(measure())))  # noqa: T201
