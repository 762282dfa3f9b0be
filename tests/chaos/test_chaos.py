"""Jobs through every fault there is: none lost, none done twice, all ended, whatever the dice say."""

import os
import warnings
from pathlib import Path

import pytest

from tests.chaos.faults import EVERY
from tests.chaos.report import Result, table
from tests.chaos.run import run
from tests.postgres import PostgresMissing, find_programs

FIXED_SEED = 1
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def _postgres_is_here() -> None:
    """A cluster of its own, for it is stopped and started: another's address is of no use."""
    try:
        find_programs()
    except PostgresMissing as reason:
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            raise
        warnings.warn(pytest.PytestWarning(f"No chaos without Postgres: {reason}."), stacklevel=1)
        pytest.skip(f"NO CHAOS WITHOUT POSTGRES: {reason}")


@pytest.mark.parametrize(("jobs", "seed"), [(300, FIXED_SEED), (60, 2), (60, 3)])
def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path, jobs: int, seed: int) -> None:
    result = run(tmp_path / "chaos", jobs, seed)
    assert result.is_good, table(result)
    assert set(result.fired) == set(EVERY)
    assert_ends_as_injected(result)


def assert_ends_as_injected(result: Result) -> None:
    """Failed and called off are only those that were to be; every other one succeeded."""
    ended = result.verdict.jobs
    refused = result.fired["worker refuses the photo"] + result.fired["run answers 422"]
    assert ended.get("failed", 0) <= refused
    assert ended.get("cancelled", 0) <= result.fired["avatar erased meanwhile"]
    assert sum(ended.values()) == result.jobs
