"""Work that a shop needs at its own time: asked for by anyone, done once, taken up again after a crash."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import ColumnElement, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.shopify.errors import NotInstalled, ShopifyError
from backend.shopify.models import ACTIVE, ShopifyInstall
from backend.shopify.work_models import ShopifyChore

log = structlog.get_logger()

ChoreKind = Literal[
    "import_catalogue",
    "import_products",
    "write_shards",
    "write_switches",
    "reconcile_orders",
    "reconcile_products",
    "check_reasons",
    "read_plan",
]

LEASE = timedelta(minutes=15)
"""A run that lasts longer says so by noting its progress."""
FIRST_RETRY, MAX_RETRY = timedelta(minutes=1), timedelta(hours=2)
BATCH = 20


class Chore(msgspec.Struct, frozen=True):
    """A run of one: what its function gets."""

    id: UUID
    brand_id: UUID
    shop: str
    kind: str
    progress: dict[str, object]
    """What an earlier run noted before it died; empty at a fresh start."""
    done_at: datetime | None = None
    """When a run last succeeded."""


Run = Callable[[Chore], Awaitable[None]]


class ChoreSpec(msgspec.Struct, frozen=True):
    run: Run
    every: timedelta | None = None
    """None: only when asked for."""
    is_long: bool = False
    """May take minutes or hours for a large shop."""


class ChoreBook:
    """For whoever wants something done."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def ask(self, brand_id: UUID, kind: ChoreKind, *, after: timedelta = timedelta(0)) -> None:
        """A second request joins the first, which keeps its time; a run under way is followed by another."""
        now = self.clock.now()
        row: dict[str, object] = {
            "id": uuid7(),
            "brand_id": brand_id,
            "kind": kind,
            "due_at": now + after,
            "wanted": 1,
            "attempts": 0,
            "progress": {},
            "created_at": now,
            "updated_at": now,
        }
        new = await insert_new(
            self.session, ShopifyChore, [row], unique=("brand_id", "kind"), returning=ShopifyChore.id
        )
        if new:
            return
        due_at = case(
            (ShopifyChore.due_at.is_(None), now + after),
            (ShopifyChore.due_at > now + after, now + after),
            else_=ShopifyChore.due_at,
        )
        await self.session.execute(
            update(ShopifyChore)
            .where(ShopifyChore.brand_id == brand_id, ShopifyChore.kind == kind)
            .values(due_at=due_at, wanted=ShopifyChore.wanted + 1, updated_at=now)
        )

    async def find(self, brand_id: UUID, kind: ChoreKind) -> ShopifyChore | None:
        row: ShopifyChore | None = await self.session.scalar(
            select(ShopifyChore).where(ShopifyChore.brand_id == brand_id, ShopifyChore.kind == kind)
        )
        return row


class Chores:
    """Runs what is due; safe in several processes."""

    def __init__(self, database: Database, clock: Clock, specs: Mapping[str, ChoreSpec]) -> None:
        self.database = database
        self.clock = clock
        self.specs = specs

    async def run_due(self) -> int:
        """All kinds, one after the other."""
        return await self._run_all(list(self.specs))

    async def run_quick(self) -> int:
        return await self._run_all([kind for kind, spec in self.specs.items() if not spec.is_long])

    async def run_a_long_one(self) -> int:
        """The one that waits longest; others may be under way beside it."""
        for chore_id, wanted in await self._due([kind for kind, spec in self.specs.items() if spec.is_long]):
            if await self._run(chore_id, wanted):
                return 1
        return 0

    async def _run_all(self, kinds: list[str]) -> int:
        due = await self._due(kinds)
        for chore_id, wanted in due:
            await self._run(chore_id, wanted)
        return len(due)

    async def _due(self, kinds: list[str]) -> list[tuple[UUID, int]]:
        now = self.clock.now()
        async with self.database.transaction(read_only=True) as session:
            found = await session.execute(
                select(ShopifyChore.id, ShopifyChore.wanted)  # tenant: the operator's loop works for every shop
                .where(ShopifyChore.due_at <= now, _is_free(now), ShopifyChore.kind.in_(kinds))
                .order_by(ShopifyChore.due_at)
                .limit(BATCH)
            )
            return [(row.id, row.wanted) for row in found]

    async def plan(self) -> int:
        """The regular ones, for shops that do not have them yet, or have them no more since they took the app out."""
        async with self.database.transaction(read_only=True) as session:
            brands = (
                await session.scalars(
                    select(ShopifyInstall.brand_id).where(ShopifyInstall.status == ACTIVE)
                )  # tenant: all
            ).all()
            known = {
                (row.brand_id, row.kind)
                for row in await session.execute(
                    select(ShopifyChore.brand_id, ShopifyChore.kind).where(  # tenant: all shops
                        ShopifyChore.due_at.is_not(None)
                    )
                )
            }
        missing = [
            (brand_id, kind)
            for brand_id in brands
            for kind, spec in self.specs.items()
            if spec.every is not None and (brand_id, kind) not in known
        ]
        async with self.database.transaction() as session:
            for brand_id, kind in missing:
                await ChoreBook(session, self.clock).ask(brand_id, kind)  # type: ignore[arg-type]
        return len(missing)

    async def note(self, chore: Chore, progress: dict[str, object]) -> None:
        """How far it is; also says that the run is alive."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(
                update(ShopifyChore)
                .where(ShopifyChore.brand_id == chore.brand_id, ShopifyChore.id == chore.id)
                .values(progress=progress, leased_until=now + LEASE, updated_at=now)
            )

    async def _run(self, chore_id: UUID, wanted: int) -> bool:
        """Whether it was still free."""
        chore = await self._claim(chore_id)
        if chore is None:
            return False
        try:
            await self.specs[chore.kind].run(chore)
        except NotInstalled:
            await self._drop(chore)
        except ShopifyError as fault:
            await self._put_off(chore, fault.code)
        except Exception as fault:
            log.exception("chore.faulted", shop=chore.shop, chore=chore.kind)
            await self._put_off(chore, type(fault).__name__)
        else:
            await self._finish(chore, wanted)
        return True

    async def _claim(self, chore_id: UUID) -> Chore | None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            claimed = await session.execute(
                update(ShopifyChore)
                .where(
                    ShopifyChore.id == chore_id, ShopifyChore.due_at <= now, _is_free(now)
                )  # tenant: named by the loop
                .values(leased_until=now + LEASE, attempts=ShopifyChore.attempts + 1, updated_at=now)
                .returning(ShopifyChore.brand_id)
            )
            brand_id = claimed.scalar_one_or_none()
            if brand_id is None:
                return None
            row = (
                await session.execute(
                    select(ShopifyChore, ShopifyInstall.shop)
                    .outerjoin(ShopifyInstall, ShopifyInstall.brand_id == ShopifyChore.brand_id)
                    .where(ShopifyChore.brand_id == brand_id, ShopifyChore.id == chore_id)
                )
            ).one()
            return Chore(row[0].id, row[0].brand_id, row[1] or "", row[0].kind, row[0].progress, row[0].done_at)

    async def _finish(self, chore: Chore, wanted: int) -> None:
        """If it was asked for meanwhile, that request stands."""
        now = self.clock.now()
        every = self.specs[chore.kind].every
        later = now + every if every else None
        async with self.database.transaction() as session:
            await session.execute(
                update(ShopifyChore)
                .where(ShopifyChore.brand_id == chore.brand_id, ShopifyChore.id == chore.id)
                .values(
                    due_at=case((ShopifyChore.wanted == wanted, later), else_=now),
                    leased_until=None,
                    progress={},
                    attempts=0,
                    error_code=None,
                    done_at=now,
                    updated_at=now,
                )
            )
        log.info("chore.done", shop=chore.shop, chore=chore.kind)

    async def _put_off(self, chore: Chore, code: str) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            row = await session.scalar(
                select(ShopifyChore).where(ShopifyChore.brand_id == chore.brand_id, ShopifyChore.id == chore.id)
            )
            if row is not None:
                row.due_at, row.leased_until = now + _wait(row.attempts), None
                row.error_code = code
                log.warning("chore.put_off", shop=chore.shop, chore=chore.kind, code=code, attempts=row.attempts)

    async def _drop(self, chore: Chore) -> None:
        """Nothing is done for a shop that does not have the app; a new visit asks anew."""
        async with self.database.transaction() as session:
            await session.execute(
                update(ShopifyChore)
                .where(ShopifyChore.brand_id == chore.brand_id, ShopifyChore.id == chore.id)
                .values(due_at=None, leased_until=None, error_code=NotInstalled.code, updated_at=self.clock.now())
            )


def _wait(attempts: int) -> timedelta:
    doublings = min(max(attempts - 1, 0), 10)
    return min(MAX_RETRY, FIRST_RETRY * (1 << doublings))


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(ShopifyChore.leased_until.is_(None), ShopifyChore.leased_until <= now)
