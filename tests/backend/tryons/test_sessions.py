from uuid import uuid4

import httpx
import pytest
from litestar import Litestar

from backend.tryons.service import TryonService
from tests.backend.conftest import Finish, Step
from tests.factories import CHART, Given, GivenBrand, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, rows


async def create(http: httpx.AsyncClient, by: GivenShopper | GivenBrand, **body: object) -> httpx.Response:
    return await http.post("/v1/tryon-sessions", headers=by.headers, json=body)


class TestCreateSession:
    async def test_the_size_comes_with_the_answer(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        avatar = await given.avatar(shopper, weight_kg="74", sex="male")
        garment = await given.garment(brand, shopify_product_id=41)
        answer = await create(http, shopper, avatar_id=avatar["id"], shopify_product_id=41)
        session = answer.json()
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == f"/v1/tryon-sessions/{session['id']}"
        assert session["garment_id"] == garment["id"]
        fit = session["fit_result"]
        assert fit["recommended_size"] or fit["between"] or fit["measure_next"]
        shares = [size["probability"] for size in fit["sizes"]]
        assert sum(shares) + fit["none_probability"] == pytest.approx(1, abs=0.01)
        assert set(fit["sizes"][0]["regions"][0]) == {"region", "ease_cm", "sd", "verdict"}
        assert (session["garment_glb_url"], session["dressing"]) == (None, None)
        read = await http.get(answer.headers["location"], headers=shopper.headers)
        assert read.json() == session
        events = await rows(app.state.database, "select event_type from events order by event_type")
        assert events == [("size_recommended",), ("tryon_started",)]

    async def test_garment_is_named_one_way(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        avatar, garment = await given.avatar(shopper), await given.garment(brand)
        both = await create(http, shopper, avatar_id=avatar["id"], garment_id=garment["id"], shopify_product_id=1)
        neither = await create(http, shopper, avatar_id=avatar["id"])
        assert (both.status_code, neither.status_code) == (422, 422)
        unknown = await create(http, shopper, avatar_id=avatar["id"], shopify_product_id=99)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "garment_not_found")
        nobody = await create(http, shopper, avatar_id=str(uuid4()), garment_id=garment["id"])
        assert (nobody.status_code, nobody.json()["code"]) == (404, "avatar_not_found")

    async def test_size_must_be_of_the_chart(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        avatar, garment = await given.avatar(shopper), await given.garment(brand)
        answer = await create(http, shopper, avatar_id=avatar["id"], garment_id=garment["id"], selected_size="XXXL")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_size")


class TestChangeSession:
    async def test_size_looked_at(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        session = await given.session(brand, shopper)
        path = f"/v1/tryon-sessions/{session['id']}"
        size = session["fit_result"]["sizes"][0]["size"]
        changed = await http.patch(path, headers=shopper.headers, json={"selected_size": size})
        assert (changed.status_code, changed.json()["selected_size"]) == (200, size)
        unknown = await http.patch(path, headers=shopper.headers, json={"selected_size": "?"})
        assert unknown.status_code == 422
        cleared = await http.patch(path, headers=shopper.headers, json={"selected_size": None})
        assert cleared.json()["selected_size"] is None


class TestJudgedAnew:
    async def test_when_a_better_estimate_lands(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        given: Given,
        brand: GivenBrand,
        shopper: GivenShopper,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
    ) -> None:
        session = await given.session(brand, shopper)
        await step()
        await finish(endpoint.newest_of("avatar"))
        now = (await http.get(f"/v1/tryon-sessions/{session['id']}", headers=shopper.headers)).json()
        regions = now["fit_result"]["sizes"][0]["regions"]
        assert {region["sd"] for region in regions} == {2.0}, "the worker's standard deviation"
        assert now["fit_result"] != session["fit_result"]
        told = await rows(app.state.database, "select count(*) from events where event_type = 'size_recommended'")
        assert told == [(2,)]

    async def test_when_the_answers_change(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        session = await given.session(brand, shopper)
        await given.avatar(shopper, weight_kg="130")
        now = (await http.get(f"/v1/tryon-sessions/{session['id']}", headers=shopper.headers)).json()
        before, after = (one["fit_result"]["sizes"][0]["regions"][0]["ease_cm"] for one in (session, now))
        assert after < before - 5

    async def test_when_the_chart_changes(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        session = await given.session(brand, shopper)
        chart = {"unit": "cm", "measures": "garment", "sizes": {"One": {"chest": 120}}}
        path = f"/v1/garments/{session['garment_id']}"
        assert (await http.patch(path, headers=brand.headers, json={"size_chart": chart})).status_code == 200
        now = (await http.get(f"/v1/tryon-sessions/{session['id']}", headers=shopper.headers)).json()
        assert [size["size"] for size in now["fit_result"]["sizes"]] == ["One"]
        assert now["selected_size"] is None

    async def test_not_for_a_new_name(
        self,
        http: httpx.AsyncClient,
        given: Given,
        brand: GivenBrand,
        shopper: GivenShopper,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Of a garment that thousands have looked at it would take a minute."""
        session = await given.session(brand, shopper)
        judged: list[object] = []

        async def judge_garment(_: TryonService, garment: object) -> None:
            judged.append(garment)

        monkeypatch.setattr(TryonService, "judge_garment", judge_garment)
        path = f"/v1/garments/{session['garment_id']}"
        for body, times in (({"name": "Other"}, 0), ({"size_chart": CHART}, 0), ({"fabric": {"stretch": "woven"}}, 1)):
            assert (await http.patch(path, headers=brand.headers, json=body)).status_code == 200
            assert len(judged) == times, body

    async def test_an_old_one_when_it_is_looked_at(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        given: Given,
        brand: GivenBrand,
        clock: HandClock,
    ) -> None:
        session = await given.session(brand, brand, selected_size="M")
        clock.advance(hours=25)
        chart = {"unit": "cm", "measures": "garment", "sizes": {"One": {"chest": 120}}}
        path = f"/v1/garments/{session['garment_id']}"
        assert (await http.patch(path, headers=brand.headers, json={"size_chart": chart})).status_code == 200
        kept = await rows(app.state.database, "select selected_size from tryon_sessions")
        assert kept == [("M",)], "as it was begun"
        path = f"/v1/tryon-sessions/{session['id']}"
        now = (await http.get(path, headers=brand.headers)).json()
        assert [size["size"] for size in now["fit_result"]["sizes"]] == ["One"]
        assert now["selected_size"] is None
        chosen = (await http.patch(path, headers=brand.headers, json={"selected_size": "One"})).json()
        assert [size["size"] for size in chosen["fit_result"]["sizes"]] == ["One"]
        assert (await http.get(path, headers=brand.headers)).json()["selected_size"] == "One"


class TestBrandSees:
    async def test_verdicts_of_a_shoppers_own_body_and_no_ease(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        """Ease and a known chart together would be the measure of the body."""
        session = await given.session(brand, shopper)
        seen = (await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)).json()
        regions = [region for size in seen["fit_result"]["sizes"] for region in size["regions"]]
        assert {(region["ease_cm"], region["sd"]) for region in regions} == {(None, None)}
        assert all(region["verdict"] for region in regions)

    async def test_everything_of_a_body_it_made(self, http: httpx.AsyncClient, given: Given, brand: GivenBrand) -> None:
        session = await given.session(brand, brand)
        assert session["fit_result"]["sizes"][0]["regions"][0]["ease_cm"] is not None
