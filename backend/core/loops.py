"""A loop that does what is due, again and again, and is woken when something may be.

It needs no recovery after a crash: everything it knows stands in rows.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from backend.core.clock import Clock

log = structlog.get_logger()

AFTER_FAULT_S = 2.0

Step = Callable[[], Awaitable[int]]
"""Does everything that is due now, once; how much that was."""


class Every:
    """Lets a step through once in a time; the first time at once."""

    def __init__(self, interval: timedelta, clock: Clock) -> None:
        self._interval = interval
        self._clock = clock
        self._last: datetime | None = None

    def is_due(self) -> bool:
        """True starts the time anew."""
        now = self._clock.now()
        if self._last is not None and now - self._last < self._interval:
            return False
        self._last = now
        return True

    def once_more(self) -> None:
        """There is more than was done: the next round is due at once."""
        self._last = None


class Loop:
    def __init__(
        self, name: str, steps: Sequence[Step], *, tick_s: float, gather_s: float = 0.0, batch: int | None = None
    ) -> None:
        """`tick_s`: how late a time that is written in a row may be noticed.

        `gather_s`: how long it waits after it was woken, so that a burst is one round of work and not many.
        `batch`: when so much was done there is more, and the next round follows at once.
        """
        self.gather_s = gather_s
        self.name = name
        self.steps = steps
        self.tick_s = tick_s
        self.batch = batch
        self._woken = asyncio.Event()
        self._is_ending = False

    async def wake(self) -> None:
        """Something was committed in this process that may be due now."""
        self._woken.set()

    def end(self) -> None:
        """Begin no further round; `run` returns after the present one."""
        self._is_ending = True
        self._woken.set()

    async def step(self) -> int:
        return sum([await run() for run in self.steps])

    async def run(self) -> None:
        """Until `end`, or by cancellation."""
        while not self._is_ending:
            self._woken.clear()
            wait_s = self.tick_s
            try:
                done = await self.step()
                if self.batch is not None and done >= self.batch:
                    continue
            except Exception:
                log.exception("loop.failed", loop=self.name)
                wait_s = AFTER_FAULT_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            if self._woken.is_set() and self.gather_s:
                await asyncio.sleep(self.gather_s)
