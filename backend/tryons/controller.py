# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.errors import AvatarNotFound
from backend.avatars.models import BY_BRAND, Avatar
from backend.core.auth import EITHER_SECURITY, Principal, ShopperContext, brand_or_shopper
from backend.core.problems import InvalidRequest, Unauthorized, refusals
from backend.garments.errors import GarmentNotFound
from backend.tryons.errors import SessionNotFound, UnknownSize
from backend.tryons.models import TryonSession
from backend.tryons.schemas import NewTryonSession, SessionChanges, TryonSessionView
from backend.tryons.service import TryonService


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
        data: JSONBody[NewTryonSession],
    ) -> Response[TryonSessionView]:
        """The size at once, from what is known of the body now; judged anew when more is known."""
        tryon, avatar = await tryons.create(principal, data)
        return Response(
            _view(principal, tryon, avatar),
            status_code=201,
            headers={"Location": f"/v1/tryon-sessions/{tryon.id}"},
        )

    @get("/{session_id:uuid}", operation_id="get_tryon_session", responses=refusals(Unauthorized, SessionNotFound))
    async def get_tryon_session(
        self, tryons: NamedDependency[TryonService], principal: NamedDependency[Principal], session_id: FromPath[UUID]
    ) -> TryonSessionView:
        return _view(principal, *await tryons.get(principal, session_id))

    @patch(
        "/{session_id:uuid}",
        operation_id="change_tryon_session",
        responses=refusals(Unauthorized, SessionNotFound, InvalidRequest, UnknownSize),
    )
    async def change_tryon_session(
        self,
        tryons: NamedDependency[TryonService],
        principal: NamedDependency[Principal],
        session_id: FromPath[UUID],
        data: JSONBody[SessionChanges],
    ) -> TryonSessionView:
        """Which size the shopper looks at."""
        return _view(principal, *await tryons.select_size(principal, session_id, data.selected_size))


def _view(principal: Principal, tryon: TryonSession, avatar: Avatar) -> TryonSessionView:
    shows_body = isinstance(principal, ShopperContext) or avatar.made_by == BY_BRAND
    return TryonSessionView.of(tryon, shows_body=shows_body)
