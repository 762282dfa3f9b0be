"""When a provider is asked no more, and when again. The times are those of the design, as numbers."""

import pytest

from backend.jobs.breaker import Breaker, Ticket
from backend.jobs.limiter import Limit, Overloaded, Window
from tests.fakes import HandClock


class Caller:
    """Calls that come out as told."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.clock = HandClock()

    def enter(self) -> Ticket:
        ticket = self.breaker.enter(self.clock.now())
        assert ticket is not None
        return ticket

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed(self.enter(), self.clock.now())

    def succeed(self) -> None:
        self.breaker.succeeded(self.enter())

    def throttle(self) -> None:
        self.breaker.throttled(self.enter(), self.clock.now())

    @property
    def state(self) -> str:
        return self.breaker.state(self.clock.now())

    @property
    def waits_s(self) -> float:
        assert self.breaker.reopens_at is not None
        return (self.breaker.reopens_at - self.clock.now()).total_seconds()


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_opens_after_five_failures_in_a_row(caller: Caller) -> None:
    caller.fail(4)
    caller.succeed()
    caller.fail(4)
    assert caller.state == "closed"
    caller.fail()
    assert (caller.state, caller.waits_s) == ("open", 10)
    assert caller.breaker.enter(caller.clock.now()) is None


def test_half_opens_by_the_clock_though_nobody_looks(caller: Caller) -> None:
    caller.fail(5)
    caller.clock.advance(seconds=10)
    assert caller.state == "half_open"
    assert caller.breaker.admits(caller.clock.now())


def test_exactly_one_probe(caller: Caller) -> None:
    caller.fail(5)
    caller.clock.advance(seconds=10)
    probe = caller.enter()
    assert [caller.breaker.enter(caller.clock.now()) for _ in range(100)] == [None] * 100
    caller.breaker.succeeded(probe)
    assert caller.state == "closed"
    assert caller.breaker.failures == 0


def test_waits_twice_as_long_after_each_failed_probe_up_to_two_minutes(caller: Caller) -> None:
    caller.fail(5)
    waits = []
    for _ in range(6):
        waits.append(caller.waits_s)
        caller.clock.advance(seconds=caller.waits_s)
        caller.fail()
    assert waits == [10, 20, 40, 80, 120, 120]
    caller.clock.advance(seconds=120)
    caller.succeed()
    caller.fail(5)
    assert caller.waits_s == 10, "once closed, it begins anew"


def test_calls_from_before_say_nothing_once_it_is_open(caller: Caller) -> None:
    early = [caller.enter() for _ in range(3)]
    caller.fail(5)
    before = caller.breaker.reopens_at
    caller.clock.advance(seconds=3)
    caller.breaker.failed(early[0], caller.clock.now())
    caller.breaker.succeeded(early[1])
    caller.clock.advance(seconds=7)
    probe = caller.enter()
    caller.breaker.succeeded(early[2])
    assert (caller.state, caller.breaker.reopens_at) == ("half_open", before)
    caller.breaker.succeeded(probe)
    assert caller.state == "closed"


def test_a_probe_that_was_never_made_leaves_its_place(caller: Caller) -> None:
    caller.fail(5)
    caller.clock.advance(seconds=10)
    caller.breaker.leave(caller.enter())
    caller.succeed()
    assert caller.state == "closed"


def test_a_probe_that_never_comes_back_is_waited_for_a_minute(caller: Caller) -> None:
    caller.fail(5)
    caller.clock.advance(seconds=10)
    lost = caller.enter()
    caller.clock.advance(seconds=60)
    assert not caller.breaker.admits(caller.clock.now())
    caller.clock.advance(seconds=1)
    caller.succeed()
    caller.breaker.failed(lost, caller.clock.now())
    assert caller.state == "closed"


def test_one_call_counts_once(caller: Caller) -> None:
    ticket = caller.enter()
    for _ in range(9):
        caller.breaker.failed(ticket, caller.clock.now())
    assert caller.breaker.failures == 1


class TestThrottled:
    def test_is_no_failure(self, caller: Caller) -> None:
        for _ in range(50):
            caller.throttle()
            caller.clock.advance(seconds=1)
        assert caller.state == "closed"

    def test_unless_it_lasts(self, caller: Caller) -> None:
        caller.throttle()
        caller.clock.advance(seconds=60)
        for _ in range(5):
            caller.throttle()
        assert caller.state == "open"

    def test_an_answer_in_between_begins_the_time_anew(self, caller: Caller) -> None:
        caller.throttle()
        caller.clock.advance(seconds=50)
        caller.succeed()
        caller.clock.advance(seconds=50)
        for _ in range(5):
            caller.throttle()
        assert caller.state == "closed"

    def test_of_a_probe_waits_once_more_as_long(self, caller: Caller) -> None:
        caller.fail(5)
        caller.clock.advance(seconds=10)
        caller.throttle()
        assert (caller.state, caller.waits_s) == ("open", 10)


class TestWindow:
    def test_never_more_than_allowed_in_any_window(self) -> None:
        window = Window(Limit(3, 10, 1))
        now_s, starts = 0.0, []
        for _ in range(12):
            starts.append(now_s + window.reserve(now_s, patience_s=1e9))
            now_s += 0.7
        assert starts == sorted(starts)
        assert all(later - earlier > 9.999 for earlier, later in zip(starts, starts[3:], strict=False))
        assert starts[:4] == [0, 0.7, 1.4, 10]

    def test_what_would_wait_too_long_is_refused_and_takes_no_place(self) -> None:
        window = Window(Limit(1, 10, 1))
        assert window.reserve(0, patience_s=3) == 0
        for now_s in (1, 5):
            with pytest.raises(Overloaded) as refusal:
                window.reserve(now_s, patience_s=3)
            assert refusal.value.wait_s == 10 - now_s
        assert window.reserve(8, patience_s=3) == 2
