"""Many jobs through every fault there is: `python -m tests.chaos.run --jobs 10000 --seed 1`. A table on stdout.

Two dispatchers, two replicas, the local endpoint and light workers are processes that are killed and started again,
on a Postgres that is stopped and started. What is armed when follows from the seed; what then meets what does not.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import psycopg

from backend.brands import bootstrap
from tests.chaos.checks import Verdict, judge
from tests.chaos.faults import EVERY, GROUPS
from tests.chaos.site import DISPATCHERS, ENDPOINT, REPLICAS, WORKERS, Site, site
from tests.factories import photo

SPEED = 10.0
"""Product seconds in one real second."""
MOST_OPEN = 60
SUBMITTERS = 6
LOOK_S = 0.2
TELL_S = 5.0
FIRST, LAST = 0.03, 0.85
"""Between these parts of the submissions faults are armed: each must still meet its chance."""
JOBS_PER_FAULT = 150
RARE = {"endpoint down for a minute": 1500, "database down": 1000, "no worker for a while": 800, "storm of hooks": 1500}
"""Jobs for each of those that stop everything for seconds."""
STALLED_S = 90.0
MINUTE_S, DATABASE_DOWN_S, COLD_START_S = 60.0, 10.0, 30.0
"""In product time."""

OWN = (
    "endpoint killed",
    "endpoint down for a minute",
    "no worker for a while",
    "worker process killed",
    "dispatcher killed",
    "replica killed",
    "database connections dropped",
    "database down",
    "avatar erased meanwhile",
)
"""Done by the run; the rest waits in the book for whoever meets it."""
BY_LIFE = "clock ahead or behind"


class Result(msgspec.Struct):
    """What one run showed."""

    seed: int
    wanted: int
    wall_s: float
    fired: Counter[str]
    never_fired: list[str]
    starts: dict[str, int]
    asked_again: int
    verdict: Verdict

    @property
    def is_good(self) -> bool:
        return not self.faults

    @property
    def faults(self) -> list[str]:
        found = list(self.verdict.faults)
        if self.never_fired:
            found.append(f"armed, but never fired: {', '.join(self.never_fired)}")
        if self.verdict.extra_attempts > 1.5 * self.fired.total():
            found.append(f"{self.verdict.extra_attempts} extra attempts for {self.fired.total()} faults")
        return found


@dataclass
class Run:
    site: Site
    jobs: int
    seed: int
    submitted: int = 0
    ended: int = 0
    avatars: deque[str] = field(default_factory=deque)
    erased: set[str] = field(default_factory=set)
    asked_again: int = 0
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
            for _ in range(max(1, round(self.jobs / RARE.get(name, JOBS_PER_FAULT))))
        ]
        return deque(sorted(planned))

    async def sabotage(self) -> None:
        """Arms what is due; what the run does itself is done one after the other."""
        planned, own = self.plan(), asyncio.Queue[str]()
        doing = asyncio.create_task(self._do_all(own))
        while planned:
            while planned and planned[0][0] * self.jobs <= self.submitted:
                _, name = planned.popleft()
                if name in OWN:
                    own.put_nowait(name)
                else:
                    self.site.world.faults.arm(name)
            await asyncio.sleep(LOOK_S / 4)
        await own.join()
        doing.cancel()

    async def _do_all(self, own: asyncio.Queue[str]) -> None:
        dice = random.Random(f"own {self.seed}")
        while True:
            name = await own.get()
            await self._do(name, dice)
            self.site.world.faults.note(name)
            own.task_done()
            await asyncio.sleep(dice.uniform(0.05, 0.4))

    async def _do(self, name: str, dice: random.Random) -> None:
        speed, rest_s = self.site.world.speed, dice.uniform(0.05, 0.5)
        match name:
            case "endpoint killed":
                self.site.kill(ENDPOINT, rest_s)
            case "endpoint down for a minute":
                self.site.kill(ENDPOINT, MINUTE_S / speed)
                await asyncio.sleep(MINUTE_S / speed)
            case "no worker for a while":
                for workers in WORKERS:
                    self.site.kill(workers, COLD_START_S / speed)
                await asyncio.sleep(COLD_START_S / speed)
            case "worker process killed":
                self.site.kill(dice.choice(WORKERS), rest_s)
            case "dispatcher killed":
                self.site.kill(dice.choice(DISPATCHERS), rest_s)
            case "replica killed":
                self.site.kill(dice.choice(REPLICAS), rest_s)
            case "database connections dropped":
                await asyncio.to_thread(self.site.drop_connections)
            case "database down":
                await asyncio.to_thread(self.site.database_down, DATABASE_DOWN_S / speed)
            case "avatar erased meanwhile":
                await self._erase_newest()

    # ---- shoppers ---------------------------------------------------------------------------------------------------

    async def submit_all(self) -> None:
        numbers = deque(range(self.jobs))

        async def submit_some() -> None:
            async with self._client() as http:
                while numbers:
                    if self.submitted - self.ended >= MOST_OPEN:
                        await asyncio.sleep(LOOK_S / 4)
                        continue
                    self.avatars.append(await self._submit(http, numbers.popleft()))
                    self.submitted += 1

        await asyncio.gather(*(submit_some() for _ in range(SUBMITTERS)))

    async def _submit(self, http: httpx.AsyncClient, number: int) -> str:
        """As a page does it: the same request until there is an answer."""
        facts = {"height_cm": f"{150 + number % 500 / 10:.1f}", "consent_version": "1", "user_ref": f"shopper-{number}"}
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.post("/v1/avatars", data=facts, files={"photo": ("me.jpg", self.photo, "image/jpeg")})
                if answer.is_success:
                    avatar_id: str = answer.json()["id"]
                    return avatar_id
                if answer.is_client_error:
                    raise AssertionError(answer.text)
            await asyncio.sleep(0.05)

    async def _erase_newest(self) -> None:
        """Whoever came last goes first, while the work is under way."""
        async with self._client() as http:
            avatar_id = self.avatars[-1]
            self.erased.add(avatar_id)
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
            with contextlib.suppress(psycopg.Error):
                open_jobs, ended, open_attempts = await asyncio.to_thread(self._counts)
                if ended != self.ended:
                    moved_s = time.monotonic()
                self.ended = ended
                self.is_over = ended >= self.jobs and not open_jobs and not open_attempts
            now_s = time.monotonic()
            if now_s - told_s > TELL_S:
                told_s = now_s
                fired = self.site.world.faults.fired().total()
                say(f"{self.submitted} submitted, {self.ended} ended of {self.jobs}; {fired} faults fired")
            if now_s - moved_s > STALLED_S:
                say("nothing moves any more")
                return
            await asyncio.sleep(LOOK_S)

    def _counts(self) -> tuple[int, int, int]:
        sql = (
            "SELECT count(*) FILTER (WHERE state IN ('queued', 'running')), count(*) FILTER (WHERE state NOT IN "
            "('queued', 'running')), (SELECT count(*) FROM job_attempts WHERE state IN ('sending', 'submitted', 'unknown'))"
            " FROM jobs"
        )
        open_jobs, ended, open_attempts = self.site.rows(sql)[0]
        return open_jobs, ended, open_attempts

    async def go(self) -> None:
        sabotaging = asyncio.create_task(self.sabotage())
        submitting = asyncio.create_task(self.submit_all())
        watching = asyncio.create_task(self.watch())
        await asyncio.wait({watching, submitting}, return_when=asyncio.FIRST_EXCEPTION)
        submitting.cancel()
        sabotaging.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await submitting
        await watching


def run(folder: Path, jobs: int, seed: int) -> Result:
    with site(folder, SPEED) as running:
        brand = asyncio.run(bootstrap.create_brand(running.world.settings(), "Chaos", origins=[]))
        running.world.api_keys["brand"] = brand.api_key
        started_s = time.monotonic()
        chaos = Run(running, jobs, seed)
        asyncio.run(chaos.go())
        wall_s = time.monotonic() - started_s
        time.sleep(1.0)  # a second effect would come from a late hook or the sweepers' next rounds
        faults = running.world.faults
        return Result(
            seed=seed,
            wanted=jobs,
            wall_s=wall_s,
            fired=faults.fired(),
            never_fired=sorted({*EVERY} - faults.fired().keys() | faults.still_armed().keys()),
            starts={role.name: role.starts for role in running.roles.values()},
            asked_again=chaos.asked_again,
            verdict=judge(running, set(chaos.avatars), chaos.erased),
        )


def table(result: Result) -> str:
    verdict, fired = result.verdict, result.fired
    extra, faults = verdict.extra_attempts, fired.total()
    lines = [
        f"seed {result.seed}, {result.wanted} jobs, {result.wall_s:.1f} s, {result.wanted / result.wall_s:.1f} jobs/s",
        f"jobs      {spelled(verdict.jobs)}; effects {verdict.effects}",
        f"attempts  {sum(verdict.attempts.values())}: {spelled(verdict.attempts)}",
        f"extra     {extra} attempts for {faults} faults: {extra / max(1, faults):.2f}",
        f"starts    {spelled(result.starts)}",
    ]
    for group, names in GROUPS.items():
        lines.append(f"{group} ({sum(fired[name] for name in names)})")
        lines.extend(f"  {fired[name]:5}  {name}" for name in names)
    lines.extend(f"BROKEN    {fault}" for fault in result.faults)
    lines.append("GOOD" if result.is_good else "NOT GOOD")
    return "\n".join(lines)


def spelled(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def say(sentence: str) -> None:
    print(f"[chaos] {sentence}", file=sys.stderr, flush=True)  # noqa: T201  the command's progress


def main(typed: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Jobs through every fault there is.")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder for logs and rows, kept afterwards")
    arguments = parser.parse_args(typed)
    with tempfile.TemporaryDirectory(prefix="tryon-chaos-") as folder:
        result = run(arguments.keep or Path(folder), arguments.jobs, arguments.seed)
    print(table(result))  # noqa: T201  the command's result
    return 0 if result.is_good else 1


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
