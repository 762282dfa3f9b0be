"""Which object store this service uses: a Supabase project where one is set, else a folder."""

from datetime import datetime, timedelta

import msgspec
import structlog

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.folder_store import FolderStore
from backend.core.storage import ObjectStore, StorageError
from backend.core.supabase_policies import look_at_policies
from backend.settings import Settings

log = structlog.get_logger()

LOOK_EVERY = timedelta(minutes=5)


def choose_store(settings: Settings, clock: Clock) -> ObjectStore:
    """Nothing of Supabase is loaded unless it is set: it costs a third of a second and 50 MB."""
    if not settings.supabase_url:
        return FolderStore(settings.objects_dir, settings.public_base_url, settings.storage_signing_key, clock)
    from backend.core.supabase_store import SupabaseStore  # noqa: PLC0415  loaded only where it is used

    return SupabaseStore(settings.supabase_url, settings.supabase_secret_key, clock)


class MadeBuckets(msgspec.Struct, frozen=True):
    buckets: list[str]
    row_level_security: str
    policies: list[str]
    """Of the project's storage: there should be none."""


async def make_buckets(settings: Settings, clock: Clock) -> MadeBuckets:
    """Bring the project's buckets into the wanted form, then look at them and at what locks them."""
    if not settings.supabase_url:
        raise ValueError("SUPABASE_URL is not set: the folder store makes its own folders.")
    from backend.core.supabase_store import SupabaseStore  # noqa: PLC0415  loaded only where it is used

    store = SupabaseStore(settings.supabase_url, settings.supabase_secret_key, clock)
    database = Database(settings.database_url, clock, pooled_by_transaction=settings.database_pooler == "transaction")
    try:
        done = await store.make_buckets()
        await store.check()
        locks = await look_at_policies(database)
    except StorageError as error:
        reason = str(error)
    else:
        return MadeBuckets([*done], locks.row_level_security, locks.policies)
    finally:
        await store.close()
        await database.close()
    raise ValueError(reason)


class StoreWatch:
    """Tells the operator that the store's set-up has changed under a running service."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._last = clock.now()

    async def run_if_due(self) -> int:
        """Every five minutes; the start has looked already."""
        now: datetime = self.clock.now()
        if now - self._last < LOOK_EVERY:
            return 0
        self._last = now
        try:
            await self.store.check()
        except StorageError as error:
            log.error("store.check_failed", fault=type(error).__name__, reason=str(error))  # noqa: TRY400
        return 0
