"""The scaler against RunPod's REST v2 as it is documented: looks, writes down, sets only when switched on."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar

from backend.jobs.management import RunPodManagement
from backend.jobs.providers import Provider
from backend.jobs.queue import RunPodQueue
from backend.operations.books import read_prices
from backend.operations.costs import price_at
from backend.operations.prices import Prices
from backend.operations.scaler import Scaler, read_policies
from backend.operations.scaling import Policy
from backend.provider_settings import ProviderSettings
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint, rows

POLICIES = read_policies('{"primary": {"base_max": 3, "cap": 10, "windows": ""}}')


class Rest(httpx.AsyncBaseTransport):
    """REST v2 of one endpoint, strict about what a PATCH may hold."""

    def __init__(self) -> None:
        self.limits: dict[str, Any] = {"min": 0, "max": 8, "idleTimeout": 5}
        self.workers = {"running": 0, "idle": 0, "initializing": 0, "throttled": 0, "unhealthy": 0, "total": 0}
        self.patches: list[dict[str, Any]] = []
        self.status = 200
        self.catalogue: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.status != 200:
            return httpx.Response(self.status, json={"title": "no", "detail": "no"})
        if request.url.path.endswith("/catalog/gpus"):
            return httpx.Response(200, json={"gpus": self.catalogue})
        if request.url.path.endswith("/workers"):
            return httpx.Response(200, json={"workers": [], "summary": self.workers})
        if request.method == "PATCH":
            body = json.loads(request.content)
            assert body.keys() <= {"workers", "scaling"}
            self.patches.append(body["workers"])
            self.limits |= body["workers"]
        return httpx.Response(200, json={"id": "rp1", "name": "avatars", "workers": self.limits})


@pytest.fixture
def rest() -> Rest:
    return Rest()


@pytest.fixture
def policies() -> Mapping[str, Policy]:
    return POLICIES


@pytest.fixture
def scaler(
    app: Litestar, clock: HandClock, rest: Rest, policies: Mapping[str, Policy], request: pytest.FixtureRequest
) -> Scaler:
    queue = RunPodQueue(BASE_URL, "rp1", lambda: "k", transport=ScriptedEndpoint())
    settings = ProviderSettings(name="primary", base_url=BASE_URL, endpoint_id="rp1", price_pool="AMPERE_24")
    management = RunPodManagement("management-key", transport=rest)
    provider = Provider(settings, queue, clock)
    is_on = getattr(request, "param", True)
    return Scaler(app.state.database, clock, management, [provider], policies, is_switched_on=is_on)


@pytest.fixture
async def opens_photo_screen(http: httpx.AsyncClient, given: Given) -> Callable[[], Awaitable[None]]:
    shopper = await given.shopper(await given.brand())

    async def opened() -> None:
        token = given.token(shopper.brand_id, shopper.id)
        answer = await http.post("/v1/photo-screens", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.content) == (204, b"")

    return opened


class TestAPhotoScreen:
    @pytest.fixture
    def policies(self) -> Mapping[str, Policy]:
        return read_policies('{"primary": {"base_max": 8, "cap": 10, "prewarms_per_hour": 2}}')

    async def test_warms_a_worker_at_once_for_ten_minutes_so_often_an_hour(
        self, scaler: Scaler, clock: HandClock, rest: Rest, opens_photo_screen: Callable[[], Awaitable[None]]
    ) -> None:
        await scaler.run_if_due()
        told = []
        for _ in range(3):
            clock.advance(seconds=6)
            await opens_photo_screen()
            await scaler.run_if_due()
            told.append(rest.limits["min"])
            clock.advance(minutes=9)
            await scaler.run_if_due()
            told.append(rest.limits["min"])
            clock.advance(minutes=1)
            await scaler.run_if_due()
            told.append(rest.limits["min"])
        assert told == [1, 1, 0, 1, 1, 0, 0, 0, 0]
        clock.advance(minutes=31)
        await opens_photo_screen()
        await scaler.run_if_due()
        assert rest.limits["min"] == 1

    @pytest.mark.parametrize("scaler", [False], indirect=True)
    async def test_switched_off_is_only_written_down(
        self,
        app: Litestar,
        scaler: Scaler,
        clock: HandClock,
        rest: Rest,
        opens_photo_screen: Callable[[], Awaitable[None]],
    ) -> None:
        for _ in range(4):
            await opens_photo_screen()
            await scaler.run_if_due()
            clock.advance(minutes=2)
            await scaler.run_if_due()
            clock.advance(seconds=6)
        assert rest.patches == []
        assert [(deed, reasons) for deed, reasons, *_ in await deeds(app)] == [("recommended", ["photo_screen"])] * 2

    async def test_many_at_once_are_one(
        self, app: Litestar, clock: HandClock, opens_photo_screen: Callable[[], Awaitable[None]]
    ) -> None:
        for _ in range(3):
            await opens_photo_screen()
            clock.advance(seconds=5)
        first = clock.now() - timedelta(seconds=15)
        assert await app.state.photo_screens.last_opened_at() == first
        clock.advance(seconds=6)
        await opens_photo_screen()
        assert await app.state.photo_screens.last_opened_at() == clock.now()


async def pass_quiet_minutes(scaler: Scaler, clock: HandClock) -> None:
    await scaler.run_if_due()
    clock.advance(seconds=601)
    await scaler.run_if_due()


async def deeds(app: Litestar) -> list[tuple[Any, ...]]:
    found = await rows(app.state.database, "SELECT deed, reasons, before, after FROM scaling_log ORDER BY created_at")
    return [(deed, *(json.loads(part) if isinstance(part, str) else part for part in parts)) for deed, *parts in found]


async def test_a_quiet_endpoint_is_led_back_to_its_base_and_that_is_written_down(
    app: Litestar, scaler: Scaler, clock: HandClock, rest: Rest
) -> None:
    await pass_quiet_minutes(scaler, clock)
    assert rest.patches == [{"min": 0, "max": 3, "idleTimeout": 5}]
    before = {"min": 0, "max": 8, "idle_timeout_s": 5}
    assert await deeds(app) == [("sent", ["quiet"], before, {**before, "max": 3})]


@pytest.mark.parametrize("scaler", [False], indirect=True)
async def test_switched_off_it_says_so_once_and_sets_nothing(
    app: Litestar, scaler: Scaler, clock: HandClock, rest: Rest
) -> None:
    await pass_quiet_minutes(scaler, clock)
    clock.advance(seconds=31)
    await scaler.run_if_due()
    assert rest.patches == []
    assert [deed for deed, *_ in await deeds(app)] == ["recommended"]


async def test_a_look_changes_nothing(app: Litestar, scaler: Scaler, rest: Rest) -> None:
    (recommendation,) = await scaler.look()
    assert (recommendation.provider, recommendation.snapshot.workers_max) == ("primary", 8)
    assert rest.patches == []
    assert await deeds(app) == []


async def test_a_refused_change_is_written_down_and_tried_again_later(
    app: Litestar, scaler: Scaler, clock: HandClock, rest: Rest
) -> None:
    await scaler.run_if_due()
    clock.advance(seconds=601)

    async def refuse(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            return httpx.Response(422, json={"title": "Validation", "detail": "max too high"})
        return await Rest.handle_async_request(rest, request)

    rest.handle_async_request = refuse  # type: ignore[method-assign]
    await scaler.run_if_due()
    assert [deed for deed, *_ in await deeds(app)] == ["failed"]
    del rest.handle_async_request
    clock.advance(seconds=31)
    await scaler.run_if_due()
    assert len(rest.patches) == 1


async def test_a_change_that_another_process_has_sent_is_waited_for(
    app: Litestar, scaler: Scaler, clock: HandClock, rest: Rest
) -> None:
    await pass_quiet_minutes(scaler, clock)
    rest.limits["max"] = 8  # as if somebody had set it back
    twin = Scaler(
        app.state.database,
        clock,
        RunPodManagement("k", transport=rest),
        scaler._providers,
        POLICIES,
        is_switched_on=True,
    )
    await twin.run_if_due()
    assert len(rest.patches) == 1


async def test_a_management_that_does_not_answer_stops_nothing(scaler: Scaler, rest: Rest) -> None:
    rest.status = 403
    assert await scaler.run_if_due() == 0


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"p": {"base_max": 3}}',
        '{"p": {"base_max": 5, "cap": 3}}',
        '{"p": {"base_max": 1, "cap": 2, "x": 1}}',
        '{"p": {"base_max": 1, "cap": 2, "prewarms_per_hour": -1}}',
    ],
)
def test_a_policy_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="SCALING"):
        read_policies(text)


async def test_the_catalogues_prices_are_kept_and_only_their_changes_added(
    app: Litestar, clock: HandClock, rest: Rest
) -> None:
    prices = Prices(app.state.database, clock)
    management = RunPodManagement("k", transport=rest)
    l4 = {"id": "NVIDIA L4", "name": "L4", "memory": 24, "price": {"serverless": 0.684}}
    rest.catalogue = [l4, {"id": "NVIDIA H200", "name": "H200", "price": {}}]
    assert [view.gpu_name for view in await prices.refresh(management)] == ["NVIDIA L4"]
    assert await prices.refresh(management) == []
    clock.advance(seconds=60)
    rest.catalogue = [{**l4, "price": {"serverless": 0.72}}]
    assert [view.usd_per_hour for view in await prices.refresh(management)] == [0.72]
    async with app.state.database.transaction(read_only=True) as session:
        known = await read_prices(session)
    paid = price_at(known, "AMPERE_24", "NVIDIA L4", clock.now())
    assert paid is not None
    assert paid.microusd_per_s == 200
    assert price_at(known, "", "NVIDIA L4", clock.now()) is None, "a host of our own is paid by nobody"
