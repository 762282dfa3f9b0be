"""The queues work may be sent to, in the order of preference: which of them takes new work now, and what is wrong.

Each has a breaker over `/run` and `/status`, and counts of its own that a background loop fetches; a request of a
shopper never waits for any of it. One process, one view: two dispatchers find out for themselves.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec
import structlog

from backend.core.clock import Clock
from backend.jobs.answers import JobStatus, QueueHealth
from backend.jobs.breaker import Breaker, State, Ticket
from backend.jobs.models import JobAttempt
from backend.jobs.queue import ComputeQueue, Gone, QueueFault, Rejected, RunPodQueue, Submission, Unreachable
from backend.provider_settings import ProviderSettings, single_provider

log = structlog.get_logger()

OFF_FOR = timedelta(minutes=5)
"""After a wrong key or address: asking faster mends nothing."""
SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=2)
"""After a 429: its Retry-After within these limits."""
HEALTH_EVERY = timedelta(seconds=15)
HEALTH_FRESH = timedelta(seconds=60)
"""Older counts say nothing about now."""
HEALTH_FAILURES = 3
"""In a row, after which others are preferred."""

Verdict = Literal["ready", "unfit", "paused", "open", "off", "draining"]


class ProviderStatus(msgspec.Struct, frozen=True):
    """How one provider stands, for operators and metrics."""

    name: str
    base_url: str
    endpoint_id: str
    kinds: tuple[str, ...]
    price_pool: str
    verdict: Verdict
    """Whether it is given new work now, and if not, why: `unfit` is used only when no other is ready."""
    breaker: State
    failures_in_a_row: int
    reopens_at: datetime | None
    off_until: datetime | None
    off_reason: str | None
    paused_until: datetime | None
    health: QueueHealth | None
    health_at: datetime | None
    health_failures: int


class Provider:
    """One queue, with what is known of it."""

    def __init__(self, settings: ProviderSettings, queue: ComputeQueue, clock: Clock) -> None:
        self.settings = settings
        self.queue = queue
        self.breaker = Breaker()
        self._clock = clock
        self._off_until: datetime | None = None
        self._off_reason: str | None = None
        self._paused_until: datetime | None = None
        self._health: QueueHealth | None = None
        self._health_at: datetime | None = None
        self._health_failures = 0
        self._next_health_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def key(self) -> tuple[str, str]:
        """As its attempts name it."""
        return self.queue.provider, self.queue.endpoint_id

    # ---- what is known ----------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        now = self._clock.now()
        if self.settings.is_draining:
            return "draining"
        if self._is_off(now):
            return "off"
        if not self.breaker.admits(now):
            return "open"
        if self._paused_until is not None and now < self._paused_until:
            return "paused"
        return "ready" if self._is_fit() else "unfit"

    def opens_at(self) -> datetime:
        """When it may be given work again; now, if it may already."""
        now = self._clock.now()
        times = [time for time in (self._off_until, self._paused_until, self.breaker.reopens_at) if time]
        return max([now, *times])

    def health(self) -> QueueHealth | None:
        """Counts that are not too old to mean something."""
        is_fresh = self._health_at is not None and self._clock.now() - self._health_at <= HEALTH_FRESH
        return self._health if is_fresh else None

    def has_idle_worker(self) -> bool:
        """A worker that waits, and nothing else for it to do."""
        health = self.health()
        return health is not None and health.idle > 0 and health.in_queue == 0

    def take_idle_worker(self) -> None:
        """One of the idle workers is spoken for, until the next counts say otherwise."""
        if self._health is not None:
            self._health = msgspec.structs.replace(self._health, idle=max(0, self._health.idle - 1))

    def status_now(self) -> ProviderStatus:
        now = self._clock.now()
        return ProviderStatus(
            name=self.name,
            base_url=self.settings.base_url,
            endpoint_id=self.settings.endpoint_id,
            kinds=self.settings.kinds,
            price_pool=self.settings.price_pool,
            verdict=self.verdict(),
            breaker=self.breaker.state(now),
            failures_in_a_row=self.breaker.failures,
            reopens_at=self.breaker.reopens_at,
            off_until=self._off_until,
            off_reason=self._off_reason,
            paused_until=self._paused_until,
            health=self._health,
            health_at=self._health_at,
            health_failures=self._health_failures,
        )

    def _is_off(self, now: datetime) -> bool:
        return self._off_until is not None and now < self._off_until

    def _is_fit(self) -> bool:
        """Whether work sent there is likely to be taken up. Not knowing is no reason to go elsewhere."""
        if self._health_failures >= HEALTH_FAILURES:
            return False
        health = self.health()
        if health is None or health.idle + health.running + health.initializing > 0:
            return True
        if self.queue.is_local:
            return health.ready > 0  # nobody starts workers there when work comes
        return health.throttled == 0 and health.unhealthy == 0

    # ---- calls ------------------------------------------------------------------------------------------------------

    def enter(self) -> Ticket | None:
        """Leave for one call; None while it is off or its breaker open. To be given to `run`, `ask` or `leave`."""
        now = self._clock.now()
        return None if self._is_off(now) else self.breaker.enter(now)

    def leave(self, ticket: Ticket) -> None:
        """The call was not made after all."""
        self.breaker.leave(ticket)

    async def run(self, ticket: Ticket, submission: Submission) -> str:
        """As the queue's `run`; what comes of it is remembered."""
        try:
            rp_id = await self.queue.run(submission)
        except Rejected:
            self._answered(ticket)
            raise
        except QueueFault as fault:
            self._failed(ticket, fault)
            raise
        else:
            self._answered(ticket)
            return rp_id
        finally:
            self.leave(ticket)

    async def ask(self, ticket: Ticket, rp_id: str) -> JobStatus:
        """As the queue's `status`; what comes of it is remembered."""
        try:
            status = await self.queue.status(rp_id)
        except Gone:
            self._answered(ticket)
            raise
        except QueueFault as fault:
            self._failed(ticket, fault)
            raise
        else:
            self._answered(ticket)
            return status
        finally:
            self.leave(ticket)

    async def check_health(self) -> None:
        """Fetch the counts, if it is time to."""
        now = self._clock.now()
        if self._next_health_at is not None and now < self._next_health_at:
            return
        self._next_health_at = now + HEALTH_EVERY
        try:
            self._health = await self.queue.health()
        except Unreachable as fault:
            self._health_failures += 1
            if self._health_failures == HEALTH_FAILURES:
                log.warning("provider.health_unknown", provider=self.name, reason=fault.reason)
            return
        if self._health_failures >= HEALTH_FAILURES:
            log.info("provider.health_known", provider=self.name)
        self._health_at, self._health_failures = self._clock.now(), 0

    # ---- what comes of calls ----------------------------------------------------------------------------------------

    def _answered(self, ticket: Ticket) -> None:
        was_open = self.breaker.reopens_at is not None
        self.breaker.succeeded(ticket)
        if was_open and self.breaker.reopens_at is None:
            log.info("provider.breaker_closed", provider=self.name)
        self._off_until = self._off_reason = None

    def _failed(self, ticket: Ticket, fault: QueueFault) -> None:
        now, before = self._clock.now(), self.breaker.reopens_at
        if fault.is_misconfiguration:
            self._off_until, self._off_reason = now + OFF_FOR, fault.reason
            log.error("provider.misconfigured", provider=self.name, reason=fault.reason, until=self._off_until)
            return
        if fault.is_throttle:
            pause = timedelta(seconds=fault.retry_after_s)
            self._paused_until = now + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)
            log.warning("provider.throttled", provider=self.name, until=self._paused_until)
            self.breaker.throttled(ticket, now)
        else:
            self.breaker.failed(ticket, now)
        if self.breaker.reopens_at != before:
            log.error(
                "provider.breaker_opened",
                provider=self.name,
                failures=self.breaker.failures,
                reopens_at=self.breaker.reopens_at,
                reason=fault.reason,
            )


class Providers:
    """All of them, the preferred first."""

    def __init__(self, providers: Sequence[Provider], clock: Clock) -> None:
        self.all = tuple(providers)
        self._clock = clock
        self._chosen: dict[str, str] = {}

    def choose(self, kind: str, *, but: Collection[Provider] = (), avoid: str | None = None) -> Provider | None:
        """Who is given this work now: the first that is ready, else one that is only unfit; None: nobody.

        avoid : where it has waited in vain; only when there is nobody else
        """
        chosen: Provider | None = None
        best = 0
        for provider in self.all:
            if kind not in provider.settings.kinds or provider in but:
                continue
            rank = {"ready": 4, "unfit": 2}.get(provider.verdict(), 0)
            rank -= rank > 0 and name_of(provider.key) == avoid
            if rank > best:
                chosen, best = provider, rank
        self._tell(kind, chosen, is_whole=not but and avoid is None)
        return chosen

    def elsewhere(self, kind: str, provider: Provider) -> Provider | None:
        """Another one with a worker that waits and an empty queue."""
        others = (other for other in self.all if other is not provider and kind in other.settings.kinds)
        return next((other for other in others if other.verdict() == "ready" and other.has_idle_worker()), None)

    def opens_in(self, kind: str) -> timedelta:
        """How long nobody will take this kind; nothing, if somebody does."""
        now = self._clock.now()
        times = [
            provider.opens_at()
            for provider in self.all
            if kind in provider.settings.kinds and not provider.settings.is_draining
        ]
        return max(timedelta(0), min(times) - now) if times else timedelta(0)

    def of(self, attempt: JobAttempt) -> Provider | None:
        """Where it was sent; None: the settings know that place no more."""
        key = (attempt.provider, attempt.endpoint_id)
        return next((provider for provider in self.all if provider.key == key), None)

    def snapshot(self) -> list[ProviderStatus]:
        return [provider.status_now() for provider in self.all]

    async def check_health(self) -> int:
        """Counts of those whose time it is. Never fails, and is no work done."""
        await asyncio.gather(*(provider.check_health() for provider in self.all))
        return 0

    async def close(self) -> None:
        for provider in self.all:
            await provider.queue.close()

    def _tell(self, kind: str, chosen: Provider | None, *, is_whole: bool) -> None:
        """Says once who takes a kind of work, whenever that has changed."""
        name = chosen.name if chosen else "nobody"
        before = self._chosen.get(kind)
        if is_whole and before != name:
            self._chosen[kind] = name
            if before is not None:
                log.warning("provider.changed", kind=kind, before=before, now=name)


def name_of(key: tuple[str, str]) -> str:
    """A queue as one text, as `Job.moved_from` keeps it."""
    return "/".join(key)


def providers_of(
    rows: Sequence[ProviderSettings], clock: Clock, api_key: Callable[[ProviderSettings], str]
) -> Providers:
    """A client for each row."""

    def queue(row: ProviderSettings) -> ComputeQueue:
        return RunPodQueue(row.base_url, row.endpoint_id, lambda: api_key(row))

    return Providers([Provider(row, queue(row), clock) for row in rows], clock)


def only(queue: ComputeQueue, clock: Clock) -> Providers:
    """One queue for everything."""
    return Providers([Provider(single_provider(queue.provider, queue.endpoint_id, ""), queue, clock)], clock)
