"""One loop that sees work through: send, look, give up what is overdue, delete what is to be deleted.

It needs no recovery after a crash: everything it knows stands in rows.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from backend.jobs.dispatch import Dispatcher
from backend.jobs.reconcile import Reconciler

log = structlog.get_logger()

TICK_S = 0.2
"""How late a time that is written in a row may be noticed; a commit in this process wakes the loop at once."""
AFTER_FAULT_S = 2.0

Step = Callable[[], Awaitable[int]]


class Sweeper:
    def __init__(self, dispatcher: Dispatcher, reconciler: Reconciler, erase_due: Step) -> None:
        self.dispatcher = dispatcher
        self.reconciler = reconciler
        self._erase_due = erase_due
        self._woken = asyncio.Event()

    async def wake(self) -> None:
        """Something was committed that may be due now."""
        self._woken.set()

    async def step(self) -> int:
        """Everything that is due now, once; how much that was."""
        steps: tuple[Step, ...] = (
            self.reconciler.run_due,
            self.reconciler.run_overdue,
            self.dispatcher.run_due,
            self._erase_due,
        )
        return sum([await run() for run in steps])

    async def run(self) -> None:
        """For ever; ends by cancellation."""
        while True:
            self._woken.clear()
            wait_s = TICK_S
            try:
                await self.step()
            except Exception:
                log.exception("sweeper.failed")
                wait_s = AFTER_FAULT_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
