"""What becomes of a garment when its mesh was looked at. Idempotent: the job's row lets each outcome through once."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.garments.models import READY, REFUSED, Garment
from backend.garments.service import PICTURE, PREPARED, PREVIEW, GarmentListener, GarmentService
from backend.jobs.models import Job
from backend.jobs.work import Done, Ended, Outcome
from gpu_worker.contract import GARMENT_REFUSALS, Manifest


class GarmentOutcomes:
    """The entry `garment` in the list of outcomes that `create_app` gives to the jobs."""

    def __init__(self, clock: Clock, listeners: Sequence[GarmentListener]) -> None:
        self.clock = clock
        self.listeners = listeners

    def is_sound(self, manifest: Manifest) -> bool:
        return manifest.garment is not None and bool(manifest.garment.sizes)

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        garment = await session.scalar(
            select(Garment).where(Garment.brand_id == job.brand_id, Garment.id == job.subject_id).with_for_update()
        )
        service = GarmentService(session, self.clock)
        if garment is None or garment.job_id != job.id:  # deleted or changed meanwhile
            if isinstance(outcome, Done):
                service.erase_folder(job.brand_id, job.subject_id, outcome.folder, reason="not_needed")
            return
        match outcome:
            case Done():
                await self._done(service, garment, outcome)
            case Ended():
                garment.status = REFUSED if outcome.code in GARMENT_REFUSALS else READY
                garment.error_code = outcome.code

    async def _done(self, service: GarmentService, garment: Garment, done: Done) -> None:
        result = done.manifest.garment
        if result is None:
            raise ValueError("A sound manifest of a garment has a result.")
        service.discard_mesh(garment)
        shown = [name for name in (PICTURE, PREVIEW) if name in done.files]
        garment.preview_key = done.key(shown[0]) if shown else None
        prepared, before = done.manifest.files.get(PREPARED), garment.prepared_sha256
        garment.prepared_key = done.key(PREPARED) if prepared else None
        garment.prepared_sha256 = prepared.sha256 if prepared else None
        garment.prepared_bytes = prepared.bytes if prepared else None
        garment.size_reports = msgspec.to_builtins(result.sizes)
        unusable = [report for report in result.sizes if report.state == "unavailable"]
        is_refused = len(unusable) == len(result.sizes)
        garment.status = REFUSED if is_refused else READY
        garment.error_code = unusable[0].reason if is_refused else None
        garment.error_detail = unusable[0].detail if is_refused else None
        await service.session.flush()
        if garment.prepared_sha256 != before or await service.uploads(garment):  # sessions may have waited for those
            for listener in self.listeners:
                await listener.garment_changed(service.session, garment)
