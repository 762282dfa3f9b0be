"""What the frame promises: figure and measurements go when nobody has used them for as long as the brand keeps them."""

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import text

from backend.avatars import retention
from backend.core.storage import AVATARS
from tests.backend.conftest import Finish, Step
from tests.factories import Given, GivenBrand, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, rows

DAY_S = 86_400


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


async def keep_for(app: Litestar, days: int) -> None:
    async with app.state.database.transaction() as session:
        await session.execute(text(f"UPDATE brands SET retention_days = {days}"))


async def a_figure(
    given: Given, brand: GivenBrand, endpoint: ScriptedEndpoint, step: Step, finish: Finish
) -> tuple[GivenShopper, str]:
    """Ready, with its files in the store."""
    shopper = await given.shopper(brand)
    avatar = await given.avatar(shopper)
    await step()
    await finish(endpoint.newest_of("avatar"))
    return shopper, str(avatar["id"])


async def kept_files(app: Litestar) -> list[str]:
    return [one.key async for one in app.state.store.list(AVATARS.name, "")]


async def test_an_unused_figure_goes_with_its_files_after_the_brands_days(
    app: Litestar,
    http: httpx.AsyncClient,
    given: Given,
    brand: GivenBrand,
    endpoint: ScriptedEndpoint,
    step: Step,
    finish: Finish,
    clock: HandClock,
) -> None:
    await keep_for(app, 7)
    _, avatar_id = await a_figure(given, brand, endpoint, step, finish)
    assert await kept_files(app)
    clock.advance(seconds=7 * DAY_S - 7200)
    await step()
    assert await rows(app.state.database, "SELECT count(*) FROM avatars") == [(1,)]
    clock.advance(seconds=3 * 7200)
    await step()
    assert await rows(app.state.database, "SELECT count(*) FROM avatars") == [(0,)]
    clock.advance(seconds=31)
    await step()
    assert await kept_files(app) == []
    assert (await http.get(f"/v1/avatars/{avatar_id}", headers=brand.headers)).status_code == 404
    assert await rows(app.state.database, "SELECT DISTINCT reason FROM erasures WHERE subject_type = 'avatar'") == [
        ("retention",)
    ]


async def test_one_that_was_used_meanwhile_stays(
    app: Litestar,
    http: httpx.AsyncClient,
    given: Given,
    brand: GivenBrand,
    endpoint: ScriptedEndpoint,
    step: Step,
    finish: Finish,
    clock: HandClock,
) -> None:
    shopper, avatar_id = await a_figure(given, brand, endpoint, step, finish)
    garment = await given.garment(brand)
    for _ in range(3):
        clock.advance(seconds=20 * DAY_S)
        token = given.token(shopper.brand_id, shopper.id)
        body = {"avatar_id": avatar_id, "garment_id": garment["id"]}
        answer = await http.post("/v1/tryon-sessions", headers={"Authorization": f"Bearer {token}"}, json=body)
        assert answer.status_code == 201
        await step()
    assert await rows(app.state.database, "SELECT count(*) FROM avatars") == [(1,)]


async def test_however_many_are_overdue_none_waits_for_the_next_hour(
    app: Litestar, given: Given, brand: GivenBrand, step: Step, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    await step()
    for _ in range(3):
        await given.avatar(await given.shopper(brand))
    clock.advance(seconds=31 * DAY_S)
    for _ in range(3):
        await step()
    assert await rows(app.state.database, "SELECT count(*) FROM avatars") == [(0,)]
