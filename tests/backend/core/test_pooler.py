"""Behind a pooler in transaction mode nothing of one transaction may be needed by the next."""

import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.app import create_app
from backend.core.clock import SystemClock
from backend.core.db import Database
from backend.settings import Settings
from tests.factories import Given
from tests.transaction_pooler import pooling

REPOSITORY = Path(__file__).resolve().parents[3]
OFTEN = 12
"""More than the five uses after which the driver prepares a statement on its connection."""
SESSION_STATE = re.compile(
    r"\b(?:UN)?LISTEN \w|\bNOTIFY \w|\bpg_(?:try_)?advisory_lock\b|\bCREATE TEMP|\"(?:SET (?!LOCAL\b)|PREPARE )\w"
)
"""As they would stand in our SQL, whose words are in capitals."""


@pytest.fixture
def pooled_url(postgres_database: str) -> str:
    if "host=" not in postgres_database:
        pytest.skip("NOT TESTED BEHIND A POOLER: the stand-in speaks to a socket of this machine only")
    return postgres_database


async def ask_often(database: Database) -> None:
    for _ in range(OFTEN):
        async with database.transaction() as session:
            await session.execute(text("SELECT name FROM brands WHERE name = :name"), {"name": "A"})


async def test_prepared_statements_are_what_breaks_without_the_setting(pooled_url: str) -> None:
    async with pooling(pooled_url) as (url, _):
        database = Database(url, SystemClock())
        with pytest.raises(DBAPIError, match="prepared statement"):
            await ask_often(database)
        await database.close()


async def test_service_works_behind_it(pooled_url: str, tmp_path: Path) -> None:
    async with pooling(pooled_url) as (url, pooler):
        env = {"DATABASE_URL": url, "DATABASE_POOLER": "transaction", "DATA_DIR": str(tmp_path)}
        keys = {"TOKEN_SIGNING_KEY": "t" * 32, "STORAGE_SIGNING_KEY": "s" * 32, "RUNPOD_API_KEY": "key"}
        app = create_app(Settings.from_env(env | keys))
        async with app.lifespan():
            await ask_often(app.state.database)
            given = Given(app)
            brand = await given.brand()
            for _ in range(3):
                await given.session(brand, await given.shopper(brand))
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://tryon.test") as http:
                listed = await http.get("/v1/garments", headers=brand.headers)
        assert listed.status_code == 200
        assert len(listed.json()["items"]) == 3
        assert pooler.transactions > 2 * OFTEN


def test_no_session_state_is_used() -> None:
    """Settings are `SET LOCAL`; no LISTEN, no session locks, no temporary tables."""
    assert SESSION_STATE.search('execute("SET statement_timeout = 5")')
    sources = [path for folder in ("backend", "migrations") for path in (REPOSITORY / folder).rglob("*.py")]
    found = [
        f"{path.relative_to(REPOSITORY)}: {match.group(0)}"
        for path in sources
        for match in SESSION_STATE.finditer(path.read_text())
    ]
    assert found == []
