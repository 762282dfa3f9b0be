# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from datetime import timedelta
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.errors import AvatarNotFound
from backend.avatars.models import BY_BRAND
from backend.core.auth import EITHER_SECURITY, Principal, ShopperContext, brand_or_shopper
from backend.core.db import commit_now
from backend.core.problems import InvalidRequest, Unauthorized, refusals
from backend.core.storage import AVATARS, ObjectNotFound, SignedUrl
from backend.garments.errors import GarmentNotFound
from backend.tryons.errors import SessionNotFound, UnknownSize
from backend.tryons.models import WornGarment
from backend.tryons.schemas import NewTryonSession, SessionChanges, TryonSessionView
from backend.tryons.service import Looked, TryonService

GLB_LIFE = timedelta(minutes=15)
RETRY_AFTER = {"Retry-After": "1"}


async def provide_tryons(db_session: NamedDependency[AsyncSession], state: State) -> TryonService:
    return TryonService(db_session, state.clock)


class TryonController(Controller):
    path = "/v1/tryon-sessions"
    dependencies = {"tryons": Provide(provide_tryons)}  # noqa: RUF012  Litestar's own form
    guards = [brand_or_shopper]  # noqa: RUF012
    security = EITHER_SECURITY
    tags = ["try-ons"]  # noqa: RUF012

    @post(
        operation_id="create_tryon_session",
        responses=refusals(Unauthorized, AvatarNotFound, GarmentNotFound, InvalidRequest, UnknownSize),
    )
    async def create_tryon_session(
        self,
        tryons: NamedDependency[TryonService],
        principal: NamedDependency[Principal],
        state: State,
        data: JSONBody[NewTryonSession],
    ) -> Response[TryonSessionView]:
        """The size at once, from what is known of the body now; the garment on the body follows, once it has a mesh."""
        looked = await tryons.create(principal, data)
        await commit_now(tryons.session)
        wake = BackgroundTask(state.wake)
        return await _answer(state, principal, looked, status_code=HTTP_201_CREATED, background=wake)

    @get("/{session_id:uuid}", operation_id="get_tryon_session", responses=refusals(Unauthorized, SessionNotFound))
    async def get_tryon_session(
        self,
        tryons: NamedDependency[TryonService],
        principal: NamedDependency[Principal],
        state: State,
        session_id: FromPath[UUID],
    ) -> Response[TryonSessionView]:
        """Ask again after `Retry-After` while the garment is being put on."""
        return await _answer(state, principal, await tryons.get(principal, session_id))

    @patch(
        "/{session_id:uuid}",
        operation_id="change_tryon_session",
        responses=refusals(Unauthorized, SessionNotFound, InvalidRequest, UnknownSize),
    )
    async def change_tryon_session(
        self,
        tryons: NamedDependency[TryonService],
        principal: NamedDependency[Principal],
        state: State,
        session_id: FromPath[UUID],
        data: JSONBody[SessionChanges],
    ) -> Response[TryonSessionView]:
        """Which size the shopper looks at; it is draped as cloth too, if it is not yet."""
        looked = await tryons.select_size(principal, session_id, data.selected_size)
        await commit_now(tryons.session)
        return await _answer(state, principal, looked, background=BackgroundTask(state.wake))


async def _answer(
    state: State,
    principal: Principal,
    looked: Looked,
    *,
    status_code: int = HTTP_200_OK,
    background: BackgroundTask | None = None,
) -> Response[TryonSessionView]:
    tryon, avatar, worn = looked
    shows_body = isinstance(principal, ShopperContext) or avatar.made_by == BY_BRAND
    signed = await _signed(state, worn) if worn and shows_body else None
    view = TryonSessionView.of(tryon, worn, signed, shows_body=shows_body)
    headers = {"Location": f"/v1/tryon-sessions/{tryon.id}"} if status_code == HTTP_201_CREATED else {}
    return Response(
        view,
        status_code=status_code,
        headers=headers | (RETRY_AFTER if view.is_dressing else {}),
        background=background,
    )


async def _signed(state: State, worn: WornGarment) -> SignedUrl | None:
    if worn.worn_key is None:
        return None
    try:
        signed: SignedUrl = await state.store.signed_get_url(AVATARS.name, worn.worn_key, ttl=GLB_LIFE)
    except ObjectNotFound:
        return None
    return signed
