"""Bring a database to the newest revision; the same revisions on SQLite and Postgres."""

from sqlalchemy import create_engine

from backend.models import metadata
from backend.settings import Settings


def migrate(settings: Settings) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(settings.database_url.replace("+aiosqlite", ""))
    metadata.create_all(engine)
    engine.dispose()
