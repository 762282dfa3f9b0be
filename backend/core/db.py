"""Engine, transactions and the base of every model.

One request or one job step is one transaction: `Database.transaction` commits at its end, feature code never does.
SQLite takes its single write lock at the start of a write transaction (`BEGIN IMMEDIATE`), because a later upgrade
from reading to writing fails at once whatever the busy timeout says.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from litestar import Request
from litestar.datastructures import State
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, MetaData, Text, UniqueConstraint, Uuid, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.util import await_only
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.columns import UtcDateTime

SQLITE_PATIENCE = "busy_timeout=5000"
SQLITE_PRAGMAS = ("journal_mode=WAL", "foreign_keys=ON", SQLITE_PATIENCE, "synchronous=NORMAL", "secure_delete=ON")
POSTGRES_CONNECT_TIMEOUT_S = 5
POSTGRES_POOL = {"pool_size": 10, "max_overflow": 0, "pool_pre_ping": True, "pool_recycle": 300}
READ_ONLY = "tryon_read_only"
WRITES = "tryon_writes"
WRITE_PATIENCE_S = 30
"""Then the request is answered 503, as where the pool has no connection for so long."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

T = TypeVar("T")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {UUID: Uuid, datetime: UtcDateTime, str: Text}  # noqa: RUF012  SQLAlchemy's own form


class Row(Base):
    """Every table: a time-ordered id and two times set by the app's clock, never by the database's."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-4)
    created_at: Mapped[datetime] = mapped_column(sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(sort_order=91)


class BrandOwned(Row):
    """A table whose rows belong to a tenant; no query reads it without `brand_id` (tests hold that)."""

    __abstract__ = True

    brand_id: Mapped[UUID] = mapped_column(sort_order=-3)


def tenant_root() -> ForeignKeyConstraint:
    """`brand_id` points at the tenant; part of every brand-owned table."""
    return ForeignKeyConstraint(["brand_id"], ["brands.id"])


def tenant_key() -> UniqueConstraint:
    """What makes a brand-owned table a possible parent: children point at (brand_id, id)."""
    return UniqueConstraint("brand_id", "id")


def tenant_ref(column: str, parent: str) -> ForeignKeyConstraint:
    """A reference to another brand-owned table, which the database itself refuses across tenants."""
    return ForeignKeyConstraint(["brand_id", column], [f"{parent}.brand_id", f"{parent}.id"])


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """A status as text with a named check: native enums are hard to migrate and absent on SQLite."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def at_most(column: str, length: int) -> CheckConstraint:
    """A length limit that SQLite keeps too; it ignores VARCHAR(n)."""
    return CheckConstraint(f"length({column}) <= {length}", name=f"{column}_length")


class Database:
    """The engine and its transactions; made once by `create_app`, closed by its lifespan."""

    def __init__(self, url: str, clock: Clock, *, pooled_by_transaction: bool = False) -> None:
        self.engine = _create_engine(url, pooled_by_transaction=pooled_by_transaction)
        self._readers = self.engine.execution_options(**{READ_ONLY: True})
        self.clock = clock

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
        """Commit at the end, roll back on any exception. No network call belongs inside.

        A rollback that fails because the database has gone away undoes all the same: the exception stays the caller's.
        """
        bind = self._readers if read_only else self.engine
        session = AsyncSession(bind, expire_on_commit=False, info={"clock": self.clock})
        fault: BaseException | None = None
        try:
            async with session, session.begin():
                try:
                    yield session
                except BaseException as error:
                    fault = error
                    raise
        except DBAPIError:
            if fault is None:
                raise
            raise fault  # noqa: B904  the rollback's own stands in its context

    async def close(self) -> None:
        await self.engine.dispose()


async def insert_new(
    session: AsyncSession,
    model: type[Row],
    rows: Sequence[Mapping[str, object]],
    *,
    unique: tuple[str, ...],
    returning: InstrumentedAttribute[T],
) -> list[T]:
    """Insert what is new by the columns of `unique`, in silence about the rest; gives `returning` of the new rows.

    No `unique` means any constraint of the table. Unlike a failed insert this leaves the transaction usable. Times are
    the caller's to set.
    """
    if not rows:
        return []
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(model).on_conflict_do_nothing(index_elements=list(unique) or None).returning(returning)
    return list((await session.scalars(statement, rows)).all())


async def provide_session(request: Request[Any, Any, Any], state: State) -> AsyncGenerator[AsyncSession, None]:
    """The request's transaction: committed after the handler returned and before its answer leaves.

    So a background task starts after the commit, and a commit that fails becomes the answer.
    """
    database: Database = state.database
    async with database.transaction(read_only=request.method in SAFE_METHODS) as session:
        yield session


async def commit_now(session: AsyncSession) -> None:
    """The transaction of a request is over before its handler is: the store, or another network, is asked next.

    No row is locked meanwhile; the session refuses any further statement.
    """
    await session.commit()


def _create_engine(url: str, *, pooled_by_transaction: bool) -> AsyncEngine:
    common: dict[str, Any] = {"json_serializer": strict_json, "hide_parameters": True}  # errors are logged: no values
    if url.startswith("sqlite"):
        engine = create_async_engine(url, **common)
        turns = _WriteTurns()
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", turns.begin)
        event.listen(engine.sync_engine, "checkin", turns.end)
        return engine
    connect: dict[str, Any] = {"connect_timeout": POSTGRES_CONNECT_TIMEOUT_S, "application_name": "tryon"}
    if pooled_by_transaction:
        connect["prepare_threshold"] = None
        return create_async_engine(url, **common, connect_args=connect, poolclass=NullPool)
    return create_async_engine(url, **common, connect_args=connect, **POSTGRES_POOL)


def strict_json(value: object) -> str:
    """NaN would pass on SQLite and fail on Postgres; refuse it on both."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class _WriteTurns:
    """SQLite has one writer. Those of this process take turns in the order they came.

    SQLite's own wait is by luck: of sixty writers that come again and again, some find the lock taken for five seconds,
    and are told "database is locked". With turns, one of each process waits there, and short transactions let it in.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._writer: asyncio.Task[Any] | None = None

    def begin(self, connection: Connection) -> None:
        if connection.get_execution_options().get(READ_ONLY, False):
            connection.exec_driver_sql("BEGIN")
            return
        await_only(self._take())
        connection.info[WRITES] = True
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def end(self, _: object, record: ConnectionPoolEntry) -> None:
        """The connection is back in the pool: committed or not, its transaction is over."""
        if record.info.pop(WRITES, False):
            self._writer = None
            self._lock.release()

    async def _take(self) -> None:
        task = asyncio.current_task()
        if self._writer is task:
            raise RuntimeError("A write transaction inside another would wait for itself.")
        try:
            async with asyncio.timeout(WRITE_PATIENCE_S):
                await self._lock.acquire()
        except TimeoutError as error:
            raise PoolTimeout("No turn to write came in time.") from error
        self._writer = task


@event.listens_for(Session, "before_flush")
def _stamp_times(session: Session, _context: object, _instances: object) -> None:
    clock: Clock | None = session.info.get("clock")
    if clock is None:
        return
    now = clock.now()
    for row in session.new:
        if isinstance(row, Row) and row.created_at is None:
            row.created_at = row.updated_at = now
    for row in session.dirty:
        if isinstance(row, Row) and session.is_modified(row):
            row.updated_at = now
