"""The same revisions on SQLite and Postgres, to the newest and back, and what they make is what the models say."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import CheckConstraint, Engine, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from analytics.report import EVENTS_COLUMNS, EVENTS_VIEW
from analytics.vocabulary import EVENT_TYPES
from backend.migrate import MIGRATIONS, alembic_config
from backend.models import metadata
from tests.postgres import Cluster

_numbers = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/empty.db"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = f"tryon_empty_{os.getpid()}_{next(_numbers)}"
    yield cluster.create(name)
    cluster.drop(name)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url.replace("+aiosqlite", ""))
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_up_down_up(url: str, engine: Engine) -> None:
    config = alembic_config(url)
    command.upgrade(config, "head")
    assert tables(engine) == set(metadata.tables)
    command.downgrade(config, "base")
    assert tables(engine) == set()
    command.upgrade(config, "head")
    assert tables(engine) == set(metadata.tables)


def test_models_say_nothing_more(url: str) -> None:
    command.upgrade(alembic_config(url), "head")
    command.check(alembic_config(url))


def test_checks_in_the_database_are_those_of_the_models(url: str, engine: Engine) -> None:
    """`alembic check` does not look at them. Their text is compared where the database keeps it as written."""
    command.upgrade(alembic_config(url), "head")
    inspector = inspect(engine)
    keeps_text = engine.dialect.name == "sqlite"
    for table in metadata.sorted_tables:
        wanted = {
            str(one.name): str(one.sqltext) if keeps_text else ""
            for one in table.constraints
            if isinstance(one, CheckConstraint)
        }
        found = {
            str(one["name"]): one["sqltext"] if keeps_text else ""
            for one in inspector.get_check_constraints(table.name)
        }
        assert found == wanted, table.name


def test_each_event_type_may_be_stored_and_no_other(url: str, engine: Engine) -> None:
    command.upgrade(alembic_config(url), "head")
    [check] = [one for one in inspect(engine).get_check_constraints("events") if one["name"] == "ck_events_event_type"]
    assert {part for part in check["sqltext"].split("'") if part.isidentifier()} >= set(EVENT_TYPES)
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(text(insert_event(engine)), {"type": "no_such_event"})


def test_what_a_brand_kept_for_longer_than_is_told_is_shortened(url: str, engine: Engine) -> None:
    command.upgrade(alembic_config(url), "0014")
    columns = "id, embed_key, name, allowed_origins, retention_days, cache_secret, created_at, updated_at"
    values = ":id, :key, 'A', '[]', :days, 'c', '2026-01-01', '2026-01-01'"
    insert = f"INSERT INTO brands ({columns}) VALUES ({values})"
    with engine.begin() as connection:
        for number, days in enumerate((365, 7)):
            id_ = f"00000000-0000-7000-8000-00000000000{number}"
            connection.execute(text(insert), {"id": id_, "key": f"pk_{number}", "days": days})
    command.upgrade(alembic_config(url), "head")
    with engine.connect() as connection:
        assert sorted(connection.scalars(text("SELECT retention_days FROM brands"))) == [7, 30]


def insert_event(engine: Engine) -> str:
    empty = "'{}'::jsonb" if engine.dialect.name == "postgresql" else "'{}'"
    id_ = "00000000-0000-7000-8000-000000000000"
    false = "false" if engine.dialect.name == "postgresql" else "0"
    return (
        "INSERT INTO events (id, brand_id, event_type, metadata, occurred_at, received_at, dedup_key, source, clock,"
        f" is_bot, created_at, updated_at) VALUES ('{id_}', '{id_}', :type, {empty}, '2026-01-01', '2026-01-01', 'k',"
        f" 'B', 'server', {false}, '2026-01-01', '2026-01-01')"
    )


def test_view_has_the_columns_that_reports_read(url: str, engine: Engine) -> None:
    command.upgrade(alembic_config(url), "head")
    assert {column["name"] for column in inspect(engine).get_columns(EVENTS_VIEW)} == set(EVENTS_COLUMNS)


def test_row_level_security_is_on_for_every_table(postgres: Cluster) -> None:
    name = f"tryon_rls_{os.getpid()}"
    url = postgres.create(name)
    command.upgrade(alembic_config(url), "head")
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
                " AND NOT relrowsecurity"
            )
        )
        assert rows.scalars().all() == []
        options = connection.scalar(text(f"SELECT reloptions FROM pg_class WHERE relname = '{EVENTS_VIEW}'"))
        assert options == ["security_invoker=true"]
    engine.dispose()
    postgres.drop(name)


def test_revisions_import_nothing_that_may_change() -> None:
    ours = ("import sqlalchemy", "from sqlalchemy", "from alembic", "from backend.core import columns")
    allowed = (*ours, "from datetime", "from uuid")  # the standard library stays
    for revision in (MIGRATIONS / "versions").glob("*.py"):
        imports = [line for line in revision.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert all(line.startswith(allowed) for line in imports), revision.name
