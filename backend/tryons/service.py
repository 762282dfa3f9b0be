"""Avatar × garment → the size, in the request; judged anew whenever either of them changes."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.avatars.models import Avatar
from backend.avatars.service import AvatarService
from backend.core.auth import Principal, ShopperContext
from backend.core.clock import Clock
from backend.core.problems import InvalidRequest
from backend.events.service import EventService
from backend.garments.bands import Band
from backend.garments.categories import USUAL_WAIST, Category, WaistAt
from backend.garments.chart_rules import Chart
from backend.garments.models import Garment
from backend.garments.service import GarmentListener, GarmentService, sizes_of, stretch_of
from backend.jobs.work import Priority
from backend.tryons.dressing import STILL_OPEN, Dressings
from backend.tryons.errors import SessionNotFound, UnknownSize
from backend.tryons.fit_words import describe
from backend.tryons.models import TryonSession, WornGarment
from backend.tryons.own_bands import OwnBands
from backend.tryons.schemas import NewTryonSession
from backend.tryons.sizing import Body, FitResult, Wear, judge
from gpu_worker.contract import MEASUREMENTS

FIT_MODEL = "bands-3"


class Looked(NamedTuple):
    """A session, whose body it is about, and what there is to see."""

    tryon: TryonSession
    avatar: Avatar
    worn: WornGarment | None


def fit(avatar: Avatar, garment: Garment, bands: Mapping[str, Band]) -> FitResult:
    body = Body([avatar.measurements[name]["mean"] for name in MEASUREMENTS], avatar.covariance)
    wear = wear_of(garment, bands)
    return describe(judge(body, wear), wear, avatar.flags)


def wear_of(garment: Garment, bands: Mapping[str, Band]) -> Wear:
    chart = msgspec.convert(garment.size_chart, Chart)
    category = cast("Category", garment.category)
    return Wear(
        category=category,
        stretch=stretch_of(garment),
        measures=chart.measures,
        waist_at=cast("WaistAt", garment.waist_at or USUAL_WAIST[category]),
        girths_cm=chart.girths_cm(),
        bands=bands,
        lengths_cm=chart.lengths_cm(),
    )


class TryonService:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock
        self.avatars = AvatarService(session, clock)
        self.garments = GarmentService(session, clock)
        self.dressings = Dressings(session, clock)
        self.own_bands = OwnBands(session, clock)
        self.events = EventService(session, clock)

    async def create(self, principal: Principal, new: NewTryonSession) -> Looked:
        avatar = await self.avatars.get(principal, new.avatar_id, is_held=True)  # a mesh that comes now waits for us
        garment = await self._garment(principal.brand_id, new)
        _check_size(garment, new.selected_size)
        tryon = TryonSession(
            id=uuid7(),
            brand_id=avatar.brand_id,
            user_id=avatar.user_id,
            avatar_id=avatar.id,
            garment_id=garment.id,
            selected_size=new.selected_size,
        )
        latency_ms = self._judge(tryon, avatar, garment, await self.own_bands.of(garment))
        self.session.add(tryon)
        await self.avatars.use(avatar)
        await self.session.flush()
        await self.events.record(
            tryon.brand_id,
            "tryon_started",
            key=f"session:{tryon.id}:started",
            user_id=tryon.user_id,
            session_id=tryon.id,
            metadata={"garment_id": str(garment.id), "has_photo": "photo" in avatar.evidence},
        )
        await self._report(tryon, avatar, latency_ms)
        return Looked(tryon, avatar, await self.dressings.order(tryon, avatar, garment))

    async def get(self, principal: Principal, session_id: UUID) -> Looked:
        """An old one is judged as it is looked at, and its row stays as it was when it was begun."""
        looked = await self._find(principal, session_id)
        if looked.tryon.created_at < self._open_since():
            garment = await self.garments.get(looked.tryon.brand_id, looked.tryon.garment_id)
            self.session.expunge(looked.tryon)
            self._judge_anew(looked.tryon, looked.avatar, garment, await self.own_bands.of(garment))
        return looked

    async def _find(self, principal: Principal, session_id: UUID) -> Looked:
        query = (
            select(TryonSession, Avatar, WornGarment)
            .join(Avatar, (Avatar.brand_id == TryonSession.brand_id) & (Avatar.id == TryonSession.avatar_id))
            .outerjoin(
                WornGarment,
                (WornGarment.brand_id == TryonSession.brand_id)
                & (WornGarment.avatar_id == TryonSession.avatar_id)
                & (WornGarment.garment_id == TryonSession.garment_id),
            )
            .where(TryonSession.brand_id == principal.brand_id, TryonSession.id == session_id)
        )
        if isinstance(principal, ShopperContext):
            query = query.where(TryonSession.user_id == principal.user_id)
        row = (await self.session.execute(query)).one_or_none()
        if row is None:
            raise SessionNotFound("There is no such try-on session.")
        return Looked(row[0], row[1], row[2])

    async def select_size(self, principal: Principal, session_id: UUID, size: str | None) -> Looked:
        tryon, avatar, _ = await self._find(principal, session_id)
        garment = await self.garments.get(tryon.brand_id, tryon.garment_id)
        _check_size(garment, size)
        if tryon.created_at < self._open_since():
            self._judge_anew(tryon, avatar, garment, await self.own_bands.of(garment))
        tryon.selected_size = size
        await self.session.flush()
        return Looked(tryon, avatar, await self.dressings.order(tryon, avatar, garment))

    async def judge_avatar(self, avatar: Avatar) -> None:
        """Every open session of an avatar whose measurements have changed."""
        rows = await self.session.execute(
            select(TryonSession, Garment)
            .join(Garment, (Garment.brand_id == TryonSession.brand_id) & (Garment.id == TryonSession.garment_id))
            .where(
                TryonSession.brand_id == avatar.brand_id,
                TryonSession.avatar_id == avatar.id,
                TryonSession.created_at >= self._open_since(),
            )
            .order_by(TryonSession.id)
        )
        judged = rows.all()
        for tryon, garment in judged:
            bands = await self.own_bands.of(garment)
            await self._report(tryon, avatar, self._judge(tryon, avatar, garment, bands))
        # who sent a photo looks at a progress bar; who did not looks at a size
        priority = Priority.WAITED_FOR if "photo" in avatar.evidence else Priority.SOON
        for tryon, garment in judged:
            await self.dressings.order(tryon, avatar, garment, priority)
        await self.dressings.drop_outdated(avatar.brand_id, WornGarment.avatar_id == avatar.id)

    async def judge_garment(self, garment: Garment) -> None:
        """Every open session of a garment whose chart or fabric has changed."""
        rows = await self.session.execute(
            select(TryonSession, Avatar)
            .join(Avatar, (Avatar.brand_id == TryonSession.brand_id) & (Avatar.id == TryonSession.avatar_id))
            .where(
                TryonSession.brand_id == garment.brand_id,
                TryonSession.garment_id == garment.id,
                TryonSession.created_at >= self._open_since(),
            )
            .order_by(TryonSession.id)
        )
        judged = rows.all()
        bands = await self.own_bands.of(garment)
        for tryon, avatar in judged:
            self._judge_anew(tryon, avatar, garment, bands)
        for tryon, avatar in judged:
            await self.dressings.order(tryon, avatar, garment, Priority.SOON)
        await self.dressings.drop_outdated(garment.brand_id, WornGarment.garment_id == garment.id)

    async def forget_garment(self, garment: Garment) -> None:
        """It is about to go: so do the pictures of it."""
        rows = await self.session.scalars(
            select(WornGarment).where(WornGarment.brand_id == garment.brand_id, WornGarment.garment_id == garment.id)
        )
        await self.dressings.remove(garment.brand_id, rows.all(), "garment_deleted")

    def _open_since(self) -> datetime:
        """Sessions begun later are kept as judged and dressed as they would be now: somebody may be looking."""
        return self.clock.now() - STILL_OPEN

    async def _garment(self, brand_id: UUID, new: NewTryonSession) -> Garment:
        if new.garment_id is not None and new.shopify_product_id is None:
            return await self.garments.get(brand_id, new.garment_id, is_held=True)
        if new.shopify_product_id is not None and new.garment_id is None:
            return await self.garments.by_product(brand_id, new.shopify_product_id, is_held=True)
        raise InvalidRequest("Name the garment by garment_id or by shopify_product_id.", field="garment_id")

    def _judge(self, tryon: TryonSession, avatar: Avatar, garment: Garment, bands: Mapping[str, Band]) -> float:
        """Returns the milliseconds it took."""
        started = time.perf_counter()
        result = fit(avatar, garment, bands)
        tryon.fit_result = msgspec.to_builtins(result)
        tryon.recommended_size = result.recommended_size
        return (time.perf_counter() - started) * 1000

    def _judge_anew(self, tryon: TryonSession, avatar: Avatar, garment: Garment, bands: Mapping[str, Band]) -> None:
        """The chart may have lost the size that was looked at."""
        self._judge(tryon, avatar, garment, bands)
        if tryon.selected_size not in sizes_of(garment):
            tryon.selected_size = None

    async def _report(self, tryon: TryonSession, avatar: Avatar, latency_ms: float) -> None:
        """Once for each body of evidence, however often it is judged."""
        result = msgspec.convert(tryon.fit_result, FitResult)
        await self.events.record(
            tryon.brand_id,
            "size_recommended",
            key=f"session:{tryon.id}:size:{avatar.estimator}:{','.join(avatar.evidence)}",
            user_id=tryon.user_id,
            session_id=tryon.id,
            metadata={
                "garment_id": str(tryon.garment_id),
                "recommended_size": result.recommended_size,
                "between": result.between,
                "confidence": result.confidence,
                "evidence": avatar.evidence,
                "fit_model": FIT_MODEL,
                "latency_ms": round(latency_ms, 1),
            },
        )


def _check_size(garment: Garment, size: str | None) -> None:
    sizes = sizes_of(garment)
    if size is not None and size not in sizes:
        raise UnknownSize(f"The garment has the sizes {', '.join(sizes)}.", field="selected_size", sizes=sizes)


class OpenSessions(GarmentListener):
    """What `create_app` gives to avatars and garments, which may not know of try-ons: judge anew what they changed."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def avatar_changed(self, session: AsyncSession, avatar: Avatar) -> None:
        await TryonService(session, self.clock).judge_avatar(avatar)

    async def garment_changed(self, session: AsyncSession, garment: Garment) -> None:
        await TryonService(session, self.clock).judge_garment(garment)

    async def garment_removed(self, session: AsyncSession, garment: Garment) -> None:
        await TryonService(session, self.clock).forget_garment(garment)
