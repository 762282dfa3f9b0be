# No `from __future__ import annotations` here: Litestar reads annotations at run time.
import msgspec
from litestar import Controller, get
from litestar.datastructures import State
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.core.db import Database
from backend.core.problems import Unavailable, refusals
from backend.core.storage import ObjectStore, StorageError


class Health(msgspec.Struct, frozen=True):
    status: str


class HealthController(Controller):
    tags = ["operator"]  # noqa: RUF012  Litestar's own form

    @get("/health", operation_id="get_health")
    async def get_health(self) -> Health:
        """The process answers."""
        return Health("ok")

    @get("/ready", operation_id="get_readiness", responses=refusals(Unavailable))
    async def get_readiness(self, state: State) -> Health:
        """Database and store answer too: send traffic."""
        database: Database = state.database
        store: ObjectStore = state.store
        if not state.sees_jobs_through():
            raise Unavailable("Nobody has looked after jobs here for a while.")
        try:
            async with database.transaction(read_only=True) as session:
                await session.execute(text("SELECT 1"))
            await store.check()
        except (SQLAlchemyError, StorageError) as error:
            raise Unavailable("The database or the object store does not answer.") from error
        return Health("ready")
