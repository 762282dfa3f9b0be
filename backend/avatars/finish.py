"""What becomes of an avatar when its order is over. Idempotent: the job's row lets each outcome through once."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.models import PENDING, READY, Avatar
from backend.avatars.result_rules import is_sound
from backend.avatars.service import AvatarChanged, AvatarService
from backend.core.clock import Clock
from backend.core.storage import AVATARS
from backend.jobs.models import Job
from backend.jobs.work import Done, Ended, Outcome
from gpu_worker.contract import PHOTO_REFUSALS, Manifest

PHOTO_GONE = "photo_gone"
REPLACED_AFTER = timedelta(minutes=30)
"""Open pages may still load the mesh that a newer one replaces."""


class AvatarOutcomes:
    """The entry `avatar` in the list of outcomes that `create_app` gives to the jobs."""

    def __init__(self, clock: Clock, listeners: Sequence[AvatarChanged]) -> None:
        self.clock = clock
        self.listeners = listeners

    def is_sound(self, manifest: Manifest) -> bool:
        return is_sound(manifest.result)

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        avatar = await session.scalar(
            select(Avatar).where(Avatar.brand_id == job.brand_id, Avatar.id == job.subject_id).with_for_update()
        )
        service = AvatarService(session, self.clock, self.listeners)
        if avatar is None:  # erased meanwhile: what was uploaded goes too
            if isinstance(outcome, Done):
                _drop(service, job, outcome)
            return
        match outcome:
            case Done():
                await self._done(session, service, avatar, job, outcome)
            case Ended():
                await self._ended(service, avatar, job, outcome)

    async def _done(self, session: AsyncSession, service: AvatarService, avatar: Avatar, job: Job, done: Done) -> None:
        is_newest = avatar.job_id == job.id
        if not is_newest and avatar.glb_key is not None:
            _drop(service, job, done)
            return
        result = done.manifest.result
        if result is None:
            raise ValueError("A sound manifest of an avatar has a result.")
        _replace_mesh(service, avatar, done)
        avatar.measurements = {
            name: {"mean": round(quantity.mean, 2), "sd": round(quantity.sd, 2)}
            for name, quantity in result.measurements.items()
        }
        avatar.covariance = result.covariance
        avatar.evidence, avatar.flags, avatar.estimator = result.evidence, result.flags, result.estimator
        is_work_left = not is_newest and avatar.job_id in await service.jobs.open_ids(
            avatar.brand_id, avatar.id, "avatar"
        )
        if is_newest:
            service.discard_photos(avatar, reason="used")
            avatar.error_code = None
        avatar.status = PENDING if is_work_left else READY
        await session.flush()
        await service.events.record(
            avatar.brand_id,
            "avatar_created",
            key=f"avatar:{avatar.id}:ready",
            user_id=avatar.user_id,
            metadata={
                "estimator": avatar.estimator,
                "evidence": avatar.evidence,
                "duration_ms": round((self.clock.now() - job.created_at).total_seconds() * 1000),
            },
        )
        for listener in self.listeners:
            await listener(session, avatar)

    async def _ended(self, service: AvatarService, avatar: Avatar, job: Job, ended: Ended) -> None:
        is_refusal = ended.code in PHOTO_REFUSALS
        if ended.code == PHOTO_GONE:  # not the photo's fault: sent again, it is looked at
            job.is_retryable = True
        if avatar.job_id == job.id:
            others = await service.jobs.open_ids(avatar.brand_id, avatar.id, "avatar")
            service.settle_refused(avatar, ended.code, is_work_left=bool(others - {job.id}))
        elif avatar.status == PENDING and avatar.job_id not in await service.jobs.open_ids(
            avatar.brand_id, avatar.id, "avatar"
        ):
            service.settle_refused(avatar, avatar.error_code or ended.code, is_work_left=False)
        else:
            return
        await service.session.flush()
        await service.events.record(
            avatar.brand_id,
            "photo_refused" if is_refusal else "avatar_failed",
            key=f"job:{job.id}:{job.attempt_n}:{ended.code}",
            user_id=avatar.user_id,
            metadata={"code": ended.code} | ({"where": "worker"} if is_refusal else {"retryable": ended.is_retryable}),
        )


def _replace_mesh(service: AvatarService, avatar: Avatar, done: Done) -> None:
    if avatar.glb_key is not None:
        folder = avatar.glb_key.rpartition("/")[0] + "/"
        service.erasures.request(
            avatar.brand_id,
            AVATARS.name,
            "prefix",
            folder,
            reason="replaced",
            subject=("avatar", avatar.id),
            not_before=service.clock.now() + REPLACED_AFTER,
        )
    body = done.manifest.files["body.npz"]
    avatar.glb_key, avatar.body_key = done.key("avatar.glb"), done.key("body.npz")
    avatar.body_sha256, avatar.body_bytes = body.sha256, body.bytes


def _drop(service: AvatarService, job: Job, done: Done) -> None:
    service.erasures.request(
        job.brand_id, done.bucket, "prefix", done.folder, reason="not_needed", subject=("avatar", job.subject_id)
    )
