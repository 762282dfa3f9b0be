"""A garment on the shopper's body: the first picture, the better one, and what becomes of both."""

import httpx

from tests.backend.tryons.fitting import Fitting, looked_at, params_of, path_of
from tests.factories import Given, GivenBrand, GivenShopper
from tests.fakes import HandClock
from tests.scripted_endpoint import dress_result, manifest_of, upload


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
        assert (asked.polish, asked.only) == ([], looked_at(session)), "the others come with the draped one"
        await fitting.finish(first)
        draft = await fitting.read(shopper, session)
        assert (draft["dressing"], draft["is_dressing"], draft["dressing_error"]) == ("draft", True, None)
        assert (await http.get(draft["garment_glb_url"])).status_code == 200
        await fitting.step()
        second = fitting.endpoint.newest_of("dress")
        assert (params_of(second).polish, params_of(second).only) == (looked_at(session), [])
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
