"""What an operator reads of real work: costs written down once, metrics, alarms."""

import re
from datetime import timedelta

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from backend.jobs.providers import Provider, Providers
from backend.jobs.queue import ComputeQueue, RunPodQueue
from backend.operations.books import Books
from backend.operations.cost_report import make_report
from backend.operations.prices import Prices
from backend.provider_settings import ProviderSettings
from backend.settings import Settings
from tests.backend.conftest import Finish, Step
from tests.factories import Given
from tests.fakes import HandClock
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint, manifest_of, rows, upload


@pytest.fixture
def queue(endpoint: ScriptedEndpoint) -> ComputeQueue:
    """An endpoint of RunPod's, paid by the second."""
    return RunPodQueue(BASE_URL, "rp1", lambda: "endpoint-key-of-the-tests", transport=endpoint)


@pytest.fixture
def providers(queue: ComputeQueue, clock: HandClock) -> Providers:
    settings = ProviderSettings(name="primary", base_url=BASE_URL, endpoint_id="rp1", price_pool="AMPERE_24")
    return Providers([Provider(settings, queue, clock)], clock)


async def metric(http: httpx.AsyncClient, sample: str) -> float | None:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    found = re.search(rf"^{re.escape(sample)} (\S+)$", answer.text, re.MULTILINE)
    return float(found[1]) if found else None


async def test_an_avatar_costs_its_seconds_its_cold_start_and_the_wait_after_it(
    app: Litestar,
    http: httpx.AsyncClient,
    given: Given,
    endpoint: ScriptedEndpoint,
    step: Step,
    clock: HandClock,
) -> None:
    await Prices(app.state.database, clock).add("AMPERE_24", 0.684, source="test")
    await given.avatar(await given.shopper(await given.brand()))
    await step()
    job = endpoint.newest
    manifest = manifest_of(job, cold=True, timings_ms={"process_start": 4000.0}, worker_id="w1", gpu_name="NVIDIA L4")
    await upload(http, job, manifest)
    endpoint.complete(job)
    await step()
    assert await metric(http, "tryon_cost_per_avatar_usd") is None, "nothing is said before it is known"
    clock.advance(seconds=61)
    await step()
    cost = await rows(app.state.database, "SELECT exec_ms, cold_ms, idle_ms, cost_microusd FROM job_attempts")
    ((exec_ms, cold_ms, idle_ms, cost_microusd),) = cost
    assert (cold_ms, idle_ms) == (4000, 5000)
    assert cost_microusd == round(190 * (-(-exec_ms // 1000) + 4 + 5))
    assert await metric(http, "tryon_cost_per_avatar_usd") == pytest.approx(cost_microusd / 1e6)
    clock.advance(seconds=120)
    await step()
    assert cost == await rows(app.state.database, "SELECT exec_ms, cold_ms, idle_ms, cost_microusd FROM job_attempts")


async def test_what_nobody_ran_costs_nothing_and_what_has_no_price_is_not_free(
    app: Litestar, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step, clock: HandClock
) -> None:
    await given.avatar(await given.shopper(await given.brand()))
    endpoint.run_faults = [lambda _: httpx.Response(429)]
    await step()
    clock.advance(seconds=130)
    await step()
    assert await rows(app.state.database, "SELECT state, cost_microusd FROM job_attempts ORDER BY n LIMIT 1") == [
        ("not_accepted", 0)
    ]


@pytest.mark.parametrize(
    ("pool", "base_url", "is_known", "unpriced"),
    [
        ("AMPERE_24", BASE_URL, True, 1),
        ("", BASE_URL, True, 0),
        ("", BASE_URL, False, 1),
        ("", "https://api.runpod.ai/v2", True, 1),
        ("", "http://127.0.0.1:8402/v2", False, 0),
    ],
)
async def test_only_what_is_paid_by_the_second_can_lack_a_price(
    app: Litestar, given: Given, endpoint: ScriptedEndpoint, finish: Finish, step: Step, clock: HandClock,
    pool: str, base_url: str, is_known: bool, unpriced: int,
) -> None:  # fmt: skip
    await given.avatar(await given.shopper(await given.brand()))
    await step()
    await finish(endpoint.newest)
    async with app.state.database.transaction() as session:
        await session.execute(text("UPDATE job_attempts SET provider = :url, cost_microusd = NULL"), {"url": base_url})
    row = ProviderSettings(name="primary", base_url=base_url, endpoint_id="rp1", price_pool=pool)
    books = Books(app.state.database, clock, {(base_url, "rp1"): row} if is_known else {})
    since, until = clock.now() - timedelta(days=1), clock.now() + timedelta(seconds=1)
    report = make_report(await books.spent(since, until), since, until, hits={}, pod_usd_per_hour=None)
    assert report.by_kind[0].unpriced_attempts == unpriced


async def test_metrics_show_work_providers_and_requests(
    http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, finish: Finish, step: Step
) -> None:
    await given.avatar(await given.shopper(await given.brand()))
    await step()
    assert await metric(http, 'tryon_jobs{kind="avatar",state="running"}') == 1
    assert await metric(http, "tryon_open_jobs") == 1
    await finish(endpoint.newest)
    assert await metric(http, 'tryon_jobs{kind="avatar",state="succeeded"}') == 1
    assert await metric(http, "tryon_success_rate") == 1
    assert await metric(http, 'tryon_provider_breaker{provider="primary",state="closed"}') == 1
    answered = 'tryon_http_requests_total{method="POST",path="/v1/avatars",status="202"}'
    assert await metric(http, answered) == 1


async def test_an_endpoint_that_is_down_raises_alarms(
    http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step
) -> None:
    await given.avatar(await given.shopper(await given.brand()))
    endpoint.run_faults = [lambda _: httpx.Response(401)]
    await step()
    assert await metric(http, 'tryon_alarm{code="provider_misconfigured",provider="primary"}') == 1
    assert await metric(http, 'tryon_alarm{code="no_provider",provider=""}') == 1


class TestWhoMayRead:
    @pytest.fixture
    def settings(self, settings: Settings, request: pytest.FixtureRequest) -> Settings:
        return msgspec.structs.replace(settings, **request.param)

    @pytest.mark.parametrize("settings", [{"metrics_token": "a-token-for-metrics"}], indirect=True)
    async def test_with_a_token_nobody_else(self, http: httpx.AsyncClient) -> None:
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 401
        right = {"authorization": "Bearer a-token-for-metrics"}
        assert (await http.get("/metrics", headers=right)).status_code == 200

    @pytest.mark.parametrize("settings", [{"environment": "production"}], indirect=True)
    async def test_in_production_nobody_without_one(self, http: httpx.AsyncClient) -> None:
        assert (await http.get("/metrics")).status_code == 404
