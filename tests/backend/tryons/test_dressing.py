"""A garment on the shopper's body: the first picture, the better one, and what becomes of both."""

import asyncio
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import delete, update

from backend.garments.schemas import GarmentChanges
from backend.garments.service import GarmentService
from backend.tryons import retention
from backend.tryons.models import WornGarment
from backend.tryons.service import TryonService
from gpu_worker.contract import DressParams
from tests.backend.conftest import Finish, Step
from tests.factories import CHART, Given, GivenBrand, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, SubmittedJob, dress_result, manifest_of, rows, upload


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


@pytest.fixture
async def shopper(given: Given, brand: GivenBrand) -> GivenShopper:
    return await given.shopper(brand)


class Fitting:
    """A shopper with a figure before a garment, and a worker that does what it is asked."""

    def __init__(
        self, http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        self.http, self.given, self.endpoint, self.step, self.finish = http, given, endpoint, step, finish

    async def avatar(self, by: GivenShopper | GivenBrand, **facts: Any) -> str:
        """One with a mesh."""
        made = await self.given.avatar(by, **({"weight_kg": "74", "sex": "male"} | facts))
        await self.step()
        await self.finish(self.endpoint.newest_of("avatar"))
        return str(made["id"])

    async def session(self, by: GivenShopper | GivenBrand, avatar_id: str, garment_id: str, **body: Any) -> Any:
        wanted = {"avatar_id": avatar_id, "garment_id": garment_id} | body
        answer = await self.http.post("/v1/tryon-sessions", headers=by.headers, json=wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def read(self, by: GivenShopper | GivenBrand, session: Any) -> Any:
        answer = await self.http.get(f"/v1/tryon-sessions/{session['id']}", headers=by.headers)
        return answer.json()

    async def dressed(self, session_by: GivenShopper | GivenBrand, session: Any) -> Any:
        """Draft and final done."""
        await self.step()
        await self.finish(self.endpoint.newest_of("dress"))
        await self.step()
        await self.finish(self.endpoint.newest_of("dress"))
        return await self.read(session_by, session)


@pytest.fixture
def fitting(http: httpx.AsyncClient, given: Given, endpoint: ScriptedEndpoint, step: Step, finish: Finish) -> Fitting:
    return Fitting(http, given, endpoint, step, finish)


def params_of(job: SubmittedJob) -> DressParams:
    return msgspec.convert(job.input.params, DressParams)


def path_of(session: Any) -> str:
    return str(urlsplit(session["garment_glb_url"]).path)


class TestDress:
    async def test_draft_then_final_then_nothing_more(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"])
        assert (session["dressing"], session["is_dressing"], session["garment_glb_url"]) == ("queued", True, None)
        await fitting.step()
        first = fitting.endpoint.newest_of("dress")
        assert set(first.input.inputs) == {"body"}
        asked = params_of(first)
        assert [row.size for row in asked.garment.sizes] == ["S", "M", "L"]
        assert asked.polish == []
        await fitting.finish(first)
        draft = await fitting.read(shopper, session)
        assert (draft["dressing"], draft["is_dressing"], draft["dressing_error"]) == ("draft", True, None)
        assert (await http.get(draft["garment_glb_url"])).status_code == 200
        await fitting.step()
        second = fitting.endpoint.newest_of("dress")
        fit = session["fit_result"]
        assert params_of(second).polish == ([fit["recommended_size"]] if fit["recommended_size"] else fit["between"])
        await fitting.finish(second)
        final = await fitting.read(shopper, session)
        assert (final["dressing"], final["is_dressing"]) == ("final", False)
        assert path_of(final) != path_of(draft)
        await fitting.step()
        assert len(fitting.endpoint.all_of("dress")) == 2

    async def test_it_waits_for_the_figure(
        self, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        session = await given.session(brand, shopper)
        assert (session["dressing"], session["is_dressing"]) == (None, False)
        await fitting.step()
        await fitting.finish(fitting.endpoint.newest_of("avatar"))
        assert (await fitting.read(shopper, session))["dressing"] == "queued"
        assert (await fitting.dressed(shopper, session))["dressing"] == "final"

    async def test_same_body_and_garment_are_dressed_once(
        self, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment, avatar_id = await given.garment(brand), await fitting.avatar(shopper)
        first = await fitting.session(shopper, avatar_id, garment["id"])
        done = await fitting.dressed(shopper, first)
        again = await fitting.session(shopper, avatar_id, garment["id"])
        assert again["dressing"] == "final", "at once"
        assert path_of(again) == path_of(done)
        await fitting.step()
        assert len(fitting.endpoint.all_of("dress")) == 2

    async def test_a_size_chosen_later_is_draped_too(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"], selected_size="M")
        final = await fitting.dressed(shopper, session)
        path = f"/v1/tryon-sessions/{session['id']}"
        other = (await http.patch(path, headers=shopper.headers, json={"selected_size": "L"})).json()
        assert (other["dressing"], other["is_dressing"]) == ("draft", True)
        assert path_of(other) == path_of(final), "the picture stays until a better one is there"
        await fitting.step()
        assert params_of(fitting.endpoint.newest_of("dress")).polish == ["M", "L"]
        await fitting.finish(fitting.endpoint.newest_of("dress"))
        assert (await fitting.read(shopper, session))["dressing"] == "final"

    async def test_a_polish_that_fails_leaves_the_draft(
        self, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        session = await fitting.session(shopper, await fitting.avatar(shopper), (await given.garment(brand))["id"])
        await fitting.step()
        await fitting.finish(fitting.endpoint.newest_of("dress"))
        draft = await fitting.read(shopper, session)
        await fitting.step()
        fitting.endpoint.fail(fitting.endpoint.newest_of("dress"), "input_invalid", is_retryable=False)
        await fitting.step()
        left = await fitting.read(shopper, session)
        assert (left["dressing"], left["is_dressing"]) == ("draft", False)
        assert path_of(left) == path_of(draft)

    async def test_no_size_fits_is_said_and_not_tried_again(
        self, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment, avatar_id = await given.garment(brand), await fitting.avatar(shopper)
        session = await fitting.session(shopper, avatar_id, garment["id"])
        await fitting.step()
        fitting.endpoint.fail(fitting.endpoint.newest_of("dress"), "does_not_fit", is_retryable=False)
        await fitting.step()
        told = await fitting.read(shopper, session)
        assert (told["dressing"], told["dressing_error"]["code"]) == (None, "does_not_fit")
        again = await fitting.session(shopper, avatar_id, garment["id"])
        assert (again["dressing"], again["is_dressing"]) == (None, False)
        assert len(fitting.endpoint.all_of("dress")) == 1

    async def test_sizes_that_cannot_be_put_on_are_named(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"], selected_size="S")
        await fitting.step()
        job = fitting.endpoint.newest_of("dress")
        await upload(http, job, manifest_of(job, dress=dress_result(job, unavailable=("S",))))
        fitting.endpoint.complete(job)
        await fitting.step()
        seen = await fitting.read(shopper, session)
        assert seen["unavailable_sizes"] == ["S"]
        assert (seen["dressing"], seen["is_dressing"]) == ("draft", False), (
            "no cloth to drape in a size that is not there"
        )


class TestChanges:
    async def test_a_changed_chart_is_dressed_anew_and_the_old_picture_goes(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand,
        shopper: GivenShopper, clock: HandClock,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"])
        old = await fitting.dressed(shopper, session)
        chart = CHART | {"sizes": {"S": {"chest": 97}, "M": {"chest": 103}}}
        await http.patch(f"/v1/garments/{garment['id']}", headers=brand.headers, json={"size_chart": chart})
        now = await fitting.read(shopper, session)
        assert (now["dressing"], now["garment_glb_url"]) == ("queued", None)
        new = await fitting.dressed(shopper, session)
        assert path_of(new) != path_of(old)
        clock.advance(minutes=31)
        await fitting.step()
        assert await objects(app, "worn") == [path_of(new).partition("/objects/avatars/")[2].rpartition("/")[0]]

    async def test_a_new_body_is_dressed_anew(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"])
        old = await fitting.dressed(shopper, session)
        await given.avatar(shopper, weight_kg="110")
        await fitting.step()
        job = fitting.endpoint.newest_of("avatar")
        npz = b"PK\x03\x04" + bytes(41)
        manifest = manifest_of(job)
        record = msgspec.structs.replace(manifest.files["body.npz"], bytes=len(npz), sha256="ab" * 32, md5="")
        files = manifest.files | {"body.npz": record}
        await upload(http, job, msgspec.structs.replace(manifest, files=files), body_npz=npz)
        fitting.endpoint.complete(job)
        await fitting.step()
        now = await fitting.read(shopper, session)
        assert (now["dressing"], now["garment_glb_url"]) == ("queued", None), "the old body's picture is not shown"
        assert path_of(await fitting.dressed(shopper, session)) != path_of(old)

    async def test_an_old_sessions_picture_goes_and_comes_back_when_asked_for(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, clock: HandClock
    ) -> None:
        garment, avatar_id = await given.garment(brand), await fitting.avatar(brand)
        session = await fitting.session(brand, avatar_id, garment["id"])
        await fitting.dressed(brand, session)
        clock.advance(hours=25)
        look = {"colour": "#aa2233"}
        await http.patch(f"/v1/garments/{garment['id']}", headers=brand.headers, json={"look": look})
        old = await fitting.read(brand, session)
        assert (old["dressing"], old["garment_glb_url"]) == (None, None), "nobody looks, so nothing is computed"
        assert (await fitting.session(brand, avatar_id, garment["id"]))["dressing"] == "queued"

    async def test_quick_changes_of_mind_are_draped_one_after_the_other(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"], selected_size="M")
        await fitting.step()
        await fitting.finish(fitting.endpoint.newest_of("dress"))
        path = f"/v1/tryon-sessions/{session['id']}"
        for size in ("S", "L"):
            await http.patch(path, headers=shopper.headers, json={"selected_size": size})
        await fitting.step()
        polish = fitting.endpoint.newest_of("dress")
        assert params_of(polish).polish == ["M"], "what is under way is not thrown away"
        await fitting.finish(polish)
        await fitting.step()
        last = fitting.endpoint.newest_of("dress")
        assert "L" in params_of(last).polish
        await fitting.finish(last)
        assert (await fitting.read(shopper, session))["dressing"] == "final"
        await fitting.step()
        assert len(fitting.endpoint.all_of("dress")) == 3

    async def test_a_picture_that_comes_too_late_is_dropped(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand,
        shopper: GivenShopper, clock: HandClock,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"])
        await fitting.step()
        late = fitting.endpoint.newest_of("dress")
        look = {"colour": "#aa2233"}
        await http.patch(f"/v1/garments/{garment['id']}", headers=brand.headers, json={"look": look})
        await fitting.step()
        current = fitting.endpoint.newest_of("dress")
        assert params_of(current).garment.look.colour == "#aa2233"
        await fitting.finish(late)
        assert (await fitting.read(shopper, session))["dressing"] == "queued"
        await fitting.finish(current)
        kept = path_of(await fitting.read(shopper, session))
        clock.advance(minutes=31)
        await fitting.step()
        assert await objects(app, "worn") == [kept.partition("/objects/avatars/")[2].rpartition("/")[0]]

    async def test_a_deleted_garment_takes_its_pictures_along(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand,
        shopper: GivenShopper, clock: HandClock,
    ) -> None:  # fmt: skip
        garment = await given.garment(brand)
        session = await fitting.session(shopper, await fitting.avatar(shopper), garment["id"])
        await fitting.dressed(shopper, session)
        assert (await http.delete(f"/v1/garments/{garment['id']}", headers=brand.headers)).status_code == 204
        clock.advance(minutes=31)  # the draft, which the final has replaced
        await fitting.step()
        assert await objects(app, "worn") == []
        assert await rows(app.state.database, "select count(*) from worn_garments") == [(0,)]

    async def test_an_erased_avatar_leaves_no_picture_and_no_order(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand,
        shopper: GivenShopper,
    ) -> None:  # fmt: skip
        avatar_id = await fitting.avatar(shopper)
        session = await fitting.session(shopper, avatar_id, (await given.garment(brand))["id"])
        await fitting.step()
        await fitting.finish(fitting.endpoint.newest_of("dress"))
        await fitting.step()
        polish = fitting.endpoint.newest_of("dress")
        assert (await http.delete(f"/v1/avatars/{avatar_id}", headers=shopper.headers)).status_code == 200
        await fitting.step()
        assert polish.rp_id in fitting.endpoint.cancelled
        assert await objects(app, "") == []
        kept = await rows(
            app.state.database, "select count(*) from jobs where kind = 'dress' and cache_key is not null"
        )
        assert kept == [(0,)]
        gone = await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)
        assert gone.status_code == 404

    async def test_pictures_go_a_week_after_the_last_look(
        self, app: Litestar, given: Given, fitting: Fitting, brand: GivenBrand, clock: HandClock
    ) -> None:
        garment, avatar_id = await given.garment(brand), await fitting.avatar(brand)
        session = await fitting.session(brand, avatar_id, garment["id"])
        await fitting.dressed(brand, session)
        clock.advance(days=6)
        await fitting.session(brand, avatar_id, garment["id"])
        clock.advance(days=6)
        await fitting.step()
        assert len(await objects(app, "worn")) == 1
        clock.advance(days=1, hours=1)
        await fitting.step()
        await fitting.step()
        assert await objects(app, "worn") == []
        assert (await fitting.read(brand, session))["dressing"] is None
        assert (await fitting.session(brand, avatar_id, garment["id"]))["dressing"] == "queued"

    async def test_however_many_are_overdue_none_waits_for_the_next_hour(
        self, app: Litestar, given: Given, fitting: Fitting, brand: GivenBrand, monkeypatch: pytest.MonkeyPatch,
        clock: HandClock,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(retention, "BATCH", 1)
        avatar_id = await fitting.avatar(brand)
        for _ in range(3):
            await fitting.session(brand, avatar_id, (await given.garment(brand))["id"])
        async with app.state.database.transaction() as session:
            await session.execute(update(WornGarment).values(is_under_way=False))
        clock.advance(days=7, hours=1)
        for _ in range(3):
            await fitting.step()
        assert await rows(app.state.database, "select count(*) from worn_garments") == [(0,)]


class TestAtOnce:
    async def test_a_session_that_begins_while_its_figure_gets_ready_is_dressed(
        self,
        given: Given,
        fitting: Fitting,
        brand: GivenBrand,
        shopper: GivenShopper,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Between looking at the figure and writing the session its mesh arrives."""
        avatar, garment = await given.avatar(shopper), await given.garment(brand)
        await fitting.step()
        job = fitting.endpoint.newest_of("avatar")
        look = TryonService._garment
        arriving: list[asyncio.Future[None]] = []

        async def meanwhile(self: TryonService, *wanted: Any) -> Any:
            arriving.append(asyncio.ensure_future(fitting.finish(job)))
            await asyncio.wait(arriving, timeout=0.3)
            return await look(self, *wanted)

        monkeypatch.setattr(TryonService, "_garment", meanwhile)
        session = await fitting.session(shopper, avatar["id"], garment["id"])
        await arriving[0]
        assert (await fitting.read(shopper, session))["dressing"] == "queued"

    async def test_a_session_that_begins_while_its_garment_changes_waits_and_is_judged_by_the_new_chart(
        self,
        app: Litestar,
        given: Given,
        fitting: Fitting,
        brand: GivenBrand,
        shopper: GivenShopper,
        clock: HandClock,
    ) -> None:
        """The change may dress figures meanwhile, this one too: neither waits for the other in a circle."""
        avatar_id, garment = await fitting.avatar(shopper), await given.garment(brand)
        before = await fitting.session(shopper, avatar_id, garment["id"])
        async with app.state.database.transaction() as session:
            chart = {"unit": "cm", "measures": "garment", "sizes": {"One": {"chest": 120}}}
            changes = msgspec.convert({"size_chart": chart}, GarmentChanges)
            changed = await GarmentService(session, clock).change(brand.id, UUID(garment["id"]), changes)
            await session.execute(delete(WornGarment))
            begun = asyncio.create_task(fitting.session(shopper, avatar_id, garment["id"]))
            await asyncio.wait([begun], timeout=0.3)
            await TryonService(session, clock).judge_garment(changed)
        for one in (await fitting.read(shopper, before), await begun):
            assert [size["size"] for size in one["fit_result"]["sizes"]] == ["One"]


class TestWhoSees:
    async def test_a_brand_sees_no_picture_of_a_shoppers_body(
        self, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper
    ) -> None:
        session = await fitting.session(shopper, await fitting.avatar(shopper), (await given.garment(brand))["id"])
        await fitting.dressed(shopper, session)
        seen = await fitting.read(brand, session)
        assert (seen["dressing"], seen["garment_glb_url"]) == ("final", None)

    async def test_and_every_picture_of_a_body_it_made(self, given: Given, fitting: Fitting, brand: GivenBrand) -> None:
        session = await fitting.session(brand, await fitting.avatar(brand), (await given.garment(brand))["id"])
        assert (await fitting.dressed(brand, session))["garment_glb_url"]

    async def test_addresses_run_out(
        self, http: httpx.AsyncClient, given: Given, fitting: Fitting, brand: GivenBrand, shopper: GivenShopper,
        clock: HandClock,
    ) -> None:  # fmt: skip
        session = await fitting.session(shopper, await fitting.avatar(shopper), (await given.garment(brand))["id"])
        url = (await fitting.dressed(shopper, session))["garment_glb_url"]
        clock.advance(minutes=21)
        assert (await http.get(url)).status_code == 403


async def objects(app: Litestar, part: str) -> list[str]:
    """Folders of the private bucket with this in their name."""
    found = [one.key async for one in app.state.store.list("avatars", "")]
    return sorted({key.rpartition("/")[0] for key in found if part in key})
