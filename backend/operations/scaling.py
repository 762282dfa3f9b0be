"""How many workers an endpoint should have. Pure: a snapshot and what was thought before in, a decision out."""

import math
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

SLOW_QUEUE = timedelta(seconds=60)
"""Longer than this at p95 is too long to wait."""
CONFIRMED_AFTER = timedelta(seconds=30)
"""A slow queue counts when it was slow this long ago too."""
COOLDOWN = timedelta(seconds=120)
"""Between two changes: new workers need time to show."""
QUIET_FOR = timedelta(minutes=10)
"""Then back to the base."""
DRAIN_WITHIN_S = 60.0
BURST_IDLE_S, CALM_IDLE_S = 30, 5
KEEP_ALIVE_AFTER = timedelta(days=1)
"""Without any request for some days the platform takes workers away (two after three days, all after seven)."""

EXPECTED_WITHIN = timedelta(seconds=60)
"""A photo follows the opening of its screen within about so long."""
PREWARMED_FOR = timedelta(minutes=10)
PHOTO_SCREEN = "photo_screen"
"""The reason of a warm-up, by which it is counted."""

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Window(msgspec.Struct, frozen=True):
    """Hours in which one worker is kept warm."""

    days: tuple[str, ...]
    begins: time
    ends: time
    zone: str

    def holds(self, now: datetime) -> bool:
        """Local time of the zone; a window that ends before it begins goes over midnight."""
        here = now.astimezone(ZoneInfo(self.zone))
        at = here.time()
        if self.begins <= self.ends:
            return WEEKDAYS[here.weekday()] in self.days and self.begins <= at < self.ends
        yesterday = WEEKDAYS[(here.weekday() - 1) % 7]
        return (WEEKDAYS[here.weekday()] in self.days and at >= self.begins) or (
            yesterday in self.days and at < self.ends
        )


class Policy(msgspec.Struct, frozen=True):
    """What the operator wants. `cap` is the most workers that may ever be asked for."""

    base_max: int
    cap: int
    windows: tuple[Window, ...] = ()
    prewarms_per_hour: int = 0
    """How often a photo screen that opens may warm a worker for ten minutes."""


class Snapshot(msgspec.Struct, frozen=True):
    """One endpoint at one moment."""

    at: datetime
    workers_min: int
    workers_max: int
    idle_timeout_s: int
    queue_p95_s: float
    backlog: int
    exec_p50_s: float
    running: int
    unhealthy: int
    throttled: int
    last_request_at: datetime | None
    photo_screen_at: datetime | None = None
    """When a shopper last opened it."""
    prewarmed_at: datetime | None = None
    """When a worker was last warmed, or should have been, because of that."""
    prewarms_last_hour: int = 0


class Memory(msgspec.Struct, frozen=True):
    """What is carried from one look to the next."""

    slow_since: datetime | None = None
    busy_at: datetime | None = None
    """When there was last anything to do."""
    changed_at: datetime | None = None


class Decision(msgspec.Struct, frozen=True):
    """What should be set, and why. `reasons` empty: all is well as it is."""

    workers_min: int
    workers_max: int
    idle_timeout_s: int
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What no number of workers mends."""


def decide(policy: Policy, now: Snapshot, memory: Memory) -> tuple[Decision, Memory]:
    """The decision, and what to remember of this look."""
    is_slow = now.queue_p95_s > SLOW_QUEUE.total_seconds()
    is_busy = now.backlog > 0 or now.running > 0
    memory = msgspec.structs.replace(
        memory,
        slow_since=(memory.slow_since or now.at) if is_slow else None,
        busy_at=now.at if is_busy or memory.busy_at is None else memory.busy_at,
    )
    workers_max, reasons = _most(policy, now, memory)
    workers_min, warm = _least(policy, now)
    idle_s = BURST_IDLE_S if is_busy and now.backlog > now.running else CALM_IDLE_S
    if idle_s != now.idle_timeout_s and (reasons or warm):
        reasons = (*reasons, "idle_timeout")
    elif idle_s != now.idle_timeout_s:
        idle_s = now.idle_timeout_s  # not worth a change by itself
    decision = Decision(workers_min, workers_max, idle_s, (*reasons, *warm), _warnings(policy, now))
    return decision, memory


def changed(memory: Memory, at: datetime) -> Memory:
    """The decision was carried out."""
    return msgspec.structs.replace(memory, changed_at=at)


def _most(policy: Policy, now: Snapshot, memory: Memory) -> tuple[int, tuple[str, ...]]:
    if memory.changed_at is not None and now.at - memory.changed_at < COOLDOWN:
        return now.workers_max, ()
    is_confirmed = memory.slow_since is not None and now.at - memory.slow_since >= CONFIRMED_AFTER
    # Workers that crash look like a lack of workers: more of them crash too.
    if is_confirmed and now.unhealthy == 0:
        wanted = math.ceil(now.backlog * now.exec_p50_s / DRAIN_WITHIN_S) + now.running
        wanted = min(policy.cap, max(wanted, now.workers_max))
        return (wanted, ("slow_queue",)) if wanted > now.workers_max else (now.workers_max, ())
    is_quiet = memory.busy_at is not None and now.at - memory.busy_at >= QUIET_FOR
    if is_quiet and now.workers_max > policy.base_max:
        return policy.base_max, ("quiet",)
    return now.workers_max, ()


def _least(policy: Policy, now: Snapshot) -> tuple[int, tuple[str, ...]]:
    """One warm worker in the windows, and for ten minutes after a photo screen was opened, so often an hour."""
    is_window = any(window.holds(now.at) for window in policy.windows)
    if now.workers_min == 0:
        if is_window:
            return 1, ("pre_warm",)
        return (1, (PHOTO_SCREEN,)) if _is_photo_expected(policy, now) else (0, ())
    is_prewarmed = now.prewarmed_at is not None and now.at - now.prewarmed_at < PREWARMED_FOR
    if is_window or is_prewarmed:
        return now.workers_min, ()
    if policy.windows or now.prewarmed_at is not None:
        return 0, ("window_over" if policy.windows else "photo_screen_over",)
    return now.workers_min, ()  # set by hand


def _is_photo_expected(policy: Policy, now: Snapshot) -> bool:
    is_near = now.photo_screen_at is not None and now.at - now.photo_screen_at <= EXPECTED_WITHIN
    return is_near and now.prewarms_last_hour < policy.prewarms_per_hour


def _warnings(policy: Policy, now: Snapshot) -> tuple[str, ...]:
    warnings = []
    if now.unhealthy > 0:
        warnings.append("unhealthy_workers")
    if now.throttled > 0:
        warnings.append("throttled_workers")
    if now.workers_max < policy.base_max:
        warnings.append("fewer_workers_than_set")
    if now.last_request_at is None or now.at - now.last_request_at >= KEEP_ALIVE_AFTER:
        warnings.append("keep_alive_due")
    return tuple(warnings)


def read_windows(text: str) -> tuple[Window, ...]:
    """`Mon,Tue,Fri 09:00-18:00 Europe/Berlin; Sat 10:00-14:00 Europe/Berlin`. Raises `ValueError` with a sentence."""
    return tuple(_window(part.strip()) for part in text.split(";") if part.strip())


def _window(text: str) -> Window:
    try:
        days_text, hours, zone = text.split()
        begins, ends = (time.fromisoformat(hour) for hour in hours.split("-"))
        ZoneInfo(zone)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{text!r} is no window such as 'Mon,Tue 09:00-18:00 Europe/Berlin'.") from error
    days = tuple(days_text.split(","))
    if unknown := set(days) - set(WEEKDAYS):
        raise ValueError(f"{', '.join(sorted(unknown))} is not among {', '.join(WEEKDAYS)}.")
    return Window(days, begins, ends, zone)
