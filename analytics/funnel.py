"""The funnel's meaning: its steps, and what a report says. Pure; the query is in `report`."""

from dataclasses import dataclass
from typing import Literal

FAR = 2**62
"""`first time` of a step never taken: a filtered minimum would be NULL on one engine and 1970 on another."""
ORDER_TOLERANCE_MS = 2_000
ROBOTS = "robots"

Unit = Literal["shopper", "session", "visitor"]
"""Whose steps are counted: one shopper of the brand, one try-on session, or one consenting visitor."""

STEPS: tuple[tuple[str, str], ...] = (
    ("viewed", "widget_viewed"),
    ("opened", "widget_opened"),
    ("size_recommended", "size_recommended"),
    ("tried_on", "tryon_started"),
    ("added_to_cart", "added_to_cart"),
    ("purchased", "purchase_completed"),
)
"""Step and the event that reaches it, in order."""

BRANCHES: tuple[tuple[str, str], ...] = (
    ("photo_submitted", "photo_submitted"),
    ("photo_refused", "photo_refused"),
    ("avatar_created", "avatar_created"),
    ("avatar_failed", "avatar_failed"),
)
"""Side branches: counted, in no order."""


@dataclass(frozen=True)
class Step:
    step: str
    reached: int
    """Units with this event at all."""
    in_order: int
    """Of those, the ones whose previous step was not later (2 s tolerance)."""


@dataclass(frozen=True)
class Branch:
    branch: str
    reached: int


@dataclass(frozen=True)
class FunnelReport:
    unit: Unit
    steps: list[Step]
    branches: list[Branch]
    robots: int
    """Units left out because their browser says that no person sits before it."""


def column(name: str, count: str) -> str:
    """The name of a count in the query's single row."""
    return f"{name}_{count}"


def report(unit: Unit, counts: dict[str, int | None]) -> FunnelReport:
    """From the query's one row; sums over no rows are NULL and mean 0."""
    return FunnelReport(
        unit,
        [Step(name, counts[column(name, "reached")] or 0, counts[column(name, "in_order")] or 0) for name, _ in STEPS],
        [Branch(name, counts[column(name, "reached")] or 0) for name, _ in BRANCHES],
        counts[ROBOTS] or 0,
    )
