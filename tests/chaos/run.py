"""Many jobs through every fault there is: `python -m tests.chaos.run --jobs 10000 --seed 1`. A table on stdout.

Two dispatchers, two replicas, the local endpoint and light workers are processes that are killed and started again,
on a Postgres that is stopped and started. What is armed when follows from the seed; what then meets what does not.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from backend.brands import bootstrap
from backend.core.db import Database
from backend.operations.prices import Prices
from tests.chaos.checks import judge
from tests.chaos.faults import EVERY
from tests.chaos.report import Result, table
from tests.chaos.site import DISPATCHERS, ENDPOINTS, REPLICAS, WORKERS, Site, site
from tests.chaos.world import POOL, FastClock, World
from tests.factories import photo

SPEED = 5.0
"""Seconds of the service's clock in a real one."""
MOST_OPEN = 40
SUBMITTERS = 6
LOOK_S = 0.2
TELL_S = 5.0
FIRST, LAST = 0.03, 0.85
"""Between these parts of the submissions faults are armed: each must still meet its chance."""
JOBS_PER_FAULT = 300
FEW_JOBS = 200
"""From here on, each kind is armed twice at least."""
RARE = {
    "both endpoints down for a while": 3000,
    "no worker for a while": 2000,
    "database down": 1000,
    "storm of hooks": 1500,
    "run answers 401": 2500,
}
"""Jobs for each of those that stop everything for seconds."""
MOST_EXTRA = 300
"""Jobs that are added at the end for faults that have not met their chance."""
STALLED_S = 90.0
DATABASE_DOWN_S, PRICE_GONE_S = 10.0, 10.0
USD_PER_HOUR = 0.69
OUTAGE_S, COLD_START_S = 60.0, 30.0
"""In the service's time; a short run has shorter ones."""
LONG_RUN = 1000
SHORTER = 4
STORM = 1000

OWN = (
    "endpoint killed",
    "both endpoints down for a while",
    "no worker for a while",
    "worker process killed",
    "dispatcher killed",
    "replica killed",
    "database connections dropped",
    "database down",
    "avatar erased meanwhile",
    "price missing",
)
"""Done by the run; the rest waits in the book for whoever meets it."""
BY_LIFE = "clock ahead or behind"


class Stalled(Exception):
    """No job has ended for a long time, and some are not over."""


@dataclass
class Run:
    site: Site
    jobs: int
    seed: int
    is_calm: bool = False
    submitted: int = 0
    ended: int = 0
    begun: int = 0
    avatars: dict[str, int] = field(default_factory=dict)
    newest: str = ""
    erased: set[str] = field(default_factory=set)
    asked_again: list[str] = field(default_factory=list)
    is_winding_up: bool = False
    is_submitted: bool = False
    is_sabotaged: bool = False
    is_over: bool = False
    photo: bytes = field(default_factory=lambda: photo(60, 80))

    # ---- the plan ---------------------------------------------------------------------------------------------------

    def plan(self) -> deque[tuple[float, str]]:
        """When, as a part of all submissions, which fault."""
        dice = random.Random(f"plan {self.seed}")
        planned = [
            (dice.uniform(FIRST, LAST), name)
            for name in EVERY
            if name != BY_LIFE
            for _ in range(times(name, self.jobs))
        ]
        return deque(sorted(planned))

    async def sabotage(self) -> None:
        """Arms what is due; what the run does itself is done one after the other."""
        planned, own = deque[tuple[float, str]]() if self.is_calm else self.plan(), asyncio.Queue[str]()
        doing = asyncio.create_task(self._do_all(own))
        while planned:
            if self.is_winding_up:
                planned = self._never_met()
            while planned and planned[0][0] * self.jobs <= self.submitted:
                _, name = planned.popleft()
                if name in OWN:
                    own.put_nowait(name)
                else:
                    self.site.world.faults.arm(name)
            await asyncio.sleep(LOOK_S / 4)
        await own.join()
        doing.cancel()
        self.is_sabotaged = True

    def _never_met(self) -> deque[tuple[float, str]]:
        """A run that is stopped early shows each kind once all the same."""
        met = {*self.site.world.faults.fired(), *self.site.world.faults.still_armed()}
        return deque((0.0, name) for name in EVERY if name not in met)

    async def _do_all(self, own: asyncio.Queue[str]) -> None:
        dice = random.Random(f"own {self.seed}")
        while True:
            name = await own.get()
            await self._do(name, dice)
            self.site.world.faults.note(name)
            own.task_done()
            await asyncio.sleep(dice.uniform(0.05, 0.4))

    async def _do(self, name: str, dice: random.Random) -> None:
        kill, rest_s = self.site.kill, dice.uniform(0.05, 0.5)
        match name:
            case "endpoint killed":
                kill(dice.choice(ENDPOINTS), rest_s)
            case "worker process killed":
                kill(dice.choice(WORKERS), rest_s)
            case "dispatcher killed":
                kill(dice.choice(DISPATCHERS), rest_s)
            case "replica killed":
                kill(dice.choice(REPLICAS), rest_s)
            case "both endpoints down for a while":
                await self._without(ENDPOINTS, OUTAGE_S)
            case "no worker for a while":
                await self._without(WORKERS, COLD_START_S)
            case _:
                await self._trouble_rows(name)

    async def _without(self, names: Sequence[str], for_s: float) -> None:
        rest_s = for_s / self.site.world.speed / (1 if self.jobs >= LONG_RUN else SHORTER)
        for name in names:
            self.site.kill(name, rest_s)
        await asyncio.sleep(rest_s)

    async def _trouble_rows(self, name: str) -> None:
        match name:
            case "database connections dropped":
                await asyncio.to_thread(self.site.drop_connections)
            case "database down":
                await asyncio.to_thread(self.site.database_down, DATABASE_DOWN_S / self.site.world.speed)
            case "avatar erased meanwhile":
                await self._erase_one()
            case "price missing":
                self.site.rows("DELETE FROM gpu_prices RETURNING id")
                await asyncio.sleep(PRICE_GONE_S / self.site.world.speed)
                await set_price(self.site.world)

    # ---- shoppers ---------------------------------------------------------------------------------------------------

    async def submit_all(self) -> None:
        async def submit_some() -> None:
            async with self._client() as http:
                while self._wants_more():
                    if self.submitted - self.ended >= MOST_OPEN:
                        await asyncio.sleep(LOOK_S / 4)
                        continue
                    number = self.begun
                    self.begun += 1
                    avatar_id = await self._submit(http, number)
                    self.avatars[avatar_id] = number
                    self.newest = avatar_id
                    self.submitted += 1
                    if number >= self.jobs:
                        await self._give_chances()

        await asyncio.gather(*(submit_some() for _ in range(SUBMITTERS)))
        self.is_submitted = True

    def _wants_more(self) -> bool:
        if self.begun < self.jobs:
            return True
        is_waiting = bool(self.site.world.faults.still_armed()) or not self.is_sabotaged
        return self.begun < self.jobs + MOST_EXTRA and is_waiting

    async def _give_chances(self) -> None:
        """A job alone gives no occasion to call one off, nor one that ends at once to be looked at before its end."""
        armed = self.site.world.faults.still_armed()
        if armed["status answers 404 early"]:
            self.site.world.faults.mark("slow", "workers")
        if armed["cancel fails"] and self.begun % SUBMITTERS == 0:
            await self._erase_one()
            self.site.world.faults.note("avatar erased meanwhile")

    async def ask_again(self) -> int:
        """Whoever was told that it did not work, and that it may be tried again, does so; how many those were."""
        given_up = self.site.rows("SELECT subject_id FROM jobs WHERE state = 'failed' AND is_retryable")
        async with self._client() as http:
            for (avatar_id,) in given_up:
                self.asked_again.append(str(avatar_id))
                await self._submit(http, self.avatars[str(avatar_id)])
        return len(given_up)

    async def _submit(self, http: httpx.AsyncClient, number: int) -> str:
        """As a page does it: the same request until there is an answer."""
        facts = {"height_cm": f"{150 + number % 500 / 10:.1f}", "consent_version": "1", "user_ref": f"shopper-{number}"}
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.post(
                    "/v1/avatars", data=facts, files={"photo": ("me.jpg", self.photo, "image/jpeg")}
                )
                if answer.is_success:
                    avatar_id: str = answer.json()["id"]
                    return avatar_id
                if answer.is_client_error:
                    raise AssertionError(answer.text)
            await asyncio.sleep(0.05)

    async def _erase_one(self) -> None:
        """Somebody leaves while a worker is at it."""
        at_work = await asyncio.to_thread(
            self.site.rows,
            "SELECT j.subject_id FROM jobs j JOIN job_attempts a ON a.job_id = j.id "
            "WHERE j.state = 'running' AND a.state = 'submitted' ORDER BY a.submitted_at DESC LIMIT 1",
        )
        avatar_id = str(at_work[0][0]) if at_work else self.newest
        self.erased.add(avatar_id)
        async with self._client() as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await http.delete(f"/v1/avatars/{avatar_id}")
                    if answer.is_success or answer.status_code == httpx.codes.NOT_FOUND:
                        return
                await asyncio.sleep(0.05)

    def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.site.world.api_keys['brand']}"}
        return httpx.AsyncClient(base_url=self.site.world.service_url, headers=headers, timeout=5, trust_env=False)

    # ---- watching ---------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Keeps everything up and tells how far it is, until all has come to its end, or nothing moves any more."""
        told_s = moved_s = time.monotonic()
        while not self.is_over:
            self.site.keep_up()
            open_jobs, ended, open_attempts = await asyncio.to_thread(self._counts)
            if ended != self.ended:
                moved_s = time.monotonic()
            self.ended = ended
            if self.is_submitted and self.is_sabotaged and not open_jobs and not open_attempts:
                self.is_over = not await self.ask_again()
            now_s = time.monotonic()
            if now_s - told_s > TELL_S:
                told_s = now_s
                fired = self.site.world.faults.fired().total()
                say(f"{self.submitted} submitted, {self.ended} ended of {self.jobs}; {fired} faults fired")
            if now_s - moved_s > STALLED_S:
                raise Stalled
            await asyncio.sleep(LOOK_S)

    def _counts(self) -> tuple[int, int, int]:
        """Open jobs, jobs that have ended, open attempts."""
        ((open_jobs, all_jobs),) = self.site.rows(
            "SELECT count(*) FILTER (WHERE state IN ('queued', 'running')), count(*) FROM jobs"
        )
        ((open_attempts,),) = self.site.rows(
            "SELECT count(*) FROM job_attempts WHERE state IN ('sending', 'submitted', 'unknown')"
        )
        return open_jobs, all_jobs - open_jobs, open_attempts

    def wind_up(self) -> None:
        """Told to stop: only the jobs that are still needed for every fault; what is under way is seen through."""
        say(f"stops at {self.begun} jobs")
        self.jobs, self.is_winding_up = self.begun, True

    async def go(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.wind_up)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.submit_all())
                group.create_task(self.sabotage())
                group.create_task(self.watch())
        except* Stalled:
            say("nothing moves any more")


async def set_price(world: World) -> None:
    clock = FastClock.of(world)
    database = Database(world.database_url, clock)
    await Prices(database, clock).add(POOL, USD_PER_HOUR, source="chaos")
    await database.close()


def times(name: str, jobs: int) -> int:
    """How often a kind of fault is armed."""
    if name in RARE:
        return max(1, round(jobs / RARE[name]))
    return max(1 if jobs < FEW_JOBS else 2, round(jobs / JOBS_PER_FAULT))


def run(folder: Path, jobs: int, seed: int, speed: float = SPEED, *, is_calm: bool = False) -> Result:
    storm = STORM if jobs >= LONG_RUN else STORM // SHORTER
    with site(folder, speed, storm) as running:
        brand = asyncio.run(bootstrap.create_brand(running.world.settings(), "Chaos", origins=[]))
        running.world.api_keys["brand"] = brand.api_key
        asyncio.run(set_price(running.world))
        started_s = time.monotonic()
        chaos = Run(running, jobs, seed, is_calm)
        asyncio.run(chaos.go())
        wall_s = time.monotonic() - started_s
        time.sleep(1.0)  # a second effect would come from a late hook or the sweepers' next rounds
        faults = running.world.faults
        return Result(
            seed=seed,
            jobs=chaos.submitted,
            wall_s=wall_s,
            fired=faults.fired(),
            never_fired=[] if is_calm else sorted({*EVERY} - faults.fired().keys() | faults.still_armed().keys()),
            starts={role.name: role.starts for role in running.roles.values()},
            asked_again=len(chaos.asked_again),
            verdict=judge(running, set(chaos.avatars), chaos.erased, set(chaos.asked_again)),
        )


def say(sentence: str) -> None:
    print(f"[chaos] {sentence}", file=sys.stderr, flush=True)  # noqa: T201  the command's progress


def main(typed: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Jobs through every fault there is.")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=SPEED, help="seconds of the service's clock in a real one")
    parser.add_argument("--calm", action="store_true", help="no faults at all, for comparison")
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder for logs and rows, kept afterwards")
    arguments = parser.parse_args(typed)
    with tempfile.TemporaryDirectory(prefix="tryon-chaos-") as folder:
        result = run(
            arguments.keep or Path(folder), arguments.jobs, arguments.seed, arguments.speed, is_calm=arguments.calm
        )
    print(table(result))  # noqa: T201  the command's result
    return 0 if result.is_good else 1


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
