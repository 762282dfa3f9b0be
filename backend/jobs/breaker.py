"""When to stop asking a provider that fails, and when to ask again. Pure: whoever calls brings the time.

Half open is a matter of time, not of somebody's visit: `opened_at + wait` is looked at whenever the state is asked for.
"""

from datetime import datetime, timedelta
from typing import Literal

OPENS_AFTER = 5
"""Failures in a row."""
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(seconds=120)
LASTING_THROTTLE = timedelta(seconds=60)
"""Being told to slow down is no failure; for this long without one answer it is."""
PROBE_LIMIT = timedelta(seconds=60)
"""A probe that never reports (its task was killed) stands in nobody's way for longer."""

State = Literal["closed", "open", "half_open"]


class Ticket:
    """Leave for one call. Its outcome is reported once; what is reported later counts for nothing."""

    __slots__ = ("is_probe", "is_settled")

    def __init__(self, *, is_probe: bool) -> None:
        self.is_probe = is_probe
        self.is_settled = False


class Breaker:
    def __init__(self) -> None:
        self.failures = 0
        self._opened_at: datetime | None = None
        self._wait = FIRST_WAIT
        self._probe: Ticket | None = None
        self._probe_since: datetime | None = None
        self._throttled_since: datetime | None = None

    @property
    def reopens_at(self) -> datetime | None:
        """When the next probe may go; None while closed."""
        return self._opened_at + self._wait if self._opened_at else None

    def state(self, now: datetime) -> State:
        if self.reopens_at is None:
            return "closed"
        return "open" if now < self.reopens_at else "half_open"

    def admits(self, now: datetime) -> bool:
        """Whether `enter` would give a ticket."""
        match self.state(now):
            case "closed":
                return True
            case "open":
                return False
            case "half_open":
                return self._probe is None or self._probe_since is None or now - self._probe_since > PROBE_LIMIT

    def enter(self, now: datetime) -> Ticket | None:
        """None: not now. Of an open breaker whose time is over, exactly one caller gets a ticket: the probe."""
        if not self.admits(now):
            return None
        ticket = Ticket(is_probe=self._opened_at is not None)
        if ticket.is_probe:
            self._probe, self._probe_since = ticket, now
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The call was not made, or nobody knows how it ended."""
        if not ticket.is_settled:
            ticket.is_settled = True
            self._end_probe(ticket)

    def succeeded(self, ticket: Ticket) -> None:
        """The provider has answered sensibly. While open, only the probe closes it."""
        if self._counts(ticket):
            self.failures = 0
            self._throttled_since = self._opened_at = None
            self._wait = FIRST_WAIT

    def failed(self, ticket: Ticket, now: datetime) -> None:
        if not self._counts(ticket):
            return
        self.failures += 1
        if ticket.is_probe:
            self._wait = min(LONGEST_WAIT, self._wait * 2)
            self._opened_at = now
        elif self.failures >= OPENS_AFTER:
            self._opened_at = now

    def throttled(self, ticket: Ticket, now: datetime) -> None:
        """429: it is there, but wants fewer calls."""
        if self._throttled_since is None:
            self._throttled_since = now
        if now - self._throttled_since >= LASTING_THROTTLE:
            self.failed(ticket, now)
        elif self._counts(ticket) and ticket.is_probe:
            self._opened_at = now

    def _counts(self, ticket: Ticket) -> bool:
        """A call from before the breaker opened says nothing about now, nor a probe that was given up for lost."""
        if ticket.is_settled:
            return False
        ticket.is_settled = True
        return self._end_probe(ticket) if ticket.is_probe else self._opened_at is None

    def _end_probe(self, ticket: Ticket) -> bool:
        if self._probe is not ticket:
            return False
        self._probe = self._probe_since = None
        return True
