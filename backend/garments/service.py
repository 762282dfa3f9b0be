"""A brand's garments: every query starts from the brand."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, cast
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.models import Brand
from backend.core.clock import Clock
from backend.core.problems import InvalidRequest
from backend.core.storage import GLB, NPZ, SOURCES
from backend.garments.bands import BandRefused, own_band
from backend.garments.categories import GIRTHS, USUAL_STRETCH, Category, Stretch
from backend.garments.chart_rules import Chart, ChartRefused, check_chart
from backend.garments.errors import (
    ExternalIdTaken,
    GarmentNotFound,
    InvalidSizeChart,
    ModelNotFound,
    ProductTaken,
    SizeNotFound,
)
from backend.garments.mesh import garment_params, pictures
from backend.garments.models import PENDING, REFUSED, Garment, GarmentUpload
from backend.garments.schemas import GarmentChanges, NewGarment, SizeChart, given
from backend.jobs import states
from backend.jobs.service import JobService
from backend.jobs.work import ObjectInput, ObjectOutput, Order, Priority, Work, cache_key
from backend.shoppers.erasures import LAST_UPLOAD, ErasureService

PREVIEW, PICTURE, PREPARED = "preview.glb", "preview.png", "garment.npz"
MAX_BYTES = 20_000_000
OUTPUTS = {
    PREVIEW: ObjectOutput(GLB, MAX_BYTES, is_optional=True),
    PICTURE: ObjectOutput("image/png", MAX_BYTES, is_optional=True),
    PREPARED: ObjectOutput(NPZ, MAX_BYTES, is_optional=True),
}
MIN_DESIGN_EASE_CM, MAX_DESIGN_EASE_CM = -20.0, 60.0
REPLACED_AFTER = timedelta(days=7)
"""Open pages may still load what a newer version replaces."""

T = TypeVar("T")


class GarmentListener(Protocol):
    """Told in the same transaction."""

    async def garment_changed(self, session: AsyncSession, garment: Garment) -> None:
        """Fit has to be judged anew."""

    async def garment_removed(self, session: AsyncSession, garment: Garment) -> None:
        """Its row is about to go."""


class GarmentService:
    def __init__(self, session: AsyncSession, clock: Clock, listeners: Sequence[GarmentListener] = ()) -> None:
        self.session = session
        self.clock = clock
        self.listeners = listeners
        self.jobs = JobService(session, clock)
        self.erasures = ErasureService(session, clock)

    async def create(self, brand_id: UUID, new: NewGarment, priority: Priority = Priority.SOON) -> Garment:
        garment = Garment(
            brand_id=brand_id,
            name=new.name.strip(),
            category=new.category,
            size_chart=_stored(checked(new.category, new.size_chart)),
            stretch=new.fabric.stretch if new.fabric else None,
            shopify_product_id=new.shopify_product_id,
            waist_at=new.waist_at,
            look=msgspec.to_builtins(new.look),
            external_id=new.external_id,
            fit_bands=checked_bands(new.fit_bands),
            design_ease_cm=_checked_ease(new.design_ease_cm),
            status=PENDING,
            size_reports=[],
        )
        self.session.add(garment)
        await self._flush(garment)
        await self._order_mesh(garment, priority)
        return garment

    async def get(self, brand_id: UUID, garment_id: UUID, *, is_held: bool = False) -> Garment:
        """`is_held`: nobody changes it until the transaction is over."""
        query = select(Garment).where(Garment.brand_id == brand_id, Garment.id == garment_id)
        return _found(await self.session.scalar(query.with_for_update(read=True) if is_held else query))

    async def by_product(self, brand_id: UUID, shopify_product_id: int, *, is_held: bool = False) -> Garment:
        query = select(Garment).where(Garment.brand_id == brand_id, Garment.shopify_product_id == shopify_product_id)
        return _found(await self.session.scalar(query.with_for_update(read=True) if is_held else query))

    async def _to_change(self, brand_id: UUID, garment_id: UUID) -> Garment:
        """One at a time: what is ordered is of all that was sent before. Rows may be written that point at it."""
        query = select(Garment).where(Garment.brand_id == brand_id, Garment.id == garment_id)
        return _found(
            await self.session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
        )

    async def page(
        self, brand_id: UUID, *, cursor: str | None, limit: int, shopify_product_id: int | None
    ) -> tuple[list[Garment], str | None]:
        """Oldest first; the cursor is the last id seen, so that rows added meanwhile shift nothing."""
        query = select(Garment).where(Garment.brand_id == brand_id).order_by(Garment.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(Garment.id > _after(cursor))
        if shopify_product_id is not None:
            query = query.where(Garment.shopify_product_id == shopify_product_id)
        rows = list((await self.session.scalars(query)).all())
        return rows[:limit], rows[limit - 1].id.hex if len(rows) > limit else None

    async def change(
        self, brand_id: UUID, garment_id: UUID, changes: GarmentChanges, priority: Priority = Priority.SOON
    ) -> Garment:
        garment = await self._to_change(brand_id, garment_id)
        before = _seen_of(garment)
        category = garment.category if changes.category is UNSET else changes.category
        if changes.size_chart is not UNSET:
            garment.size_chart = _stored(checked(cast("Category", category), changes.size_chart))
        elif changes.category is not UNSET:
            known = msgspec.convert(garment.size_chart, Chart)
            garment.size_chart = _stored(checked(changes.category, given(known)))
        garment.category = category
        await self._drop_uploads_without_row(garment)
        _take(garment, changes)
        await self._flush(garment)
        await self._order_mesh(garment, priority)
        for listener in self.listeners if _seen_of(garment) != before else ():
            await listener.garment_changed(self.session, garment)
        return garment

    async def delete(self, brand_id: UUID, garment_id: UUID) -> None:
        """Its try-on sessions and its objects go with it."""
        garment = await self.get(brand_id, garment_id)
        for listener in self.listeners:
            await listener.garment_removed(self.session, garment)
        await self.jobs.erase(brand_id, garment.id)
        again_at = self.clock.now() + LAST_UPLOAD
        self.erase_folder(brand_id, garment.id, f"{brand_id}/{garment.id}/", reason="deleted", repeat_after=again_at)
        await self.session.execute(delete(Garment).where(Garment.brand_id == brand_id, Garment.id == garment.id))

    # ---- its mesh ---------------------------------------------------------------------------------------------------

    async def put_size(self, brand_id: UUID, garment_id: UUID, size: str, source: ObjectInput) -> Garment:
        """The brand's own model of one size, already stored; it replaces an earlier one."""
        garment = await self._to_change(brand_id, garment_id)
        check_size(garment, size)
        upload = await self._upload(brand_id, garment_id, size)
        if upload is None:
            upload = GarmentUpload(brand_id=brand_id, garment_id=garment_id, size=size)
            self.session.add(upload)
        else:
            self._erase_upload(upload)
        upload.source_key, upload.source_sha256, upload.source_bytes = source.key, source.sha256, source.size
        await self.session.flush()
        await self._order_mesh(garment, Priority.SOON)
        return garment

    async def remove_size(self, brand_id: UUID, garment_id: UUID, size: str) -> None:
        """The brand's own model of it goes; the size is made from the others, or all from the chart if none is left."""
        garment = await self._to_change(brand_id, garment_id)
        upload = await self._upload(brand_id, garment_id, size)
        if upload is None:
            raise ModelNotFound(f"No model was sent for the size {size!r}.")
        self._erase_upload(upload)
        await self.session.delete(upload)
        await self.session.flush()
        await self._order_mesh(garment, Priority.SOON)
        for listener in self.listeners:
            await listener.garment_changed(self.session, garment)

    async def put_picture(self, brand_id: UUID, garment_id: UUID, name: str, picture: ObjectInput | None) -> Garment:
        """A picture of its look, already stored; it replaces an earlier one. None takes it away."""
        garment = await self._to_change(brand_id, garment_id)
        known = pictures(garment)
        if name in known:
            self._erase_source(garment.brand_id, garment.id, known.pop(name).key)
        kept = known | ({} if picture is None else {name: picture})
        garment.look_pictures = msgspec.to_builtins(kept) or None
        await self.session.flush()
        await self._order_mesh(garment, Priority.SOON)
        for listener in self.listeners:
            await listener.garment_changed(self.session, garment)
        return garment

    async def uploads(self, garment: Garment) -> list[GarmentUpload]:
        """In the chart's order."""
        found = await self.session.scalars(
            select(GarmentUpload).where(
                GarmentUpload.brand_id == garment.brand_id, GarmentUpload.garment_id == garment.id
            )
        )
        by_size = {upload.size: upload for upload in found.all()}
        return [by_size[size] for size in sizes_of(garment) if size in by_size]

    async def _upload(self, brand_id: UUID, garment_id: UUID, size: str) -> GarmentUpload | None:
        found: GarmentUpload | None = await self.session.scalar(
            select(GarmentUpload).where(
                GarmentUpload.brand_id == brand_id,
                GarmentUpload.garment_id == garment_id,
                GarmentUpload.size == size,
            )
        )
        return found

    async def _drop_uploads_without_row(self, garment: Garment) -> None:
        """A size that has left the chart takes its model along."""
        found = await self.session.scalars(
            select(GarmentUpload).where(
                GarmentUpload.brand_id == garment.brand_id,
                GarmentUpload.garment_id == garment.id,
                GarmentUpload.size.not_in(sizes_of(garment)),
            )
        )
        for upload in found.all():
            self._erase_upload(upload)
            await self.session.delete(upload)

    def _erase_upload(self, upload: GarmentUpload) -> None:
        self._erase_source(upload.brand_id, upload.garment_id, upload.source_key)

    def _erase_source(self, brand_id: UUID, garment_id: UUID, key: str) -> None:
        """A job that is under way may still read it."""
        self.erasures.request(
            brand_id,
            SOURCES.name,
            "object",
            key,
            reason="replaced",
            subject=("garment", garment_id),
            not_before=self.clock.now() + states.DEADLINE,
        )

    async def _order_mesh(self, garment: Garment, priority: Priority) -> None:
        """Checked and shown on a mannequin, once for each version; an unchanged one stays as it is."""
        uploads = await self.uploads(garment)
        params = msgspec.to_builtins(garment_params(garment, [upload.size for upload in uploads]))
        models = {
            f"size_{place}": ObjectInput(
                SOURCES.name, upload.source_key, upload.source_sha256, upload.source_bytes, GLB
            )
            for place, upload in enumerate(uploads)
        }
        inputs = models or pictures(garment)  # a brand's own models bring their look along
        secret = await self.session.scalar(select(Brand.cache_secret).where(Brand.id == garment.brand_id))
        if secret is None:
            raise LookupError("The brand of a garment is gone.")
        hashes = {name: source.sha256 for name, source in inputs.items()}
        key = cache_key(secret, "garment", garment.id, hashes, params)
        newest = await self.jobs.get(garment.brand_id, garment.job_id) if garment.job_id else None
        is_current = newest is not None and newest.cache_key == key
        work = Work(
            bucket=SOURCES.name,
            prefix=f"{garment.brand_id}/{garment.id}/",
            outputs=OUTPUTS,
            params=params,
            inputs=inputs,
        )
        order = Order(garment.brand_id, "garment", garment.id, key, work, priority)
        placed = await self.jobs.submit(order, is_result_kept=is_current)
        if placed.is_queued_now or placed.job.id != garment.job_id:
            garment.status, garment.error_code, garment.error_detail = PENDING, None, None
            garment.size_reports = []
        if placed.job.state == states.FAILED:  # refused before, and will be again
            garment.status, garment.error_code = REFUSED, placed.job.error_code
        garment.job_id = placed.job.id
        await self.session.flush()

    def discard_mesh(self, garment: Garment) -> None:
        """What a newer version replaces; all of it lies in one folder."""
        key = garment.preview_key or garment.prepared_key
        if key is not None:
            folder = key.rpartition("/")[0] + "/"
            self.erase_folder(garment.brand_id, garment.id, folder, reason="replaced", after=REPLACED_AFTER)

    def erase_folder(
        self,
        brand_id: UUID,
        garment_id: UUID,
        folder: str,
        *,
        reason: str,
        after: timedelta = timedelta(0),
        repeat_after: datetime | None = None,
    ) -> None:
        self.erasures.request(
            brand_id,
            SOURCES.name,
            "prefix",
            folder,
            reason=reason,
            subject=("garment", garment_id),
            not_before=self.clock.now() + after,
            repeat_after=repeat_after,
        )

    async def _flush(self, garment: Garment) -> None:
        product_id, external_id = garment.shopify_product_id, garment.external_id
        try:
            await self.session.flush()
        except IntegrityError as error:
            if "external_id" in str(error.orig):
                raise ExternalIdTaken(f"Another garment already has the external_id {external_id!r}.") from error
            raise ProductTaken(f"Another garment already has product {product_id}.") from error


def stretch_of(garment: Garment) -> Stretch:
    """Of its fabric, else the category's usual one."""
    return cast("Stretch", garment.stretch or USUAL_STRETCH[cast("Category", garment.category)])


def sizes_of(garment: Garment) -> list[str]:
    return [row.size for row in msgspec.convert(garment.size_chart, Chart).rows]


def check_size(garment: Garment, size: str) -> None:
    sizes = sizes_of(garment)
    if size not in sizes:
        raise SizeNotFound(f"The garment has the sizes {', '.join(sizes)}.", sizes=sizes)


def checked(category: Category, chart: SizeChart) -> Chart:
    try:
        return check_chart(category, chart.unit, chart.measures, chart.sizes, is_flat=chart.flat)
    except ChartRefused as refused:
        problems = [msgspec.to_builtins(problem) for problem in refused.problems]
        raise InvalidSizeChart(refused.problems[0].detail, problems=problems) from refused


def _seen_of(garment: Garment) -> list[object]:
    """What the fit or the picture of it depends on."""
    names = ("category", "size_chart", "stretch", "waist_at", "look", "fit_bands", "design_ease_cm")
    return [getattr(garment, name) for name in names]


def _take(garment: Garment, changes: GarmentChanges) -> None:
    """All but the chart and its category."""
    if changes.name is not UNSET:
        garment.name = changes.name.strip()
    if changes.fabric is not UNSET:
        garment.stretch = changes.fabric.stretch if changes.fabric else None
    if changes.look is not UNSET:
        garment.look = msgspec.to_builtins(changes.look)
    if changes.fit_bands is not UNSET:
        garment.fit_bands = checked_bands(changes.fit_bands)
    if changes.design_ease_cm is not UNSET:
        garment.design_ease_cm = _checked_ease(changes.design_ease_cm)
    for name in ("external_id", "waist_at", "shopify_product_id"):
        value = getattr(changes, name)
        if value is not UNSET:
            setattr(garment, name, value)


def checked_bands(limits_cm: Mapping[str, list[float]] | None) -> dict[str, list[float]] | None:
    try:
        return None if limits_cm is None else {girth: list(own_band(girth, row)) for girth, row in limits_cm.items()}
    except BandRefused as refused:
        raise InvalidRequest(str(refused), field="fit_bands") from refused


def _checked_ease(ease_cm: Mapping[str, float] | None) -> dict[str, float] | None:
    for girth, value in (ease_cm or {}).items():
        if girth not in GIRTHS or not MIN_DESIGN_EASE_CM <= value <= MAX_DESIGN_EASE_CM:
            raise InvalidRequest(
                f"{girth!r}: {value:g} is no ease of {', '.join(GIRTHS)} between"
                f" {MIN_DESIGN_EASE_CM:g} and {MAX_DESIGN_EASE_CM:g} cm.",
                field="design_ease_cm",
            )
    return dict(ease_cm) if ease_cm is not None else None


def _stored(chart: Chart) -> dict[str, object]:
    stored: dict[str, object] = msgspec.to_builtins(chart)
    return stored


def _found(garment: T | None) -> T:
    if garment is None:
        raise GarmentNotFound("There is no such garment.")
    return garment


def _after(cursor: str) -> UUID:
    try:
        return UUID(hex=cursor)
    except ValueError as error:
        raise InvalidRequest("The cursor is not one of ours.", field="cursor") from error
