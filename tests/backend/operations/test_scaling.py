"""The scaling policy as a table: how things stand, what was thought before, what should be set."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.operations.scaling import Memory, Policy, Snapshot, Window, changed, decide, read_windows

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # a Wednesday
POLICY = Policy(base_max=3, cap=10)


def seen(**facts: object) -> Snapshot:
    calm: dict[str, object] = {
        "at": NOW,
        "workers_min": 0,
        "workers_max": 3,
        "idle_timeout_s": 5,
        "queue_p95_s": 2.0,
        "backlog": 0,
        "exec_p50_s": 10.0,
        "running": 0,
        "unhealthy": 0,
        "throttled": 0,
        "last_request_at": NOW,
    }
    return Snapshot(**(calm | facts))  # type: ignore[arg-type]


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def slow(**facts: object) -> Snapshot:
    return seen(**({"queue_p95_s": 90.0, "backlog": 40, "running": 3} | facts))


LONG_SLOW = Memory(slow_since=NOW - timedelta(seconds=31))


def test_when_all_is_well_nothing_changes() -> None:
    decision, _ = decide(POLICY, seen(), Memory())
    assert (decision.workers_min, decision.workers_max, decision.reasons, decision.warnings) == (0, 3, (), ())


def test_a_slow_queue_is_answered_the_second_time_it_is_seen() -> None:
    first, memory = decide(POLICY, slow(), Memory())
    assert first.workers_max == 3
    later = slow(at=NOW + timedelta(seconds=30))
    second, _ = decide(POLICY, later, memory)
    assert second.workers_max == 10  # 40 waiting x 10 s within a minute: 7, and the 3 that run
    assert "slow_queue" in second.reasons
    assert second.idle_timeout_s == 30


def test_a_queue_that_was_fast_between_is_not_confirmed() -> None:
    _, memory = decide(POLICY, slow(), Memory())
    _, memory = decide(POLICY, seen(at=NOW + timedelta(seconds=20)), memory)
    decision, _ = decide(POLICY, slow(at=NOW + timedelta(seconds=40)), memory)
    assert decision.workers_max == 3


OFTEN = Policy(base_max=3, cap=10, prewarms_per_hour=2)


@pytest.mark.parametrize(
    ("policy", "facts", "workers_min", "reasons"),
    [
        (OFTEN, {"photo_screen_at": ago(seconds=5)}, 1, ("photo_screen",)),
        (POLICY, {"photo_screen_at": ago(seconds=5)}, 0, ()),
        (OFTEN, {"photo_screen_at": ago(seconds=61)}, 0, ()),
        (OFTEN, {"photo_screen_at": ago(seconds=5), "prewarms_last_hour": 2}, 0, ()),
        (OFTEN, {"workers_min": 1, "prewarmed_at": ago(minutes=9)}, 1, ()),
        (OFTEN, {"workers_min": 1, "prewarmed_at": ago(minutes=10)}, 0, ("photo_screen_over",)),
        (OFTEN, {"workers_min": 1}, 1, ()),
    ],
    ids=["opened", "not wanted", "long ago", "often enough", "warm", "over", "set by hand"],
)
def test_a_photo_screen_that_opens_warms_one_worker_for_a_while(
    policy: Policy, facts: dict[str, object], workers_min: int, reasons: tuple[str, ...]
) -> None:
    decision, _ = decide(policy, seen(**facts), Memory())
    assert (decision.workers_min, decision.reasons) == (workers_min, reasons)


@pytest.mark.parametrize(("backlog", "wanted"), [(1, 4), (12, 5), (60, 10), (5000, 10)])
def test_as_many_as_empty_the_queue_within_a_minute_but_never_beyond_the_cap(backlog: int, wanted: int) -> None:
    decision, _ = decide(POLICY, slow(backlog=backlog), LONG_SLOW)
    assert decision.workers_max == wanted


def test_workers_that_crash_are_never_answered_with_more_workers() -> None:
    decision, _ = decide(POLICY, slow(unhealthy=1), LONG_SLOW)
    assert decision.workers_max == 3
    assert "unhealthy_workers" in decision.warnings


def test_after_a_change_it_waits_before_the_next_one() -> None:
    memory = changed(LONG_SLOW, NOW - timedelta(seconds=119))
    assert decide(POLICY, slow(), memory)[0].workers_max == 3
    memory = changed(LONG_SLOW, NOW - timedelta(seconds=120))
    assert decide(POLICY, slow(), memory)[0].workers_max == 10


def test_ten_quiet_minutes_lead_back_to_the_base() -> None:
    busy = Memory(busy_at=NOW - timedelta(minutes=9))
    assert decide(POLICY, seen(workers_max=8), busy)[0].workers_max == 8
    quiet = Memory(busy_at=NOW - timedelta(minutes=10))
    decision, _ = decide(POLICY, seen(workers_max=8, idle_timeout_s=30), quiet)
    assert (decision.workers_max, decision.idle_timeout_s) == (3, 5)


def test_one_worker_is_kept_warm_in_the_windows_and_none_after_them() -> None:
    policy = Policy(base_max=3, cap=10, windows=read_windows("Mon,Wed 09:00-18:00 Europe/Berlin"))
    assert decide(policy, seen(), Memory())[0].workers_min == 1
    assert decide(policy, seen(at=NOW + timedelta(hours=6), workers_min=1), Memory())[0].workers_min == 0
    assert decide(POLICY, seen(workers_min=2), Memory())[0].workers_min == 2, "without windows it is the operator's"


@pytest.mark.parametrize(
    ("at", "is_held"),
    [
        (datetime(2026, 11, 20, 22, 0, tzinfo=UTC), True),  # Friday night in UTC
        (datetime(2026, 11, 21, 1, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 21, 2, 0, tzinfo=UTC), False),
        (datetime(2026, 11, 21, 22, 0, tzinfo=UTC), False),  # Saturday has no window of its own
    ],
)
def test_a_window_may_go_over_midnight(at: datetime, is_held: bool) -> None:
    (window,) = read_windows("Fri 22:00-02:00 UTC")
    assert window.holds(at) is is_held


def test_windows_follow_their_zone_through_summer_time() -> None:
    (window,) = read_windows("Mon,Tue,Wed,Thu,Fri,Sat,Sun 09:00-10:00 Europe/Berlin")
    assert window.holds(datetime(2026, 1, 15, 8, 30, tzinfo=UTC))
    assert window.holds(datetime(2026, 7, 15, 7, 30, tzinfo=UTC))
    assert not window.holds(datetime(2026, 7, 15, 8, 30, tzinfo=UTC))


@pytest.mark.parametrize("text", ["Mon", "Mon 9-18 UTC", "Mon 09:00-18:00 Nowhere/Town", "Day 09:00-18:00 UTC", "; x"])
def test_a_window_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"window|among"):
        read_windows(text)


def test_no_windows_is_an_empty_text() -> None:
    assert read_windows("") == ()
    assert isinstance(read_windows("Sat 10:00-14:00 UTC; Sun 10:00-12:00 UTC")[1], Window)


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        ({"throttled": 2}, "throttled_workers"),
        ({"workers_max": 2}, "fewer_workers_than_set"),
        ({"last_request_at": NOW - timedelta(days=1)}, "keep_alive_due"),
        ({"last_request_at": None}, "keep_alive_due"),
    ],
)
def test_what_no_number_of_workers_mends_is_said(facts: dict[str, object], warning: str) -> None:
    assert warning in decide(POLICY, seen(**facts), Memory())[0].warnings
