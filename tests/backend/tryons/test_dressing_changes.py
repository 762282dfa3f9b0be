"""What becomes of a garment on a body when either changes, goes, or is asked for by several at once."""

import asyncio
from typing import Any
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
from tests.backend.tryons.fitting import Fitting, objects, params_of, path_of
from tests.factories import CHART, Given, GivenBrand, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import manifest_of, rows, upload


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
        assert params_of(last).only == [], "every size comes with it"
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
