"""Queries over the events, written once in Ibis and compiled for the engine at hand; nothing is executed here.

Every engine offers the view `analytics_events`: ids as lower-case text, times as whole milliseconds since 1970, so
no query meets a timestamp or a JSON function. Values enter as typed literals, never by formatting.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import ibis

from analytics.funnel import BRANCHES, FAR, ORDER_TOLERANCE_MS, ROBOTS, STEPS, Unit, column

EVENTS_VIEW = "analytics_events"
EVENTS_COLUMNS = {
    "brand_id": "string",
    "user_id": "string",
    "session_id": "string",
    "visitor_id": "string",
    "event_type": "string",
    "source": "string",
    "is_bot": "int64",
    "occurred_ms": "int64",
    "garment_id": "string",
    "product_id": "string",
    "size": "string",
    "order_id": "string",
}
DIALECTS = ("sqlite", "postgres", "duckdb", "clickhouse")


def id_text(value: UUID) -> str:
    """An id as the view shows it."""
    return value.hex


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def funnel_query(brand_id: UUID, unit: Unit, since: datetime | None, until: datetime | None) -> Any:
    """One row with a count for each step and branch.

    A robot's unit is left out whole: only its browser says what it is, and the server's own events stand beside those.
    """
    rows = events_of(brand_id, since, until)
    whose = {
        "shopper": ibis.coalesce(rows.user_id, rows.session_id, rows.visitor_id),
        "session": rows.session_id,
        "visitor": rows.visitor_id,
    }[unit]
    owned = rows.mutate(unit=whose).filter(whose.notnull())
    units = owned.group_by("unit").aggregate(is_bot=owned.is_bot.max(), **_first_times(owned))
    return units.aggregate(**_counts(units))


def events_of(brand_id: UUID, since: datetime | None, until: datetime | None) -> Any:
    """A brand's events, robots' among them: where every query starts."""
    events = ibis.table(EVENTS_COLUMNS, name=EVENTS_VIEW)
    rows = events.filter(events.brand_id == ibis.literal(id_text(brand_id), "string"))
    if since is not None:
        rows = rows.filter(rows.occurred_ms >= ibis.literal(milliseconds(since), "int64"))
    if until is not None:
        rows = rows.filter(rows.occurred_ms < ibis.literal(milliseconds(until), "int64"))
    return rows


def to_sql(query: Any, dialect: str) -> str:
    """`dialect` is one of `DIALECTS`; no driver is needed and none is loaded."""
    return str(ibis.to_sql(query, dialect=dialect))


def _first_times(rows: Any) -> dict[str, Any]:
    far = ibis.literal(FAR, "int64")
    return {
        name: ibis.ifelse(rows.event_type == event, rows.occurred_ms, far).min() for name, event in (*STEPS, *BRANCHES)
    }


def _counts(units: Any) -> dict[str, Any]:
    is_person = units.is_bot == 0
    reached = {name: is_person & (units[name] < FAR) for name, _ in (*STEPS, *BRANCHES)}
    counts = {ROBOTS: units.is_bot.sum()}
    counts |= {column(name, "reached"): _count(is_reached) for name, is_reached in reached.items()}
    previous: str | None = None
    for name, _ in STEPS:
        in_order = reached[name]
        if previous is not None:
            in_order &= units[name] >= units[previous] - ORDER_TOLERANCE_MS
        counts[column(name, "in_order")] = _count(in_order)
        previous = name
    return counts


def _count(condition: Any) -> Any:
    """Not a boolean sum: engines disagree about those."""
    return ibis.ifelse(condition, 1, 0).sum()
