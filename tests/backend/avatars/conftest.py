import pytest

from tests.factories import Given, GivenShopper


@pytest.fixture
async def shopper(given: Given) -> GivenShopper:
    return await given.shopper(await given.brand())
