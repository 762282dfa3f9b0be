"""A brand's own limits of ease: of a garment, of a category in a fabric; ours where it says nothing."""

from typing import Any

import httpx
import pytest

from tests.factories import CHART, Given, GivenBrand

EVERYTHING_LOOSE = [-60, -50, -40, 70]


async def verdicts(http: httpx.AsyncClient, brand: GivenBrand, session: Any) -> set[str]:
    """Of the chest, in all sizes, as judged now."""
    seen = (await http.get(f"/v1/tryon-sessions/{session['id']}", headers=brand.headers)).json()
    sizes = seen["fit_result"]["sizes"]
    return {region["verdict"] for size in sizes for region in size["regions"] if region["region"] == "chest"}


async def put(http: httpx.AsyncClient, brand: GivenBrand, limits: Any, **changes: Any) -> httpx.Response:
    body = {"category": "t-shirt", "stretch": "knit", "measures": "garment", "limits_cm": limits} | changes
    return await http.put("/v1/fit-bands", headers=brand.headers, json=body)


async def test_open_sessions_are_judged_by_them_at_once(
    http: httpx.AsyncClient, given: Given, brand: GivenBrand
) -> None:
    session = await given.session(brand, brand)
    ours = await verdicts(http, brand, session)
    assert ours != {"loose"}
    assert (await put(http, brand, {"chest": EVERYTHING_LOOSE})).status_code == 200
    assert await verdicts(http, brand, session) == {"loose"}
    listed = (await http.get("/v1/fit-bands", headers=brand.headers)).json()["items"]
    assert [one["limits_cm"] for one in listed] == [{"chest": EVERYTHING_LOOSE}]
    await put(http, brand, {})
    assert await verdicts(http, brand, session) == ours
    assert (await http.get("/v1/fit-bands", headers=brand.headers)).json()["items"] == []


@pytest.mark.parametrize("other", [{"category": "dress"}, {"stretch": "woven"}, {"measures": "body"}])
async def test_other_garments_keep_theirs(
    other: dict[str, str], http: httpx.AsyncClient, given: Given, brand: GivenBrand
) -> None:
    session = await given.session(brand, brand)
    ours = await verdicts(http, brand, session)
    await put(http, brand, {"chest": EVERYTHING_LOOSE}, **other)
    assert await verdicts(http, brand, session) == ours


async def test_a_garments_own_word_counts_first(http: httpx.AsyncClient, given: Given, brand: GivenBrand) -> None:
    session = await given.session(brand, brand)
    await put(http, brand, {"chest": EVERYTHING_LOOSE})
    tight = {"chest": [70, 71, 72, 73]}
    path = f"/v1/garments/{session['garment_id']}"
    assert (await http.patch(path, headers=brand.headers, json={"fit_bands": tight})).status_code == 200
    assert await verdicts(http, brand, session) == {"too_tight"}


async def test_another_brands_do_not_count(http: httpx.AsyncClient, given: Given, brand: GivenBrand) -> None:
    session = await given.session(brand, brand)
    ours = await verdicts(http, brand, session)
    await put(http, await given.brand(), {"chest": EVERYTHING_LOOSE})
    assert await verdicts(http, brand, session) == ours


@pytest.mark.parametrize(
    "limits", [{"chest": [1, 2, 3]}, {"chest": [1, 1, 2, 3]}, {"neck": [1, 2, 3, 4]}, {"chest": [0, 1, 2, 99]}]
)
async def test_limits_must_be_four_that_rise(limits: Any, http: httpx.AsyncClient, brand: GivenBrand) -> None:
    assert (await put(http, brand, limits)).status_code == 422


class TestLengths:
    """Told in plain words, decided by never."""

    SLEEVES = CHART | {"sizes": {"M": {"chest": 108, "sleeve": 72}, "L": {"chest": 114, "sleeve": 73}}}

    async def test_long_sleeves_are_named_and_change_no_size(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand
    ) -> None:
        avatar = await given.avatar(brand, weight_kg="74", sex="male", tape_arm_length_cm="64")
        told: list[dict[str, Any]] = []
        for chart in (self.SLEEVES, CHART | {"sizes": {"M": {"chest": 108}, "L": {"chest": 114}}}):
            garment = await given.garment(brand, category="hoodie", size_chart=chart, name=f"{len(told)}")
            body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
            answer = await http.post("/v1/tryon-sessions", headers=brand.headers, json=body)
            told.append(answer.json()["fit_result"])
        sleeves, plain = told
        length = sleeves["sizes"][0]["lengths"][0]
        assert (length["part"], length["verdict"]) == ("sleeves", "long")
        assert 5 <= length["off_cm"] <= 9, "72 less an arm of about 63 and what is usual"
        assert any(f"sleeves {length['off_cm']:.0f} cm long" in sentence for sentence in sleeves["sentences"])
        assert [size["probability"] for size in sleeves["sizes"]] == [size["probability"] for size in plain["sizes"]]
        assert plain["sizes"][0]["lengths"] == []

    async def test_a_brand_hears_no_centimetres_of_a_shoppers_arm(
        self, http: httpx.AsyncClient, given: Given, brand: GivenBrand
    ) -> None:
        shopper = await given.shopper(brand)
        avatar = await given.avatar(shopper, weight_kg="74", sex="male", tape_arm_length_cm="64")
        garment = await given.garment(brand, category="hoodie", size_chart=self.SLEEVES)
        body = {"avatar_id": avatar["id"], "garment_id": garment["id"]}
        made = (await http.post("/v1/tryon-sessions", headers=shopper.headers, json=body)).json()
        seen = (await http.get(f"/v1/tryon-sessions/{made['id']}", headers=brand.headers)).json()["fit_result"]
        assert {length["off_cm"] for size in seen["sizes"] for length in size["lengths"]} == {None}
        assert any("sleeves long" in sentence for sentence in seen["sentences"])
        assert not any("cm long" in sentence for sentence in seen["sentences"])
