"""`/metrics` in Prometheus' text form: the ledger and the providers at this moment, and this process's own counts."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from backend.core.db import Database
from backend.core.request_counts import RequestCounts
from backend.jobs.models import Job, JobAttempt
from backend.jobs.providers import ProviderStatus
from backend.operations.alarms import Alarm, Work
from backend.operations.budget import MICROUSD, Standing
from backend.operations.cost_report import Report

BREAKER_STATES = ("closed", "half_open", "open")
VERDICTS = ("ready", "unfit", "paused", "open", "off", "draining")
WORKER_STATES = ("idle", "initializing", "ready", "running", "throttled", "unhealthy")


class Snapshot:
    """What is scraped, read before the text is made: collectors may not wait."""

    def __init__(
        self,
        jobs: Sequence[tuple[str, str, int]],
        attempts: Sequence[tuple[str, str, str, int]],
        work: Work,
        report: Report,
        providers: Sequence[ProviderStatus],
        budgets: Sequence[Standing],
        alarms: Sequence[Alarm],
    ) -> None:
        self.jobs = jobs
        self.attempts = attempts
        self.work = work
        self.report = report
        self.providers = providers
        self.budgets = budgets
        self.alarms = alarms


async def count_rows(database: Database) -> tuple[list[tuple[str, str, int]], list[tuple[str, str, str, int]]]:
    """Jobs by kind and state; attempts by endpoint, state and code."""
    async with database.transaction(read_only=True) as session:
        jobs = await session.execute(
            select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)  # tenant: counts for the operator
        )
        attempts = await session.execute(
            select(JobAttempt.endpoint_id, JobAttempt.state, func.coalesce(JobAttempt.error_code, ""), func.count())
            .select_from(JobAttempt)  # tenant: counts for the operator
            .group_by(JobAttempt.endpoint_id, JobAttempt.state, JobAttempt.error_code)
        )
        return [(kind, state, n) for kind, state, n in jobs], [(e, state, code, n) for e, state, code, n in attempts]


def render(snapshot: Snapshot, requests: RequestCounts) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Gathered(snapshot))
    return generate_latest(registry) + generate_latest(requests.registry)


class _Gathered(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from self._work()
        yield from self._costs()
        yield from self._budgets()
        yield from self._providers()
        alarm = GaugeMetricFamily("tryon_alarm", "1 while raised; see the runbook.", labels=("code", "provider"))
        for raised in self._snapshot.alarms:
            alarm.add_metric((raised.code, raised.provider), 1)
        yield alarm

    def _work(self) -> Iterator[Metric]:
        snapshot, work = self._snapshot, self._snapshot.work
        jobs = GaugeMetricFamily("tryon_jobs", "Jobs by kind and state.", labels=("kind", "state"))
        for kind, state, count in snapshot.jobs:
            jobs.add_metric((kind, state), count)
        attempts = GaugeMetricFamily(
            "tryon_job_attempts", "Attempts by endpoint, state and code.", labels=("endpoint", "state", "code")
        )
        for endpoint, state, code, count in snapshot.attempts:
            attempts.add_metric((endpoint, state, code), count)
        yield jobs
        yield attempts
        ended = work.succeeded + work.faulted
        yield _gauge("tryon_success_rate", "Of the last hour's attempts.", work.succeeded / ended if ended else None)
        yield _gauge("tryon_oldest_open_job_seconds", "Age of the oldest job that is not over.", work.oldest_open_s)
        yield _gauge("tryon_open_jobs", "Jobs that are not over.", work.open_jobs)

    def _costs(self) -> Iterator[Metric]:
        times = GaugeMetricFamily(
            "tryon_job_seconds", "Quantiles over the last day.", labels=("kind", "part", "quantile")
        )
        cost = GaugeMetricFamily("tryon_cost_usd", "Estimated cost of the last day.", labels=("kind", "part"))
        for line in self._snapshot.report.by_kind:
            for part, quantile, value in (
                ("queue", "0.5", line.queue_p50_s), ("queue", "0.95", line.queue_p95_s),
                ("execution", "0.5", line.exec_p50_s), ("execution", "0.95", line.exec_p95_s),
            ):  # fmt: skip
                if value is not None:
                    times.add_metric((line.name, part, quantile), value)
            if line.cost_usd is not None:
                cost.add_metric((line.name, "all"), line.cost_usd)
                cost.add_metric((line.name, "cold_start"), line.cost_usd * (line.cold_share or 0))
                cost.add_metric((line.name, "idle"), line.cost_usd * (line.idle_share or 0))
                cost.add_metric((line.name, "waste"), line.cost_usd * (line.waste_share or 0))
        yield times
        yield cost
        yield _gauge("tryon_cost_per_avatar_usd", "All attempts included.", self._snapshot.report.usd_per_avatar)

    def _budgets(self) -> Iterator[Metric]:
        """Of all brands; of single ones only where one is told of, for there may be many."""
        dollars = GaugeMetricFamily("tryon_budget_usd", "Of this UTC day, by estimate.", labels=("brand", "part"))
        for budget in self._snapshot.budgets:
            if budget.brand_id is None or budget.state != "ok":
                brand = str(budget.brand_id or "all")
                dollars.add_metric((brand, "spent"), budget.spent_microusd / MICROUSD)
                dollars.add_metric((brand, "limit"), budget.limit_microusd / MICROUSD)
        yield dollars
        yield _gauge("tryon_held_jobs", "Jobs that wait for the next day's budget.", self._snapshot.work.held)

    def _providers(self) -> Iterator[Metric]:
        breaker = GaugeMetricFamily("tryon_provider_breaker", "1 at the present state.", labels=("provider", "state"))
        verdict = GaugeMetricFamily("tryon_provider_verdict", "1 at the present one.", labels=("provider", "verdict"))
        workers = GaugeMetricFamily("tryon_provider_workers", "Workers by state.", labels=("provider", "state"))
        waiting = GaugeMetricFamily("tryon_provider_queue", "Jobs in the provider's queue.", labels=("provider",))
        for provider in self._snapshot.providers:
            for state in BREAKER_STATES:
                breaker.add_metric((provider.name, state), provider.breaker == state)
            for name in VERDICTS:
                verdict.add_metric((provider.name, name), provider.verdict == name)
            if provider.health is not None:
                waiting.add_metric((provider.name,), provider.health.in_queue)
                for state in WORKER_STATES:
                    workers.add_metric((provider.name, state), getattr(provider.health, state))
        yield from (breaker, verdict, workers, waiting)


def _gauge(name: str, about: str, value: float | None) -> Metric:
    """Without a sample where there is nothing to say."""
    metric = GaugeMetricFamily(name, about)
    if value is not None:
        metric.add_metric((), value)
    return metric
