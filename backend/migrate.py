"""Bring a database to the newest revision; the same revisions on SQLite and Postgres."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from backend.settings import Settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def migrate(settings: Settings) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    command.upgrade(alembic_config(settings.database_url), "head")


def is_current(settings: Settings) -> bool:
    """Whether the code and the database agree on the newest revision."""
    newest = ScriptDirectory.from_config(alembic_config(settings.database_url)).get_current_head()
    engine = create_engine(settings.database_url.replace("+aiosqlite", ""), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == newest
    except OperationalError:
        return False
    finally:
        engine.dispose()


def alembic_config(database_url: str) -> Config:
    """Without an ini file, so that it works from any folder and takes any password."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = database_url
    return config
