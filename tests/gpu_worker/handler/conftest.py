from collections.abc import AsyncIterator

import pytest

from tests.gpu_worker.handler.storage import Storage, storage_running


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    async with storage_running() as running:
        yield running
