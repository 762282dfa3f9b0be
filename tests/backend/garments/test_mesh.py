"""A garment's mesh: checked and shown behind; a brand's own models of its sizes."""

from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from gpu_worker.contract import GarmentParams, GarmentResult, SizeReport
from tests.backend.conftest import Finish, Step
from tests.factories import CHART, Given, GivenBrand, photo
from tests.fakes import HandClock
from tests.scripted_endpoint import GLB, NPZ, ScriptedEndpoint, SubmittedJob, manifest_of, record_of, rows, upload

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


class Bench:
    """A brand at work on its garments."""

    def __init__(self, http: httpx.AsyncClient, brand: GivenBrand, endpoint: ScriptedEndpoint, step: Step) -> None:
        self.http, self.brand, self.endpoint, self.step = http, brand, endpoint, step

    async def read(self, garment: Any) -> Any:
        return (await self.http.get(f"/v1/garments/{garment['id']}", headers=self.brand.headers)).json()

    async def put(self, garment: Any, size: str, body: bytes = GLB, **headers: str) -> httpx.Response:
        await self.step()  # what was ordered before is sent before
        url = f"/v1/garments/{garment['id']}/sizes/{size}"
        said = self.brand.headers | {"Content-Type": "model/gltf-binary"} | headers
        return await self.http.put(url, content=body, headers=said)

    async def remove(self, garment: Any, size: str) -> httpx.Response:
        await self.step()
        return await self.http.delete(f"/v1/garments/{garment['id']}/sizes/{size}", headers=self.brand.headers)

    async def answer(self, result: GarmentResult, **files: bytes) -> SubmittedJob:
        """The worker ends the newest garment job with this."""
        await self.step()
        job = self.endpoint.newest_of("garment")
        made = {name.replace("__", "."): body for name, body in files.items()}
        records = {name: record_of(body) for name, body in made.items()}
        await upload(self.http, job, manifest_of(job, garment=result, files=records), only=made)
        self.endpoint.complete(job)
        await self.step()
        return job


@pytest.fixture
def bench(http: httpx.AsyncClient, brand: GivenBrand, endpoint: ScriptedEndpoint, step: Step) -> Bench:
    return Bench(http, brand, endpoint, step)


def all_ok(*sizes: str) -> GarmentResult:
    return GarmentResult([SizeReport(size, "ok") for size in sizes])


class TestTemplate:
    async def test_it_is_pending_then_ready_with_a_picture(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint,
        step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        chart = {"unit": "in", "measures": "garment", "flat": True, "sizes": {"M": {"chest": 20, "length": 27}}}
        garment = await given.garment(brand, size_chart=chart, look={"colour": "#c03040"})
        assert (garment["status"], garment["preview_url"]) == ("pending", None)
        assert garment["sizes"] == [{"size": "M", "state": "pending", "reason": None, "detail": None, "estimated": []}]
        await step()
        params = msgspec.convert(endpoint.newest_of("garment").input.params, GarmentParams)
        assert params.sizes[0].garment_cm == {"chest": 101.6, "length": 68.58}, "centimetres, girths whole"
        assert params.look.colour == "#c03040"
        await finish(endpoint.newest_of("garment"))
        ready = await bench.read(garment)
        assert (ready["status"], ready["error"], ready["sizes"][0]["state"]) == ("ready", None, "ok")
        assert (await http.get(ready["preview_url"])).content == GLB

    async def test_measures_that_were_made_up_are_named(
        self, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        garment = await given.garment(brand, size_chart=CHART | {"sizes": {"M": {"chest": 100}}})
        await step()
        await finish(endpoint.newest_of("garment"))
        assert (await bench.read(garment))["sizes"][0]["estimated"] == ["length"]

    async def test_a_chart_that_cannot_be_built_is_refused_in_words(
        self, given: Given, brand: GivenBrand, bench: Bench
    ) -> None:
        garment = await given.garment(brand, category="trousers", size_chart=CHART | {"sizes": {"M": {"thigh": 60}}})
        why = "Size M of a trousers needs at least its waist or hip."
        await bench.answer(GarmentResult([SizeReport("M", "unavailable", "garment_invalid", why)]))
        refused = await bench.read(garment)
        assert (refused["status"], refused["error"]) == ("refused", {"code": "garment_invalid", "detail": why})
        assert refused["preview_url"] is None

    async def test_a_new_name_is_no_new_mesh(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint,
        step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        await step()
        await finish(endpoint.newest_of("garment"))
        path = f"/v1/garments/{garment['id']}"
        renamed = (await http.patch(path, headers=brand.headers, json={"name": "Shirt"})).json()
        assert renamed["status"] == "ready"
        dyed = (await http.patch(path, headers=brand.headers, json={"look": {"colour": "#112233"}})).json()
        assert dyed["status"] == "pending"
        back = (await http.patch(path, headers=brand.headers, json={"look": garment["look"]})).json()
        assert back["status"] == "pending"
        await step()
        assert len(endpoint.all_of("garment")) == 3, "once, dyed, and back, for its picture had gone"

    async def test_deleting_leaves_nothing(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench,
        endpoint: ScriptedEndpoint, step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        await step()
        await finish(endpoint.newest_of("garment"))
        await bench.put(garment, "M")
        await http.delete(f"/v1/garments/{garment['id']}", headers=brand.headers)
        await step()
        assert [one async for one in app.state.store.list("sources", "")] == []
        assert await rows(app.state.database, "select count(*) from garment_uploads") == [(0,)]


class TestPutSize:
    async def test_the_worker_gets_every_model_and_what_it_makes_is_worn(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint,
        step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        answer = await bench.put(garment, "L")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        await bench.put(garment, "S")
        report = [
            SizeReport("S", "ok"),
            SizeReport("M", "graded", None, "graded from S"),
            SizeReport("L", "unavailable", "garment_invalid", "accessors[3] holds NaN or infinity."),
        ]
        job = await bench.answer(GarmentResult(report), garment__npz=NPZ, preview__png=PNG)
        params = msgspec.convert(job.input.params, GarmentParams)
        assert params.uploads == ["S", "L"], "in the chart's order"
        assert set(job.input.inputs) == {"size_0", "size_1"}
        seen = await bench.read(garment)
        assert (seen["status"], [size["state"] for size in seen["sizes"]]) == ("ready", ["ok", "graded", "unavailable"])
        assert seen["sizes"][2]["detail"] == "accessors[3] holds NaN or infinity."
        assert (await http.get(seen["preview_url"])).content == PNG
        avatar = await given.avatar(brand, weight_kg="74")
        await step()
        await finish(endpoint.newest_of("avatar"))
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
        await http.post("/v1/tryon-sessions", headers=brand.headers, json=body)
        await step()
        assert set(endpoint.newest_of("dress").input.inputs) == {"body", "garment"}

    async def test_nothing_is_worn_until_the_models_are_ready(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint,
        step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        avatar, garment = await given.avatar(brand, weight_kg="74"), await given.garment(brand)
        await bench.put(garment, "M")
        await step()
        await finish(endpoint.newest_of("avatar"))
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
        session = (await http.post("/v1/tryon-sessions", headers=brand.headers, json=body)).json()
        assert session["dressing"] is None
        await bench.answer(all_ok("S", "M", "L"), garment__npz=NPZ)
        now = await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)
        assert now.json()["dressing"] == "queued"

    async def test_every_model_refused_is_a_refused_garment(
        self, given: Given, brand: GivenBrand, bench: Bench
    ) -> None:
        garment = await given.garment(brand, size_chart=CHART | {"sizes": {"M": {"chest": 100}}})
        await bench.put(garment, "M")
        why = "The file is 300,001 triangles; at most 300,000 are taken."
        await bench.answer(GarmentResult([SizeReport("M", "unavailable", "garment_invalid", why)]), preview__png=PNG)
        seen = await bench.read(garment)
        assert (seen["status"], seen["error"]["detail"]) == ("refused", why)
        assert seen["preview_url"], "a picture of what is wrong"

    async def test_every_model_refused_is_worn_as_the_chart_where_that_was_built(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint,
        step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        avatar, garment = await given.avatar(brand, weight_kg="74"), await given.garment(brand)
        await bench.put(garment, "M")
        await step()
        await finish(endpoint.newest_of("avatar"))
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
        session = (await http.post("/v1/tryon-sessions", headers=brand.headers, json=body)).json()
        why = SizeReport("M", "ok", "garment_invalid", "meshes: No triangles.")
        await bench.answer(GarmentResult([SizeReport("S", "ok"), why, SizeReport("L", "ok")]), preview__glb=GLB)
        seen = await bench.read(garment)
        assert (seen["status"], seen["error"], seen["sizes"][1]["reason"]) == ("ready", None, "garment_invalid")
        now = await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)
        assert now.json()["dressing"] == "queued", "what waited for the models is dressed"
        await step()
        assert set(endpoint.newest_of("dress").input.inputs) == {"body"}

    async def test_a_size_that_leaves_the_chart_takes_its_model_along(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, step: Step,
        endpoint: ScriptedEndpoint, clock: HandClock,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        await bench.put(garment, "S")
        chart = CHART | {"sizes": {"M": {"chest": 102}}}
        await http.patch(f"/v1/garments/{garment['id']}", headers=brand.headers, json={"size_chart": chart})
        clock.advance(minutes=21)
        await step()
        await step()
        assert [one.key async for one in app.state.store.list("sources", "") if one.key.endswith(".glb")] == []

    @pytest.mark.parametrize(
        ("body", "content_type", "status", "code"),
        [
            (b'{"url": "https://example.com/a.glb"}', "application/json", 422, "garment_invalid"),
            (b"<html>", "text/html", 422, "garment_invalid"),
            (b"", "model/gltf-binary", 422, "garment_invalid"),
            (b"not a model", "model/gltf-binary", 422, "garment_invalid"),
            (GLB[:-1], "model/gltf-binary", 422, "garment_invalid"),
            (b"glTF" + (1).to_bytes(4, "little") + GLB[8:], "model/gltf-binary", 422, "garment_invalid"),
            (GLB[:8] + (20_000_001).to_bytes(4, "little") + bytes(19_999_989), "", 413, "model_too_large"),
        ],
        ids=["an address", "a page", "nothing", "no GLB", "cut short", "glTF 1", "too large"],
    )
    async def test_what_is_no_model_is_refused_and_not_kept(
        self, body: bytes, content_type: str, status: int, code: str, app: Litestar, given: Given, brand: GivenBrand,
        bench: Bench,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        answer = await bench.put(garment, "M", body, **{"Content-Type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert [one async for one in app.state.store.list("sources", "")] == []

    async def test_a_size_must_be_of_the_chart(self, given: Given, brand: GivenBrand, bench: Bench) -> None:
        garment = await given.garment(brand, size_chart=CHART | {"sizes": {"2X/3X": {"chest": 120}}})
        assert (await bench.put(garment, "2X%2F3X")).status_code == 202
        answer = await bench.put(garment, "M")
        assert (answer.status_code, answer.json()["code"]) == (404, "size_not_found")


class TestDeleteSize:
    async def test_after_the_last_model_the_garment_is_the_charts_again(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, step: Step,
        endpoint: ScriptedEndpoint, finish: Finish, clock: HandClock,
    ) -> None:  # fmt: skip
        avatar, garment = await given.avatar(brand, weight_kg="74"), await given.garment(brand)
        await step()
        await finish(endpoint.newest_of("avatar"))
        await finish(endpoint.newest_of("garment"))
        await bench.put(garment, "M")
        bad = [SizeReport(size, "unavailable", "garment_invalid", "No triangles.") for size in ("S", "M", "L")]
        await bench.answer(GarmentResult(bad))
        assert (await bench.read(garment))["status"] == "refused"
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
        session = (await http.post("/v1/tryon-sessions", headers=brand.headers, json=body)).json()
        assert session["dressing"] is None
        assert (await bench.remove(garment, "M")).status_code == 204
        assert (await bench.read(garment))["status"] == "pending"
        await step()
        job = endpoint.newest_of("garment")
        assert (msgspec.convert(job.input.params, GarmentParams).uploads, job.input.inputs) == ([], {})
        await finish(job)
        seen = await bench.read(garment)
        assert (seen["status"], {size["state"] for size in seen["sizes"]}) == ("ready", {"ok"})
        now = await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)
        assert now.json()["dressing"] == "queued", "open sessions are dressed"
        clock.advance(minutes=21)
        await step()
        await step()
        kept = [one.key async for one in app.state.store.list("sources", "") if one.key.endswith(".glb")]
        assert [key for key in kept if not key.endswith("/preview.glb")] == []

    async def test_the_other_models_stay(self, given: Given, brand: GivenBrand, bench: Bench) -> None:
        garment = await given.garment(brand)
        await bench.put(garment, "S")
        await bench.put(garment, "L")
        await bench.remove(garment, "S")
        job = await bench.answer(all_ok("S", "M", "L"), garment__npz=NPZ)
        assert msgspec.convert(job.input.params, GarmentParams).uploads == ["L"]
        assert (await bench.read(garment))["status"] == "ready"

    async def test_a_size_without_a_model_is_not_found(self, given: Given, brand: GivenBrand, bench: Bench) -> None:
        garment = await given.garment(
            brand, size_chart=CHART | {"sizes": {"M": {"chest": 102}, "2X/3X": {"chest": 120}}}
        )
        await bench.put(garment, "2X%2F3X")
        for size, status in (("M", 404), ("XXL", 404), ("2X%2F3X", 204), ("2X%2F3X", 404)):
            answer = await bench.remove(garment, size)
            assert answer.status_code == status, size
            assert status == 204 or answer.json()["code"] == "model_not_found"


class TestLook:
    async def test_pictures_of_it_go_to_the_worker_and_onto_bodies(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand, bench: Bench, endpoint: ScriptedEndpoint,
        step: Step, finish: Finish,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand, look={"fabric": "denim", "tile_cm": 4})
        await step()
        await finish(endpoint.newest_of("garment"))
        path = f"/v1/garments/{garment['id']}/look"
        answer = await http.put(f"{path}/photo", content=photo(), headers=brand.headers)
        assert (answer.status_code, answer.json()["look_pictures"], answer.json()["status"]) == (
            202,
            ["photo"],
            "pending",
        )
        await http.put(f"{path}/texture", content=PNG, headers=brand.headers)
        await step()
        newest = max(endpoint.all_of("garment"), key=lambda job: len(job.input.inputs))
        assert {name: file.media_type for name, file in newest.input.inputs.items()} == {
            "photo": "image/jpeg",
            "texture": "image/png",
        }
        assert msgspec.convert(newest.input.params, GarmentParams).look.tile_cm == 4
        avatar = await given.avatar(brand, weight_kg="74")
        await step()
        await finish(endpoint.newest_of("avatar"))
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
        session = (await http.post("/v1/tryon-sessions", headers=brand.headers, json=body)).json()
        await step()
        assert set(endpoint.newest_of("dress").input.inputs) == {"body", "photo", "texture"}
        assert (await http.delete(f"{path}/texture", headers=brand.headers)).status_code == 204
        await step()
        assert set(endpoint.newest_of("dress").input.inputs) == {"body", "photo"}, "dressed anew"
        seen = await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)
        assert seen.json()["dressing"] == "queued"

    @pytest.mark.parametrize(
        ("name", "body", "status"),
        [
            ("photo", b'{"url": "https://example.com/a.jpg"}', 422),
            ("photo", b"GIF89a" + bytes(50), 422),
            ("photo", PNG + bytes(8_000_000), 413),
            ("back", PNG, 422),
        ],
        ids=["an address", "a GIF", "too large", "no such picture"],
    )
    async def test_what_is_no_picture_of_it_is_refused_and_not_kept(
        self, name: str, body: bytes, status: int, app: Litestar, http: httpx.AsyncClient, given: Given,
        brand: GivenBrand,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        answer = await http.put(f"/v1/garments/{garment['id']}/look/{name}", content=body, headers=brand.headers)
        assert answer.status_code == status
        assert [one async for one in app.state.store.list("sources", "")] == []
