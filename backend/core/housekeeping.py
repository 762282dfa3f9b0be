"""The backstop under every promise about deletion: looks at the store itself, whatever the rows say."""

from datetime import timedelta

import structlog

from backend.core.clock import Clock
from backend.core.loops import Every
from backend.core.storage import PHOTOS, ObjectStore

log = structlog.get_logger()

MAX_PHOTO_AGE = timedelta(hours=24)
INTERVAL = timedelta(hours=1)


class Housekeeping:
    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._hourly = Every(INTERVAL, clock)

    async def run_if_due(self) -> int:
        """Once an hour; the first time at once."""
        return await self.run() if self._hourly.is_due() else 0

    async def run(self) -> int:
        """Photos that outlived their job by a day, and what a crash left in the store; how many went."""
        oldest_kept = self.clock.now() - MAX_PHOTO_AGE
        photos = [one async for one in self.store.list(PHOTOS.name, "") if one.modified_at < oldest_kept]
        for photo in photos:
            await self.store.delete(PHOTOS.name, photo.key)
        if photos:
            log.warning("photos.overdue_deleted", count=len(photos))
        return len(photos) + await self.store.collect_garbage()
