"""Objects to be deleted: asked for in the transaction that makes them unwanted, done after its commit, then proven."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.storage import ObjectNotFound, ObjectStore, StorageError
from backend.shoppers.models import Erasure

log = structlog.get_logger()

BATCH = 50
LEASE = timedelta(seconds=30)
LAST_UPLOAD = timedelta(hours=2, minutes=5)
"""An upload address signed a moment ago has run out by then: Supabase's live for two hours, whatever is asked."""
FIRST_BACKOFF, MAX_BACKOFF = timedelta(seconds=1), timedelta(minutes=10)


class StillThere(Exception):
    """The store answered the deletion and has the object all the same."""


class ErasureService:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    def request(
        self,
        brand_id: UUID,
        bucket: str,
        target: Literal["object", "prefix"],
        key: str,
        *,
        reason: str,
        subject: tuple[str, UUID],
        not_before: datetime | None = None,
        repeat_after: datetime | None = None,
    ) -> Erasure:
        """`not_before`: the sweeper leaves it alone until then. `repeat_after`: an upload address lives until then and
        could bring the object back.
        """
        now = self.clock.now()
        row = Erasure(
            brand_id=brand_id,
            bucket=bucket,
            target=target,
            key=key,
            reason=reason,
            subject_type=subject[0],
            subject_id=subject[1],
            requested_at=now,
            repeat_after=repeat_after,
            next_try_at=not_before or now,
        )
        self.session.add(row)
        return row


class Eraser:
    """Runs what is due; safe to run in several processes at once."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self.database = database
        self.store = store
        self.clock = clock

    async def run_due(self) -> int:
        async with self.database.transaction(read_only=True) as session:
            due = await session.scalars(
                select(Erasure.id)  # tenant: the operator's sweeper works for every brand
                .where(Erasure.done_at.is_(None), Erasure.next_try_at <= self.clock.now())
                .order_by(Erasure.next_try_at)
                .limit(BATCH)
            )
            ids = list(due.all())
        for erasure_id in ids:
            await self._run_one(erasure_id)
        return len(ids)

    async def run(self, erasure_ids: Iterable[UUID]) -> None:
        """What the caller asked for a moment ago: the first try is its own, due or not."""
        for erasure_id in erasure_ids:
            await self._run_one(erasure_id)

    async def _run_one(self, erasure_id: UUID) -> None:
        row = await self._claim(erasure_id)
        if row is None:
            return
        try:
            deleted = await self._delete(row)
        except (StorageError, StillThere) as error:
            log.warning("erasure.failed", erasure_id=str(row.id), attempts=row.attempts, fault=type(error).__name__)
            return
        await self._record(row, deleted)

    async def _claim(self, erasure_id: UUID) -> Erasure | None:
        """The next try is put off first, so that a crash in the middle only costs time."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            row = await session.scalar(
                select(Erasure).where(Erasure.id == erasure_id)  # tenant: named by the sweeper or its own receipt
            )
            if row is None or row.done_at is not None or (row.attempts and row.next_try_at > now):
                return None
            wait = max(LEASE, min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** min(row.attempts, 10)))
            claimed = await session.execute(
                update(Erasure)
                .where(Erasure.brand_id == row.brand_id, Erasure.id == row.id, Erasure.attempts == row.attempts)
                .values(attempts=row.attempts + 1, next_try_at=now + wait, updated_at=now)
                .returning(Erasure.id)
            )
            return row if claimed.one_or_none() else None

    async def _delete(self, row: Erasure) -> int:
        """How many objects were there; the store is asked afterwards whether they are gone."""
        if row.target == "prefix":
            deleted = await self.store.delete_prefix(row.bucket, row.key)
            async for _ in self.store.list(row.bucket, row.key):
                raise StillThere
            return deleted
        deleted = int(await self.store.delete(row.bucket, row.key))
        try:
            await self.store.stat(row.bucket, row.key)
        except ObjectNotFound:
            return deleted
        raise StillThere

    async def _record(self, row: Erasure, deleted: int) -> None:
        now = self.clock.now()
        is_over = row.repeat_after is None or now >= row.repeat_after
        receipt = row.receipt or {
            "receipt_id": str(row.id),
            "subject_type": row.subject_type,
            "subject_id": str(row.subject_id),
            "bucket": row.bucket,
            "key_sha256": hashlib.sha256(row.key.encode()).hexdigest(),
            "objects_deleted": deleted,
            "reason": row.reason,
            "requested_at": row.requested_at.isoformat(),
            "deleted_at": now.isoformat(),
            "verified_absent_at": now.isoformat(),
        }
        async with self.database.transaction() as session:
            await session.execute(
                update(Erasure)
                .where(Erasure.brand_id == row.brand_id, Erasure.id == row.id)
                .values(
                    done_at=now if is_over else None,
                    next_try_at=now if is_over else row.repeat_after,
                    objects_deleted=(row.objects_deleted or 0) + deleted,
                    receipt=receipt,
                    updated_at=now,
                )
            )
