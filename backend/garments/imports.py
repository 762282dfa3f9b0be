"""Files of garments worked off a batch at a time, each one transaction: a stop loses nothing and repeats nothing."""

import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import select
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.core.problems import AppError
from backend.garments.csv_rows import GarmentRows, ReadFile, RowProblem
from backend.garments.errors import ImportNotFound
from backend.garments.models import DONE, RUNNING, Garment, GarmentImport
from backend.garments.schemas import GarmentChanges, GarmentView, NewGarment
from backend.garments.service import GarmentListener, GarmentService
from backend.jobs.work import Priority

log = structlog.get_logger()

BATCH = 20
MAX_PROBLEMS_SHOWN = 1000
STEP_S = 1.0
"""How long one round of the background loop goes on before others have their turn."""


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file is. `done` of `total` garments; `problems` by line, for the first thousand."""

    id: UUID
    state: Literal["running", "done"]
    total: int
    done: int
    made: int
    changed: int
    unchanged: int
    failed: int
    problems: list[RowProblem]
    eta_s: float | None
    """Seconds to go at the pace so far; null before there is one."""
    created_at: datetime

    @classmethod
    def of(cls, row: GarmentImport, now: datetime) -> "ImportView":
        unreadable = row.total - len(row.garments) if row.state == RUNNING else 0
        done = row.total if row.state == DONE else row.next_place + unreadable
        spent_s = (now - row.created_at).total_seconds()
        is_known = row.state == RUNNING and row.next_place > 0
        return cls(
            id=row.id,
            state=msgspec.convert(row.state, Literal["running", "done"]),
            total=row.total,
            done=done,
            made=row.made,
            changed=row.changed,
            unchanged=done - row.made - row.changed - row.failed,
            failed=row.failed,
            problems=msgspec.convert(row.problems[:MAX_PROBLEMS_SHOWN], list[RowProblem]),
            eta_s=round(spent_s / row.next_place * (len(row.garments) - row.next_place), 1) if is_known else None,
            created_at=row.created_at,
        )


class ImportService:
    def __init__(self, session: AsyncSession, clock: Clock, listeners: Sequence[GarmentListener] = ()) -> None:
        self.session = session
        self.clock = clock
        self.garments = GarmentService(session, clock, listeners)

    async def start(self, brand_id: UUID, file: ReadFile) -> GarmentImport:
        """The same file while it is being worked off is the same import; one that is done is gone through again."""
        now = self.clock.now()
        begun = {
            "garments": msgspec.to_builtins(file.garments),
            "total": file.total,
            "next_place": 0,
            "made": 0,
            "changed": 0,
            "failed": file.total - len(file.garments),
            "problems": msgspec.to_builtins(file.problems),
            "state": RUNNING if file.garments else DONE,
            "created_at": now,
            "updated_at": now,
        }
        row = {"id": uuid7(), "brand_id": brand_id, "file_sha256": file.sha256, **begun}
        unique = ("brand_id", "file_sha256")
        await insert_new(self.session, GarmentImport, [row], unique=unique, returning=GarmentImport.id)
        found = await self.session.scalar(
            select(GarmentImport)
            .where(GarmentImport.brand_id == brand_id, GarmentImport.file_sha256 == file.sha256)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if found is None:
            raise LookupError("The import that was just inserted is not there.")
        if found.state == DONE and file.garments:
            for name, value in begun.items():
                setattr(found, name, value)
            await self.session.flush()
        return found

    async def get(self, brand_id: UUID, import_id: UUID) -> GarmentImport:
        found = await self.session.scalar(
            select(GarmentImport).where(GarmentImport.brand_id == brand_id, GarmentImport.id == import_id)
        )
        if found is None:
            raise ImportNotFound("There is no such import.")
        return found

    async def work(self, brand_id: UUID, import_id: UUID) -> bool:
        """The next few garments. True: there are more."""
        row = await self.session.scalar(
            select(GarmentImport)
            .where(GarmentImport.brand_id == brand_id, GarmentImport.id == import_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if row is None or row.state == DONE:
            return False
        problems: list[RowProblem] = []
        for content in row.garments[row.next_place : row.next_place + BATCH]:
            garment = msgspec.convert(content, GarmentRows)
            try:
                async with self.session.begin_nested():
                    made, changed = await self._take(brand_id, garment)
            except (AppError, msgspec.ValidationError, DataError) as refused:
                problems += _problems(garment, refused)
                row.failed += 1
            else:
                row.made += made
                row.changed += changed
        row.problems = [*row.problems, *msgspec.to_builtins(problems)]
        row.next_place = min(row.next_place + BATCH, len(row.garments))
        if row.next_place == len(row.garments):
            row.state, row.garments, row.next_place = DONE, [], 0
        await self.session.flush()
        return row.state == RUNNING

    async def _take(self, brand_id: UUID, rows: GarmentRows) -> tuple[int, int]:
        """Made, changed: one or neither."""
        new = msgspec.convert(rows.body, NewGarment)
        known = await self.session.scalar(
            select(Garment).where(Garment.brand_id == brand_id, Garment.external_id == rows.external_id)
        )
        if known is None:
            await self.garments.create(brand_id, new, Priority.LATER)
            return 1, 0
        said = {name: value for name, value in rows.body.items() if name != "external_id"}
        changes = msgspec.convert(said, GarmentChanges)
        before = _content(known)
        await self.garments.change(brand_id, known.id, changes, Priority.LATER)
        return 0, int(_content(known) != before)


def _content(garment: Garment) -> dict[str, object]:
    """What a line of a file can say of it."""
    view = GarmentView.of(garment)
    names = ("name", "category", "size_chart", "fabric", "shopify_product_id", "waist_at", "look")
    return {name: getattr(view, name) for name in names}


def _problems(rows: GarmentRows, refused: AppError | msgspec.ValidationError | DataError) -> list[RowProblem]:
    """In the lines and columns of the file."""
    if isinstance(refused, DataError):
        return [RowProblem(rows.line, None, "invalid_value", "A value of it cannot be stored.")]
    if isinstance(refused, msgspec.ValidationError):
        column = str(refused).rpartition("$.")[2].rstrip("`").partition(".")[0] if "$." in str(refused) else None
        return [RowProblem(rows.line, column, "invalid_value", str(refused).partition(" - at")[0])]
    named = refused.facts.get("problems")
    if not isinstance(named, list):
        return [RowProblem(rows.line, None, refused.code, refused.detail)]
    return [
        RowProblem(rows.lines.get(one.get("size"), rows.line), one.get("measure"), one["code"], one["detail"])
        for one in named
    ]


class Imports:
    """Sees every import through, in the background."""

    def __init__(self, database: Database, clock: Clock, listeners: Sequence[GarmentListener]) -> None:
        self.database = database
        self.clock = clock
        self.listeners = listeners

    async def run_due(self) -> int:
        """A second's worth of what there is, one batch of each in turn; how many batches that was."""
        async with self.database.transaction(read_only=True) as session:
            found = await session.execute(
                select(GarmentImport.brand_id, GarmentImport.id)  # tenant: the background loop works for every brand
                .where(GarmentImport.state == RUNNING)
                .order_by(GarmentImport.id)
            )
            waiting = deque((row.brand_id, row.id) for row in found.all())
        batches, until = 0, time.monotonic() + STEP_S
        while waiting and time.monotonic() < until:
            brand_id, import_id = waiting.popleft()
            try:
                has_more = await self.work(brand_id, import_id)
            except Exception:
                log.exception("import.failed", import_id=str(import_id))  # it stays where it is; the others go on
                continue
            batches += 1
            if has_more:
                waiting.append((brand_id, import_id))
        return batches

    async def work(self, brand_id: UUID, import_id: UUID) -> bool:
        """One batch. True: there are more."""
        async with self.database.transaction() as session:
            return await ImportService(session, self.clock, self.listeners).work(brand_id, import_id)
