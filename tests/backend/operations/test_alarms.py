"""When an operator is told, and when not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from backend.jobs.answers import QueueHealth
from backend.jobs.providers import ProviderStatus
from backend.operations.alarms import Work, find_alarms
from backend.operations.budget import Standing

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CALM = Work(open_jobs=3, oldest_open_s=5, succeeded=60, faulted=0, rejected=0, unpriced=0, queue_p95_s=2, held=0)
HEALTH = QueueHealth(0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0)
WELL = ProviderStatus(
    name="primary",
    base_url="https://api.runpod.ai/v2",
    endpoint_id="rp1",
    kinds=("avatar",),
    price_pool="AMPERE_24",
    verdict="ready",
    breaker="closed",
    failures_in_a_row=0,
    reopens_at=None,
    off_until=None,
    off_reason=None,
    paused_until=None,
    health=HEALTH,
    health_at=NOW,
    health_failures=0,
)


def codes(
    work: dict[str, Any] | None = None,
    swept_s_ago: float | None = 1,
    budgets: Sequence[Standing] = (),
    **provider: Any,
) -> list[str]:
    swept_at = None if swept_s_ago is None else NOW - timedelta(seconds=swept_s_ago)
    seen = msgspec.structs.replace(WELL, **provider)
    found = find_alarms(msgspec.structs.replace(CALM, **(work or {})), [seen], budgets, swept_at, NOW)
    return [alarm.code for alarm in found]


def test_nothing_is_said_while_all_is_well() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("succeeded", "faulted", "is_raised"), [(95, 5, False), (94, 6, True), (46, 3, False), (47, 3, True), (0, 0, False)]
)
def test_a_rate_is_judged_from_fifty_attempts_on(succeeded: int, faulted: int, is_raised: bool) -> None:
    assert ("success_rate_low" in codes({"succeeded": succeeded, "faulted": faulted})) is is_raised


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ({"queue_p95_s": 60.1}, "queue_slow"),
        ({"rejected": 1}, "request_rejected"),
        ({"unpriced": 1}, "price_missing"),
    ],
)
def test_work(work: dict[str, Any], code: str) -> None:
    assert codes(work) == [code]


@pytest.mark.parametrize(
    ("provider", "found"),
    [
        ({"verdict": "off", "off_reason": "401"}, ["provider_misconfigured", "no_provider"]),
        ({"verdict": "open", "failures_in_a_row": 5}, ["breaker_open", "no_provider"]),
        ({"verdict": "paused"}, []),
        ({"health": msgspec.structs.replace(HEALTH, unhealthy=1)}, ["workers_unhealthy"]),
        ({"health": msgspec.structs.replace(HEALTH, throttled=2)}, ["workers_throttled"]),
        ({"health": None}, []),
    ],
)
def test_a_provider(provider: dict[str, Any], found: list[str]) -> None:
    assert codes(**provider) == found


@pytest.mark.parametrize(("swept_s_ago", "is_raised"), [(29, False), (31, True), (None, True)])
def test_a_sweeper_that_stands_still(swept_s_ago: float | None, is_raised: bool) -> None:
    assert ("sweeper_silent" in codes(swept_s_ago=swept_s_ago)) is is_raised


@pytest.mark.parametrize(
    ("spent", "found"), [(79, []), (80, ["budget_warning"]), (99, ["budget_warning"]), (100, ["budget_exceeded"])]
)
def test_a_budget(spent: int, found: list[str]) -> None:
    assert codes(budgets=[Standing(None, spent, 100)]) == found


def test_many_brands_are_one_alarm() -> None:
    budgets = [Standing(UUID(int=number), 100, 100) for number in range(5)]
    (alarm,) = find_alarms(msgspec.structs.replace(CALM, held=7), [WELL], budgets, NOW, NOW)
    assert alarm.sentence.endswith("000002 and 2 more is used up for today; 7 jobs wait.")


def test_one_provider_that_works_is_enough() -> None:
    broken = msgspec.structs.replace(WELL, name="second", verdict="open")
    assert "no_provider" not in [alarm.code for alarm in find_alarms(CALM, [WELL, broken], [], NOW, NOW)]
