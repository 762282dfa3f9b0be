"""Jobs and attempts against a plain model: whatever comes in whatever order, twice or too late, one effect each.

Every call of the ledger may come from a process that saw the row long ago: snapshots are kept and used again.
Actions come in bursts, drawn by weight: left to itself, Hypothesis tries few rules at a time and hardly makes attempts.
"""

import asyncio
import random
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.service import BrandService
from backend.core.db import Database
from backend.jobs import states
from backend.jobs.hints import take_hint
from backend.jobs.ledger import Ledger
from backend.jobs.models import Job, JobAttempt
from backend.jobs.rows import Claimed, Looked
from backend.jobs.service import JobService
from backend.jobs.work import Done, Order, Outcome, Work
from gpu_worker.contract import CONTRACT_VERSION, Manifest
from tests.fakes import HandClock

EXAMPLES, BURSTS, BURST = 12, 8, 7
ORDERS = 2
RECENT = 4
"""Actions come to the newest snapshots and claims; what is older has been through everything."""
SUBJECT = UUID(int=7)
LONGEST_BACKOFF = timedelta(seconds=states.MAX_BACKOFF_S)
ENDINGS = (states.FAILED, states.NO_ARTIFACT, states.TIMED_OUT, states.GONE, states.ABANDONED, states.CANCELLED)

WEIGHTS = {
    "claim": 9,
    "lost": 6,
    "read": 5,
    "order": 5,
    "answered": 3,
    "not_accepted": 2,
    "manifest": 2,
    "move": 4,
    "pass_time": 2,
    "ended": 1,
    "not_answered": 1,
    "rejected": 1,
    "hook": 1,
    "call_off": 1,
    "call_off_attempt": 1,
    "give_up": 1,
}
ACTIONS = [action for action, weight in WEIGHTS.items() for _ in range(weight)]

T = TypeVar("T")


class JobModel(msgspec.Struct):
    state: str
    deadline_at: datetime
    attempt_n: int = 0
    executions: int = 0
    is_retryable: bool = True
    is_moved: bool = False
    effects: int = 0


class AttemptModel(msgspec.Struct):
    job: str
    n: int
    state: str = states.SENDING
    rp_id: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in states.OPEN_ATTEMPTS


class CountedEffects:
    """One row for each effect, in its transaction, and under no key that would hide a second one."""

    def is_sound(self, manifest: Manifest) -> bool:
        return manifest.contract_version == CONTRACT_VERSION

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Done):
            await session.execute(text("INSERT INTO effects (key) VALUES (:key)"), {"key": job.cache_key})


class Transitions(RuleBasedStateMachine):
    def __init__(self, database_file: Path) -> None:
        super().__init__()
        random.seed(1)
        self.runner = asyncio.Runner()
        self.clock = HandClock()
        self.database = Database(f"sqlite+aiosqlite:///{database_file}", self.clock)
        self.ledger = Ledger(self.database, self.clock, {"noop": CountedEffects()})
        self.jobs: dict[str, JobModel] = {}
        self.attempts: dict[UUID, AttemptModel] = {}
        self.closed: set[UUID] = set()
        self.snapshots: list[Job] = []
        self.claims: list[Claimed] = []
        self.brand_id = UUID(int=0)

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()

    @initialize()
    def make_brand(self) -> None:
        async def make() -> UUID:
            async with self.database.transaction() as session:
                await session.execute(text("CREATE TABLE effects (key TEXT)"))
                return (await BrandService(session, self.clock).create("A", [])).id

        self.brand_id = self.runner.run(make())

    @rule(seed=st.integers(0, 2**32))
    def burst(self, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(BURST):
            action = chance.choice(ACTIONS)
            note(action)
            self.act(action, chance.randrange(12), is_so=chance.random() < 0.5)
            self.rows_are_as_the_model_says()

    def act(self, action: str, pick: int, *, is_so: bool) -> None:
        """By somebody, on something recent."""
        match action:
            case "order":
                self.order(1 + pick % ORDERS, is_result_kept=is_so)
            case "read":
                self.read(1 + pick % ORDERS)
            case "call_off":
                self.call_off()
            case "pass_time":
                self.clock.advance(seconds=(1, 30, 400)[pick % 3])
            case _ if not self.snapshots:
                self.order(1 + pick % ORDERS, is_result_kept=is_so)
            case "claim":
                if is_so:
                    self.read(1 + pick % ORDERS)
                self.claim(_recent(self.snapshots, 0 if is_so else pick))
            case "give_up":
                self.give_up_what_is_overdue(_recent(self.snapshots, pick))
            case _ if not self.claims:
                self.claim(_recent(self.snapshots, pick))
            case _:
                self.act_on_attempt(action, _recent(self.claims, pick), pick, is_so=is_so)

    def act_on_attempt(self, action: str, claimed: Claimed, pick: int, *, is_so: bool) -> None:
        ending = ENDINGS[pick % len(ENDINGS)]
        actions: dict[str, Callable[[], None]] = {
            "answered": lambda: self.answered_with_an_id(claimed),
            "not_answered": lambda: self.not_answered(claimed),
            "not_accepted": lambda: self.close(claimed, states.NOT_ACCEPTED, is_retryable=True),
            "rejected": lambda: self.close(claimed, states.REJECTED, is_retryable=False),
            "ended": lambda: self.close(claimed, ending, is_retryable=is_so),
            "lost": lambda: self.close(claimed, ending, is_retryable=True),
            "manifest": lambda: self.manifest_found(claimed),
            "move": lambda: self.queue_does_not_move(claimed),
            "call_off_attempt": lambda: self.call_off_the_attempt(claimed),
            "hook": lambda: self.hook(claimed, is_forged=is_so, rp_id="rp-of-another" if pick % 2 else None),
        }
        actions[action]()

    # ---- shoppers ---------------------------------------------------------------------------------------------------

    def order(self, number: int, *, is_result_kept: bool) -> None:
        key = f"order-{number}"
        now = self.clock.now()
        known = self.jobs.get(key)
        is_queued = known is None or (
            known.state == states.CANCELLED
            or (known.state == states.FAILED and known.is_retryable)
            or (known.state == states.SUCCEEDED and not is_result_kept)
        )
        if is_queued:
            before = known or JobModel(states.QUEUED, now)
            self.jobs[key] = JobModel(
                states.QUEUED, now + states.DEADLINE, attempt_n=before.attempt_n, effects=before.effects
            )

        async def submit() -> tuple[Job, bool]:
            order = Order(self.brand_id, "noop", SUBJECT, key, Work("avatars", "p/", {}, {}))
            async with self.database.transaction() as session:
                submitted = await JobService(session, self.clock).submit(order, is_result_kept=is_result_kept)
            return submitted.job, submitted.is_queued_now

        job, is_queued_now = self.runner.run(submit())
        assert is_queued_now == is_queued
        self.snapshots.append(job)

    def call_off(self) -> None:
        async def cancel() -> None:
            async with self.database.transaction() as session:
                await JobService(session, self.clock).cancel(self.brand_id, SUBJECT)

        self.runner.run(cancel())
        for job in self.jobs.values():
            if job.state in states.OPEN_JOBS:
                job.state = states.CANCELLED

    # ---- dispatchers ------------------------------------------------------------------------------------------------

    def read(self, number: int) -> None:
        job = self.runner.run(self._row(f"order-{number}"))
        if job is not None:
            self.snapshots.append(job)

    def claim(self, job: Job) -> None:
        model = self.jobs[str(job.cache_key)]
        is_ours = model.state == states.QUEUED and model.attempt_n == job.attempt_n
        claimed = self.runner.run(self.ledger.claims.claim(job, "https://p.test/v2", "e"))
        assert (claimed is not None) == is_ours
        if claimed is None:
            return
        model.state = states.RUNNING
        model.attempt_n += 1
        model.executions += 1
        self.attempts[claimed.attempt.id] = AttemptModel(str(job.cache_key), model.attempt_n)
        self.claims.append(claimed)

    def answered_with_an_id(self, claimed: Claimed) -> None:
        model, rp_id = self.attempts[claimed.attempt.id], f"rp-{claimed.attempt.id}"
        is_open = self.runner.run(self.ledger.submitted(claimed.attempt, rp_id, timedelta(seconds=2)))
        assert is_open == model.is_open
        model.rp_id = rp_id
        if model.state in {states.SENDING, states.UNKNOWN}:
            model.state = states.SUBMITTED

    def not_answered(self, claimed: Claimed) -> None:
        self.runner.run(self.ledger.unknown(claimed.attempt, "ReadTimeout"))
        model = self.attempts[claimed.attempt.id]
        if model.state == states.SENDING:
            model.state = states.UNKNOWN

    # ---- reconcilers ------------------------------------------------------------------------------------------------

    def manifest_found(self, claimed: Claimed) -> None:
        attempt, job = self.attempts[claimed.attempt.id], self._job_of(claimed)
        is_first = job.state not in states.TERMINAL
        done = self.runner.run(self.ledger.succeed(_looked(claimed), _done(claimed), None))
        assert (done is not None) == is_first
        if is_first:
            job.state = states.SUCCEEDED
            job.effects += 1
        attempt.state = states.SUCCEEDED

    def queue_does_not_move(self, claimed: Claimed) -> None:
        attempt, job = self.attempts[claimed.attempt.id], self._job_of(claimed)
        is_movable = (
            attempt.is_open
            and job.state == states.RUNNING
            and job.attempt_n == attempt.n
            and not job.is_moved
            and job.executions < states.MAX_EXECUTIONS
        )
        assert self.runner.run(self.ledger.move(_looked(claimed), "p/e")) == is_movable
        if is_movable:
            attempt.state, job.state, job.is_moved = states.QUEUE_TIMEOUT, states.QUEUED, True

    def call_off_the_attempt(self, claimed: Claimed) -> None:
        """Only of a job that is over: the reconciler does it of no other."""
        attempt = self.attempts[claimed.attempt.id]
        if self._job_of(claimed).state not in states.TERMINAL:
            return
        self.runner.run(self.ledger.cancelled(claimed.attempt))
        if attempt.is_open:
            attempt.state = states.CANCELLED

    def give_up_what_is_overdue(self, job: Job) -> None:
        model = self.jobs[str(job.cache_key)]
        self.runner.run(self.ledger.end_overdue(job))
        if model.state in states.OPEN_JOBS and model.deadline_at <= self.clock.now():
            model.state, model.is_retryable = states.FAILED, True

    def hook(self, claimed: Claimed, *, is_forged: bool, rp_id: str | None) -> None:
        """Whatever it says, no state changes."""

        async def hint() -> bool:
            token = "forged" if is_forged else claimed.token
            async with self.database.transaction() as session:
                return await take_hint(session, self.clock, claimed.attempt.id, token, rp_id)

        is_alive = self.clock.now() <= claimed.attempt.submitted_at + states.HOOK_LIFE
        assert self.runner.run(hint()) == (is_alive and not is_forged)

    # ---- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        jobs, attempts, effects = self.runner.run(self._everything())
        assert {key: (row.state, row.attempt_n, row.executions) for key, row in jobs.items()} == {
            key: (model.state, model.attempt_n, model.executions) for key, model in self.jobs.items()
        }
        assert {row.id: (row.state, row.rp_id) for row in attempts} == {
            key: (model.state, model.rp_id) for key, model in self.attempts.items()
        }
        assert effects == {key: model.effects for key, model in self.jobs.items() if model.effects}
        self._check_rules(jobs, attempts)

    def _check_rules(self, jobs: dict[str, Job], attempts: list[JobAttempt]) -> None:
        """What is promised of the rows themselves, whatever the model says."""
        for row in jobs.values():
            assert 0 <= row.executions <= states.MAX_EXECUTIONS
            assert (row.finished_at is not None) == (row.state in states.TERMINAL)
        for attempt in attempts:
            is_closed = attempt.state not in states.OPEN_ATTEMPTS
            assert is_closed or attempt.id not in self.closed, "a closed attempt never opens again"
            assert is_closed == (attempt.closed_at is not None)
            assert is_closed or attempt.poll_at is not None, "an open attempt is looked at again"
            if is_closed:
                self.closed.add(attempt.id)

    # ---- hands ------------------------------------------------------------------------------------------------------

    def _job_of(self, claimed: Claimed) -> JobModel:
        return self.jobs[self.attempts[claimed.attempt.id].job]

    def close(self, claimed: Claimed, state: str, *, is_retryable: bool) -> None:
        self.runner.run(self.ledger.close(_looked(claimed), state, "exhausted", is_retryable=is_retryable))
        attempt, job = self.attempts[claimed.attempt.id], self._job_of(claimed)
        if not attempt.is_open:
            return
        attempt.state = state
        if job.state != states.RUNNING or job.attempt_n != attempt.n:
            return
        job.executions -= state == states.NOT_ACCEPTED
        if not is_retryable or job.executions >= states.MAX_EXECUTIONS:
            job.state, job.is_retryable = states.FAILED, is_retryable
            return
        job.state = states.QUEUED
        if self.clock.now() + LONGEST_BACKOFF >= job.deadline_at:  # whether there is time left is a matter of chance
            row = self.runner.run(self._row(attempt.job))
            assert row is not None
            assert row.state in {states.QUEUED, states.FAILED}
            job.state, job.is_retryable = row.state, True

    async def _row(self, key: str) -> Job | None:
        async with self.database.transaction(read_only=True) as session:
            return await JobService(session, self.clock).find(self.brand_id, key)

    async def _everything(self) -> tuple[dict[str, Job], list[JobAttempt], dict[str, int]]:
        jobs = {key: row for key in self.jobs if (row := await self._row(key)) is not None}
        attempts = [attempt for row in jobs.values() for attempt in await self.ledger.claims.attempts(row)]
        async with self.database.transaction(read_only=True) as session:
            counted = await session.execute(text("SELECT key, count(*) FROM effects GROUP BY key"))
            return jobs, attempts, {row[0]: row[1] for row in counted.all()}


def _recent(items: list[T], pick: int) -> T:
    return items[-1 - pick % min(len(items), RECENT)]


def _looked(claimed: Claimed) -> Looked:
    return Looked(claimed.job, claimed.attempt)


def _done(claimed: Claimed) -> Done:
    manifest = Manifest(str(claimed.attempt.id), CONTRACT_VERSION, "1", {}, None, "cpu", "w", cold=False, timings_ms={})
    return Done(claimed.attempt.id, manifest, "avatars", f"p/{claimed.attempt.id}/", {})


def test_every_transition_is_one_of_the_model(sqlite_template: Path, tmp_path: Path) -> None:
    numbers = iter(range(10**6))

    class OnACopy(Transitions):
        def __init__(self) -> None:
            copy = tmp_path / f"{next(numbers)}.db"
            shutil.copyfile(sqlite_template, copy)
            super().__init__(copy)

    run_state_machine_as_test(
        OnACopy,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=BURSTS,
            derandomize=True,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
