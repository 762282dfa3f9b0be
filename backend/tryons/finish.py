"""What becomes of a garment on a body when its order is over. The job's row lets each outcome through once."""

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.models import Avatar
from backend.core.clock import Clock
from backend.jobs.models import Job
from backend.jobs.work import Done, Outcome, Work
from backend.tryons.dressing import WORN, Clothing, Dressings
from backend.tryons.models import WornGarment
from gpu_worker.contract import DressParams, Manifest


class DressOutcomes:
    """The entry `dress` in the list of outcomes that `create_app` gives to the jobs."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def is_sound(self, manifest: Manifest) -> bool:
        return manifest.dress is not None and any(size.state != "unavailable" for size in manifest.dress.sizes)

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        found = await session.execute(
            select(WornGarment, Avatar)
            .join(Avatar, (Avatar.brand_id == WornGarment.brand_id) & (Avatar.id == WornGarment.avatar_id))
            .where(WornGarment.brand_id == job.brand_id, WornGarment.job_id == job.id)
            .with_for_update(of=WornGarment)
        )
        row = found.one_or_none()
        dressings = Dressings(session, self.clock)
        if row is None:  # erased, or another order came meanwhile: what was uploaded goes
            if isinstance(outcome, Done):
                dressings.erase_folder(job.brand_id, job.subject_id, outcome.folder, "not_needed")
            return
        worn, avatar = row
        worn.is_under_way = False
        if isinstance(outcome, Done):
            await self._done(dressings, worn, avatar, job, outcome)
        else:
            worn.error_code = outcome.code
        await session.flush()

    async def _done(self, dressings: Dressings, worn: WornGarment, avatar: Avatar, job: Job, done: Done) -> None:
        result = done.manifest.dress
        if result is None:
            raise ValueError("A sound manifest of a dressed garment has a result.")
        dressings.discard(avatar, worn)
        worn.worn_key = done.key(WORN)
        worn.polished, worn.base, worn.error_code = result.polished, result.base, None
        worn.unavailable = [size.size for size in result.sizes if size.state == "unavailable"]
        work = msgspec.convert(job.input, Work)
        params = msgspec.convert(work.params, DressParams)
        await dressings.polish(worn, avatar, Clothing(params.garment, work.inputs))
