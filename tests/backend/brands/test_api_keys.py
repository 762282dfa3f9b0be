"""API keys: found by prefix, compared by hash, refused the moment they are revoked or expire."""

import asyncio

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import select, text

from backend.brands.errors import InvalidOrigin
from backend.brands.models import ApiKey
from backend.brands.service import KEY_PATTERN, normal_origin
from tests.factories import Given
from tests.fakes import HandClock


async def status(http: httpx.AsyncClient, api_key: str) -> int:
    answer = await http.get("/v1/analytics/funnel", headers={"Authorization": f"Bearer {api_key}"})
    return answer.status_code


class TestKey:
    async def test_secret_is_stored_nowhere(self, app: Litestar, given: Given) -> None:
        brand = await given.brand()
        match = KEY_PATTERN.fullmatch(brand.key.api_key)
        assert match is not None
        secret = match.group(3)
        async with app.state.database.transaction(read_only=True) as session:
            rows = [
                str(row)
                for table in ("brands", "api_keys")
                for row in await session.execute(text(f"SELECT * FROM {table}"))
            ]
        assert not any(secret in row for row in rows)
        assert any(secret[-4:] in row for row in rows)

    async def test_it_works_until_its_last_second(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        clock.advance(days=364, hours=23)
        assert await status(http, brand.key.api_key) == 200
        clock.advance(hours=1)
        assert await status(http, brand.key.api_key) == 401

    async def test_two_keys_live_while_they_are_rotated(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        second = await given.key(brand)
        assert [await status(http, key) for key in (brand.key.api_key, second.api_key)] == [200, 200]
        await given.revoke(brand.key)
        assert [await status(http, key) for key in (brand.key.api_key, second.api_key)] == [401, 200]

    async def test_last_use_is_kept_to_the_minute(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        seen = []
        for wait_s in (0, 30, 31):
            clock.advance(seconds=wait_s)
            await status(http, brand.key.api_key)
            async with app.state.database.transaction(read_only=True) as session:
                seen.append(await session.scalar(select(ApiKey.last_used_at).where(ApiKey.brand_id == brand.id)))
        start = clock.now().timestamp() - 61
        assert [moment.timestamp() - start for moment in seen] == [0, 0, 61]

    async def test_many_at_once_are_all_let_in(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        assert await asyncio.gather(*(status(http, brand.key.api_key) for _ in range(20))) == [200] * 20


class TestOrigin:
    @pytest.mark.parametrize(
        ("given_text", "kept"),
        [
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example/", "https://shop.example"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("http://127.0.0.1:8400", "http://127.0.0.1:8400"),
            ("http://localhost:8400", "http://localhost:8400"),
        ],
    )
    def test_sound_one_is_kept_in_one_form(self, given_text: str, kept: str) -> None:
        assert normal_origin(given_text) == kept

    @pytest.mark.parametrize(
        "text",
        [
            "", "*", "shop.example", "http://shop.example", "https://", "https://shop.example/page", "https://a@b.example",
            "https://*.example", "https://shop.example; script-src *", "javascript:alert(1)", "null", "https://a b",
            "https://shop.example:port", "https://[::1",
        ],
    )  # fmt: skip
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidOrigin):
            normal_origin(text)
