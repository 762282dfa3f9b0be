"""`tryon garments import FILE.csv`: the same work as the route's, with a bar; a stop loses nothing."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TextIO
from uuid import UUID

import msgspec
from sqlalchemy import select

from backend.brands.models import Brand
from backend.core.clock import Clock, SystemClock
from backend.core.db import Database
from backend.garments.csv_rows import FileRefused, ReadFile, RowProblem, read_garments, refused_lines
from backend.garments.imports import Imports, ImportService, ImportView
from backend.settings import Settings
from backend.tryons.service import OpenSessions

BAR_WIDTH = 30
SAY_EVERY_S = 0.2


class ImportRefused(ValueError):
    """The file or the brand cannot be used; the text says why."""


def import_garments(settings: Settings, path: Path, brand_id: str | None) -> ImportView:
    """Raises `ImportRefused`. Interrupted, the same command goes on where it stood."""
    try:
        content = path.read_bytes()
        file = read_garments(content)
    except OSError as error:
        raise ImportRefused(f"cannot read {path}: {error.strerror}") from error
    except FileRefused as refused:
        raise ImportRefused(f"{path.name}: {refused}") from refused
    out = sys.stderr
    view, problems = asyncio.run(_run(settings, file, brand_id, out))
    for problem in problems:
        place = f"line {problem.line}" + (f", {problem.column}" if problem.column else "")
        print(f"{path.name}: {place}: {problem.message} [{problem.code}]", file=out)
    if problems:
        left = path.with_suffix(".failed.csv")
        left.write_text(refused_lines(content, problems), encoding="utf-8")
        print(f"The lines to mend are in {left}.", file=out)
    return view


async def _run(
    settings: Settings, file: ReadFile, brand_id: str | None, out: TextIO
) -> tuple[ImportView, list[RowProblem]]:
    """What became of it, and every problem: the view shows the first of them alone."""
    clock: Clock = SystemClock()
    pooled = settings.database_pooler == "transaction"
    database = Database(settings.database_url, clock, pooled_by_transaction=pooled)
    bar = Bar(out)
    try:
        brand = await _brand(database, brand_id)
        async with database.transaction() as session:
            row = await ImportService(session, clock).start(brand, file)
        imports = Imports(database, clock, (OpenSessions(clock),))
        has_more = True
        while has_more:
            has_more = await imports.work(brand, row.id)
            async with database.transaction(read_only=True) as session:
                row = await ImportService(session, clock).get(brand, row.id)
            bar.show(ImportView.of(row, clock.now()))
        return ImportView.of(row, clock.now()), msgspec.convert(row.problems, list[RowProblem])
    finally:
        bar.close()
        await database.close()


async def _brand(database: Database, brand_id: str | None) -> UUID:
    """The one named, else the only one there is."""
    async with database.transaction(read_only=True) as session:
        ids = list((await session.scalars(select(Brand.id).order_by(Brand.id))).all())
    if brand_id is None:
        if len(ids) != 1:
            raise ImportRefused(
                f"there are {len(ids)} brands; say which with --brand BRAND_ID (see `tryon brands list`)"
            )
        return ids[0]
    try:
        wanted = UUID(brand_id)
    except ValueError:
        wanted = None
    if wanted not in ids:
        raise ImportRefused(f"there is no brand {brand_id}")
    return wanted


class Bar:
    """One line that grows on a terminal; elsewhere a line now and then."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.is_terminal = out.isatty()
        self._said_s = 0.0

    def show(self, view: ImportView) -> None:
        is_last = view.state == "done"
        if not is_last and time.monotonic() - self._said_s < SAY_EVERY_S * (1 if self.is_terminal else 25):
            return
        self._said_s = time.monotonic()
        filled = BAR_WIDTH * view.done // max(1, view.total)
        left = f", {view.eta_s:.0f} s to go" if view.eta_s else ""
        line = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {view.done} of {view.total} garments"
        line += f", {view.failed} refused{left}"
        self.out.write(f"\r{line:<78}" if self.is_terminal else f"{line}\n")
        self.out.flush()

    def close(self) -> None:
        if self.is_terminal and self._said_s:
            self.out.write("\n")
