"""How long one run may take, by how long such runs took: what hangs is stopped, and nothing that is only slow."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every
from backend.core.quantile import quantile
from backend.jobs import states
from backend.jobs.models import Job, JobAttempt

FIRST_LIMIT = timedelta(seconds=120)
"""Until there are runs enough to judge by."""
SHORTEST_LIMIT = timedelta(seconds=30)
LONGEST_LIMIT = timedelta(minutes=10)
"""With the time in the queue it stays below the life of the addresses that an attempt is given."""
TIMES_P95 = 4
JUDGED_BY = 200
"""The last successes of a kind at one queue."""
LAST_RUNS = 2000
"""Of all kinds and queues, in one look."""
LEAST = 20
"""Of fewer, a quantile says nothing."""
LATELY = timedelta(days=7)
LEARNED = timedelta(minutes=1)

Place = tuple[str, str, str]
"""Kind, address, endpoint: the same work takes longer on another provider's cards, and must not be stopped there."""


def limit_of(exec_ms: Sequence[int]) -> timedelta:
    if len(exec_ms) < LEAST:
        return FIRST_LIMIT
    p95_ms = quantile(exec_ms, 0.95) or 0.0
    return min(max(SHORTEST_LIMIT, timedelta(milliseconds=TIMES_P95 * p95_ms)), LONGEST_LIMIT)


class ExecutionLimits:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._minutely = Every(LEARNED, clock)
        self._limits: dict[Place, timedelta] = {}

    async def look(self) -> None:
        """Learn from what has ended meanwhile; called before each round, and cheap."""
        if not self._minutely.is_due():
            return
        runs: dict[Place, list[int]] = {}
        async with self._database.transaction(read_only=True) as session:
            found = await session.execute(
                select(Job.kind, JobAttempt.provider, JobAttempt.endpoint_id, JobAttempt.exec_ms)
                .select_from(JobAttempt)  # tenant: an endpoint serves every brand
                .join(Job, (Job.brand_id == JobAttempt.brand_id) & (Job.id == JobAttempt.job_id))
                .where(
                    JobAttempt.closed_at >= self._clock.now() - LATELY,
                    JobAttempt.state == states.SUCCEEDED,
                    JobAttempt.exec_ms.is_not(None),
                )
                .order_by(JobAttempt.closed_at.desc())
                .limit(LAST_RUNS)
            )
            for kind, address, endpoint, exec_ms in found:
                runs.setdefault((kind, address, endpoint), []).append(exec_ms or 0)
        self._limits = {place: limit_of(times[:JUDGED_BY]) for place, times in runs.items()}

    def of(self, kind: str, attempt: JobAttempt) -> timedelta:
        """`policy.executionTimeout` of this kind of work where the attempt is sent."""
        return self._limits.get((kind, attempt.provider, attempt.endpoint_id), FIRST_LIMIT)

    def usual_end_of(self, kind: str, attempt: JobAttempt) -> timedelta:
        """Twice the p95: a run that takes longer may have ended without its queue knowing."""
        return self.of(kind, attempt) * 2 / TIMES_P95
