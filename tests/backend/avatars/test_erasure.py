"""An avatar deleted, a consent withdrawn: what is gone, and when the shopper hears of it."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import select, update

from backend.avatars.models import Avatar
from backend.events.models import Event
from backend.jobs.models import Job
from tests.backend.avatars.avatar_requests import create, picture, stored_photos
from tests.backend.conftest import Finish, Step
from tests.factories import ORIGIN, Given, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import ScriptedEndpoint, rows


class TestDeleteAvatar:
    async def test_rows_objects_and_work_are_gone(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        given: Given,
        shopper: GivenShopper,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
        clock: HandClock,
    ) -> None:
        created = await create(http, shopper)
        path = created.headers["location"]
        await step()
        await finish(endpoint.newest)
        glb_url = (await http.get(path, headers=shopper.headers)).json()["glb_url"]
        await http.put(f"{path}/photo", headers=shopper.headers, data={"consent_version": "1"}, files=picture())
        await step()
        running = endpoint.newest
        answer = await http.delete(path, headers=shopper.headers)
        receipt = answer.json()
        assert (answer.status_code, receipt["done_at"] is not None) == (200, True)
        assert {one["bucket"] for one in receipt["receipts"]} == {"photos", "avatars"}
        assert sum(one["objects_deleted"] for one in receipt["receipts"]) == 4
        assert (await http.get(path, headers=shopper.headers)).status_code == 401
        fresh = {"Authorization": f"Bearer {given.token(shopper.brand_id, shopper.id)}"}
        assert (await http.get(path, headers=fresh)).status_code == 404
        assert (await http.get(glb_url)).status_code == 404
        assert await stored_photos(app, shopper) == 0
        await step()
        assert running.rp_id in endpoint.cancelled
        inputs = await rows(app.state.database, "select cast(input as text), cache_key, state from jobs order by id")
        assert inputs == [("{}", None, "succeeded"), ("{}", None, "cancelled")]

    async def test_the_answer_says_gone_whatever_the_sweeper_does_meanwhile(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Deletions just asked for are the request's own: a sweeper that took one would leave it to say "at work"."""
        created = await create(http, shopper, picture(), consent_version="1")
        eraser, taken = app.state.eraser, []
        run = eraser.run

        async def after_the_sweeper(ids: list[UUID]) -> None:
            taken.append(await eraser.run_due())
            await run(ids)

        monkeypatch.setattr(eraser, "run", after_the_sweeper)
        answer = await http.delete(created.headers["location"], headers=shopper.headers)
        assert (answer.status_code, taken) == (200, [0])
        assert await stored_photos(app, shopper) == 0

    async def test_what_the_request_did_not_come_to_is_the_sweeper_s(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        shopper: GivenShopper,
        monkeypatch: pytest.MonkeyPatch,
        clock: HandClock,
        step: Step,
    ) -> None:
        created = await create(http, shopper, picture(), consent_version="1")

        async def never(_ids: list[UUID]) -> None:
            """As if the process had ended after the commit."""

        with monkeypatch.context() as patch:
            patch.setattr(app.state.eraser, "run", never)
            answer = await http.delete(created.headers["location"], headers=shopper.headers)
        assert (answer.status_code, answer.json()["done_at"]) == (202, None)
        clock.advance(seconds=31)
        await step()
        assert await stored_photos(app, shopper) == 0

    async def test_a_late_upload_is_deleted_too(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        shopper: GivenShopper,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
        clock: HandClock,
    ) -> None:
        created = await create(http, shopper)
        await step()
        await http.delete(created.headers["location"], headers=shopper.headers)
        await finish(endpoint.newest)
        clock.advance(hours=2, minutes=10)
        await step()
        kept = [one async for one in app.state.store.list("avatars", f"{shopper.brand_id}/{shopper.id}/")]
        assert kept == []
        assert await rows(app.state.database, "select count(*) from erasures where done_at is null") == [(0,)]

    @pytest.mark.parametrize("is_stored_before", [True, False])
    async def test_an_order_that_was_on_its_way_does_not_bring_the_figure_back(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        shopper: GivenShopper,
        clock: HandClock,
        monkeypatch: pytest.MonkeyPatch,
        is_stored_before: bool,
    ) -> None:
        """Its token was good when it came; the deletion was answered while its photo was put away."""
        created = await create(http, shopper)
        clock.advance(seconds=1)
        put = app.state.store.put

        async def deleting(*place: object, **more: object) -> object:
            monkeypatch.undo()
            stored = await put(*place, **more) if is_stored_before else None
            answer = await http.delete(created.headers["location"], headers=shopper.headers)
            assert answer.status_code == 200
            return stored or await put(*place, **more)

        monkeypatch.setattr(app.state.store, "put", deleting)
        late = await create(http, shopper, picture(), consent_version="1")
        assert late.status_code == 401
        assert await rows(app.state.database, "select count(*) from avatars") == [(0,)]
        assert await rows(app.state.database, "select count(*) from consents") == [(0,)]
        assert await stored_photos(app, shopper) == 0

    async def test_a_brand_s_order_that_was_on_its_way_is_to_be_sent_again(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Under the old id its files would go with the second look for late uploads."""
        brand = await given.brand()
        avatar = await given.avatar(brand, user_ref="c-1")
        put = app.state.store.put

        async def deleting(*place: object, **more: object) -> object:
            monkeypatch.undo()
            assert (await http.delete(f"/v1/avatars/{avatar['id']}", headers=brand.headers)).status_code == 200
            return await put(*place, **more)

        monkeypatch.setattr(app.state.store, "put", deleting)
        order = {"height_cm": "178", "consent_version": "1", "user_ref": "c-1"}
        late = await http.post("/v1/avatars", headers=brand.headers, data=order, files=picture())
        assert (late.status_code, "retry-after" in late.headers) == (503, True)
        assert await rows(app.state.database, "select count(*) from avatars") == [(0,)]
        again = await http.post("/v1/avatars", headers=brand.headers, data=order, files=picture())
        assert again.status_code == 202
        assert again.json()["id"] != avatar["id"]

    async def test_a_deletion_while_its_job_ends_waits_for_it(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper, step: Step
    ) -> None:
        """A job that ends takes its own row, then the figure's: in any other order the two would wait in a circle."""
        created = await create(http, shopper)
        await step()
        async with app.state.database.transaction() as session:
            await session.execute(update(Job).values(stage="saving"))
            path = created.headers["location"]
            deletion = asyncio.create_task(http.delete(path, headers=shopper.headers))
            await asyncio.wait([deletion], timeout=0.3)
            await session.execute(select(Avatar).with_for_update())
        assert (await deletion).status_code == 200

    async def test_withdrawn_consent_erases_what_rested_on_it(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        created = await create(http, shopper, picture(), consent_version="1")
        path = f"/v1/consents/{created.json()['consent_id']}"
        assert (await http.delete(path, headers=shopper.headers)).status_code == 200
        assert (await http.get(created.headers["location"], headers=shopper.headers)).status_code == 404
        assert await stored_photos(app, shopper) == 0
        withdrawn = await rows(app.state.database, "select withdrawn_at is not null from consents")
        assert [bool(row[0]) for row in withdrawn] == [True]
        assert (await http.delete(path, headers=shopper.headers)).status_code == 200


class TestForgetsThePerson:
    """What stays of an erased shopper in the events is that they happened."""

    async def test_events_keep_the_count_and_lose_the_person(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        brand = await given.brand()
        shopper, neighbour = await given.shopper(brand), await given.shopper(brand)
        for one in (shopper, neighbour):
            session = await given.session(brand, one)
            await tell(http, clock, one, session["id"])
        before, of_neighbour = await stored_events(app), await stored_events(app, neighbour.id)
        erased = {event.id for event in await stored_events(app, shopper.id)}
        assert len(erased) == len(of_neighbour) == 3, "tried on, recommended and switched"
        path = (await http.post("/v1/avatars", headers=shopper.headers, data={"height_cm": "178"})).headers["location"]
        assert (await http.delete(path, headers=shopper.headers)).status_code == 200
        after = await stored_events(app)
        assert sorted(event.event_type for event in after) == sorted(
            ["data_erased", *(event.event_type for event in before)]
        )
        for event in after:
            if event.id in erased:
                assert (event.user_id, event.session_id, event.visitor_id, event.payload) == (None, None, None, {})
                assert session_of(before, event.id).hex not in event.dedup_key.replace("-", "")
        assert [(one.id, one.session_id, one.payload) for one in await stored_events(app, neighbour.id)] == [
            (one.id, one.session_id, one.payload) for one in of_neighbour
        ]

    async def test_a_withdrawn_consent_forgets_too(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        created = await create(http, shopper, picture(), consent_version="1")
        await http.delete(f"/v1/consents/{created.json()['consent_id']}", headers=shopper.headers)
        kinds = {event.event_type for event in await stored_events(app)}
        assert kinds == {"consent_given", "photo_submitted", "consent_withdrawn", "data_erased"}
        assert await stored_events(app, shopper.id) == []

    async def test_the_open_frame_goes_on_as_somebody_new(
        self, app: Litestar, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        """Also where the brand names its customer: no later event leads to the erased one."""
        brand = await given.brand()
        shopper = await given.shopper(brand, "c-1")
        unused = await http.post(
            "/v1/shopper-tokens", headers=brand.headers, json={"origin": ORIGIN, "user_ref": "c-1"}
        )
        assert unused.status_code == 201, unused.text
        avatar = await given.avatar(shopper)
        clock.advance(seconds=1)
        await http.delete(f"/v1/avatars/{avatar['id']}", headers=shopper.headers)
        assert (await tell(http, clock, shopper)).status_code == 401
        late = await http.post("/embed/token", json={"code": unused.json()["code"]})
        assert late.status_code == 401, "a code issued before is void as well"
        again = await given.shopper(brand, "c-1")
        assert again.id != shopper.id
        assert (await tell(http, clock, again)).json()["accepted"] == 1
        assert (await given.avatar(again))["status"] == "pending"
        assert await stored_events(app, shopper.id) == []
        assert len(await stored_events(app, again.id)) == 1


async def tell(
    http: httpx.AsyncClient, clock: HandClock, shopper: GivenShopper, session_id: str | None = None
) -> httpx.Response:
    """As the frame does."""
    event = {
        "id": str(uuid4()),
        "type": "size_switched",
        "occurred_at": clock.now().isoformat(),
        "metadata": {"from": "M", "to": "L"},
    } | ({} if session_id is None else {"session_id": session_id})
    return await http.post("/v1/events", headers=shopper.headers, json={"events": [event], "visitor_id": "v" * 32})


async def stored_events(app: Litestar, user_id: UUID | None = None) -> list[Event]:
    """All of them, or one shopper's."""
    query = select(Event).order_by(Event.id)
    async with app.state.database.transaction(read_only=True) as session:
        return list(await session.scalars(query if user_id is None else query.where(Event.user_id == user_id)))


def session_of(events: list[Event], event_id: UUID) -> UUID:
    [found] = [event.session_id for event in events if event.id == event_id]
    assert found is not None
    return found
