"""Looks at the paid endpoints now and then, and says how many workers each should have; sets it only when told to."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import func, select

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every
from backend.core.quantile import quantile
from backend.jobs.management import Endpoint, ManagementFault, RunPodManagement, WorkerCounts, WorkerLimits
from backend.jobs.models import JobAttempt
from backend.jobs.providers import Provider
from backend.operations.costs import MS_PER_S
from backend.operations.models import ScalingDeed, ScalingEntry
from backend.operations.photo_screens import PhotoScreens
from backend.operations.scaling import PHOTO_SCREEN, Decision, Memory, Policy, Snapshot, changed, decide, read_windows

log = structlog.get_logger()

EVERY = timedelta(seconds=30)
SOON = timedelta(seconds=5)
AN_HOUR = timedelta(hours=1)
A_WEEK = timedelta(days=7)
"""A warm-up that nobody has ended because nothing ran is still known for so long."""
LATELY = timedelta(minutes=10)
MOST_ROWS = 1000
USUAL_EXEC_S = 10.0
"""Until there are runs to measure."""
USUAL_IDLE_S = 5


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    """One provider in SCALING: `{"primary": {"base_max": 3, "cap": 10, "windows": "Mon,Tue 09:00-18:00 UTC",
    "prewarms_per_hour": 4}}`.
    """

    base_max: int
    cap: int
    windows: str = ""
    prewarms_per_hour: int = 0


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """How one endpoint stands and how it should."""

    provider: str
    snapshot: Snapshot
    decision: Decision

    @property
    def is_change(self) -> bool:
        return bool(self.decision.reasons)


def read_policies(text: str) -> dict[str, Policy]:
    """By provider. Raises `ValueError` with a sentence."""
    if not text:
        return {}
    try:
        rows = msgspec.json.decode(text, type=dict[str, _Row])
    except msgspec.DecodeError as error:
        raise ValueError(f"SCALING is not a JSON object of providers: {error}.") from error
    if wrong := [name for name, row in rows.items() if not 0 <= row.base_max <= row.cap]:
        raise ValueError(f"SCALING, {wrong[0]}: base_max must not be negative nor more than cap.")
    if wrong := [name for name, row in rows.items() if row.prewarms_per_hour < 0]:
        raise ValueError(f"SCALING, {wrong[0]}: prewarms_per_hour must not be negative.")
    return {
        name: Policy(row.base_max, row.cap, read_windows(row.windows), row.prewarms_per_hour)
        for name, row in rows.items()
    }


class Scaler:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        management: RunPodManagement,
        providers: Sequence[Provider],
        policies: Mapping[str, Policy],
        *,
        is_switched_on: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._management = management
        self._providers = [provider for provider in providers if provider.name in policies]
        self._policies = policies
        self._is_switched_on = is_switched_on
        self._memory: dict[str, Memory] = {}
        self._now_and_then = Every(EVERY, clock)
        self._soon = Every(SOON, clock)
        self._photo_screens = PhotoScreens(database, clock)
        self._photo_screen_at: datetime | None = None
        self._last_said: dict[str, Decision] = {}

    async def run_if_due(self) -> int:
        """One look at each endpoint; what is recommended is written down once, what is sent always."""
        is_news = await self._has_photo_screen_opened()
        if not self._now_and_then.is_due() and not is_news:
            return 0
        for provider in self._providers:
            try:
                await self._follow(provider)
            except ManagementFault as fault:
                log.warning("scaling.unknown", provider=provider.name, fault=type(fault).__name__, status=fault.status)
        return 0

    async def look(self) -> list[Recommendation]:
        """For an operator: what would be set now. Sets nothing."""
        return [await self._recommend(provider) for provider in self._providers]

    async def close(self) -> None:
        await self._management.close()

    async def _has_photo_screen_opened(self) -> bool:
        """Since the last time; asked more often than the rest, for a photo follows within a minute."""
        if not any(policy.prewarms_per_hour for policy in self._policies.values()) or not self._soon.is_due():
            return False
        before, self._photo_screen_at = self._photo_screen_at, await self._photo_screens.last_opened_at()
        return self._photo_screen_at != before

    async def _follow(self, provider: Provider) -> None:
        recommendation = await self._recommend(provider)
        if not recommendation.is_change:
            self._last_said.pop(provider.name, None)
            return
        if not self._is_switched_on:
            if self._last_said.get(provider.name) != recommendation.decision:
                self._last_said[provider.name] = recommendation.decision
                await self._write(recommendation, "recommended")
            return
        await self._send(provider, recommendation)

    async def _send(self, provider: Provider, recommendation: Recommendation) -> None:
        decision = recommendation.decision
        limits = WorkerLimits(decision.workers_min, decision.workers_max, decision.idle_timeout_s)
        try:
            await self._management.change(provider.settings.endpoint_id, workers=limits)
        except ManagementFault:
            await self._write(recommendation, "failed")
            raise
        now = self._clock.now()
        self._memory[provider.name] = changed(self._memory.get(provider.name, Memory()), now)
        await self._write(recommendation, "sent")
        log.info("scaling.sent", provider=provider.name, reasons=decision.reasons, after=_limits_of(decision))

    async def _recommend(self, provider: Provider) -> Recommendation:
        endpoint = await self._management.endpoint(provider.settings.endpoint_id)
        workers = await self._management.workers(provider.settings.endpoint_id)
        snapshot = await self._snapshot(provider, endpoint, workers)
        snapshot = await self._with_prewarms(provider.name, snapshot)
        memory = await self._remembered(provider.name)
        decision, self._memory[provider.name] = decide(self._policies[provider.name], snapshot, memory)
        return Recommendation(provider=provider.name, snapshot=snapshot, decision=decision)

    async def _with_prewarms(self, name: str, snapshot: Snapshot) -> Snapshot:
        """What was recommended counts as what was sent: so an operator sees what switching on would cost."""
        if not self._policies[name].prewarms_per_hour:
            return snapshot
        async with self._database.transaction(read_only=True) as session:
            entries = await session.execute(
                select(ScalingEntry.created_at, ScalingEntry.reasons, ScalingEntry.deed).where(
                    ScalingEntry.provider == name,
                    ScalingEntry.deed != "failed",
                    ScalingEntry.created_at > snapshot.at - A_WEEK,
                )
            )
            warmed = [(at, deed) for at, reasons, deed in entries if PHOTO_SCREEN in reasons]
        return msgspec.structs.replace(
            snapshot,
            photo_screen_at=await self._photo_screens.last_opened_at(),
            prewarmed_at=max((at for at, deed in warmed if deed == "sent"), default=None),
            prewarms_last_hour=sum(snapshot.at - at < AN_HOUR for at, _ in warmed),
        )

    async def _remembered(self, name: str) -> Memory:
        """A change that another process has sent counts too."""
        async with self._database.transaction(read_only=True) as session:
            sent_at = await session.scalar(
                select(func.max(ScalingEntry.created_at)).where(
                    ScalingEntry.provider == name, ScalingEntry.deed == "sent"
                )
            )
        memory = self._memory.get(name, Memory())
        known = [time for time in (sent_at, memory.changed_at) if time is not None]
        return msgspec.structs.replace(memory, changed_at=max(known, default=None))

    async def _snapshot(self, provider: Provider, endpoint: Endpoint, workers: WorkerCounts) -> Snapshot:
        now = self._clock.now()
        health = provider.health()
        async with self._database.transaction(read_only=True) as session:
            times = await session.execute(
                select(JobAttempt.delay_ms, JobAttempt.exec_ms)  # tenant: an endpoint serves every brand
                .where(JobAttempt.endpoint_id == endpoint.id, JobAttempt.closed_at >= now - LATELY)
                .order_by(JobAttempt.closed_at.desc())
                .limit(MOST_ROWS)
            )
            pairs = [(delay, ran) for delay, ran in times]
            last_request_at = await session.scalar(
                select(func.max(JobAttempt.submitted_at)).where(  # tenant: an endpoint serves every brand
                    JobAttempt.endpoint_id == endpoint.id
                )
            )
        return Snapshot(
            at=now,
            workers_min=endpoint.workers.min or 0,
            workers_max=endpoint.workers.max or 0,
            idle_timeout_s=endpoint.workers.idle_timeout or USUAL_IDLE_S,
            queue_p95_s=quantile([delay / MS_PER_S for delay, _ in pairs if delay is not None], 0.95) or 0.0,
            backlog=health.in_queue if health else 0,
            exec_p50_s=quantile([ran / MS_PER_S for _, ran in pairs if ran is not None], 0.5) or USUAL_EXEC_S,
            running=workers.running,
            unhealthy=workers.unhealthy,
            throttled=workers.throttled,
            last_request_at=last_request_at,
        )

    async def _write(self, recommendation: Recommendation, deed: ScalingDeed) -> None:
        snapshot, now = recommendation.snapshot, self._clock.now()
        entry = ScalingEntry(
            provider=recommendation.provider,
            deed=deed,
            reasons=list(recommendation.decision.reasons),
            before={
                "min": snapshot.workers_min,
                "max": snapshot.workers_max,
                "idle_timeout_s": snapshot.idle_timeout_s,
            },
            after=_limits_of(recommendation.decision),
            created_at=now,
            updated_at=now,
        )
        async with self._database.transaction() as session:
            session.add(entry)


def _limits_of(decision: Decision) -> dict[str, int]:
    return {"min": decision.workers_min, "max": decision.workers_max, "idle_timeout_s": decision.idle_timeout_s}
