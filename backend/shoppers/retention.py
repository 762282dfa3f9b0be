"""One-use codes live for a minute; their rows, which say whose page was opened where, do not stay much longer."""

from datetime import timedelta

from sqlalchemy import delete

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every
from backend.shoppers.models import EmbedCode

INTERVAL = timedelta(hours=1)


class CodeRetention:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._hourly = Every(INTERVAL, clock)

    async def run_if_due(self) -> int:
        """Once an hour; the first time at once. How many went."""
        if not self._hourly.is_due():
            return 0
        async with self.database.transaction() as session:
            gone = await session.scalars(
                delete(EmbedCode)  # tenant: the sweeper works for every brand
                .where(EmbedCode.expires_at <= self.clock.now())
                .returning(EmbedCode.id)
            )
            return len(gone.all())
