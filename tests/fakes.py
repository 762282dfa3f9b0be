"""Implementations of our ports for tests: they keep their promises, in memory or by hand."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, **amount: float) -> datetime:
        """`advance(seconds=61)`; the arguments of `timedelta`."""
        self._now += timedelta(**amount)
        return self._now
