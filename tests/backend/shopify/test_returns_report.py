"""`GET /v1/analytics/returns`: from orders and returns as Shopify tells them to a report a brand can act on."""

from tests.backend.shopify.conftest import SHOP_B
from tests.backend.shopify.scene import Scene, set_the_scene


async def test_returns_by_reason_with_and_without_a_try_on(scene: Scene) -> None:
    desk = scene.shop.desk
    session = await scene.try_on()
    tried = scene.place(*[session["id"]] * 60)
    others = scene.place(*[None] * 100)
    scene.clock.advance(days=10)
    desk.send_back(tried, {line.id: 1 for line in tried.lines[:6]}, "too-small", scene.clock.now())
    desk.send_back(others, {line.id: 1 for line in others.lines[:40]}, "style", scene.clock.now())
    scene.clock.advance(days=10)
    young = scene.place(*[session["id"]] * 40)
    for order in (tried, others, young):
        await scene.hear_of(order)
    scene.clock.advance(minutes=1)
    answer = await scene.http.get("/v1/analytics/returns", headers=scene.brand.headers)
    assert answer.status_code == 200
    report = answer.json()
    assert report["definition_version"] == "returns-1"
    assert (report["tried_on"]["units"], report["not_tried_on"]["units"]) == (100, 100)
    assert report["tried_on"]["reasons"] == {"too_small": 6}
    fortnight = report["tried_on"]["horizons"][0]
    assert abs(fortnight["returned"]["estimate"] - 0.1) < 1e-9, "forty ordered just now are not counted as kept"
    assert fortnight["size_reasons"]["estimate"] == fortnight["returned"]["estimate"]
    assert abs(report["not_tried_on"]["horizons"][0]["returned"]["estimate"] - 0.4) < 1e-9
    assert report["not_tried_on"]["horizons"][1]["returned"] is None, "nobody has been watched for 30 days"
    [garment] = report["garments"]
    assert (garment["size"], garment["units"], garment["too_small"], garment["other"]) == ("M", 200, 6, 40)


async def test_of_nothing_is_not_yet_known(scene: Scene) -> None:
    report = (await scene.http.get("/v1/analytics/returns", headers=scene.brand.headers)).json()
    assert report["reasons_known"] is None
    assert {one["returned"] for one in report["tried_on"]["horizons"]} == {None}
    assert report["garments"] == []


async def test_each_brand_sees_its_own(scene: Scene) -> None:
    other = await set_the_scene(scene.app, scene.http, scene.fake, scene.clock, SHOP_B)
    await other.hear_of(other.place(None))
    report = (await scene.http.get("/v1/analytics/returns", headers=scene.brand.headers)).json()
    assert report["not_tried_on"]["units"] == 0


async def test_period_is_checked(scene: Scene) -> None:
    for query in ("since=2020-01-01T00:00:00Z", "since=2026-01-01T00:00:00", "since=2027-01-01T00:00:00Z"):
        answer = await scene.http.get(f"/v1/analytics/returns?{query}", headers=scene.brand.headers)
        assert answer.status_code == 422, query
