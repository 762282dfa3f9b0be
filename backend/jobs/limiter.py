"""Never more calls than a provider allows: half of its documented limits, for there may be two of us."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

Action = Literal["run", "status", "cancel", "health", "purge"]


class Limit(msgspec.Struct, frozen=True):
    calls: int
    window_s: float
    at_once: int


RUNPOD_LIMITS: Mapping[Action, Limit] = {
    "run": Limit(500, 10, 100),
    "status": Limit(1000, 10, 200),
    "cancel": Limit(50, 10, 10),
    "health": Limit(50, 10, 10),
    "purge": Limit(1, 10, 1),
}
"""Half of what RunPod documents for one endpoint (mid 2026: 1000 runs, 2000 status calls, 100 cancels and 2 purges in
10 s; 200, 400 and 20 at once). Health has no documented limit; it is asked rarely.
"""


class Overloaded(Exception):
    """The turn would come too late to be worth waiting for."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.1f} s")
        self.wait_s = wait_s


class Window:
    """At most `limit.calls` in any `limit.window_s`, exactly; pure."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._starts: deque[float] = deque(maxlen=limit.calls)

    def reserve(self, now_s: float, patience_s: float) -> float:
        """How long to wait for the next free place, which is taken by this call; raises `Overloaded`."""
        start_s = now_s
        if len(self._starts) == self._limit.calls:
            start_s = max(now_s, self._starts[0] + self._limit.window_s)
        if start_s - now_s > patience_s:
            raise Overloaded(start_s - now_s)
        self._starts.append(start_s)
        return start_s - now_s


class Limiter:
    """For one endpoint. Without limits (our own endpoint has none) nothing waits."""

    def __init__(
        self,
        limits: Mapping[Action, Limit],
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._windows = {action: Window(limit) for action, limit in limits.items()}
        self._gates = {action: asyncio.Semaphore(limit.at_once) for action, limit in limits.items()}
        self._now_s = now_s
        self._sleep = sleep

    @asynccontextmanager
    async def turn(self, action: Action, *, patience_s: float) -> AsyncIterator[None]:
        """Hold a place for the length of the call; raises `Overloaded` where that would take longer than wanted."""
        if action not in self._windows:
            yield
            return
        wait_s = self._windows[action].reserve(self._now_s(), patience_s)
        if wait_s > 0:
            await self._sleep(wait_s)
        async with self._gates[action]:
            yield
