"""The stores under the one contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.core.storage import ObjectStore
from tests.fakes import HandClock
from tests.stores import PROJECT_KEY, PROJECT_URL, At, Place, open_place

STORES = ["folder", "memory", "supabase"]
PROJECT = [pytest.param("project", marks=pytest.mark.supabase)] if PROJECT_URL and PROJECT_KEY else []


@pytest.fixture(params=[*STORES, *PROJECT])
async def place(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> AsyncIterator[Place]:
    async with open_place(request.param, tmp_path, clock) as place:
        await place.store.check()
        yield place


@pytest.fixture
def store(place: Place) -> ObjectStore:
    return place.store


@pytest.fixture
def at(place: Place) -> At:
    """A key in the test's own folder."""
    return place.at
