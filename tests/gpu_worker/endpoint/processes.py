"""The endpoint and its workers as processes, to be killed at bad moments."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from gpu_worker.local_endpoint.keys import Keys
from gpu_worker.local_endpoint.worker_environment import worker_environment

SCRIPT = Path(__file__).with_name("sdk_worker.py")
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float = 20.0) -> T:
    """The first thing that `look` finds."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"no {what} within {timeout_s} s")


class Process:
    """A program with its output in a file."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
            )
        self.pid = self._process.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 20.0) -> int:
        return self._process.wait(timeout_s)

    def stop(self, grace_s: float = 5.0) -> None:
        """End it with everything under it."""
        if self._process.poll() is None:
            tree = psutil.Process(self.pid).children(recursive=True)
            self.send(signal.SIGTERM)
            try:
                self.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.send(signal.SIGKILL)
                self.wait()
            for process in filter(is_running, tree):
                process.kill()


class Site:
    """One endpoint on its own port and folder, with a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.process: Process | None = None
        self.workers: list[Process] = []
        self.start()
        keys = Keys.load(folder / "endpoint")
        self.keys = keys
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(
            base_url=f"{self.url}/v2/local/", headers={"Authorization": f"Bearer {keys.client_key}"}, timeout=10
        )

    def start(self) -> None:
        log = self.folder / f"endpoint-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "gpu_worker.cli", "endpoint", "--port", str(self.port)]
        self.process = process = Process([*command, "--data-dir", str(self.folder)], log)
        ready = wait_for("endpoint", lambda: process.text() if "Ready: " in process.text() else None)
        self.port = int(ready.split("Ready: ")[1].split()[0].rsplit(":", 1)[1])

    def kill(self) -> None:
        assert self.process is not None
        self.process.send(signal.SIGKILL)
        self.process.wait()

    def supervised(self) -> "Supervised":
        log = self.folder / f"worker-{time.monotonic_ns()}.log"
        command = [sys.executable, str(SCRIPT), "supervise", self.url, str(self.folder)]
        worker = Supervised(command, log, {"WORKER_STORAGE_ORIGIN": "http://127.0.0.1:1"})
        self.workers.append(worker)
        return worker

    def plain_sdk(self) -> Process:
        """The SDK with nothing of ours around it, at the endpoint `plain`."""
        env = worker_environment(self.url, "plain", "plain", self.keys.worker_key, self.folder)
        return Process([sys.executable, str(SCRIPT), "plain"], self.folder / "plain.log", env)

    def run(self, do: str, *, policy: dict[str, int] | None = None, **wanted: Any) -> str:
        body = {"input": {"do": do, **wanted}, "policy": policy or {}}
        answer = self.http.post("run", json=body)
        assert answer.status_code == 200, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def status(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"status/{job_id}")
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def in_state(self, job_id: str, *states: str, timeout_s: float = 20.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            seen = self.status(job_id)
            return seen if seen["status"] in states else None

        return wait_for(f"state {states} of the job", look, timeout_s)

    def ended(self, job_id: str, timeout_s: float = 20.0) -> dict[str, Any]:
        return self.in_state(job_id, *FINAL, timeout_s=timeout_s)

    def value(self, do: str, **wanted: Any) -> Any:
        seen = self.ended(self.run(do, **wanted))
        assert seen["status"] == "COMPLETED", seen
        return seen["output"]

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.http.close()
        if self.process is not None:
            self.process.stop()


class Supervised(Process):
    """A supervisor and the worker under it."""

    def main(self) -> psutil.Process:
        """The worker's main process."""
        return wait_for("worker", lambda: next(iter(psutil.Process(self.pid).children()), None))

    def heartbeat(self) -> psutil.Process:
        """The process that the SDK forks for its pings."""
        main = self.main()
        return wait_for("heartbeat", lambda: next(iter(main.children()), None))


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    running = Site(folder)
    try:
        yield running
    finally:
        running.close()


def is_running(process: psutil.Process) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
