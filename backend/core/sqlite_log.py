"""SQLite's log keeps what was written, erased rows too, until it is overwritten: it is emptied now and then."""

from datetime import timedelta

from backend.core.clock import Clock
from backend.core.db import SQLITE_PATIENCE, Database
from backend.core.loops import Every

INTERVAL = timedelta(minutes=10)
PATIENCE_MS = 200
"""Others wait meanwhile; what does not work now works in ten minutes."""


class SqliteLog:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._now_and_then = Every(INTERVAL, clock)

    async def run_if_due(self) -> int:
        """Every ten minutes; the first time at once. Nothing to do on Postgres."""
        if self.database.dialect == "sqlite" and self._now_and_then.is_due():
            await self._empty()
        return 0

    async def _empty(self) -> None:
        """Outside of any transaction, which is why the driver itself is asked."""
        async with self.database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            if driver is None:
                raise LookupError("An open connection has a driver's connection.")
            for pragma in (f"busy_timeout={PATIENCE_MS}", "wal_checkpoint(TRUNCATE)", SQLITE_PATIENCE):
                await (await driver.execute(f"PRAGMA {pragma}")).close()
