import asyncio
import json
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import update

from backend.core.storage import SignedUrl
from backend.garments.models import Garment
from backend.garments.service import GarmentService
from backend.garments.uploads import kept_file
from gpu_worker.contract import GarmentParams
from tests.backend.conftest import Finish, Step
from tests.factories import Given, GivenBrand
from tests.fakes import HandClock
from tests.scripted_endpoint import GLB, ScriptedEndpoint, rows

CHART = {"unit": "cm", "measures": "garment", "sizes": {"S": {"chest": 96}, "M": {"chest": 102}, "10": {"chest": 108}}}
TEE: dict[str, Any] = {"name": "Tee", "category": "t-shirt", "size_chart": CHART}


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


async def create(http: httpx.AsyncClient, brand: GivenBrand, **changes: Any) -> httpx.Response:
    return await http.post("/v1/garments", headers=brand.headers, json=TEE | changes)


class TestCreateGarment:
    async def test_comes_back_as_it_was_given(self, http: httpx.AsyncClient, brand: GivenBrand) -> None:
        answer = await create(http, brand, fabric={"stretch": "knit"}, shopify_product_id=2**53)
        garment = answer.json()
        assert answer.status_code == 201
        read = await http.get(answer.headers["location"], headers=brand.headers)
        assert read.json() == garment
        assert list(garment["size_chart"]["sizes"]) == ["S", "M", "10"]
        assert garment["size_chart"]["sizes"]["M"] == {"chest": 102}
        assert garment["fabric"] == {"stretch": "knit"}
        assert garment["shopify_product_id"] == 2**53

    async def test_wrong_chart_is_refused_with_every_place(self, http: httpx.AsyncClient, brand: GivenBrand) -> None:
        chart = CHART | {"sizes": {"S": {"chest": 34}, "M": {"chest": 36}}}
        answer = await create(http, brand, size_chart=chart)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_size_chart")
        assert [(one["code"], one["size"], one["measure"]) for one in problem["problems"]] == [
            ("out_of_range", "S", "chest"),
            ("out_of_range", "M", "chest"),
        ]

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": ""},
            {"name": "   "},
            {"name": "x" * 201},
            {"category": "jacket"},
            {"fabric": {"stretch": "rubber"}},
            {"size_chart": {"unit": "cm", "sizes": {"S": {"chest": 96}}}},
            {"look": {"colour": "red"}},
            {"external_id": ""},
            {"fit_bands": {"chest": [1, 2, 3]}},
            {"fit_bands": {"chest": [4, 3, 2, 1]}},
            {"fit_bands": {"length": [1, 2, 3, 4]}},
            {"fit_bands": {"chest": [1, 2, 3, 400]}},
            {"design_ease_cm": {"chest": 90}},
            {"design_ease_cm": {"length": 3}},
            {"size_chart": CHART | {"unit": "mm"}},
            {"shopify_product_id": 0},
            {"shopify_product_id": 2**63},
            {"glb_url": "https://example.com/a.glb"},
        ],
    )
    async def test_what_the_schema_does_not_know_is_refused(
        self, changes: dict[str, Any], http: httpx.AsyncClient, brand: GivenBrand
    ) -> None:
        answer = await create(http, brand, **changes)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    async def test_one_garment_for_a_product_of_a_brand(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand
    ) -> None:
        assert (await create(http, brand, shopify_product_id=7)).status_code == 201
        taken = await create(http, brand, shopify_product_id=7)
        assert (taken.status_code, taken.json()["code"]) == (409, "product_taken")
        assert (await create(http, await given.brand("Another"), shopify_product_id=7)).status_code == 201


class TestListGarments:
    async def test_pages_by_cursor(self, http: httpx.AsyncClient, given: Given, brand: GivenBrand) -> None:
        made = [(await create(http, brand, name=f"Tee {n}")).json()["id"] for n in range(5)]
        await create(http, await given.brand("Another"))
        listed: list[str] = []
        cursor = None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await http.get("/v1/garments", headers=brand.headers, params=query)).json()
            listed += [garment["id"] for garment in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert listed == made

    async def test_by_product(self, http: httpx.AsyncClient, brand: GivenBrand) -> None:
        await create(http, brand)
        made = (await create(http, brand, shopify_product_id=9)).json()
        page = await http.get("/v1/garments", headers=brand.headers, params={"shopify_product_id": 9})
        assert [garment["id"] for garment in page.json()["items"]] == [made["id"]]

    async def test_a_store_is_asked_for_a_page_at_once(
        self, app: Litestar, http: httpx.AsyncClient, brand: GivenBrand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One after the other, two hundred previews would take many seconds where the store is far."""
        for n in range(3):
            await create(http, brand, name=f"Tee {n}")
        async with app.state.database.transaction() as session:
            await session.execute(update(Garment).values(preview_key="a/preview.glb"))
        all_three = asyncio.Barrier(3)

        async def far_away(*_: object, **__: object) -> SignedUrl:
            async with asyncio.timeout(5):
                await all_three.wait()
            return SignedUrl("http://far.test/a", app.state.clock.now())

        monkeypatch.setattr(app.state.store, "signed_get_url", far_away)
        page = (await http.get("/v1/garments", headers=brand.headers)).json()
        assert [garment["preview_url"] for garment in page["items"]] == ["http://far.test/a"] * 3

    @pytest.mark.parametrize("query", [{"cursor": "x"}, {"limit": 0}, {"limit": 201}, {"shopify_product_id": 2**63}])
    async def test_wrong_query(self, query: dict[str, Any], http: httpx.AsyncClient, brand: GivenBrand) -> None:
        assert (await http.get("/v1/garments", headers=brand.headers, params=query)).status_code == 422


class TestChangeGarment:
    async def test_what_is_left_out_stays(self, http: httpx.AsyncClient, brand: GivenBrand) -> None:
        made = await create(http, brand, shopify_product_id=7, fabric={"stretch": "knit"})
        path = made.headers["location"]
        changed = await http.patch(path, headers=brand.headers, json={"name": "Boxy tee", "fabric": None})
        assert changed.status_code == 200
        expected = made.json() | {"name": "Boxy tee", "fabric": None}
        assert changed.json() | {"updated_at": None} == expected | {"updated_at": None}

    async def test_category_that_the_chart_cannot_be_of(self, http: httpx.AsyncClient, brand: GivenBrand) -> None:
        made = await create(http, brand)
        answer = await http.patch(made.headers["location"], headers=brand.headers, json={"category": "trousers"})
        assert (answer.status_code, answer.json()["problems"][0]["code"]) == (422, "no_girth")


class TestDeleteGarment:
    async def test_is_gone_with_its_sessions(self, http: httpx.AsyncClient, given: Given, brand: GivenBrand) -> None:
        session = await given.session(brand, await given.shopper(brand))
        path = f"/v1/garments/{session['garment_id']}"
        assert (await http.delete(path, headers=brand.headers)).status_code == 204
        assert (await http.get(path, headers=brand.headers)).status_code == 404
        assert (await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)).status_code == 404
        assert (await http.delete(path, headers=brand.headers)).status_code == 404


class TestBodyChart:
    """What a chart says of the body becomes the garment's by its design ease, and is marked as made up."""

    async def test_the_middle_of_what_fits_well_unless_the_brand_says_otherwise(
        self, http: httpx.AsyncClient, brand: GivenBrand, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        chart = {"unit": "cm", "measures": "body", "sizes": {"M": {"chest": 100, "waist": 88, "length": 70}}}
        fabric = {"stretch": "knit"}
        await create(http, brand, size_chart=chart, fabric=fabric, design_ease_cm={"waist": 12})
        await step()
        params = msgspec.convert(endpoint.newest_of("garment").input.params, GarmentParams)
        assert params.sizes[0].garment_cm == {"chest": 104.5, "waist": 100, "length": 70}

    async def test_it_is_said(
        self, http: httpx.AsyncClient, brand: GivenBrand, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        chart = {"unit": "cm", "measures": "body", "sizes": {"M": {"chest": 100, "length": 70}}}
        made = await create(http, brand, size_chart=chart)
        await step()
        await finish(endpoint.newest_of("garment"))
        seen = (await http.get(made.headers["location"], headers=brand.headers)).json()
        assert seen["sizes"][0]["estimated"] == ["chest"]


class TestExternalId:
    async def test_is_one_garments_alone(self, http: httpx.AsyncClient, brand: GivenBrand, given: Given) -> None:
        assert (await create(http, brand, external_id="SKU-1")).json()["external_id"] == "SKU-1"
        again = await create(http, brand, external_id="SKU-1")
        assert (again.status_code, again.json()["code"]) == (409, "external_id_taken")
        other = await given.brand()
        assert (await create(http, other, external_id="SKU-1")).status_code == 201


async def test_warnings_come_with_the_garment(http: httpx.AsyncClient, brand: GivenBrand) -> None:
    chart = {"measures": "garment", "sizes": {"S": {"chest": 36}, "M": {"chest": 42}}}
    made = (await create(http, brand, size_chart=chart)).json()
    assert made["size_chart"]["unit"] == "in"
    assert [one["code"] for one in made["warnings"]] == ["unit_taken", "large_step"]


class TestDelete:
    async def test_what_a_worker_still_sends_goes_too(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        given: Given,
        brand: GivenBrand,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
        clock: HandClock,
    ) -> None:
        garment = await given.garment(brand)
        await step()
        deleted = await http.delete(f"/v1/garments/{garment['id']}", headers=brand.headers)
        assert deleted.status_code == 204
        await finish(endpoint.newest_of("garment"))
        clock.advance(hours=2, minutes=10)
        await step()
        assert [one.key async for one in app.state.store.list("sources", f"{brand.id}/{garment['id']}/")] == []


class TestAtOnce:
    async def test_models_that_come_together_are_all_prepared(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, brand: GivenBrand, clock: HandClock
    ) -> None:
        """A script sends one for each size and waits for none."""
        garment = await given.garment(brand)
        garment_id = UUID(garment["id"])
        path = f"/v1/garments/{garment_id}/sizes/M"
        async with (
            kept_file(app.state.store, brand.id, garment_id, GLB, "model/gltf-binary") as source,
            app.state.database.transaction() as session,
        ):
            await GarmentService(session, clock).put_size(brand.id, garment_id, "S", source)
            other = asyncio.create_task(http.put(path, headers=brand.headers, content=GLB))
            await asyncio.wait([other], timeout=0.3)
        assert (await other).status_code == 202
        ordered = await rows(
            app.state.database,
            "select cast(jobs.input as text) from jobs join garments on garments.job_id = jobs.id",
        )
        assert json.loads(ordered[0][0])["params"]["uploads"] == ["S", "M"]
