"""Cumulative incidence against values worked out by hand, and against a simulated truth that is cut off by today."""

import random

import pytest

from analytics.returns import Unit, cumulative, incidence, share_at


def test_by_hand() -> None:
    """Five units: back at 2 (small), at 4 (large), seen until 3, until 5, until 6."""
    units = [
        Unit("a", 2, "too_small"),
        Unit("b", 3, None),
        Unit("c", 4, "too_large"),
        Unit("d", 5, None),
        Unit("e", 6, None),
    ]
    curve = cumulative(units)
    assert share_at(curve, 1) == 0
    assert share_at(curve, 2) == pytest.approx(1 / 5)
    assert share_at(curve, 4, ["too_large"]) == pytest.approx(4 / 5 * 1 / 3)
    assert share_at(curve, 9) == pytest.approx(1 / 5 + 4 / 5 * 1 / 3)


def test_without_censoring_it_is_the_plain_share() -> None:
    units = [Unit(str(n), 10 if n < 30 else 90, "style" if n < 30 else None) for n in range(100)]
    assert share_at(cumulative(units), 60) == pytest.approx(0.3)


def simulated(chance: random.Random, true_rate: float, orders: int) -> list[Unit]:
    """Orders of the last 80 days; who returns does so 1 to 28 days after delivery, if that day has come."""
    units = []
    for order in range(orders):
        age = chance.uniform(0, 80)
        for _ in range(chance.choice((1, 1, 2))):
            day = chance.uniform(1, 28)
            is_back = chance.random() < true_rate
            reason = chance.choice(("too_small", "too_large", "style", "unknown"))
            units.append(Unit(str(order), day, reason) if is_back and day <= age else Unit(str(order), age, None))
    return units


def test_young_orders_do_not_flatter() -> None:
    chance = random.Random(7)
    rates, naive = [], []
    for _ in range(60):
        units = simulated(chance, 0.25, 600)
        rates.append(share_at(cumulative(units), 30))
        naive.append(sum(unit.reason is not None for unit in units) / len(units))
    assert sum(rates) / len(rates) == pytest.approx(0.25, abs=0.005)
    assert sum(naive) / len(naive) < 0.22


def test_interval_holds_the_truth() -> None:
    chance = random.Random(11)
    hits = 0
    for _ in range(24):
        found = incidence(simulated(chance, 0.25, 150), resamples=60).horizons[1].returned
        assert found is not None
        hits += found.low <= 0.25 <= found.high
    assert hits >= 19


def test_band_of_missing_reasons() -> None:
    found = incidence(simulated(random.Random(3), 0.4, 400), resamples=20).horizons[1]
    assert found.size_reasons is not None
    assert found.size_reasons_at_most is not None
    assert found.size_reasons.estimate == pytest.approx(0.2, abs=0.05)
    assert found.size_reasons_at_most == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("units", [[], [Unit("a", 90, None)] * 49])
def test_too_few_are_not_yet_known(units: list[Unit]) -> None:
    assert [one.returned for one in incidence(units).horizons] == [None, None, None]
