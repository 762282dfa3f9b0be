"""Keeps one SDK worker attached to a local endpoint: waits for it, starts the worker, restarts what dies.

A worker is a process group: its heartbeat is a process of its own, which goes on saying "alive" after the main
process was killed. So when the main process ends, for whatever reason, the whole group is ended, and the endpoint is
told, so that it need not wait for the heartbeat to stop.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gpu_worker.local_endpoint.keys import Keys
from gpu_worker.local_endpoint.worker_environment import worker_environment

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
"""A worker that ran this long before it ended is restarted without a longer pause."""

READY_POLL_S = 0.1
UNAUTHORIZED = 401
CALL_TIMEOUT = aiohttp.ClientTimeout(total=2)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What to run and where to attach it."""

    endpoint_url: str
    data_dir: Path
    command: Sequence[str]
    endpoint_id: str = "local"
    first_pause_s: float = 1.0
    """Before a worker that ended is started again; doubled each time up to LONGEST_PAUSE_S."""


class NotAdmitted(Exception):
    """The endpoint that answers is not the one whose keys are in the data folder; the text says so in full."""


class Supervisor:
    """Runs until `stop` is called."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._is_stopping = asyncio.Event()
        self._pause_s = settings.first_pause_s

    def stop(self) -> None:
        """Let the worker finish its job, then leave."""
        self._is_stopping.set()

    async def run(self) -> None:
        """Attach, restart, until stopped."""
        async with aiohttp.ClientSession(timeout=CALL_TIMEOUT) as session:
            while not self._is_stopping.is_set() and await self._is_ready(session):
                started_s = time.monotonic()
                exit_code = await self._run_worker(session)
                if self._is_stopping.is_set():
                    return
                await self._pause(exit_code, time.monotonic() - started_s)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        """Wait for the endpoint; False if told to stop meanwhile."""
        is_told = False
        while not self._is_stopping.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with session.get(f"{self._settings.endpoint_url}/_/ready") as answer:
                    if answer.status == 200:
                        return True
            if not is_told:
                log.info("waiting for the endpoint at %s", self._settings.endpoint_url)
                is_told = True
            await self._sleep(READY_POLL_S)
        return False

    async def _run_worker(self, session: aiohttp.ClientSession) -> int:
        """One life of the worker."""
        worker_id = f"worker-{secrets.token_hex(6)}"
        keys = await self._admitted(session, worker_id)
        reading_end, writing_end = os.pipe()  # closes with this process, however it ends: the worker then leaves too
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.command,
                env={**os.environ, **self._environment(worker_id, keys), "WORKER_LIFELINE_FD": str(reading_end)},
                pass_fds=[reading_end],
                start_new_session=True,
            )
            log.info("%s started, process %d", worker_id, process.pid)
            return await self._until_exit(session, process, worker_id, keys)
        finally:
            os.close(reading_end)
            os.close(writing_end)
            if process is not None:
                _end_group(process.pid)
                await self._tell(session, "gone", worker_id, keys)

    async def _admitted(self, session: aiohttp.ClientSession, worker_id: str) -> Keys:
        """The keys, tried out: an SDK worker with a wrong one would only knock for ever."""
        folder = self._settings.data_dir / "endpoint"
        try:
            keys = Keys.load(folder)
        except FileNotFoundError as error:
            raise NotAdmitted(f"{folder} holds no keys.json: give the endpoint's own --data-dir") from error
        if await self._tell(session, "gone", worker_id, keys) == UNAUTHORIZED:
            raise NotAdmitted(f"the endpoint refuses the key in {folder}: give the endpoint's own --data-dir")
        return keys

    async def _until_exit(
        self, session: aiohttp.ClientSession, process: asyncio.subprocess.Process, worker_id: str, keys: Keys
    ) -> int:
        exited = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._is_stopping.wait())
        try:
            await asyncio.wait([exited, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                process.send_signal(signal.SIGTERM)  # first, so that it does not poll again once drained
                await self._tell(session, "drain", worker_id, keys)
            return await exited
        finally:
            stopping.cancel()

    async def _tell(self, session: aiohttp.ClientSession, what: str, worker_id: str, keys: Keys) -> int | None:
        """Best effort: without it the endpoint finds out by itself, only later. Returns the status, if any."""
        try:
            async with session.post(
                self._own_route(what, worker_id), headers={"Authorization": keys.worker_key}
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _environment(self, worker_id: str, keys: Keys) -> dict[str, str]:
        home = self._settings.data_dir / "endpoint" / "worker-home"
        home.mkdir(mode=0o700, exist_ok=True)
        return worker_environment(
            self._settings.endpoint_url, self._settings.endpoint_id, worker_id, keys.worker_key, home.absolute()
        ) | {"WORKER_DRAIN_URL": self._own_route("drain", worker_id)}

    def _own_route(self, what: str, worker_id: str) -> str:
        return f"{self._settings.endpoint_url}/_/{what}/{self._settings.endpoint_id}/{worker_id}"

    async def _pause(self, exit_code: int, lived_s: float) -> None:
        """Before the next life: longer each time, unless the last one was long."""
        if lived_s > STEADY_AFTER_S:
            self._pause_s = self._settings.first_pause_s
        log.warning("worker ended (%d) after %.0f s; next start in %.1f s", exit_code, lived_s, self._pause_s)
        await self._sleep(self._pause_s)
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_stopping.wait()


async def supervise(settings: WorkerSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    supervisor = Supervisor(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    await supervisor.run()


def _end_group(process_id: int) -> None:
    """End what is left of a worker whose main process has ended: its heartbeat."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)
