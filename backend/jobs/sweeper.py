"""The loops that see work through: send, look, give up what is overdue, delete what is to be deleted.

It needs no recovery after a crash: everything it knows stands in rows.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from backend.core.loops import Loop, Step
from backend.jobs.dispatch import BATCH, Dispatcher
from backend.jobs.reconcile import Reconciler

TICK_S = 0.2
"""How late a time that is written in a row may be noticed; a commit in this process wakes the loop at once."""
UNHURRIED_TICK_S = 1.0
"""Of what nobody waits for: every look costs a transaction."""
STILL = timedelta(seconds=30)
"""Without one pass of the hurried loops for so long, nobody sees jobs through here."""
STOP_GRACE_S = 5.0
"""For what is on its way when the service stops: a `/run` that is cut off costs a wait until its fate is known."""


class Sweeper:
    """A loop for each step: a provider that hangs holds up no work for another."""

    def __init__(self, dispatcher: Dispatcher, reconciler: Reconciler, others: Mapping[str, Step]) -> None:
        """`others` is what else is to be done now and then, by name."""
        self.dispatcher = dispatcher
        self.reconciler = reconciler
        self._made_at = dispatcher.ledger.clock.now()
        hurried: dict[str, Step] = {"look": self._look, "send": dispatcher.run_due}
        unhurried: dict[str, Step] = {"give_up": reconciler.run_overdue, **others}
        self._hurried = tuple(hurried)
        self.loops = {name: self._loop(name, step, TICK_S) for name, step in hurried.items()}
        self.loops |= {name: self._loop(name, step, UNHURRIED_TICK_S) for name, step in unhurried.items()}
        self.passed_at: dict[str, datetime] = {}
        """When each step last came to its end without a fault."""

    def is_alive(self) -> bool:
        """Whether jobs are seen through; for this process's readiness."""
        now = self.dispatcher.ledger.clock.now()
        return all(now - self.passed_at.get(name, self._made_at) <= STILL for name in self._hurried)

    async def wake(self) -> None:
        """Something was committed that may be due now, and somebody waits for it."""
        for name in self._hurried:
            await self.loops[name].wake()

    async def step(self) -> int:
        """Everything that is due now, once; how much that was."""
        return sum([await loop.step() for loop in self.loops.values()])

    async def run(self) -> None:
        """Until `stop`. Each step goes at its own pace."""
        await asyncio.gather(*(loop.run() for loop in self.loops.values()))

    async def stop(self, running: "asyncio.Task[None]") -> None:
        """Begin nothing new, and let what is on its way come to its end, for a moment."""
        for loop in self.loops.values():
            loop.end()
        await asyncio.wait({running}, timeout=STOP_GRACE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def _look(self) -> int:
        """What has ended orders more: a figure its garment, a draft its final picture."""
        done = await self.reconciler.run_due()
        if done:
            await self.loops["send"].wake()
        return done

    def _loop(self, name: str, step: Step, tick_s: float) -> Loop:
        async def passed() -> int:
            done = await step()
            self.passed_at[name] = self.dispatcher.ledger.clock.now()
            return done

        return Loop(name, (passed,), tick_s=tick_s, batch=BATCH)
