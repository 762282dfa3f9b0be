"""The second lock on a project's objects: row level security on, and no policy that opens it."""

import msgspec
from sqlalchemy import text

from backend.core.db import Database
from backend.core.storage import StoreMisconfigured

OPEN_TABLES = text(
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('storage') AND relkind = 'r'"
    " AND relname IN ('objects', 'buckets') AND NOT relrowsecurity ORDER BY relname"
)
POLICIES = text("SELECT policyname FROM pg_policies WHERE schemaname = 'storage' ORDER BY policyname")
HAS_STORAGE = text("SELECT to_regclass('storage.objects') IS NOT NULL")


class Locks(msgspec.Struct, frozen=True):
    """`row_level_security` is "on", or "not looked at" where the database is not the project's own."""

    row_level_security: str
    policies: list[str]


async def look_at_policies(database: Database) -> Locks:
    """`StoreMisconfigured` where anybody with the public key could read; policies that exist are named, not judged."""
    unseen = Locks("not looked at", [])
    if database.dialect != "postgresql":
        return unseen
    async with database.transaction(read_only=True) as session:
        if not await session.scalar(HAS_STORAGE):
            return unseen
        open_tables = list(await session.scalars(OPEN_TABLES))
        policies = list(await session.scalars(POLICIES))
    if open_tables:
        tables = ", ".join(f"storage.{name}" for name in open_tables)
        raise StoreMisconfigured(f"Row level security is off on {tables}: switch it on in the project.")
    return Locks("on", policies)
