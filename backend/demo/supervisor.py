"""Keeps a handful of child processes running: start, wait until ready, restart what dies, stop all."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 8.0
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.5, 30.0
STEADY_AFTER_S = 30.0
PR_SET_PDEATHSIG = 1


class ServiceFailed(Exception):
    """A service did not become ready; the text holds the end of its log."""


@dataclass(frozen=True)
class Service:
    """One child process. `ready` answers whether it can be used; it is asked every 0.1 s.

    restarted : what others must do when it came back, for a service that forgets
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    restarted: Callable[[], Awaitable[None]] | None = None


@dataclass
class Supervisor:
    """Owns the children.

    inherited : the environment that every child gets beside its own
    say       : gets a line for each thing worth telling
    """

    log_folder: Path
    inherited: Mapping[str, str]
    say: Callable[[str], None]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _stopping: bool = False

    async def start(self, service: Service) -> None:
        """Start `service` and return when it is ready; from then on it is restarted when it dies."""
        process = await self._spawn(service)
        await self._wait_ready(service, process)
        self._tasks.append(asyncio.create_task(self._keep_alive(service, process)))

    async def stop(self) -> None:
        """Stop all children in reverse order of their start; what does not listen is killed."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in reversed(self._processes.values()):
            await _stop(process)

    async def _spawn(self, service: Service) -> asyncio.subprocess.Process:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        with self._log(service).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *service.command,
                env={**self.inherited, **service.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self._processes[service.name] = process
        return process

    async def _wait_ready(self, service: Service, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(httpx.HTTPError):
                if await service.ready():
                    return
            await asyncio.sleep(0.1)
        why = "stopped" if process.returncode is not None else f"was not ready after {READY_TIMEOUT_S:.0f} s"
        raise ServiceFailed(f"The {service.name} {why}. The end of its log:\n{self._log_end(service)}")

    async def _keep_alive(self, service: Service, process: asyncio.subprocess.Process) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            started = time.monotonic()
            code = await process.wait()
            if self._stopping:
                return
            if time.monotonic() - started > STEADY_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            self.say(f"The {service.name} ended ({code}); starting it again in {backoff_s:g} s.")
            await asyncio.sleep(backoff_s)
            backoff_s = min(MAX_BACKOFF_S, backoff_s * 2)
            process = await self._spawn(service)
            if service.restarted is not None:
                await self._tell(service, process)

    async def _tell(self, service: Service, process: asyncio.subprocess.Process) -> None:
        """A failure is said and not repeated: the service itself runs."""
        try:
            await self._wait_ready(service, process)
            if service.restarted is not None:
                await service.restarted()
        except (ServiceFailed, httpx.HTTPError) as failure:
            self.say(f"The {service.name} runs again, but what follows on that failed: {failure}")

    def _log(self, service: Service) -> Path:
        return self.log_folder / f"{service.name}.log"

    def _log_end(self, service: Service) -> str:
        lines = self._log(service).read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def _die_with_parent() -> None:
    """Runs in the child: a killed supervisor must not leave servers behind (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_GRACE_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
