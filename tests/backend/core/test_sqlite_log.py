"""What is erased is erased from the files too."""

from pathlib import Path

from sqlalchemy import delete, select

from backend.brands.models import Brand
from backend.core.db import Database
from backend.core.sqlite_log import SqliteLog
from tests.fakes import HandClock

MARK = "Atelier Nordlicht"


def times_written(database_file: Path) -> int:
    files = [Path(f"{database_file}{suffix}") for suffix in ("", "-wal")]
    return sum(file.read_bytes().count(MARK.encode()) for file in files if file.exists())


async def test_an_erased_row_is_in_no_file(sqlite_database: str, clock: HandClock) -> None:
    database = Database(sqlite_database, clock)
    file = Path(sqlite_database.removeprefix("sqlite+aiosqlite:///"))
    log = SqliteLog(database, clock)
    async with database.transaction() as session:
        session.add(Brand(name=MARK))
    await log.run_if_due()
    assert times_written(file) > 0
    async with database.transaction() as session:
        await session.execute(delete(Brand))
    clock.advance(minutes=10)
    await log.run_if_due()
    assert times_written(file) == 0
    await database.close()


async def test_a_reader_is_not_waited_for(sqlite_database: str, clock: HandClock) -> None:
    database = Database(sqlite_database, clock)
    async with database.transaction() as session:
        session.add(Brand(name=MARK))
    async with database.transaction(read_only=True) as reading:
        await reading.execute(select(Brand))
        await SqliteLog(database, clock).run_if_due()
    async with database.transaction() as session:
        await session.execute(delete(Brand))
    await database.close()
