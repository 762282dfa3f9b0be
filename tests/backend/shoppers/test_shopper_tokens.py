"""From a store's server to a shopper's token: the page in between only ever holds a code that works once."""

import asyncio
from datetime import datetime, timedelta

import httpx
import jwt
import pytest
from litestar import Litestar
from sqlalchemy import func, select, text

from backend.shoppers.models import Shopper
from tests.conftest import BASE_URL
from tests.factories import ORIGIN, Given, GivenBrand
from tests.fakes import HandClock
from tests.scripted_endpoint import rows


async def new_code(http: httpx.AsyncClient, brand: GivenBrand, **body: str) -> str:
    answer = await http.post("/v1/shopper-tokens", headers=brand.headers, json={"origin": ORIGIN} | body)
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["code"]
    return code


async def exchange(http: httpx.AsyncClient, **body: str) -> httpx.Response:
    return await http.post("/embed/token", json=body)


def claims(answer: httpx.Response) -> dict[str, object]:
    decoded: dict[str, object] = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return decoded


class TestCreateShopperToken:
    async def test_code_is_for_sixty_seconds_and_for_the_frame_alone(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        answer = await http.post("/v1/shopper-tokens", headers=brand.headers, json={"origin": ORIGIN})
        body = answer.json()
        assert datetime.fromisoformat(body["expires_at"]) - clock.now() == timedelta(seconds=60)
        assert body["src"] == f"{BASE_URL}/embed?k={brand.embed_key}#c={body['code']}"
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"origin": "https://evil.example"}, 403, "origin_not_allowed"),
            ({"origin": "http://shop.example"}, 422, "invalid_origin"),
            ({"origin": "https://shop.example.evil.example"}, 403, "origin_not_allowed"),
            ({}, 422, "invalid_request"),
            ({"origin": ORIGIN, "user_ref": ""}, 422, "invalid_request"),
            ({"origin": ORIGIN, "extra": 1}, 422, "invalid_request"),
        ],
    )
    async def test_page_not_on_the_list_is_refused(
        self, http: httpx.AsyncClient, given: Given, body: dict[str, object], status: int, code: str
    ) -> None:
        brand = await given.brand()
        answer = await http.post("/v1/shopper-tokens", headers=brand.headers, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    async def test_code_is_stored_as_a_hash(self, app: Litestar, http: httpx.AsyncClient, given: Given) -> None:
        code = await new_code(http, await given.brand())
        async with app.state.database.transaction(read_only=True) as session:
            [row] = (await session.execute(text("SELECT * FROM embed_codes"))).all()
        assert code not in str(row)

    async def test_named_customer_is_one_shopper_even_when_asked_at_once(
        self, app: Litestar, http: httpx.AsyncClient, given: Given
    ) -> None:
        brand, other = await given.brand(), await given.brand()
        await asyncio.gather(*(new_code(http, brand, user_ref="customer-1") for _ in range(5)))
        await new_code(http, other, user_ref="customer-1")
        await asyncio.gather(*(new_code(http, brand) for _ in range(2)))
        async with app.state.database.transaction(read_only=True) as session:
            query = select(func.count(Shopper.id)).group_by(Shopper.brand_id).order_by(func.count())
            assert list(await session.scalars(query)) == [1, 3]


class TestExchange:
    async def test_token_says_who_and_where_for_fifteen_minutes(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        answer = await exchange(http, code=await new_code(http, brand))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body, said = answer.json(), claims(answer)
        assert body.keys() == {"token", "expires_at", "user_id", "origin"}
        assert (said["brand"], said["sub"], said["origin"]) == (str(brand.id), body["user_id"], ORIGIN)
        assert (said["aud"], said["auth_time"]) == ("embed", clock.now().timestamp())
        assert datetime.fromisoformat(body["expires_at"]) - clock.now() == timedelta(minutes=15)

    async def test_of_ten_frames_with_one_code_one_gets_in(self, http: httpx.AsyncClient, given: Given) -> None:
        code = await new_code(http, await given.brand())
        answers = await asyncio.gather(*(exchange(http, code=code) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9

    async def test_late_used_and_unknown_codes_look_the_same(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        used, late = await new_code(http, brand), await new_code(http, brand)
        await exchange(http, code=used)
        clock.advance(seconds=60)
        answers = [await exchange(http, code=code) for code in (used, late, "unknown")]
        assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}

    async def test_a_code_s_row_goes_when_it_has_run_out(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        await app.state.sweeper.step()
        await new_code(http, brand)
        clock.advance(hours=1)
        await new_code(http, brand)
        await app.state.sweeper.step()
        assert await rows(app.state.database, "select count(*) from embed_codes") == [(1,)]

    async def test_a_large_body_from_anyone_is_not_read(self, http: httpx.AsyncClient) -> None:
        assert (await exchange(http, code="x" * 300_000)).status_code == 413

    @pytest.mark.parametrize("body", [{}, {"code": "a", "token": "b"}, {"code": ""}, {"code": "x" * 201}])
    async def test_either_code_or_token(self, http: httpx.AsyncClient, body: dict[str, str]) -> None:
        assert (await http.post("/embed/token", json=body)).status_code == 422


class TestRenewal:
    async def test_same_shopper_same_beginning_for_a_day(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        answer = await exchange(http, code=await new_code(http, await given.brand()))
        first = claims(answer)
        for _ in range(102):  # every 14 minutes: 23 h 48 min
            clock.advance(minutes=14)
            answer = await exchange(http, token=answer.json()["token"])
            assert answer.status_code == 200
        renewed = claims(answer)
        assert [renewed[name] for name in ("sub", "brand", "origin", "auth_time")] == [
            first[name] for name in ("sub", "brand", "origin", "auth_time")
        ]
        assert renewed["exp"] != first["exp"]
        clock.advance(minutes=14)
        assert (await exchange(http, token=answer.json()["token"])).status_code == 401

    async def test_expired_token_is_not_renewed(self, http: httpx.AsyncClient, given: Given, clock: HandClock) -> None:
        shopper = await given.shopper(await given.brand())
        clock.advance(minutes=15)
        assert (await exchange(http, token=shopper.token)).status_code == 401

    async def test_voided_token_is_refused_everywhere_and_a_new_one_works(
        self, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        shopper = await given.shopper(await given.brand())
        clock.advance(seconds=1)
        await given.void_tokens(shopper)
        for answer in (
            await exchange(http, token=shopper.token),
            await http.post("/v1/events", headers=shopper.headers, json={"events": []}),
        ):
            assert answer.status_code == 401
        fresh = given.token(shopper.brand_id, shopper.id)
        assert (await exchange(http, token=fresh)).status_code == 200

    async def test_an_api_key_is_no_token_here(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        assert (await exchange(http, token=brand.key.api_key)).status_code == 401
