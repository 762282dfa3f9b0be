"""What one attempt cost. An estimate: starts and idle time are billed too, and no answer tells them. Pure."""

import math
from datetime import datetime, timedelta

import msgspec

from backend.jobs import states

MS_PER_S = 1000
ANY_POOL = "*"
"""Of the catalogue, which lists cards and not pools."""
NEVER_RAN = frozenset({states.NOT_ACCEPTED, states.REJECTED, states.QUEUE_TIMEOUT})
"""Attempts that no worker has begun: they cost nothing."""


class Price(msgspec.Struct, frozen=True):
    """From `valid_from` on; `gpu_name` None is every card of the pool that has no price of its own."""

    pool: str
    gpu_name: str | None
    microusd_per_s: int
    valid_from: datetime


class Usage(msgspec.Struct, frozen=True):
    """How long a worker was paid for one attempt."""

    exec_ms: int
    cold_ms: int = 0
    idle_ms: int = 0

    @property
    def billed_s(self) -> float:
        """Execution is rounded up to a second."""
        return math.ceil(self.exec_ms / MS_PER_S) + (self.cold_ms + self.idle_ms) / MS_PER_S


def cost_microusd(price: Price, usage: Usage) -> int:
    return round(price.microusd_per_s * usage.billed_s)


def price_at(prices: list[Price], pool: str, gpu_name: str | None, when: datetime) -> Price | None:
    """The newest that was valid then; the card's own before the pool's. None: unknown, which is not 0."""
    if not pool:  # nobody is paid by the second there
        return None
    valid = [price for price in prices if price.pool in {pool, ANY_POOL} and price.valid_from <= when]
    of_card = [price for price in valid if price.gpu_name is not None and price.gpu_name == gpu_name]
    of_pool = [price for price in valid if price.gpu_name is None]
    return max(of_card or of_pool, key=lambda price: price.valid_from, default=None)


def idle_ms(ended_at: datetime, next_began_at: datetime | None, idle_timeout: timedelta) -> int:
    """How long the worker waited after this attempt: until the next one, or until it was shut down."""
    waited = idle_timeout if next_began_at is None else min(max(next_began_at - ended_at, timedelta(0)), idle_timeout)
    return round(waited.total_seconds() * MS_PER_S)


def microusd_per_s(usd_per_hour: float) -> int:
    """The whole micro-dollars nearest to a list price."""
    return round(usd_per_hour * 1e6 / 3600)
