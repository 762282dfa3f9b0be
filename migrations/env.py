"""Alembic's entry: one connection of its own, the same revisions on SQLite and Postgres."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from backend.core.columns import UtcDateTime
from backend.models import metadata
from backend.settings import Settings


def run() -> None:
    url = context.config.attributes.get("url") or Settings.from_env().database_url
    engine = create_engine(url.replace("+aiosqlite", ""), poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=True,
            compare_type=True,
            render_item=_render_item,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        _check_references(connection)
    engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Foreign keys off: rebuilding a parent table would else delete its children. They are checked at the end."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=OFF")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.execute(text("PRAGMA foreign_key_check")).all()
        if broken:
            raise RuntimeError(f"{len(broken)} rows point at nothing after this migration.")


def _render_item(kind: str, item: Any, _autogenerate: object) -> str | Literal[False]:
    if kind == "type" and isinstance(item, UtcDateTime):
        return "columns.UtcDateTime()"
    return "columns.Json()" if kind == "type" and type(item).__name__ == "JSON" else False


run()
