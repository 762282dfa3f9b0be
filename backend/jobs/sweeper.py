"""The loops that see work through: send, look, give up what is overdue, delete what is to be deleted.

It needs no recovery after a crash: everything it knows stands in rows.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog

from backend.jobs.dispatch import BATCH, Dispatcher
from backend.jobs.reconcile import Reconciler

log = structlog.get_logger()

TICK_S = 0.2
"""How late a time that is written in a row may be noticed; a commit in this process wakes the loop at once."""
UNHURRIED_TICK_S = 1.0
"""Of what nobody waits for: every look costs a transaction."""
AFTER_FAULT_S = 2.0
STILL = timedelta(seconds=30)
"""Without one pass of the hurried loops for so long, nobody sees jobs through here."""
STOP_GRACE_S = 5.0
"""For what is on its way when the service stops: a `/run` that is cut off costs a wait until its fate is known."""

Step = Callable[[], Awaitable[int]]


class Sweeper:
    def __init__(self, dispatcher: Dispatcher, reconciler: Reconciler, others: Mapping[str, Step]) -> None:
        """`others` is what else is to be done now and then, by name."""
        self.dispatcher = dispatcher
        self.reconciler = reconciler
        self._hurried: dict[str, Step] = {"look": reconciler.run_due, "send": dispatcher.run_due}
        self._steps: dict[str, Step] = {**self._hurried, "give_up": reconciler.run_overdue, **others}
        self._made_at = dispatcher.ledger.clock.now()
        self._woken = {name: asyncio.Event() for name in self._steps}
        self._is_stopping = False
        self.passed_at: dict[str, datetime] = {}
        """When each step last came to its end without a fault."""

    def is_alive(self) -> bool:
        """Whether jobs are seen through; for this process's readiness."""
        now = self.dispatcher.ledger.clock.now()
        return all(now - self.passed_at.get(name, self._made_at) <= STILL for name in self._hurried)

    async def wake(self) -> None:
        """Something was committed that may be due now."""
        for woken in self._woken.values():
            woken.set()

    async def step(self) -> int:
        """Everything that is due now, once; how much that was."""
        return sum([await self._run(name) for name in self._steps])

    async def run(self) -> None:
        """Until `stop`. Each step goes at its own pace: a provider that hangs holds up no work for another."""
        await asyncio.gather(*(self._repeat(name) for name in self._steps))

    async def stop(self, running: "asyncio.Task[None]") -> None:
        """Begin nothing new, and let what is on its way come to its end, for a moment."""
        self._is_stopping = True
        await self.wake()
        await asyncio.wait({running}, timeout=STOP_GRACE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def _run(self, name: str) -> int:
        done = await self._steps[name]()
        self.passed_at[name] = self.dispatcher.ledger.clock.now()
        return done

    async def _repeat(self, name: str) -> None:
        while not self._is_stopping:
            self._woken[name].clear()
            wait_s = TICK_S if name in self._hurried else UNHURRIED_TICK_S
            try:
                done = await self._run(name)
                if done and name == "look":
                    self._woken["send"].set()  # a figure orders its garment, a draft its final picture
                if done >= BATCH:  # there is more, and it goes well
                    continue
            except Exception:
                log.exception("sweeper.failed", step=name)
                wait_s = AFTER_FAULT_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken[name].wait()
