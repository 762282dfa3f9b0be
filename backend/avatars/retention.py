"""Figures and measurements unused for as long as the brand keeps them: gone as if the shopper had asked."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select

from backend.avatars.erase import AvatarErasure
from backend.avatars.models import Avatar
from backend.brands.models import Brand
from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.loops import Every

log = structlog.get_logger()

INTERVAL = timedelta(hours=1)
BATCH = 100
"""For each brand and round; the rest follow in the next one."""


class AvatarRetention:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._hourly = Every(INTERVAL, clock)

    async def run_if_due(self) -> int:
        """Once an hour, the first time at once, and as long as there are more than went. How many went."""
        return await self.run() if self._hourly.is_due() else 0

    async def run(self) -> int:
        async with self.database.transaction(read_only=True) as session:
            brands = (await session.execute(select(Brand.id, Brand.retention_days))).all()
        went = [await self._run_for(brand_id, self.clock.now() - timedelta(days=days)) for brand_id, days in brands]
        if any(number == BATCH for number in went):
            self._hourly.once_more()
        gone = sum(went)
        if gone:
            log.info("avatars.retention_over", count=gone)
        return gone

    async def _run_for(self, brand_id: UUID, unused_since: datetime) -> int:
        overdue = (
            select(Avatar.id)
            .where(Avatar.brand_id == brand_id, Avatar.last_used_at < unused_since)
            .order_by(Avatar.last_used_at)
            .limit(BATCH)
        )
        async with self.database.transaction(read_only=True) as session:
            ids = (await session.scalars(overdue)).all()
        for avatar_id in ids:
            async with self.database.transaction() as session:
                avatar = await session.scalar(
                    select(Avatar)
                    .where(Avatar.brand_id == brand_id, Avatar.id == avatar_id, Avatar.last_used_at < unused_since)
                    .with_for_update()
                )
                if avatar is not None:  # nobody has come back to it meanwhile
                    await AvatarErasure(session, self.clock).erase_found(avatar, reason="retention")
        return len(ids)
