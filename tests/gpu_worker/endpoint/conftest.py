from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_worker.local_endpoint.limits import Limits
from tests.gpu_worker.endpoint.driver import Clock, Endpoint, endpoint_in

SHORT = replace(Limits(), tick_s=0.01, take_hold_s=0.4, webhook_timeout_s=1.0)
"""Polls and ticks are short; timeouts are passed by moving the clock."""


@pytest.fixture
def limits() -> Limits:
    return SHORT


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def endpoint(tmp_path: Path, clock: Clock, limits: Limits) -> AsyncIterator[Endpoint]:
    async with endpoint_in(tmp_path, clock, limits) as running:
        yield running
