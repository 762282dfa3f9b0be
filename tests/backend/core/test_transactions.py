"""One request is one transaction, committed before its answer leaves and before work that follows it."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from sqlalchemy import event, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, OperationalError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.models import ApiKey, Brand
from backend.core import problems
from backend.core.db import Database, commit_now, insert_new, provide_session
from backend.settings import Settings
from backend.shoppers.models import Consent, Shopper
from tests.factories import Given
from tests.fakes import HandClock


async def names(database: Database) -> list[str]:
    async with database.transaction(read_only=True) as session:
        return list(await session.scalars(select(Brand.name).order_by(Brand.id)))


def serve(database: Database, *handlers: Any) -> httpx.AsyncClient:
    """A small service around the same database."""
    service = Litestar(
        handlers,
        plugins=[problems.plugin()],
        dependencies={"db_session": Provide(provide_session)},
        state=State({"database": database}),
        openapi_config=None,
    )
    transport = httpx.ASGITransport(app=service, raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://small.test")


class TestRequest:
    async def test_commit_comes_before_the_background_task(self, app: Litestar) -> None:
        database: Database = app.state.database
        order: list[str] = []
        event.listen(database.engine.sync_engine, "commit", lambda _: order.append("commit"))

        async def after() -> None:
            order.append(f"background sees {await names(database)}")

        @post("/", status_code=202)
        async def create(db_session: NamedDependency[AsyncSession]) -> Response[None]:
            db_session.add(Brand(name="A"))
            await db_session.flush()
            order.append("handler")
            return Response(None, status_code=202, background=BackgroundTask(after))

        async with serve(database, create) as http:
            assert (await http.post("/")).status_code == 202
        assert order[:2] == ["handler", "commit"]
        assert order[-1] == "background sees ['A']"

    async def test_failing_handler_leaves_nothing(self, app: Litestar) -> None:
        database: Database = app.state.database

        @post("/")
        async def create(db_session: NamedDependency[AsyncSession]) -> None:
            db_session.add(Brand(name="A"))
            await db_session.flush()
            raise RuntimeError("fault")

        async with serve(database, create) as http:
            assert (await http.post("/")).status_code == 500
        assert await names(database) == []

    async def test_a_refusal_is_the_answer_though_the_database_goes_away_before_the_rollback(
        self, app: Litestar
    ) -> None:
        """Nothing was committed: there is nothing else to tell."""
        database: Database = app.state.database

        @post("/", status_code=200)
        async def refuse(db_session: NamedDependency[AsyncSession]) -> None:
            db_session.add(Brand(name="A"))
            await db_session.flush()
            raise problems.NotFound("There is nothing at this address.")

        def go_away(_: object) -> None:
            event.remove(database.engine.sync_engine, "rollback", go_away)
            raise OperationalError("ROLLBACK", {}, Exception("server closed the connection"))

        event.listen(database.engine.sync_engine, "rollback", go_away)
        async with serve(database, refuse) as http:
            assert (await http.post("/")).status_code == 404
        assert await names(database) == []

    async def test_failing_commit_is_the_answer(self, app: Litestar) -> None:
        database: Database = app.state.database

        @post("/")
        async def create(db_session: NamedDependency[AsyncSession]) -> dict[str, str]:
            db_session.add(
                ApiKey(
                    brand_id=UUID(int=1),
                    label="",
                    prefix="",
                    last_four="",
                    secret_sha256="",
                    expires_at=datetime.max.replace(tzinfo=UTC),
                )
            )
            return {"said": "done"}

        async with serve(database, create) as http:
            answer = await http.post("/")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    async def test_reading_request_does_not_wait_for_a_writer(self, app: Litestar) -> None:
        database: Database = app.state.database

        @get("/")
        async def read(db_session: NamedDependency[AsyncSession]) -> int:
            return len((await db_session.scalars(select(Brand.id))).all())

        async with database.transaction() as writer, serve(database, read) as http:
            writer.add(Brand(name="A"))
            await writer.flush()
            assert (await asyncio.wait_for(http.get("/"), 2)).json() == 0


class TestTransaction:
    async def test_two_that_read_then_write_follow_one_another(self, app: Litestar, given: Given) -> None:
        """On SQLite a plain BEGIN would refuse the second at once, whatever the busy timeout."""
        database: Database = app.state.database
        brand = await given.brand()

        async def take_a_day() -> None:
            async with database.transaction() as session:
                statement = select(Brand).where(Brand.id == brand.id).with_for_update()
                row = (await session.scalars(statement)).one()
                await asyncio.sleep(0.02)
                row.retention_days -= 1

        await asyncio.gather(*(take_a_day() for _ in range(4)))
        async with database.transaction(read_only=True) as session:
            assert (await session.get_one(Brand, brand.id)).retention_days == 26

    async def test_row_that_points_into_another_brand_is_refused_by_the_database(
        self, app: Litestar, given: Given
    ) -> None:
        database: Database = app.state.database
        mine, theirs = await given.brand(), await given.brand()
        shopper = await given.shopper(theirs)
        with pytest.raises(IntegrityError):
            async with database.transaction() as session:
                session.add(
                    Consent(
                        brand_id=mine.id, user_id=shopper.id, version="1", purpose="photo", locale="en",
                        given_at=given.clock.now(),
                    )
                )  # fmt: skip


class TestColumns:
    async def test_time_keeps_its_instant(self, app: Litestar, given: Given, clock: HandClock) -> None:
        database: Database = app.state.database
        brand = await given.brand()
        tokyo = datetime.fromisoformat("2026-03-02T12:00:00+09:00")
        async with database.transaction() as session:
            (await session.get_one(Brand, brand.id)).uninstalled_at = tokyo
        async with database.transaction() as session:
            row = await session.get_one(Brand, brand.id)
            assert row.uninstalled_at == tokyo
            assert row.uninstalled_at is not None
            assert row.uninstalled_at.tzinfo is UTC
            assert row.created_at == row.updated_at == clock.now()

    async def test_time_without_a_zone_is_refused(self, app: Litestar) -> None:
        with pytest.raises(StatementError, match="zone"):
            async with app.state.database.transaction() as session:
                session.add(Brand(name="A", uninstalled_at=datetime(2026, 1, 1)))  # noqa: DTZ001  the point

    async def test_change_moves_updated_at(self, app: Litestar, given: Given, clock: HandClock) -> None:
        brand = await given.brand()
        made = clock.now()
        clock.advance(hours=1)
        async with app.state.database.transaction() as session:
            (await session.get_one(Brand, brand.id)).name = "B"
        async with app.state.database.transaction() as session:
            row = await session.get_one(Brand, brand.id)
            assert (row.created_at, row.updated_at) == (made, clock.now())

    async def test_nan_is_refused_on_both_engines(self, app: Litestar) -> None:
        with pytest.raises((StatementError, ValueError)):
            async with app.state.database.transaction() as session:
                session.add(Brand(name="A", allowed_origins=[float("nan")]))

    async def test_ids_are_version_7_and_in_order(self, given: Given) -> None:
        made = [(await given.brand()).id for _ in range(5)]
        assert {one.version for one in made} == {7}
        assert made == sorted(made)

    async def test_text_longer_than_allowed_is_refused_by_the_database(self, app: Litestar) -> None:
        with pytest.raises(IntegrityError):
            async with app.state.database.transaction() as session:
                session.add(Brand(name="x" * 201))


class TestInsertNew:
    async def test_repeats_are_left_alone(self, app: Litestar, given: Given) -> None:
        brand = await given.brand()
        now = given.clock.now()

        def row(number: int) -> dict[str, object]:
            return {
                "id": UUID(int=number), "brand_id": brand.id, "external_ref": f"ref-{number % 2}",
                "created_at": now, "updated_at": now,
            }  # fmt: skip

        async with app.state.database.transaction() as session:
            inserted = [
                await insert_new(
                    session, Shopper, rows, unique=("brand_id", "external_ref"), returning=Shopper.external_ref
                )
                for rows in ([row(1)], [row(2), row(3)], [])
            ]
        assert inserted == [["ref-1"], ["ref-0"], []]


class TestEngine:
    async def test_connections_are_set_up(self, app: Litestar) -> None:
        database: Database = app.state.database
        if database.dialect != "sqlite":
            async with database.transaction(read_only=True) as session:
                assert await session.scalar(text("SHOW application_name")) == "tryon"
            return
        async with database.transaction(read_only=True) as session:
            pragmas = [
                (await session.scalar(text(f"PRAGMA {name}")))
                for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
            ]
        assert pragmas == ["wal", 1, 5000, 1]

    async def test_unreachable_database_is_a_refusal_that_may_be_repeated(
        self, settings: Settings, clock: HandClock
    ) -> None:
        database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", clock)

        @get("/")
        async def read(db_session: NamedDependency[AsyncSession]) -> None:
            await db_session.execute(text("SELECT 1"))

        async with serve(database, read) as http:
            answer = await http.get("/")
        await database.close()
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert OperationalError.__name__ not in answer.text


class TestTurnsToWrite:
    """SQLite's one writer, among those of this process."""

    @pytest.fixture
    def database_url(self, sqlite_database: str) -> str:
        return sqlite_database

    @pytest.fixture
    def database(self, app: Litestar) -> Database:
        """That SQLite itself never waits shows who does."""
        database: Database = app.state.database
        event.listen(database.engine.sync_engine, "connect", _wait_for_nobody)
        return database

    async def test_however_many_come_at_once_each_has_its_own(self, database: Database) -> None:
        writing: list[str] = []

        async def write(name: str) -> None:
            async with database.transaction() as session:
                session.add(Brand(name=name))
                await session.flush()
                writing.append(name)
                await asyncio.sleep(0.001)
                assert writing == [name]
                writing.clear()

        wanted = [f"brand {number}" for number in range(12)]
        await asyncio.gather(*(write(name) for name in wanted))
        assert sorted(await names(database)) == sorted(wanted)

    @pytest.mark.parametrize("fault", [ValueError(), asyncio.CancelledError()])
    async def test_one_that_fails_is_over(self, database: Database, fault: BaseException) -> None:
        async def fail() -> None:
            async with database.transaction() as session:
                session.add(Brand(name="never"))
                await session.flush()
                raise fault

        with pytest.raises(type(fault)):
            await fail()
        async with database.transaction() as session:
            session.add(Brand(name="B"))
        assert await names(database) == ["B"]

    async def test_one_inside_another_is_refused_and_does_not_wait_for_itself(self, database: Database) -> None:
        async with database.transaction() as outer:
            outer.add(Brand(name="A"))
            await outer.flush()
            with pytest.raises(RuntimeError, match="inside another"):
                async with database.transaction() as inner:
                    await inner.execute(text("UPDATE brands SET name = 'B'"))
        assert await names(database) == ["A"]

    async def test_readers_wait_for_nobody(self, database: Database) -> None:
        async with database.transaction() as session:
            session.add(Brand(name="A"))
            await session.flush()
            assert await names(database) == []

    async def test_a_request_that_has_committed_lets_the_next_one_in(self, database: Database) -> None:
        async with database.transaction() as session:
            session.add(Brand(name="A"))
            await commit_now(session)
            async with database.transaction() as other:
                other.add(Brand(name="B"))
            with pytest.raises(InvalidRequestError):
                await session.execute(text("SELECT 1"))
        assert await names(database) == ["A", "B"]


def _wait_for_nobody(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=0")
    cursor.close()
