"""What came back, and why: cumulative incidence by reason, with young orders censored instead of counted as kept.

Unit: one sold unit. Time 0: delivery, taken as the order's time plus three days. Event: the return was opened.
Estimate: Aalen–Johansen, F_c(t) = Σ S(tᵢ−)·d_cᵢ/nᵢ, while enough units are at risk; interval by resampling whole
orders, because the units of one order are not independent. Plain Python.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

DEFINITION_VERSION = "returns-1"
DELIVERED_AFTER = timedelta(days=3)
HORIZONS_DAYS = (14, 30, 60)
MIN_AT_RISK = 50
RESAMPLES = 200
SEED = 20260302
SIZE_REASONS = ("too_small", "too_large", "fit_other")
UNKNOWN_REASON = "unknown"
DAY_S = 86_400.0


@dataclass(frozen=True)
class Unit:
    order: str
    days: float
    """From delivery to the return, or to now."""
    reason: str | None
    """None: not come back so far."""


@dataclass(frozen=True)
class Share:
    """Of units that came back within the horizon; the interval holds in 95 % of repetitions."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class AtHorizon:
    days: int
    at_risk: int
    """Units whose fate is known that far; below 50 nothing is estimated."""
    returned: Share | None
    size_reasons: Share | None
    """Too small, too large, or another fault of fit."""
    size_reasons_at_most: float | None
    """If all returns without a reason were for size."""


@dataclass(frozen=True)
class Incidence:
    units: int
    orders: int
    returned_so_far: int
    reasons: dict[str, int]
    horizons: list[AtHorizon]


def days_to(opened_at: datetime, ordered_at: datetime) -> float:
    return max(0.0, (opened_at - ordered_at - DELIVERED_AFTER).total_seconds() / DAY_S)


def incidence(units: Sequence[Unit], resamples: int = RESAMPLES) -> Incidence:
    reasons = Counter(unit.reason for unit in units if unit.reason is not None)
    orders = sorted({unit.order for unit in units})
    chance = random.Random(SEED)  # noqa: S311  the same interval for the same data
    again = [
        cumulative(units, Counter(chance.choices(orders, k=len(orders))))
        for _ in range(resamples if len(units) >= MIN_AT_RISK else 0)
    ]
    whole = cumulative(units)
    return Incidence(
        units=len(units),
        orders=len(orders),
        returned_so_far=sum(reasons.values()),
        reasons=dict(sorted(reasons.items())),
        horizons=[_at(days, units, whole, again) for days in HORIZONS_DAYS],
    )


Curve = list[tuple[float, dict[str, float]]]
"""Steps: day, and the cumulative share by reason from then on."""


def cumulative(units: Sequence[Unit], drawn: Mapping[str, int] | None = None) -> Curve:
    """Aalen–Johansen; a unit that is not back by now leaves the ones at risk and counts for nothing.

    `drawn`: how often each order stands in a resample; without it each once.
    """
    weighed = [(unit, 1 if drawn is None else drawn.get(unit.order, 0)) for unit in units]
    at_risk, surviving = sum(weight for _, weight in weighed), 1.0
    shares: dict[str, float] = defaultdict(float)
    curve: Curve = []
    ordered = sorted((pair for pair in weighed if pair[1]), key=lambda pair: pair[0].days)
    for day, same_day in groupby(ordered, key=lambda pair: pair[0].days):
        events: dict[str, int] = defaultdict(int)
        leaving = 0
        for unit, weight in same_day:
            leaving += weight
            if unit.reason is not None:
                events[unit.reason] += weight
        if events:
            for reason, count in events.items():
                shares[reason] += surviving * count / at_risk
            surviving *= 1 - sum(events.values()) / at_risk
            curve.append((day, dict(shares)))
        at_risk -= leaving
    return curve


def share_at(curve: Curve, days: float, reasons: Sequence[str] | None = None) -> float:
    """None: whatever the reason."""
    last: dict[str, float] = {}
    for day, shares in curve:
        if day > days:
            break
        last = shares
    return sum(share for reason, share in last.items() if reasons is None or reason in reasons)


def _at(days: int, units: Sequence[Unit], whole: Curve, again: Sequence[Curve]) -> AtHorizon:
    known = sum(unit.reason is not None or unit.days >= days for unit in units)
    still_watched = sum(unit.days >= days for unit in units)
    if still_watched < MIN_AT_RISK:
        return AtHorizon(days, known, None, None, None)
    return AtHorizon(
        days=days,
        at_risk=known,
        returned=_share(whole, again, days, None),
        size_reasons=_share(whole, again, days, SIZE_REASONS),
        size_reasons_at_most=share_at(whole, days, (*SIZE_REASONS, UNKNOWN_REASON)),
    )


def _share(whole: Curve, again: Sequence[Curve], days: int, reasons: Sequence[str] | None) -> Share:
    drawn = sorted(share_at(curve, days, reasons) for curve in again)
    low, high = drawn[int(0.025 * len(drawn))], drawn[min(len(drawn) - 1, int(0.975 * len(drawn)))]
    return Share(share_at(whole, days, reasons), low, high)
