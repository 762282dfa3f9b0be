"""What an operator must be told, from the ledger and the providers; docs/runbook.md says what to do about it. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from backend.jobs.providers import ProviderStatus
from backend.operations.budget import BudgetState, Standing

MIN_SUCCESS_RATE = 0.95
MIN_ATTEMPTS = 50
"""Of fewer, a rate says nothing."""
LONGEST_QUEUE_S = 60.0
NAMED = 3
"""Brands in one sentence."""
SWEEPER_SILENT = timedelta(seconds=30)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger over the last hour, and as it stands."""

    open_jobs: int
    oldest_open_s: float
    succeeded: int
    faulted: int
    """Attempts that ended in a fault; a photo that was refused is no fault."""
    rejected: int
    unpriced: int
    queue_p95_s: float
    held: int
    """Jobs that wait for money."""


class Alarm(msgspec.Struct, frozen=True):
    """`code` is the heading in docs/runbook.md."""

    code: str
    sentence: str
    provider: str = ""


def find_alarms(
    work: Work,
    providers: Sequence[ProviderStatus],
    budgets: Sequence[Standing],
    swept_at: datetime | None,
    now: datetime,
) -> list[Alarm]:
    alarms = _of_work(work) + _of_budgets(budgets, work.held)
    if swept_at is None or now - swept_at > SWEEPER_SILENT:
        alarms.append(Alarm("sweeper_silent", "Nothing has looked after the jobs for half a minute."))
    for provider in providers:
        alarms += _of_provider(provider)
    if providers and all(provider.verdict in {"open", "off"} for provider in providers):
        alarms.append(Alarm("no_provider", "No provider takes work."))
    return alarms


def _of_work(work: Work) -> list[Alarm]:
    alarms = []
    ended = work.succeeded + work.faulted
    if ended >= MIN_ATTEMPTS and work.succeeded / ended < MIN_SUCCESS_RATE:
        alarms.append(Alarm("success_rate_low", f"{work.faulted} of the last hour's {ended} attempts failed."))
    if work.queue_p95_s > LONGEST_QUEUE_S:
        alarms.append(Alarm("queue_slow", f"One job in twenty waits longer than {work.queue_p95_s:.0f} s."))
    if work.rejected:
        alarms.append(Alarm("request_rejected", f"{work.rejected} requests were refused for good: our fault."))
    if work.unpriced:
        alarms.append(Alarm("price_missing", f"{work.unpriced} attempts of paid providers have no price."))
    return alarms


def _of_budgets(budgets: Sequence[Standing], held: int) -> list[Alarm]:
    """One for all brands: `tryon status` lists them."""
    alarms = []
    if whose := _named(budgets, "warning"):
        alarms.append(Alarm("budget_warning", f"The budget of {whose} is at least 80 % used up today."))
    if whose := _named(budgets, "exceeded"):
        alarms.append(Alarm("budget_exceeded", f"The budget of {whose} is used up for today; {held} jobs wait."))
    return alarms


def _named(budgets: Sequence[Standing], state: BudgetState) -> str:
    names = [str(one.brand_id or "all brands") for one in budgets if one.state == state]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _of_provider(provider: ProviderStatus) -> list[Alarm]:
    alarms = []
    if provider.verdict == "off":
        text = f"{provider.name} refuses us ({provider.off_reason}): its key, address or settings are wrong."
        alarms.append(Alarm("provider_misconfigured", text, provider.name))
    if provider.verdict == "open":
        text = f"{provider.name} failed {provider.failures_in_a_row} times in a row and rests."
        alarms.append(Alarm("breaker_open", text, provider.name))
    if provider.health is not None and provider.health.unhealthy > 0:
        text = f"{provider.health.unhealthy} workers of {provider.name} are unhealthy."
        alarms.append(Alarm("workers_unhealthy", text, provider.name))
    if provider.health is not None and provider.health.throttled > 0:
        text = f"{provider.health.throttled} workers of {provider.name} wait for cards."
        alarms.append(Alarm("workers_throttled", text, provider.name))
    return alarms
