"""From stated facts to an avatar: measurements at once, its mesh as an order for a worker."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.avatars.errors import AvatarNotFound, InvalidFact
from backend.avatars.models import BY_BRAND, BY_SHOPPER, FAILED, PENDING, READY, Avatar
from backend.avatars.photos import PURPOSE
from backend.brands.models import Brand
from backend.core.auth import BrandContext, Principal, ShopperContext
from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.core.problems import Unauthorized, Unavailable
from backend.core.storage import AVATARS, GLB, NPZ, PHOTOS, person_prefix
from backend.events.service import EventService
from backend.jobs import states
from backend.jobs.models import Job
from backend.jobs.service import JobService
from backend.jobs.work import ObjectInput, ObjectOutput, Order, Priority, Work, cache_key
from backend.shoppers.erasures import ErasureService
from backend.shoppers.models import Consent
from backend.shoppers.service import is_live
from gpu_worker.contract import MEASUREMENTS, AvatarParams
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import Estimate, FactRefused, Facts

MAX_GLB_BYTES = 5_000_000
MAX_BODY_BYTES = 1_000_000
USED_RESOLUTION = timedelta(hours=1)

OUTPUTS = {"avatar.glb": ObjectOutput(GLB, MAX_GLB_BYTES), "body.npz": ObjectOutput(NPZ, MAX_BODY_BYTES)}

AvatarChanged = Callable[[AsyncSession, Avatar], Awaitable[None]]
"""Told in the same transaction whenever the measurements of an avatar are other than before."""


class Agreement(msgspec.Struct, frozen=True):
    """What the shopper agreed to, and in which language it was put."""

    version: str
    locale: str


class AvatarOrder(msgspec.Struct, frozen=True):
    """Facts and, in `photos`, what is already stored; photos rest on `agreement`."""

    params: AvatarParams
    estimate: Estimate
    hashes: Mapping[str, str]
    """Photo's name → sha256 of its bytes; named even where they are not stored yet."""
    photos: Mapping[str, ObjectInput] = {}
    agreement: Agreement | None = None


class Ordered(msgspec.Struct, frozen=True):
    avatar: Avatar
    job: Job | None
    is_new: bool
    """False: the identical request was known."""


def estimate_facts(params: AvatarParams) -> Estimate:
    facts = Facts(params.height_cm, params.weight_kg, params.age, params.sex, params.tape_cm)
    try:
        return questionnaire.estimate(facts)
    except FactRefused as refused:
        field = f"tape_{refused.field}" if refused.code == "invalid_tape" else refused.field
        raise InvalidFact(refused.detail, code=refused.code, field=field) from refused


def stated(order: AvatarOrder) -> dict[str, object]:
    """What the columns of an avatar say before any worker has."""
    estimate = order.estimate
    return {
        "facts": msgspec.to_builtins(order.params),
        "measurements": {
            name: {"mean": round(mean, 2), "sd": round(estimate.covariance[row][row] ** 0.5, 2)}
            for row, (name, mean) in enumerate(zip(MEASUREMENTS, estimate.mean, strict=True))
        },
        "covariance": [list(row) for row in estimate.covariance],
        "evidence": list(estimate.evidence),
        "flags": list(estimate.flags),
        "estimator": estimate.estimator,
    }


class AvatarService:
    def __init__(self, session: AsyncSession, clock: Clock, listeners: Sequence[AvatarChanged] = ()) -> None:
        self.session = session
        self.clock = clock
        self.listeners = listeners
        self.jobs = JobService(session, clock)
        self.erasures = ErasureService(session, clock)
        self.events = EventService(session, clock)

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def get(
        self, principal: Principal, avatar_id: UUID, *, for_update: bool = False, is_held: bool = False
    ) -> Avatar:
        """Another shopper's and another brand's are not found.

        is_held : nobody changes it until the transaction is over; rows that point at it may still be written
        """
        query = select(Avatar).where(Avatar.brand_id == principal.brand_id, Avatar.id == avatar_id)
        if isinstance(principal, ShopperContext):
            query = query.where(Avatar.user_id == principal.user_id)
        if for_update or is_held:
            query = query.with_for_update(key_share=is_held)
        avatar: Avatar | None = await self.session.scalar(query)
        if avatar is None:
            raise AvatarNotFound("There is no such avatar.")
        return avatar

    async def of_user(self, brand_id: UUID, user_id: UUID, *, for_update: bool = False) -> Avatar | None:
        query = select(Avatar).where(Avatar.brand_id == brand_id, Avatar.user_id == user_id)
        if for_update:
            query = query.with_for_update()
        avatar: Avatar | None = await self.session.scalar(query.execution_options(populate_existing=True))
        return avatar

    async def hold_work(self, brand_id: UUID, *whose: ColumnElement[bool]) -> None:
        """Before an avatar is locked whose work may be called off.

        A job that ends locks its own row, then its avatar's. In the other order the two would wait in a circle, and
        Postgres would break off one of them.
        """
        avatars = select(Avatar.id).where(Avatar.brand_id == brand_id, *whose)
        await self.session.execute(
            select(Job.id)
            .where(Job.brand_id == brand_id, Job.subject_id.in_(avatars), Job.state.in_(states.OPEN_JOBS))
            .order_by(Job.id)
            .with_for_update()
        )

    async def newest_job(self, avatar: Avatar) -> Job | None:
        return await self.jobs.get(avatar.brand_id, avatar.job_id) if avatar.job_id else None

    async def known(self, avatar: Avatar, order: AvatarOrder) -> Ordered | None:
        """The avatar, where this order changes nothing of it: the newest one again, or its facts without the photo.

        Where that photo was refused and there is no mesh, the facts alone may still make one.
        """
        job = await self.newest_job(avatar)
        if job is None or job.state == states.CANCELLED or (job.state == states.FAILED and job.is_retryable):
            return None
        is_same = avatar.facts == msgspec.to_builtins(order.params) and not order.hashes
        if (not is_same or avatar.status == FAILED) and job.cache_key != await self._cache_key(avatar, order):
            return None
        return Ordered(avatar, job, is_new=False)

    # ---- ordering ---------------------------------------------------------------------------------------------------

    async def create(
        self, principal: Principal, user_id: UUID, avatar_id: UUID, order: AvatarOrder, *, was_there: bool = False
    ) -> Ordered:
        """The shopper's one avatar, made or estimated anew. `avatar_id` is used if there is none yet.

        was_there : it had that id when its photos were put away; if it is gone, so are they, and its folder with them
        """
        await self.hold_work(principal.brand_id, Avatar.user_id == user_id)
        is_first = await self._insert(principal, user_id, avatar_id, order)
        avatar = await self.of_user(principal.brand_id, user_id, for_update=True)
        if avatar is None:
            raise LookupError("The avatar that was just inserted is not there.")
        await self._refuse_the_erased(principal)
        if is_first and was_there:
            raise Unavailable("The figure was deleted meanwhile; send this again.")
        known = None if is_first else await self.known(avatar, order)
        if known is not None:
            self._discard(avatar, order.photos)
            return known
        with self.session.no_autoflush:
            self._take_photos(avatar, order)
            self._take_facts(avatar, order)
            await self._agree(avatar, order)
            job = await self._order(principal, avatar, order, keeps_others=is_first)
        if not is_first:
            for listener in self.listeners:
                await listener(self.session, avatar)
        return Ordered(avatar, job, is_new=True)

    async def add_photo(self, principal: Principal, avatar_id: UUID, order: AvatarOrder) -> Ordered:
        """What is known stays until the new estimate lands; the order for the mesh of the facts alone goes on."""
        await self.hold_work(principal.brand_id, Avatar.id == avatar_id)
        avatar = await self.get(principal, avatar_id, for_update=True)
        known = await self.known(avatar, order)
        if known is not None:
            self._discard(avatar, order.photos)
            return known
        self._take_photos(avatar, order)
        await self._agree(avatar, order)
        job = await self._order(principal, avatar, order, keeps_others=avatar.glb_key is None)
        return Ordered(avatar, job, is_new=True)

    async def use(self, avatar: Avatar) -> None:
        """Kept to the hour: retention counts from the last use."""
        now = self.clock.now()
        if now - avatar.last_used_at >= USED_RESOLUTION:
            avatar.last_used_at = now

    async def _refuse_the_erased(self, principal: Principal) -> None:
        """The token was looked at before this transaction: whoever was erased in between is not brought back by it."""
        if isinstance(principal, ShopperContext) and principal.auth_time is not None:
            who = principal.brand_id, principal.user_id, principal.auth_time
            if not await is_live(self.session, *who):
                raise Unauthorized

    async def _insert(self, principal: Principal, user_id: UUID, avatar_id: UUID, order: AvatarOrder) -> bool:
        """True: this order made it. Two at once meet one row."""
        now = self.clock.now()
        row = {
            "id": avatar_id,
            "brand_id": principal.brand_id,
            "user_id": user_id,
            "made_by": BY_BRAND if isinstance(principal, BrandContext) else BY_SHOPPER,
            "status": PENDING,
            "last_used_at": now,
            "created_at": now,
            "updated_at": now,
            **stated(order),
        }
        return bool(await insert_new(self.session, Avatar, [row], unique=("brand_id", "user_id"), returning=Avatar.id))

    def _take_facts(self, avatar: Avatar, order: AvatarOrder) -> None:
        for name, value in stated(order).items():
            setattr(avatar, name, value)
        avatar.last_used_at = self.clock.now()

    def _take_photos(self, avatar: Avatar, order: AvatarOrder) -> None:
        """What lay there and was never used goes."""
        self.discard_photos(avatar, reason="superseded")
        keys = {name: photo.key for name, photo in order.photos.items()}
        if keys:
            avatar.status = PENDING  # a settled avatar holds no photo, and the next query flushes
        avatar.photo_key, avatar.photo_side_key = keys.get("photo"), keys.get("photo_side")

    def discard_photos(self, avatar: Avatar, *, reason: str) -> None:
        for key in (avatar.photo_key, avatar.photo_side_key):
            if key is not None:
                self._erase_photo(avatar, key, reason)
        avatar.photo_key = avatar.photo_side_key = None

    def _discard(self, avatar: Avatar, photos: Mapping[str, ObjectInput]) -> None:
        """Photos that were stored for an order which another request had made meanwhile."""
        for photo in photos.values():
            self._erase_photo(avatar, photo.key, "not_needed")

    def _erase_photo(self, avatar: Avatar, key: str, reason: str) -> None:
        subject = ("photo", avatar.id)
        self.erasures.request(avatar.brand_id, PHOTOS.name, "object", key, reason=reason, subject=subject)

    async def _agree(self, avatar: Avatar, order: AvatarOrder) -> None:
        """The consent is written in the transaction that takes the photo."""
        if order.agreement is None:
            return
        consent = Consent(
            id=uuid7(),
            brand_id=avatar.brand_id,
            user_id=avatar.user_id,
            avatar_id=avatar.id,
            version=order.agreement.version,
            purpose=PURPOSE,
            locale=order.agreement.locale,
            given_at=self.clock.now(),
        )
        self.session.add(consent)
        avatar.consent_id = consent.id
        await self.events.record(
            avatar.brand_id,
            "consent_given",
            key=f"consent:{consent.id}:given",
            user_id=avatar.user_id,
            metadata={"version": consent.version, "purpose": PURPOSE},
        )

    async def _order(self, principal: Principal, avatar: Avatar, order: AvatarOrder, *, keeps_others: bool) -> Job:
        if isinstance(principal, ShopperContext):
            avatar.made_by = BY_SHOPPER
        newest = await self.newest_job(avatar)
        key = await self._cache_key(avatar, order)
        is_current = newest is not None and newest.cache_key == key
        work = Work(
            bucket=AVATARS.name,
            prefix=f"{person_prefix(avatar.brand_id, avatar.user_id)}{avatar.id}/",
            outputs=OUTPUTS,
            params=msgspec.to_builtins(order.params),
            inputs=dict(order.photos),
        )
        placed = await self.jobs.submit(
            Order(
                avatar.brand_id,
                "avatar",
                avatar.id,
                key,
                work,
                Priority.WAITED_FOR if order.photos else Priority.SOON,
            ),
            is_result_kept=is_current and avatar.glb_key is not None,
        )
        job = placed.job
        if not keeps_others:
            await self.jobs.cancel(avatar.brand_id, avatar.id, "avatar", but=job.id)
        avatar.job_id, avatar.error_code, avatar.status = job.id, None, PENDING
        if job.state == states.FAILED:  # refused before, and will be again: the answer without the work
            self.settle_refused(avatar, job.error_code or "internal", is_work_left=False)
        elif order.photos:
            await self._report_photos(avatar, job, len(order.photos))
        await self.session.flush()
        return job

    def settle_refused(self, avatar: Avatar, code: str, *, is_work_left: bool) -> None:
        """What stood stays; `failed` is only an avatar that never had a mesh and gets none now."""
        self.discard_photos(avatar, reason="refused")
        avatar.error_code = code
        if avatar.glb_key is not None:
            avatar.status = READY
        else:
            avatar.status = PENDING if is_work_left else FAILED

    async def _report_photos(self, avatar: Avatar, job: Job, views: int) -> None:
        source = "shopper" if avatar.made_by == BY_SHOPPER else "brand"
        await self.events.record(
            avatar.brand_id,
            "photo_submitted",
            key=f"photo:{job.id}:{job.created_at.isoformat()}",
            user_id=avatar.user_id,
            metadata={"views": views, "source": source},
        )

    async def _cache_key(self, avatar: Avatar, order: AvatarOrder) -> str:
        secret = await self.session.scalar(select(Brand.cache_secret).where(Brand.id == avatar.brand_id))
        if secret is None:
            raise LookupError("The brand of an avatar is gone.")
        return cache_key(secret, "avatar", avatar.user_id, order.hashes, msgspec.to_builtins(order.params))
