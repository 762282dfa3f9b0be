"""Single calls made as one: what costs a transaction each costs one for all that wait at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """Whoever calls while a call is under way is served by the next one; nobody waits for others to come.

    A call that fails, fails for all it was made for.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        """`work` gives one answer for each item, in their order."""
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                called, self._waiting = self._waiting, []
                await self._serve(called)
        finally:
            self._running = None

    async def _serve(self, called: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._work([item for item, _ in called])
        except Exception as error:  # noqa: BLE001  it is each caller's to handle
            for _, waiting in called:
                if not waiting.done():
                    waiting.set_exception(error)
        else:
            for (_, waiting), answer in zip(called, answers, strict=True):
                if not waiting.done():  # its caller has been cancelled
                    waiting.set_result(answer)
