"""A worker for the endpoint's tests: the unmodified SDK over a handler whose input says what to do.

As a program it is what `tryon-worker serve` starts in place of the real worker, without its models.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gpu_worker.handler import Handler, Job, Report
from gpu_worker.local_endpoint.supervisor import WorkerSettings, supervise
from gpu_worker.main import leave, start
from gpu_worker.settings import Settings


def note_run(job_id: str, log: Path) -> None:
    """One line each time a job really runs."""
    with log.open("a") as file:
        file.write(f"{job_id} {os.getpid()}\n")


async def do(job: Job, report: Report) -> dict[str, Any]:
    wanted: dict[str, Any] = job["input"]
    match wanted["do"]:
        case "ok":
            note_run(job["id"], Path(wanted.get("log", os.devnull)))
            await asyncio.sleep(wanted.get("seconds", 0.0))
            return {"value": wanted.get("value"), "process": os.getpid()}
        case "refuse":
            return {"error": json.dumps({"code": "photo_no_person", "retryable": False})}
        case "raise":
            raise RuntimeError("deliberate")
        case "progress":
            report(job, {"stage": "measuring", "of": 5})
            await asyncio.sleep(wanted["seconds"])
            return {"value": "done"}
        case "die":
            os._exit(9)
        case "out_of_memory":
            leave()
            return {"error": json.dumps({"code": "out_of_memory", "retryable": True}), "refresh_worker": True}
        case other:
            return {"error": f"unknown: {other}"}


async def generate(job: Job) -> AsyncIterator[dict[str, int]]:
    for number in range(job["input"]["count"]):
        yield {"number": number}


def main() -> None:
    if sys.argv[1:] == ["plain"]:  # the SDK as it comes: one poll at a time, a generator handler
        os.environ["RUNPOD_LOG_LEVEL"] = "INFO"
        import runpod  # noqa: PLC0415

        runpod.serverless.start({"handler": generate, "return_aggregate_stream": True})
        return

    if sys.argv[1:2] == ["supervise"]:
        url, data_dir = sys.argv[2:]
        command = [sys.executable, "-u", __file__]
        asyncio.run(supervise(WorkerSettings(url, Path(data_dir), command, first_pause_s=0.1)))
        return

    def make(report: Report) -> Handler:
        return lambda job: do(job, report)

    start(Settings.from_env(os.environ), make)


if __name__ == "__main__":
    main()
