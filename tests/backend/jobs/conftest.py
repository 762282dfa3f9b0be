"""One avatar that is ordered, and what can be seen of it."""

from typing import Any

import httpx
import pytest

from tests.factories import Given, GivenShopper
from tests.scripted_endpoint import (
    rows,
)

FACTS = {"height_cm": "178", "weight_kg": "74", "sex": "male"}

FACTS = {"height_cm": "178", "weight_kg": "74", "sex": "male"}


@pytest.fixture
async def shopper(given: Given) -> GivenShopper:
    return await given.shopper(await given.brand())


@pytest.fixture
async def avatar_id(http: httpx.AsyncClient, shopper: GivenShopper) -> str:
    answer = await http.post("/v1/avatars", headers=shopper.headers, data=FACTS)
    assert answer.status_code == 202, answer.text
    avatar_id: str = answer.json()["id"]
    return avatar_id


class Seen:
    """What can be seen from outside, and the ledger."""

    def __init__(self, given: Given, http: httpx.AsyncClient, shopper: GivenShopper, avatar_id: str) -> None:
        self.given = given
        self.database = given.database
        self.http = http
        self.shopper = shopper
        self.avatar_id = avatar_id

    async def avatar(self) -> dict[str, Any]:
        token = self.given.token(self.shopper.brand_id, self.shopper.id)
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.http.get(f"/v1/avatars/{self.avatar_id}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def attempts(self) -> list[str]:
        return [row[0] for row in await rows(self.database, "select state from job_attempts order by n")]

    async def jobs(self) -> list[tuple[Any, ...]]:
        return await rows(self.database, "select state, executions from jobs")

    async def effects(self) -> int:
        """Bodies that were made: each is reported by one event, under one key."""
        found = await rows(self.database, "select count(*) from events where event_type = 'avatar_created'")
        count: int = found[0][0]
        return count


@pytest.fixture
def seen(given: Given, http: httpx.AsyncClient, shopper: GivenShopper, avatar_id: str) -> Seen:
    return Seen(given, http, shopper, avatar_id)
