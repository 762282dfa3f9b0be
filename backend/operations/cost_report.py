"""What compute cost in a time, by kind, brand and card; and whether a machine of one's own would be cheaper. Pure."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import ceil

import msgspec

from backend.core.quantile import quantile
from backend.operations.costs import MS_PER_S

MICROUSD_PER_USD = 1_000_000
S_PER_HOUR = 3600
SAVING = 0.8
"""Serverless is often sold as this much cheaper; the report says how idle a machine must be for that."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One closed attempt."""

    kind: str
    brand_id: str
    job_id: str
    provider: str
    gpu_name: str | None
    is_success: bool
    delay_ms: int | None
    exec_ms: int | None
    cold_ms: int
    idle_ms: int
    microusd_per_s: int | None
    cost_microusd: int | None
    """None: no price is known, which is not 0."""
    is_paid: bool = True
    """By the second; a machine of one's own is not."""

    @property
    def billed_s(self) -> float:
        return ceil((self.exec_ms or 0) / MS_PER_S) + (self.cold_ms + self.idle_ms) / MS_PER_S


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One group of attempts. Shares are of the money; costs are None where nothing has a price."""

    name: str
    jobs: int
    """Done in this time, each counted once."""
    cache_hits: int
    attempts: int
    failed_attempts: int
    unpriced_attempts: int
    """Of providers that are paid by the second."""
    cost_usd: float | None
    usd_per_success: float | None
    """All attempts included, the failed ones too."""
    cold_share: float | None
    idle_share: float | None
    waste_share: float | None
    """Of attempts that brought nothing."""
    queue_p50_s: float | None
    queue_p95_s: float | None
    exec_p50_s: float | None
    exec_p95_s: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Serverless against one machine that is paid by the hour, at this time's load."""

    serverless_usd_per_hour: float
    """Of a worker that is busy all the time."""
    pod_usd_per_hour: float
    busy_share: float
    """Of the time, one worker would have been paid this much."""
    serverless_usd: float
    pod_usd: float
    break_even_share: float
    saves_80_percent_below: float
    cheaper: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    by_kind: list[Line]
    by_brand: list[Line]
    by_gpu: list[Line]
    avatars_ready: int
    usd_per_avatar: float | None
    comparison: Comparison | None


def make_report(
    spent: Sequence[Spent],
    since: datetime,
    until: datetime,
    *,
    hits: dict[str, int],
    pod_usd_per_hour: float | None,
) -> Report:
    """Of the attempts closed in that time; `hits` says how many orders of a kind were answered from what was there."""
    kinds = _lines(spent, lambda row: row.kind, hits)
    avatar = next((line for line in kinds if line.name == "avatar"), None)
    return Report(
        since=since,
        until=until,
        by_kind=kinds,
        by_brand=_lines(spent, lambda row: row.brand_id),
        by_gpu=_lines(spent, lambda row: row.gpu_name or "unknown"),
        avatars_ready=avatar.jobs if avatar else 0,
        usd_per_avatar=avatar.usd_per_success if avatar else None,
        comparison=compare(spent, since, until, pod_usd_per_hour) if pod_usd_per_hour else None,
    )


def compare(spent: Sequence[Spent], since: datetime, until: datetime, pod_usd_per_hour: float) -> Comparison | None:
    """None: nothing that was paid for by the second ran."""
    priced = [row for row in spent if row.microusd_per_s is not None]
    billed_s = sum(row.billed_s for row in priced)
    if billed_s == 0:
        return None
    paid = sum(row.billed_s * (row.microusd_per_s or 0) for row in priced) / MICROUSD_PER_USD
    hours = (until - since).total_seconds() / S_PER_HOUR
    busy_share = billed_s / S_PER_HOUR / hours
    serverless = paid / billed_s * S_PER_HOUR
    break_even = pod_usd_per_hour / serverless
    return Comparison(
        serverless_usd_per_hour=serverless,
        pod_usd_per_hour=pod_usd_per_hour,
        busy_share=busy_share,
        serverless_usd=paid,
        pod_usd=pod_usd_per_hour * hours * max(1, ceil(busy_share)),
        break_even_share=break_even,
        saves_80_percent_below=(1 - SAVING) * break_even,
        cheaper="serverless" if paid < pod_usd_per_hour * hours * max(1, ceil(busy_share)) else "pod",
    )


def _lines(spent: Iterable[Spent], group: Callable[[Spent], str], hits: dict[str, int] | None = None) -> list[Line]:
    rows: dict[str, list[Spent]] = {name: [] for name in hits or {}}
    for row in spent:
        rows.setdefault(group(row), []).append(row)
    return [_line(name, members, (hits or {}).get(name, 0)) for name, members in sorted(rows.items())]


def _line(name: str, rows: Sequence[Spent], hits: int) -> Line:
    successes = [row for row in rows if row.is_success]
    jobs = len({row.job_id for row in successes})
    priced = [row for row in rows if row.cost_microusd is not None]
    cost = sum(row.cost_microusd or 0 for row in priced)
    queue_s = [row.delay_ms / MS_PER_S for row in rows if row.delay_ms is not None]
    exec_s = [row.exec_ms / MS_PER_S for row in successes if row.exec_ms is not None]
    return Line(
        name=name,
        jobs=jobs,
        cache_hits=hits,
        attempts=len(rows),
        failed_attempts=len(rows) - len(successes),
        unpriced_attempts=sum(row.is_paid and row.cost_microusd is None for row in rows),
        cost_usd=cost / MICROUSD_PER_USD if priced else None,
        usd_per_success=cost / MICROUSD_PER_USD / jobs if priced and jobs else None,
        cold_share=_share(priced, lambda row: row.cold_ms / MS_PER_S * (row.microusd_per_s or 0), cost),
        idle_share=_share(priced, lambda row: row.idle_ms / MS_PER_S * (row.microusd_per_s or 0), cost),
        waste_share=_share(priced, lambda row: 0 if row.is_success else row.cost_microusd or 0, cost),
        queue_p50_s=quantile(queue_s, 0.5),
        queue_p95_s=quantile(queue_s, 0.95),
        exec_p50_s=quantile(exec_s, 0.5),
        exec_p95_s=quantile(exec_s, 0.95),
    )


def _share(rows: Iterable[Spent], part: Callable[[Spent], float], cost_microusd: int) -> float | None:
    return sum(part(row) for row in rows) / cost_microusd if cost_microusd else None


# ---- as text --------------------------------------------------------------------------------------------------------

COLUMNS: tuple[tuple[str, str, Callable[[Line], str]], ...] = (
    ("name", "", lambda line: line.name),
    ("jobs", "jobs", lambda line: str(line.jobs)),
    ("cache_hits", "hits", lambda line: str(line.cache_hits)),
    ("attempts", "attempts", lambda line: str(line.attempts)),
    ("failed_attempts", "failed", lambda line: str(line.failed_attempts)),
    ("unpriced_attempts", "unpriced", lambda line: str(line.unpriced_attempts)),
    ("cost_usd", "cost $", lambda line: _number(line.cost_usd, 4)),
    ("usd_per_success", "$/success", lambda line: _number(line.usd_per_success, 5)),
    ("cold_share", "cold %", lambda line: _percent(line.cold_share)),
    ("idle_share", "idle %", lambda line: _percent(line.idle_share)),
    ("waste_share", "waste %", lambda line: _percent(line.waste_share)),
    ("queue_p50_s", "queue p50 s", lambda line: _number(line.queue_p50_s, 2)),
    ("queue_p95_s", "p95 s", lambda line: _number(line.queue_p95_s, 2)),
    ("exec_p50_s", "exec p50 s", lambda line: _number(line.exec_p50_s, 2)),
    ("exec_p95_s", "p95 s", lambda line: _number(line.exec_p95_s, 2)),
)


def to_text(report: Report) -> str:
    """Tables for a terminal."""
    parts = [f"Compute from {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d %H:%M} UTC; costs are estimates."]
    for title, lines in (("kind", report.by_kind), ("brand", report.by_brand), ("card", report.by_gpu)):
        parts.append(_table(title, lines))
    parts.append(f"Avatars ready: {report.avatars_ready}; $ per avatar: {_number(report.usd_per_avatar, 5)}")
    parts.append(_comparison_text(report.comparison))
    return "\n\n".join(parts) + "\n"


def to_csv(report: Report) -> str:
    """Every line of the three tables; numbers unrounded."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name, _, _ in COLUMNS]
    writer.writerow(["group", *names])
    for group, lines in (("kind", report.by_kind), ("brand", report.by_brand), ("gpu", report.by_gpu)):
        for line in lines:
            writer.writerow([group, *(_raw(getattr(line, name)) for name in names)])
    return out.getvalue()


def _raw(value: object) -> object:
    """A name that a spreadsheet would compute is kept a name."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" else value


def _table(title: str, lines: Sequence[Line]) -> str:
    heads = [title, *(head for _, head, _ in COLUMNS[1:])]
    cells = [[show(line) for _, _, show in COLUMNS] for line in lines]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    rows = [[cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
            for row in [heads, *cells]]  # fmt: skip
    return "\n".join("  ".join(row).rstrip() for row in rows) if lines else f"{title}: nothing yet"


def _comparison_text(comparison: Comparison | None) -> str:
    if comparison is None:
        return "Serverless against a machine of one's own: give --pod-usd-per-hour, and something that has a price."
    return (
        f"Serverless {comparison.serverless_usd_per_hour:.3f} $/h while busy, machine {comparison.pod_usd_per_hour:.3f}"
        f" $/h always. Busy {_percent(comparison.busy_share)} % of this time:"
        f" serverless {comparison.serverless_usd:.2f} $, machine {comparison.pod_usd:.2f} $;"
        f" {comparison.cheaper} is cheaper.\n"
        f"Break-even at {_percent(comparison.break_even_share)} % busy; serverless saves 80 % only below"
        f" {_percent(comparison.saves_80_percent_below)} %."
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
