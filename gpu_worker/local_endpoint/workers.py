"""What the endpoint knows of its workers: heartbeats, one slot each, and what they were told to stop."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from gpu_worker.local_endpoint.limits import Limits

MISSED_PINGS_UNTIL_LOST = 2


@dataclass(slots=True)
class Slot:
    """A job the worker was given; `missed_pings` counts heartbeats in a row that did not name it."""

    handed_at: float
    missed_pings: int = 0


@dataclass(slots=True)
class Worker:
    """One attached worker. Kept in memory only: after a restart it is known again by its next request."""

    id: str
    endpoint: str
    seen_at: float
    """Time of the last heartbeat or job-take."""

    running: dict[str, Slot] = field(default_factory=dict)
    stopping: dict[str, float] = field(default_factory=dict)
    """Jobs it was told to drop -> time at which its slot is free whatever it says."""

    stop_orders: list[str] = field(default_factory=list)
    stop_ordered: asyncio.Event = field(default_factory=asyncio.Event)
    is_draining: bool = False
    is_unhealthy: bool = False

    def is_free(self, now: float, limits: Limits) -> bool:
        """Whether it may be given a job: never more than one at a time, however many polls it parks."""
        is_refused = self.is_draining or self.is_unhealthy or self.is_silent(now, limits)
        return not (self.running or self.stopping or is_refused)

    def is_silent(self, now: float, limits: Limits) -> bool:
        """Whether it has missed so many heartbeats that it must be dead."""
        return now - self.seen_at > limits.heartbeat_timeout_s

    def start(self, job_id: str, now: float) -> None:
        """It was given a job."""
        self.running[job_id] = Slot(now)

    def release(self, job_id: str) -> None:
        """It no longer works on a job."""
        self.running.pop(job_id, None)
        self.stopping.pop(job_id, None)

    def order_stop(self, job_id: str, now: float, limits: Limits) -> None:
        """Tell it to drop a job; the slot stays taken until its heartbeats no longer name the job."""
        if self.running.pop(job_id, None) is None:
            return
        self.stopping[job_id] = now + limits.stopping_slot_s
        self._order(job_id)

    def _order(self, *job_ids: str) -> None:
        self.stop_orders = list(dict.fromkeys((*self.stop_orders, *job_ids)))
        self.stop_ordered.set()

    def drain(self) -> None:
        """Give it nothing more; its stop channel is answered so that it can leave."""
        self.is_draining = True
        self.stop_ordered.set()

    def heard(self, job_ids: Collection[str], now: float, limits: Limits) -> list[str]:
        """Note a heartbeat that names `job_ids`; returns the jobs that it has evidently lost."""
        self.seen_at = now
        self.is_unhealthy = False
        self.stopping = {job_id: until for job_id, until in self.stopping.items() if job_id in job_ids}
        if self.stopping:  # the SDK forgets an order that arrives within 0.1 s of the job: say it again
            self._order(*self.stopping)
        lost = []
        for job_id, slot in self.running.items():
            if job_id in job_ids:
                slot.missed_pings = 0
            elif now > slot.handed_at + 2 * limits.ping_interval_s:
                slot.missed_pings += 1
            if slot.missed_pings >= MISSED_PINGS_UNTIL_LOST:
                lost.append(job_id)
        return lost

    def free_overdue(self, now: float) -> None:
        """Stop waiting for jobs that should long have been dropped."""
        self.stopping = {job_id: until for job_id, until in self.stopping.items() if until > now}

    async def next_stop_orders(self, hold_s: float) -> list[str]:
        """Wait for jobs to stop; empty when there are none or the worker is to leave."""
        try:
            async with asyncio.timeout(hold_s):
                await self.stop_ordered.wait()
        except TimeoutError:
            return []
        orders, self.stop_orders = self.stop_orders, []
        if not self.is_draining:
            self.stop_ordered.clear()
        return orders
