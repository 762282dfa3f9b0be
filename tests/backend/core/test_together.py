"""Single calls made as one."""

import asyncio
from collections.abc import Sequence

from backend.core.together import Together


class Work:
    """Doubles numbers; the first call waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.let_go = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        await self.let_go.wait()
        if 13 in numbers:
            raise ValueError
        return [2 * number for number in numbers]


async def test_what_comes_while_one_is_under_way_is_made_as_one() -> None:
    work = Work()
    double = Together(work)
    tasks = [asyncio.create_task(double(1))]
    await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(double(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0.001)
    work.let_go.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert work.calls == [[1], [2, 3, 4]]
    assert await double(5) == 10


async def test_one_that_fails_fails_for_all_of_its_call_and_for_no_other() -> None:
    work = Work()
    work.let_go.set()
    double = Together(work)
    ended = await asyncio.gather(double(13), double(2), return_exceptions=True)
    assert [type(end) for end in ended] == [ValueError, ValueError]
    assert await double(3) == 6


async def test_one_that_is_called_off_takes_nothing_from_the_others() -> None:
    work = Work()
    double = Together(work)
    tasks = [asyncio.create_task(double(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0.001)
    tasks[1].cancel()
    work.let_go.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [ended[0], type(ended[1]), ended[2]] == [2, asyncio.CancelledError, 6]
