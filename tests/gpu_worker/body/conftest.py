import pytest

from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.solve import Solver
from gpu_worker.body.tape import Tape


@pytest.fixture(scope="session")
def body() -> CanonicalBody:
    return CanonicalBody.load()


@pytest.fixture(scope="session")
def tape(body: CanonicalBody) -> Tape:
    return Tape(body)


@pytest.fixture(scope="session")
def solver(body: CanonicalBody, tape: Tape) -> Solver:
    return Solver(body, tape)
