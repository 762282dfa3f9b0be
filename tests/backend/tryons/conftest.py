import httpx
import pytest

from tests.backend.conftest import Finish, Step
from tests.backend.tryons.fitting import Fitting
from tests.factories import Given, GivenBrand, GivenShopper
from tests.scripted_endpoint import ScriptedEndpoint


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


@pytest.fixture
async def shopper(given: Given, brand: GivenBrand) -> GivenShopper:
    return await given.shopper(brand)


@pytest.fixture
def fitting(http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish) -> Fitting:
    return Fitting(http, given, endpoint, step, finish)
