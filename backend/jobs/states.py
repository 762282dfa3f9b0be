"""What a piece of work and one attempt at it can be, and how long to wait. Pure."""

import random
from datetime import timedelta

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "queued", "running", "succeeded", "failed", "cancelled"
JOB_STATES = (QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED)
OPEN_JOBS = (QUEUED, RUNNING)
TERMINAL = (SUCCEEDED, FAILED, CANCELLED)

SENDING, SUBMITTED, UNKNOWN = "sending", "submitted", "unknown"
OPEN_ATTEMPTS = (SENDING, SUBMITTED, UNKNOWN)
NOT_ACCEPTED, REJECTED = "not_accepted", "rejected"
NO_ARTIFACT, TIMED_OUT, GONE, ABANDONED = "no_artifact", "timed_out", "gone", "abandoned"
QUEUE_TIMEOUT = "queue_timeout"
"""Taken from a queue that does not move, for another that has a worker free."""
ATTEMPT_STATES = (
    *OPEN_ATTEMPTS,
    SUCCEEDED,
    FAILED,
    CANCELLED,
    NOT_ACCEPTED,
    REJECTED,
    NO_ARTIFACT,
    TIMED_OUT,
    GONE,
    ABANDONED,
    QUEUE_TIMEOUT,
)

MAX_EXECUTIONS = 3
"""Attempts of one job that may have run."""
DEADLINE = timedelta(minutes=20)
"""From submission; afterwards nobody waits for the answer any more."""
UNHURRIED_DEADLINE = timedelta(hours=6)
"""Of work that nobody looks at: a catalogue of a thousand garments may take its time."""
QUEUE_TTL = timedelta(seconds=900)
"""The platform deletes a job that is older, running or not."""
QUEUE_ALARM = timedelta(seconds=60)
"""In the queue, not yet taken by a worker."""
UNKNOWN_GRACE = timedelta(seconds=20)
"""For an attempt without an id: time for a webhook to bring it."""
FIRST_LOOK = timedelta(seconds=5)
"""After which an attempt without an id is first looked at. The rest of the grace runs from there by the clock of the
one who looks: two dispatchers' clocks may be half a minute apart."""
LEASE = timedelta(seconds=30)
"""How long a reconciler that died keeps an attempt from the next one."""
HOOK_LIFE = QUEUE_TTL + timedelta(hours=1)

FIRST_BACKOFF_S, MIN_BACKOFF_S, MAX_BACKOFF_S = 0.5, 0.1, 60.0
LONGEST_SPREAD_S = 5.0
"""Jobs that were told the same time come back over so long."""


def backoff(tries: int, at_least_s: float = 0.0) -> timedelta:
    """Full jitter, so that jobs which failed together do not come back together."""
    ceiling_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(tries, 10))
    if at_least_s > 0:
        return timedelta(seconds=at_least_s + random.uniform(0, min(ceiling_s, LONGEST_SPREAD_S)))  # noqa: S311
    return timedelta(seconds=max(MIN_BACKOFF_S, random.uniform(0, ceiling_s)))  # noqa: S311  no secret


def poll_delay(age: timedelta, *, is_local: bool, is_queued: bool = False) -> timedelta:
    """The older an attempt, the rarer we ask; hooks make it due at once anyway.

    One that still waits in the queue has no stage to show: asked rarely, a long queue costs little.
    """
    low_s, high_s = (0.25, 5.0 if is_queued else 2.0) if is_local else (2.0, 15.0)
    seconds = min(max(age.total_seconds() / 4, low_s), high_s)
    return timedelta(seconds=seconds * random.uniform(0.7, 1.3))  # noqa: S311
