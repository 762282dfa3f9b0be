"""The backstop under every promise about deletion: looks at the store itself, whatever the rows say."""

from datetime import timedelta

import structlog

from backend.core.clock import Clock
from backend.core.loops import Every
from backend.core.storage import PHOTOS, ObjectStore

log = structlog.get_logger()

INTERVAL = timedelta(minutes=10)
MAX_PHOTO_AGE = timedelta(hours=24) - 2 * INTERVAL
"""When it is looked at; so none is older than a day at any time, and one look may fail."""
GARBAGE_INTERVAL = timedelta(hours=1)


class Housekeeping:
    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._now_and_then = Every(INTERVAL, clock)
        self._hourly = Every(GARBAGE_INTERVAL, clock)

    async def run_if_due(self) -> int:
        """Photos every ten minutes, what a crash left every hour; the first time at once. How many went."""
        gone = await self._drop_photos() if self._now_and_then.is_due() else 0
        return gone + (await self.store.collect_garbage() if self._hourly.is_due() else 0)

    async def _drop_photos(self) -> int:
        """Those that outlived their job by a day."""
        oldest_kept = self.clock.now() - MAX_PHOTO_AGE
        photos = [one async for one in self.store.list(PHOTOS.name, "") if one.modified_at < oldest_kept]
        for photo in photos:
            await self.store.delete(PHOTOS.name, photo.key)
        if photos:
            log.warning("photos.overdue_deleted", count=len(photos))
        return len(photos)
