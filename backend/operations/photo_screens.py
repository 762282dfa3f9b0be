"""That somebody is about to take a photo: known a moment before it comes, so that a worker may be warm by then."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.operations.models import PHOTO_SCREEN, PhotoScreen

RESOLUTION = timedelta(seconds=20)
"""Of many who come at once one is noted: all of them want the same worker."""


class PhotoScreens:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def opened(self) -> None:
        """Nothing of the shopper is kept."""
        now, before = self._clock.now(), await self.last_opened_at()
        if before is not None and now - before < RESOLUTION:
            return
        row = {"id": uuid7(), "screen": PHOTO_SCREEN, "opened_at": now, "created_at": now, "updated_at": now}
        async with self._database.transaction() as session:
            if await insert_new(session, PhotoScreen, [row], unique=("screen",), returning=PhotoScreen.id):
                return
            await session.execute(
                update(PhotoScreen)
                .where(PhotoScreen.screen == PHOTO_SCREEN, PhotoScreen.opened_at < now)
                .values(opened_at=now, updated_at=now)
            )

    async def last_opened_at(self) -> datetime | None:
        async with self._database.transaction(read_only=True) as session:
            opened_at: datetime | None = await session.scalar(
                select(PhotoScreen.opened_at).where(PhotoScreen.screen == PHOTO_SCREEN)
            )
            return opened_at
