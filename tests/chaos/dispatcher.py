"""A dispatcher as a process: the product's own loop, with a clock, a wire, a store and an effect that may fail."""

import asyncio
import os
import signal
import warnings
from datetime import timedelta

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.app import create_app
from backend.core.folder_store import FolderStore
from backend.core.storage import ByteRange, OpenedObject, SignedPut, StoredObject, StoreUnavailable
from backend.jobs.models import Job
from backend.jobs.outcomes import Outcomes
from backend.jobs.providers import Provider, Providers
from backend.jobs.queue import POOL, RunPodQueue
from backend.jobs.work import Done, Outcome
from backend.provider_settings import ProviderSettings
from gpu_worker.contract import Manifest
from tests.chaos.faults import Faults, subject_of
from tests.chaos.world import FastClock, World, write_log

LEAST_S = 1.0
"""Real seconds that a busy machine needs to answer at all."""


def die() -> None:
    """As by a lack of memory or power: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Wire(httpx.AsyncBaseTransport):
    """The way to the endpoint, as quick to give up as product time is quick to pass; on it a dispatcher may die."""

    def __init__(self, real: httpx.AsyncBaseTransport, faults: Faults, speed: float) -> None:
        self._real = real
        self._faults = faults
        self._speed = speed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeouts: dict[str, float | None] = request.extensions["timeout"]
        request.extensions["timeout"] = {name: s and max(LEAST_S, s / self._speed) for name, s in timeouts.items()}
        is_run = request.url.path.endswith("/run")
        if is_run and self._faults.take("dispatcher killed between commit and send", subject_of(request.content)):
            die()
        answer = await self._real.handle_async_request(request)
        if is_run and self._faults.take("dispatcher killed before the id is kept"):
            await answer.aread()
            die()
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()


class FailingStore(FolderStore):
    """Sometimes not there for the dispatcher."""

    faults: Faults

    async def stat(self, bucket: str, key: str) -> StoredObject:
        self._may_fail()
        return await super().stat(bucket, key)

    async def open(self, bucket: str, key: str, byte_range: ByteRange | None = None) -> OpenedObject:
        self._may_fail()
        return await super().open(bucket, key, byte_range)

    async def signed_put_url(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        max_bytes: int,
        min_ttl: timedelta,
        overwrite: bool = False,
    ) -> SignedPut:
        self._may_fail()
        return await super().signed_put_url(
            bucket, key, content_type=content_type, max_bytes=max_bytes, min_ttl=min_ttl, overwrite=overwrite
        )

    def _may_fail(self) -> None:
        if self.faults.take("store fails the dispatcher"):
            raise StoreUnavailable("chaos")


class CountedOutcomes:
    """The real effect, and a row beside it without any key: a second effect would be seen."""

    def __init__(self, real: Outcomes, faults: Faults) -> None:
        self._real = real
        self._faults = faults

    def is_sound(self, manifest: Manifest) -> bool:
        return self._real.is_sound(manifest)

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        await self._real.finish(session, job, outcome)
        is_done = isinstance(outcome, Done)
        await session.execute(
            text("INSERT INTO chaos_effects (job_id, attempt_id, word) VALUES (:job, :attempt, :word)"),
            {
                "job": job.id,
                "attempt": outcome.attempt_id if isinstance(outcome, Done) else None,
                "word": "done" if isinstance(outcome, Done) else outcome.code,
            },
        )
        if is_done and self._faults.take("dispatcher killed in the effect"):
            die()


def run_dispatcher(world: World, name: str, skew_s: float) -> None:
    write_log(world, name)
    warnings.simplefilter("ignore")
    asyncio.run(_dispatch(world, skew_s))


def troubled(row: ProviderSettings, world: World, clock: FastClock) -> Provider:
    """The product's client of a queue, over our wire."""
    wire = Wire(httpx.AsyncHTTPTransport(limits=POOL), world.faults, world.speed)
    return Provider(row, RunPodQueue(row.base_url, row.endpoint_id, lambda: row.api_key, transport=wire), clock)


async def _dispatch(world: World, skew_s: float) -> None:
    settings, clock, faults = world.settings(), FastClock.of(world, skew_s), world.faults
    store = FailingStore(settings.objects_dir, settings.public_base_url, settings.storage_signing_key, clock)
    store.faults = faults
    providers = Providers([troubled(provider, world, clock) for provider in settings.compute_providers], clock)
    app = create_app(settings, clock=clock, store=store, providers=providers, sees_jobs_through=True)
    ledger = app.state.sweeper.reconciler.ledger
    ledger.outcomes = {kind: CountedOutcomes(real, faults) for kind, real in ledger.outcomes.items()}
    async with app.lifespan():
        await asyncio.Event().wait()
