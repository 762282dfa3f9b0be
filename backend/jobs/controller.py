# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.problems import NotFound
from backend.jobs.answers import read_id
from backend.jobs.hints import take_hint

MAX_HINT_BYTES = 64_000


class HookNotFound(NotFound):
    code = "hook_not_found"
    title = "Hook not found"


class HookController(Controller):
    """Where the queue says that a job has ended. Only a hint: no body is believed, the address is the secret."""

    path = "/hooks/jobs"
    include_in_schema = False
    request_max_body_size = MAX_HINT_BYTES

    @post("/{attempt_id:uuid}/{token:str}", status_code=200)
    async def receive_hint(
        self,
        request: Request[Any, Any, Any],
        db_session: NamedDependency[AsyncSession],
        state: State,
        attempt_id: FromPath[UUID],
        token: FromPath[str],
    ) -> Response[None]:
        """Whatever the body, at most one look follows."""
        rp_id = read_id(await request.body())
        if not await take_hint(db_session, state.clock, attempt_id, token, rp_id):
            raise HookNotFound("There is nothing at this address.")
        return Response(None, status_code=200, background=BackgroundTask(state.wake))
