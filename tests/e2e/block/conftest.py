"""The sample shop's product page with the theme block on it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.e2e.sample_shop import Block, sample_shop


@pytest.fixture(scope="session")
def shop() -> Iterator[str]:
    with sample_shop() as origin:
        yield origin


@pytest.fixture
def block(page: Page, shop: str) -> Iterator[Block]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Block(page, shop)
    assert errors == []
