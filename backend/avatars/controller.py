# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.background_tasks import BackgroundTask
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, MultipartBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.avatars.erase import AvatarErasure
from backend.avatars.errors import (
    WORDS,
    WORDS_OF_A_FAULT,
    AvatarNotFound,
    FormNeeded,
    InvalidFact,
    PhotoTooLarge,
    PhotoUnreadable,
)
from backend.avatars.models import BY_BRAND, PENDING, READY, Avatar
from backend.avatars.photo_rules import MAX_PHOTO_BYTES
from backend.avatars.photos import Photo, check_consent, kept_photos, read_photos
from backend.avatars.schemas import AvatarError, AvatarForm, AvatarView, ErasureView, PhotoForm, Status
from backend.avatars.service import Agreement, AvatarOrder, AvatarService, Ordered, estimate_facts
from backend.core.auth import (
    EITHER_SECURITY,
    SHOPPER_SECURITY,
    BrandContext,
    Principal,
    ShopperContext,
    brand_or_shopper,
    shopper_only,
)
from backend.core.db import commit_now
from backend.core.problems import InvalidRequest, Unauthorized, Unavailable, refusals
from backend.core.storage import AVATARS, ObjectNotFound, SignedUrl
from backend.jobs import states
from backend.jobs.models import Job
from backend.jobs.purse import BUDGET_EXCEEDED
from backend.shoppers.erasures import Eraser
from backend.shoppers.errors import ConsentNotFound, ConsentRequired
from backend.shoppers.models import Erasure
from backend.shoppers.service import ShopperService
from gpu_worker.contract import AvatarParams, Quantity, Stage

GLB_LIFE = timedelta(minutes=15)
MAX_FORM_BYTES = 2 * MAX_PHOTO_BYTES + 100_000
RETRY_AFTER = {"Retry-After": "1"}
STAGES = [stage.value for stage in Stage]
NOT_COVERED = "Copies at a delivery network may live about a minute longer, encrypted backups up to 30 days."
PHOTO_REFUSED = (FormNeeded, ConsentRequired, PhotoTooLarge, PhotoUnreadable)


async def provide_avatars(db_session: NamedDependency[AsyncSession], state: State) -> AvatarService:
    return AvatarService(db_session, state.clock, state.avatar_listeners)


async def form_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: a form that must hold too large a photo is refused unread; a form without files may be url-encoded too."""
    length = connection.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_FORM_BYTES:
        raise PhotoTooLarge(WORDS["photo_too_large"], max_bytes=MAX_PHOTO_BYTES)
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {RequestEncodingType.MULTI_PART, RequestEncodingType.URL_ENCODED}:
        raise FormNeeded("Send a form: multipart/form-data.")
    if media_type == RequestEncodingType.URL_ENCODED and isinstance(connection, Request):
        await connection.form()  # kept with the request, where the handler's form is then taken from


class AvatarController(Controller):
    path = "/v1/avatars"
    request_max_body_size = MAX_FORM_BYTES
    dependencies = {"avatars": Provide(provide_avatars)}  # noqa: RUF012  Litestar's own form
    guards = [brand_or_shopper]  # noqa: RUF012
    security = EITHER_SECURITY
    tags = ["avatars"]  # noqa: RUF012

    @post(
        operation_id="create_avatar",
        status_code=202,
        guards=[form_only],
        responses=refusals(Unauthorized, InvalidFact, InvalidRequest, Unavailable, *PHOTO_REFUSED),
    )
    async def create_avatar(
        self,
        request: Request[Any, Any, Any],
        avatars: NamedDependency[AvatarService],
        principal: NamedDependency[Principal],
        state: State,
        data: MultipartBody[AvatarForm],
    ) -> Response[AvatarView]:
        """Measurements stand at once; the mesh follows. An identical request answers 200 with what is there."""
        params = AvatarParams(data.height_cm, data.weight_kg, data.age, data.sex, data.tape_cm)
        estimate = estimate_facts(params)
        photos, agreement = await _photos(request, data.photo, data.photo_side, data.consent_version)
        order = AvatarOrder(params, estimate, _hashes(photos), {}, agreement)
        if not photos:
            user_id = await _user_id(avatars.session, state, principal, data.user_ref)
            ordered = await avatars.create(principal, user_id, uuid7(), order)
            await commit_now(avatars.session)
            return await _answer(state, principal, ordered)
        async with state.database.transaction() as session:
            user_id = await _user_id(session, state, principal, data.user_ref)
            service = AvatarService(session, state.clock)
            existing = await service.of_user(principal.brand_id, user_id)
            known = await service.known(existing, order) if existing else None
        if known is not None:
            return await _answer(state, principal, known)
        avatar_id = existing.id if existing else uuid7()
        async with kept_photos(state.store, principal.brand_id, user_id, avatar_id, photos) as kept:
            order = msgspec.structs.replace(order, photos=kept)
            was_there = existing is not None
            ordered = await avatars.create(principal, user_id, avatar_id, order, was_there=was_there)
        await commit_now(avatars.session)
        return await _answer(state, principal, ordered)

    @put(
        "/{avatar_id:uuid}/photo",
        operation_id="add_avatar_photo",
        status_code=202,
        guards=[form_only],
        responses=refusals(Unauthorized, AvatarNotFound, InvalidRequest, Unavailable, *PHOTO_REFUSED),
    )
    async def add_avatar_photo(
        self,
        request: Request[Any, Any, Any],
        avatars: NamedDependency[AvatarService],
        principal: NamedDependency[Principal],
        state: State,
        avatar_id: FromPath[UUID],
        data: MultipartBody[PhotoForm],
    ) -> Response[AvatarView]:
        """The same avatar gets better evidence; what it knows stays until then. Safe to repeat whole."""
        async with state.database.transaction(read_only=True) as session:
            avatar = await AvatarService(session, state.clock).get(principal, avatar_id)
        photos, agreement = await _photos(request, data.photo, data.photo_side, data.consent_version)
        params = msgspec.convert(avatar.facts, AvatarParams)
        order = AvatarOrder(params, estimate_facts(params), _hashes(photos), {}, agreement)
        async with kept_photos(state.store, avatar.brand_id, avatar.user_id, avatar.id, photos) as kept:
            ordered = await avatars.add_photo(principal, avatar_id, msgspec.structs.replace(order, photos=kept))
        await commit_now(avatars.session)
        return await _answer(state, principal, ordered)

    @get("/{avatar_id:uuid}", operation_id="get_avatar", responses=refusals(Unauthorized, AvatarNotFound))
    async def get_avatar(
        self,
        avatars: NamedDependency[AvatarService],
        principal: NamedDependency[Principal],
        state: State,
        avatar_id: FromPath[UUID],
    ) -> Response[AvatarView]:
        """Ask again after `Retry-After` while it is pending or processing."""
        avatar = await avatars.get(principal, avatar_id)
        view = await _view(state, principal, avatar, await avatars.newest_job(avatar))
        return Response(view, headers=RETRY_AFTER if avatar.status == PENDING else {})

    @delete(
        "/{avatar_id:uuid}",
        operation_id="delete_avatar",
        status_code=200,
        responses=refusals(Unauthorized, AvatarNotFound),
    )
    async def delete_avatar(
        self, principal: NamedDependency[Principal], state: State, avatar_id: FromPath[UUID]
    ) -> Response[ErasureView]:
        """Rows are gone with this answer; objects too, or the receipt says that we are still at work."""
        async with state.database.transaction() as session:
            rows = await AvatarErasure(session, state.clock).erase(principal, avatar_id)
        return await _receipt(state, rows, avatar_id)


class ConsentController(Controller):
    path = "/v1/consents"
    guards = [shopper_only]  # noqa: RUF012  Litestar's own form
    security = SHOPPER_SECURITY
    tags = ["shoppers"]  # noqa: RUF012

    @delete(
        "/{consent_id:uuid}",
        operation_id="withdraw_consent",
        status_code=200,
        responses=refusals(Unauthorized, ConsentNotFound),
    )
    async def withdraw_consent(
        self, shopper: NamedDependency[ShopperContext], state: State, consent_id: FromPath[UUID]
    ) -> Response[ErasureView]:
        """What rested on it is erased."""
        async with state.database.transaction() as session:
            rows = await AvatarErasure(session, state.clock).withdraw(shopper, consent_id)
        return await _receipt(state, rows, consent_id)


async def _photos(
    request: Request[Any, Any, Any], photo: Any, photo_side: Any, version: str | None
) -> tuple[dict[str, Photo], Agreement | None]:
    if photo is None and photo_side is None:
        return {}, None
    if photo is None:
        raise InvalidRequest("A side photo needs the front one too.", field="photo")
    locale = request.headers.get("accept-language", "").split(",")[0].partition(";")[0].strip()[:35] or "und"
    agreement = Agreement(check_consent(version), locale)
    return await read_photos(photo, photo_side), agreement


def _hashes(photos: dict[str, Photo]) -> dict[str, str]:
    return {name: photo.sha256 for name, photo in photos.items()}


async def _user_id(session: AsyncSession, state: State, principal: Principal, user_ref: str | None) -> UUID:
    """A shopper is who the token says; a brand's server names its customer, or gets a new one each time."""
    if isinstance(principal, ShopperContext):
        if user_ref is not None:
            raise InvalidRequest("user_ref is for a brand's own server.", field="user_ref")
        return principal.user_id
    shoppers = ShopperService(session, state.clock, state.settings.token_signing_key)
    return (await shoppers.for_brand(principal.brand_id, user_ref)).id


async def _answer(state: State, principal: Principal, ordered: Ordered) -> Response[AvatarView]:
    avatar = ordered.avatar
    headers = {"Location": f"/v1/avatars/{avatar.id}"}
    return Response(
        await _view(state, principal, avatar, ordered.job),
        status_code=202 if ordered.is_new else 200,
        headers=headers | (RETRY_AFTER if avatar.status == PENDING else {}),
        background=BackgroundTask(state.wake),
    )


async def _view(state: State, principal: Principal, avatar: Avatar, job: Job | None) -> AvatarView:
    may_read = isinstance(principal, ShopperContext) or avatar.made_by == BY_BRAND
    is_running = avatar.status == PENDING and job is not None and job.state == states.RUNNING
    stage = job.stage if is_running and job else None
    signed = await _signed_glb(state, avatar) if may_read else None
    return AvatarView(
        id=avatar.id,
        status=msgspec.convert("processing" if is_running else avatar.status, Status),
        stage=stage,
        progress=1.0 if avatar.status == READY else STAGES.index(stage) / len(STAGES) if stage else 0.0,
        measurements=msgspec.convert(avatar.measurements, dict[str, Quantity]) if may_read else None,
        evidence=avatar.evidence if may_read else None,
        flags=avatar.flags if may_read else None,
        glb_url=signed.url if signed else None,
        glb_expires_at=signed.expires_at if signed else None,
        error=AvatarError(avatar.error_code, WORDS.get(avatar.error_code, WORDS_OF_A_FAULT))
        if avatar.error_code
        else None,
        waits_for=_waits_for(principal, job),
        consent_id=avatar.consent_id if may_read else None,
    )


def _waits_for(principal: Principal, job: Job | None) -> Literal["budget_exceeded"] | None:
    is_held = job is not None and job.state == states.QUEUED and job.hold == BUDGET_EXCEEDED
    return BUDGET_EXCEEDED if is_held and isinstance(principal, BrandContext) else None


async def _signed_glb(state: State, avatar: Avatar) -> SignedUrl | None:
    if avatar.glb_key is None:
        return None
    try:
        signed: SignedUrl = await state.store.signed_get_url(AVATARS.name, avatar.glb_key, ttl=GLB_LIFE)
    except ObjectNotFound:
        return None
    return signed


async def _receipt(state: State, rows: list[Erasure], subject_id: UUID) -> Response[ErasureView]:
    """Deletes after the commit; what the store does not do now, the sweeper does."""
    ids = [row.id for row in rows]
    eraser: Eraser = state.eraser
    await eraser.run(ids)
    async with state.database.transaction(read_only=True) as session:
        done = (await session.scalars(select(Erasure).where(Erasure.id.in_(ids)))).all()  # tenant: just asked for
    receipts = [row.receipt for row in done if row.receipt is not None]
    is_done = len(receipts) == len(ids)
    view = ErasureView(
        id=ids[0] if ids else subject_id,
        subject_type="avatar",
        subject_id=subject_id,
        requested_at=rows[0].requested_at if rows else state.clock.now(),
        done_at=state.clock.now() if is_done else None,
        receipts=receipts,
        not_covered=NOT_COVERED,
    )
    return Response(view, status_code=200 if is_done else 202, background=BackgroundTask(state.wake))
