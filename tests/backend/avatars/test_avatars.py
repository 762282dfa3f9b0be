import io
import struct
import zlib

import httpx
import pytest
from litestar import Litestar
from PIL import Image

from backend.avatars.errors import WORDS
from backend.core.storage import StoreUnavailable
from tests.backend.avatars.avatar_requests import FACTS, create, picture, stored_photos
from tests.backend.conftest import Finish, Step
from tests.factories import Given, GivenShopper
from tests.scripted_endpoint import ScriptedEndpoint, rows


class TestCreateAvatar:
    async def test_three_answers_are_measurements_at_once(self, http: httpx.AsyncClient, shopper: GivenShopper) -> None:
        answer = await create(http, shopper)
        avatar = answer.json()
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/avatars/{avatar['id']}"
        assert answer.headers["retry-after"] == "1"
        assert (avatar["status"], avatar["evidence"]) == ("pending", ["height", "weight", "sex"])
        assert 90 < avatar["measurements"]["chest_cm"]["mean"] < 105
        assert avatar["measurements"]["chest_cm"]["sd"] > 1
        assert len(avatar["measurements"]) == 13
        assert avatar["glb_url"] is None

    async def test_the_same_answers_again_are_the_same_avatar(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        first, again = await create(http, shopper), await create(http, shopper)
        await step()
        assert (first.status_code, again.status_code) == (202, 200)
        assert first.json()["id"] == again.json()["id"]
        assert again.headers["location"] == first.headers["location"]
        assert len(endpoint.jobs) == 1

    async def test_other_answers_estimate_the_same_avatar_anew(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        first = await create(http, shopper)
        await step()
        stale = endpoint.newest
        other = await create(http, shopper, weight_kg="95")
        assert (other.status_code, other.json()["id"]) == (202, first.json()["id"])
        before, now = (one.json()["measurements"]["chest_cm"]["mean"] for one in (first, other))
        assert now > before + 5
        await step()
        assert endpoint.cancelled == [stale.rp_id]
        await finish(stale)
        still = await http.get(first.headers["location"], headers=shopper.headers)
        assert still.json()["status"] == "processing", "the old order's result is of a body that is no longer asked for"

    async def test_every_tape_value_is_taken(self, http: httpx.AsyncClient, shopper: GivenShopper) -> None:
        answer = await create(http, shopper, tape_waist_cm="90")
        avatar = answer.json()
        assert "tape" in avatar["evidence"]
        assert avatar["measurements"]["waist_cm"]["sd"] < 2

    @pytest.mark.parametrize(
        ("facts", "code", "field", "word"),
        [
            ({"height_cm": "1.78"}, "invalid_height", "height_cm", "metres"),
            ({"height_cm": "5.8"}, "invalid_height", "height_cm", "feet"),
            ({"height_cm": "nan"}, "invalid_height", "height_cm", "height"),
            ({"weight_kg": "0"}, "invalid_weight", "weight_kg", "weight"),
            ({"weight_kg": "-70"}, "invalid_weight", "weight_kg", "weight"),
            ({"age": "1990"}, "invalid_age", "age", "birth"),
            ({"tape_waist_cm": "32"}, "invalid_tape", "tape_waist_cm", "inches"),
        ],
    )
    async def test_a_fact_that_cannot_be_is_refused_with_words(
        self, facts: dict[str, str], code: str, field: str, word: str, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        answer = await create(http, shopper, **facts)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (422, code, field)
        assert word in problem["detail"]
        assert problem["type"] == f"/problems/{code}"

    @pytest.mark.parametrize("facts", [{"height_cm": "tall"}, {"sex": "both"}, {"height_cm": ""}])
    async def test_a_form_that_says_nothing_is_invalid(
        self, facts: dict[str, str], http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        answer = await create(http, shopper, **facts)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    async def test_only_forms_are_taken(self, http: httpx.AsyncClient, shopper: GivenShopper) -> None:
        answer = await http.post("/v1/avatars", headers=shopper.headers, json={"height_cm": 178})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


class TestPhoto:
    async def test_nothing_is_kept_without_consent(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        for version in ({}, {"consent_version": "0"}):
            answer = await create(http, shopper, picture(), **version)
            assert (answer.status_code, answer.json()["code"]) == (422, "consent_required")
        assert await stored_photos(app, shopper) == 0
        assert await rows(app.state.database, "select count(*) from avatars") == [(0,)]

    async def test_consent_is_written_with_the_photo(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        headers = shopper.headers | {"accept-language": "fr-CA,fr;q=0.9"}
        answer = await http.post("/v1/avatars", headers=headers, data=FACTS | {"consent_version": "1"}, files=picture())
        assert answer.status_code == 202
        assert await stored_photos(app, shopper) == 1
        found = await rows(app.state.database, "select version, locale, withdrawn_at from consents")
        assert found == [("1", "fr-CA", None)]
        events = await rows(app.state.database, "select event_type from events order by event_type")
        assert events == [("consent_given",), ("photo_submitted",)]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 422, "photo_unreadable"),
            (b"not an image at all", 422, "photo_unreadable"),
            (b"GIF89a" + bytes(100), 422, "photo_unreadable"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "photo_unreadable"),
            (b"\xff\xd8\xff" + bytes(100), 422, "photo_unreadable"),
            (b"\xff\xd8\xff" + bytes(10_000_000), 413, "photo_too_large"),
        ],
        ids=["empty", "text", "gif", "svg", "no header", "over 10 MB"],
    )
    async def test_what_cannot_be_a_photo_is_refused_by_its_header(
        self, body: bytes, status: int, code: str, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        answer = await create(http, shopper, picture(body=body), consent_version="1")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["detail"] == WORDS[code]
        assert await stored_photos(app, shopper) == 0

    @pytest.mark.parametrize(("side", "status"), [(7_000, 202), (7_100, 413), (60_000, 413)])
    async def test_fifty_megapixels_are_the_limit(
        self, side: int, status: int, http: httpx.AsyncClient, shopper: GivenShopper
    ) -> None:
        answer = await create(http, shopper, picture(body=bomb(side)), consent_version="1")
        assert answer.status_code == status, answer.text

    async def test_the_declared_type_is_not_believed(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        png = io.BytesIO()
        Image.new("RGB", (400, 800)).save(png, "PNG")
        answer = await create(http, shopper, picture("image/jpeg", png.getvalue()), consent_version="1")
        assert answer.status_code == 202
        await step()
        sent = endpoint.newest.input.inputs["photo"]
        assert sent.media_type == "image/png"
        assert (await http.get(sent.url)).content == png.getvalue()

    async def test_used_photo_is_deleted_and_the_rows_forget_it(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        shopper: GivenShopper,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
    ) -> None:
        answer = await create(http, shopper, picture(), consent_version="1")
        await step()
        await finish(endpoint.newest)
        await step()
        avatar = (await http.get(answer.headers["location"], headers=shopper.headers)).json()
        assert (avatar["status"], "photo" in avatar["evidence"]) == ("ready", True)
        assert await stored_photos(app, shopper) == 0
        assert await rows(app.state.database, "select photo_key, photo_side_key from avatars") == [(None, None)]
        assert await rows(app.state.database, "select count(*) from erasures where done_at is null") == [(0,)]

    async def test_photo_added_later_betters_the_same_avatar(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        created = await create(http, shopper)
        await step()
        await finish(endpoint.newest)
        path = f"{created.headers['location']}/photo"
        before = (await http.get(created.headers["location"], headers=shopper.headers)).json()
        added = await http.put(path, headers=shopper.headers, data={"consent_version": "1"}, files=picture())
        assert added.status_code == 202
        assert added.json()["status"] == "pending"
        assert added.json()["measurements"] == before["measurements"], "what was known stays meanwhile"
        assert added.json()["glb_url"] is not None
        again = await http.put(path, headers=shopper.headers, data={"consent_version": "1"}, files=picture())
        assert again.status_code == 200
        await step()
        assert len(endpoint.jobs) == 2
        await finish(endpoint.newest)
        assert (await http.get(created.headers["location"], headers=shopper.headers)).json()["status"] == "ready"

    async def test_the_facts_again_do_not_take_the_photo_away(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        await create(http, shopper, picture(), consent_version="1")
        await step()
        await finish(endpoint.newest)
        again = await create(http, shopper)
        assert (again.status_code, again.json()["status"]) == (200, "ready")
        assert "photo" in again.json()["evidence"]


class TestRefusedPhoto:
    async def test_first_photo_refused_is_an_avatar_without_mesh(
        self, app: Litestar, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step
    ) -> None:
        created = await create(http, shopper, picture(), consent_version="1")
        await step()
        endpoint.fail(endpoint.newest, "photo_no_person", is_retryable=False)
        await step()
        await step()
        avatar = (await http.get(created.headers["location"], headers=shopper.headers)).json()
        assert avatar["status"] == "failed"
        assert avatar["error"] == {"code": "photo_no_person", "detail": WORDS["photo_no_person"]}
        assert avatar["measurements"] == created.json()["measurements"], "the questionnaire's answer stands"
        assert await stored_photos(app, shopper) == 0
        again = await create(http, shopper, picture(), consent_version="1")
        await step()
        assert (again.status_code, again.json()["error"]["code"]) == (200, "photo_no_person")
        assert len(endpoint.jobs) == 1, "the same photo gets the same answer without the work"
        assert await stored_photos(app, shopper) == 0
        refused = await rows(app.state.database, "select count(*) from events where event_type = 'photo_refused'")
        assert refused == [(1,)]

    async def test_the_facts_alone_still_make_a_figure(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        created = await create(http, shopper, picture(), consent_version="1")
        await step()
        endpoint.fail(endpoint.newest, "photo_no_person", is_retryable=False)
        await step()
        again = await create(http, shopper)
        assert (again.status_code, again.json()["status"], again.json()["error"]) == (202, "pending", None)
        await step()
        await finish(endpoint.newest)
        assert (await http.get(created.headers["location"], headers=shopper.headers)).json()["status"] == "ready"

    async def test_later_photo_refused_changes_nothing_that_stood(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        created = await create(http, shopper)
        path = created.headers["location"]
        await step()
        await finish(endpoint.newest)
        before = (await http.get(path, headers=shopper.headers)).json()
        await http.put(f"{path}/photo", headers=shopper.headers, data={"consent_version": "1"}, files=picture())
        await step()
        endpoint.fail(endpoint.newest, "photo_cropped", is_retryable=False)
        await step()
        after = (await http.get(path, headers=shopper.headers)).json()
        assert after["error"]["code"] == "photo_cropped"
        assert after["status"] == "ready"
        assert after["measurements"] == before["measurements"]
        assert after["glb_url"].partition("?")[0] == before["glb_url"].partition("?")[0]

    async def test_refused_while_the_first_mesh_is_still_made(
        self, http: httpx.AsyncClient, shopper: GivenShopper, endpoint: ScriptedEndpoint, step: Step, finish: Finish
    ) -> None:
        """The order for the facts alone goes on, and the avatar becomes ready by it, with the refusal beside."""
        created = await create(http, shopper)
        path = created.headers["location"]
        await step()
        facts_job = endpoint.newest
        await http.put(f"{path}/photo", headers=shopper.headers, data={"consent_version": "1"}, files=picture())
        await step()
        endpoint.fail(endpoint.newest, "photo_pose", is_retryable=False)
        await step()
        assert (await http.get(path, headers=shopper.headers)).json()["status"] == "pending"
        await finish(facts_job)
        avatar = (await http.get(path, headers=shopper.headers)).json()
        assert (avatar["status"], avatar["error"]["code"]) == ("ready", "photo_pose")


class TestPhotoGone:
    async def test_the_same_photo_may_be_sent_again(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        shopper: GivenShopper,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
    ) -> None:
        """It waited too long and was deleted; there was nothing wrong with it."""
        created = await create(http, shopper, picture(), consent_version="1")
        await app.state.store.delete_prefix("photos", f"{shopper.brand_id}/{shopper.id}/")
        await step()
        gone = (await http.get(created.headers["location"], headers=shopper.headers)).json()
        assert (gone["status"], gone["error"]["code"]) == ("failed", "photo_gone")
        again = await create(http, shopper, picture(), consent_version="1")
        assert (again.status_code, again.json()["status"]) == (202, "pending")
        await step()
        await finish(endpoint.newest)
        assert (await http.get(created.headers["location"], headers=shopper.headers)).json()["status"] == "ready"


class TestStoreDown:
    async def test_a_figure_that_cannot_be_signed_for_is_to_be_asked_for_again(
        self,
        app: Litestar,
        http: httpx.AsyncClient,
        shopper: GivenShopper,
        endpoint: ScriptedEndpoint,
        step: Step,
        finish: Finish,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        created = await create(http, shopper)
        await step()
        await finish(endpoint.newest)

        async def silent(*_: object, **__: object) -> None:
            raise StoreUnavailable("The store did not answer.")

        monkeypatch.setattr(app.state.store, "signed_get_url", silent)
        answer = await http.get(created.headers["location"], headers=shopper.headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"]


class TestBrand:
    async def test_reads_only_bodies_it_made(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        own = await http.post("/v1/avatars", headers=brand.headers, data=FACTS | {"user_ref": "c-1"})
        again = await http.post("/v1/avatars", headers=brand.headers, data=FACTS | {"user_ref": "c-1"})
        other = await http.post("/v1/avatars", headers=brand.headers, data=FACTS | {"user_ref": "c-2"})
        assert (own.status_code, again.status_code, other.status_code) == (202, 200, 202)
        assert own.json()["id"] == again.json()["id"] != other.json()["id"]
        assert own.json()["measurements"]["chest_cm"]
        shopper = await given.shopper(brand)
        made = await create(http, shopper)
        seen = (await http.get(made.headers["location"], headers=brand.headers)).json()
        assert seen["status"] == "pending"
        assert [seen[name] for name in ("measurements", "evidence", "flags", "glb_url")] == [None] * 4

    async def test_a_shopper_who_gives_something_owns_the_body(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        made = await http.post("/v1/avatars", headers=brand.headers, data=FACTS | {"user_ref": "c-1"})
        shopper = await given.shopper(brand, "c-1")
        await create(http, shopper, weight_kg="80")
        assert (await http.get(made.headers["location"], headers=brand.headers)).json()["measurements"] is None

    async def test_a_shopper_names_no_one_else(self, http: httpx.AsyncClient, shopper: GivenShopper) -> None:
        answer = await create(http, shopper, user_ref="c-2")
        assert (answer.status_code, answer.json()["field"]) == (422, "user_ref")


def bomb(side_px: int) -> bytes:
    """A PNG of `side_px` squared, whose few bytes say so in the header alone."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
