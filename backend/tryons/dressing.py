"""A garment put on a body: ordered when both are there, first by geometry, then as draped cloth; kept for the two."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.avatars.models import Avatar
from backend.brands.models import Brand
from backend.core.clock import Clock
from backend.core.db import insert_new
from backend.core.storage import AVATARS, GLB, NPZ, SOURCES, person_prefix
from backend.garments.mesh import garment_params, pictures
from backend.garments.models import PENDING, REFUSED, Garment
from backend.garments.service import GarmentService
from backend.jobs import states
from backend.jobs.service import JobService
from backend.jobs.work import ObjectInput, ObjectOutput, Order, Priority, Work, cache_key
from backend.shoppers.erasures import ErasureService
from backend.tryons.models import TryonSession, WornGarment
from backend.tryons.sizing import FitResult
from gpu_worker.contract import DressParams, GarmentParams

WORN = "garment.glb"
MAX_WORN_BYTES = 10_000_000
OUTPUTS = {WORN: ObjectOutput(GLB, MAX_WORN_BYTES)}
MAX_POLISHED = 2
"""Sizes draped in one order: about .6 s each, and somebody waits."""
REPLACED_AFTER = timedelta(minutes=30)
"""Open pages may still load the picture that a better one replaces."""
KEPT_FOR = timedelta(days=7)
"""From the last look; afterwards it is dressed anew."""
STILL_OPEN = timedelta(hours=24)
"""A session begun no longer ago is judged and dressed by itself when its body or garment changes."""


class Clothing(msgspec.Struct, frozen=True):
    """What is put on, and on what."""

    params: GarmentParams
    inputs: dict[str, ObjectInput]

    @property
    def hashes(self) -> dict[str, str]:
        return {name: file.sha256 for name, file in self.inputs.items()}

    @property
    def sha256(self) -> str:
        content = msgspec.json.encode([self.hashes, self.params], order="deterministic")
        return hashlib.sha256(content).hexdigest()


class Dressings:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock
        self.jobs = JobService(session, clock)
        self.erasures = ErasureService(session, clock)

    async def of(self, tryon: TryonSession) -> WornGarment | None:
        """What there is of this garment on this body."""
        worn: WornGarment | None = await self.session.scalar(
            select(WornGarment).where(
                WornGarment.brand_id == tryon.brand_id,
                WornGarment.avatar_id == tryon.avatar_id,
                WornGarment.garment_id == tryon.garment_id,
            )
        )
        return worn

    async def order(
        self, tryon: TryonSession, avatar: Avatar, garment: Garment, priority: Priority = Priority.WAITED_FOR
    ) -> WornGarment | None:
        """See to it that the sizes this session looks at are (being) put on. None: there is no mesh to put them on.

        `priority` is the first picture's.
        """
        order = await self._clothing(avatar, garment)
        if order is None:
            worn = await self.of(tryon)
            if worn is not None:
                await self.remove(worn.brand_id, [worn], "replaced", REPLACED_AFTER)
            return None
        what = order.sha256
        worn = await self._row(tryon, what)
        worn.last_used_at = self.clock.now()
        wanted = looked_at(tryon)
        is_same = worn.what_sha256 == what
        if not is_same:
            self.discard(avatar, worn)
            worn.what_sha256, worn.polished, worn.unavailable, worn.base = what, [], [], None
        if not is_same or (worn.worn_key is None and not worn.is_under_way):
            worn.wanted = wanted
            await self._submit(worn, avatar, order, priority, only=wanted)
        else:
            worn.wanted = list(dict.fromkeys([*wanted, *worn.wanted]))[:MAX_POLISHED]
            if not worn.is_under_way:  # else what is wanted is draped next
                await self.polish(worn, avatar, order)
        await self.session.flush()
        return worn

    async def drop_outdated(self, brand_id: UUID, of_what: ColumnElement[bool]) -> None:
        """Pictures of a body or garment that is not as it was; they are made anew when they are asked for."""
        rows = await self.session.execute(
            select(WornGarment, Avatar, Garment)
            .join(Avatar, (Avatar.brand_id == WornGarment.brand_id) & (Avatar.id == WornGarment.avatar_id))
            .join(Garment, (Garment.brand_id == WornGarment.brand_id) & (Garment.id == WornGarment.garment_id))
            .where(WornGarment.brand_id == brand_id, of_what)
        )
        outdated = [worn for worn, avatar, garment in rows.all() if not await self._is_of(worn, avatar, garment)]
        if outdated:
            await self.remove(brand_id, outdated, "replaced", REPLACED_AFTER)

    async def _is_of(self, worn: WornGarment, avatar: Avatar, garment: Garment) -> bool:
        clothing = await self._clothing(avatar, garment)
        return clothing is not None and clothing.sha256 == worn.what_sha256

    async def _clothing(self, avatar: Avatar, garment: Garment) -> Clothing | None:
        """None: no body yet, a garment that cannot be built, or models of the brand's own of which none is ready."""
        if avatar.body_sha256 is None or garment.status == REFUSED or await self._is_being_prepared(garment):
            return None
        return Clothing(garment_params(garment), _inputs(avatar, garment))

    async def polish(self, worn: WornGarment, avatar: Avatar, order: Clothing) -> None:
        """The better picture of the sizes that are looked at; nothing waits for it."""
        known = [row.size for row in order.params.sizes]
        sizes = [size for size in known if size in worn.wanted and size not in worn.unavailable]
        if sizes and not set(sizes) <= set(worn.polished):
            await self._submit(worn, avatar, order, Priority.BETTER, polish=sizes)

    def discard(self, avatar: Avatar, worn: WornGarment) -> None:
        """The picture goes, once pages that show it have had their time."""
        if worn.worn_key is not None:
            self.erase_folder(avatar.brand_id, avatar.id, worn.worn_key.rpartition("/")[0] + "/", "replaced")
        worn.worn_key = None

    def erase_folder(
        self, brand_id: UUID, avatar_id: UUID, folder: str, reason: str, after: timedelta = REPLACED_AFTER
    ) -> None:
        self.erasures.request(
            brand_id,
            AVATARS.name,
            "prefix",
            folder,
            reason=reason,
            subject=("avatar", avatar_id),
            not_before=self.clock.now() + after,
        )

    async def remove(
        self, brand_id: UUID, rows: Sequence[WornGarment], reason: str, after: timedelta = timedelta(0)
    ) -> None:
        """Rows and pictures; what is still being made is dropped when it comes."""
        for worn in rows:
            if worn.worn_key is not None:
                folder = worn.worn_key.rpartition("/")[0] + "/"
                self.erase_folder(brand_id, worn.avatar_id, folder, reason, after)
        ids = [worn.id for worn in rows]
        await self.session.execute(delete(WornGarment).where(WornGarment.brand_id == brand_id, WornGarment.id.in_(ids)))

    async def _is_being_prepared(self, garment: Garment) -> bool:
        """The brand has models of its own, and none is ready yet: nothing else is shown in their place."""
        if garment.status != PENDING or garment.prepared_key is not None:
            return False
        return bool(await GarmentService(self.session, self.clock).uploads(garment))

    async def _row(self, tryon: TryonSession, what: str) -> WornGarment:
        """The one of this body and garment; two at once meet it."""
        now = self.clock.now()
        row = {
            "id": uuid7(),
            "brand_id": tryon.brand_id,
            "avatar_id": tryon.avatar_id,
            "garment_id": tryon.garment_id,
            "what_sha256": what,
            "is_under_way": False,
            "wanted": [],
            "polished": [],
            "unavailable": [],
            "last_used_at": now,
            "created_at": now,
            "updated_at": now,
        }
        unique = ("brand_id", "avatar_id", "garment_id")
        await insert_new(self.session, WornGarment, [row], unique=unique, returning=WornGarment.id)
        worn = await self.session.scalar(
            select(WornGarment)
            .where(
                WornGarment.brand_id == tryon.brand_id,
                WornGarment.avatar_id == tryon.avatar_id,
                WornGarment.garment_id == tryon.garment_id,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if worn is None:
            raise LookupError("The row that was just inserted is not there.")
        return worn

    async def _submit(
        self,
        worn: WornGarment,
        avatar: Avatar,
        clothing: Clothing,
        priority: Priority,
        *,
        polish: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> None:
        base = worn.base or _first(worn.wanted)
        params = msgspec.to_builtins(DressParams(clothing.params, base, polish=[*polish], only=[*only]))
        work = Work(
            bucket=AVATARS.name,
            prefix=f"{person_prefix(avatar.brand_id, avatar.user_id)}{avatar.id}/worn/",
            outputs=OUTPUTS,
            params=params,
            inputs=clothing.inputs,
        )
        secret = await self.session.scalar(select(Brand.cache_secret).where(Brand.id == avatar.brand_id))
        if secret is None:
            raise LookupError("The brand of an avatar is gone.")
        key = cache_key(secret, "dress", avatar.id, clothing.hashes, params)
        order = Order(avatar.brand_id, "dress", avatar.id, key, work, priority)
        job = (await self.jobs.submit(order, is_result_kept=False)).job
        worn.job_id = job.id
        worn.is_under_way = job.state in states.OPEN_JOBS
        worn.error_code = job.error_code if job.state == states.FAILED else None


def looked_at(tryon: TryonSession) -> list[str]:
    """The size the shopper has chosen, else what we said: one, or two; else the nearest."""
    if tryon.selected_size is not None:
        return [tryon.selected_size]
    fit = msgspec.convert(tryon.fit_result, FitResult)
    if fit.recommended_size is not None:
        return [fit.recommended_size]
    return fit.between or [max(fit.sizes, key=lambda size: size.probability).size]


def _first(sizes: list[str]) -> str | None:
    return sizes[0] if sizes else None


def _inputs(avatar: Avatar, garment: Garment) -> dict[str, ObjectInput]:
    if avatar.body_key is None or avatar.body_sha256 is None or avatar.body_bytes is None:
        raise LookupError("An avatar without a body cannot be dressed.")
    inputs = {"body": ObjectInput(AVATARS.name, avatar.body_key, avatar.body_sha256, avatar.body_bytes, NPZ)}
    if garment.prepared_key and garment.prepared_sha256 and garment.prepared_bytes:
        inputs["garment"] = ObjectInput(
            SOURCES.name, garment.prepared_key, garment.prepared_sha256, garment.prepared_bytes, NPZ
        )
        return inputs  # a brand's own models bring their look along
    return inputs | pictures(garment)
