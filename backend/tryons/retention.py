"""Pictures of garments on bodies are kept for a week after the last look, then made anew when asked for."""

from datetime import timedelta

from sqlalchemy import select

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every
from backend.tryons.dressing import KEPT_FOR, Dressings
from backend.tryons.models import WornGarment

BATCH = 100
INTERVAL = timedelta(hours=1)


class WornRetention:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._hourly = Every(INTERVAL, clock)

    async def run_if_due(self) -> int:
        """Once an hour, the first time at once, and as long as there are more than went. How many went."""
        return await self.run() if self._hourly.is_due() else 0

    async def run(self) -> int:
        async with self.database.transaction(read_only=True) as session:
            found = await session.scalars(
                select(WornGarment.id)  # tenant: the sweeper works for every brand
                .where(WornGarment.last_used_at < self.clock.now() - KEPT_FOR, WornGarment.is_under_way.is_(False))
                .limit(BATCH)
            )
            ids = list(found.all())
        if len(ids) == BATCH:
            self._hourly.once_more()
        for worn_id in ids:
            async with self.database.transaction() as session:
                worn = await session.scalar(
                    select(WornGarment)  # tenant: named by the sweeper
                    .where(WornGarment.id == worn_id, WornGarment.last_used_at < self.clock.now() - KEPT_FOR)
                    .with_for_update()
                )
                if worn is not None:
                    await Dressings(session, self.clock).remove(worn.brand_id, [worn], "retention")
        return len(ids)
