from uuid import uuid4

from httpx import AsyncClient

from tests.factories import Given
from tests.fakes import HandClock


def event(clock: HandClock, type_: str = "widget_opened", **more: object) -> dict[str, object]:
    return {"id": str(uuid4()), "type": type_, "occurred_at": clock.now().isoformat(), **more}


class TestAddEvents:
    async def test_same_batch_twice_counts_once(self, http: AsyncClient, given: Given, clock: HandClock) -> None:
        shopper = await given.shopper(await given.brand())
        batch = {"events": [event(clock), event(clock, "view_shown")]}
        first = await http.post("/v1/events", headers=shopper.headers, json=batch)
        again = await http.post("/v1/events", headers=shopper.headers, json=batch)
        assert (first.status_code, first.json()) == (202, {"accepted": 2, "duplicates": 0, "rejected": []})
        assert again.json() == {"accepted": 0, "duplicates": 2, "rejected": []}


class TestFunnel:
    async def test_f(self, http: AsyncClient, given: Given, clock: HandClock) -> None:
        brand = await given.brand()
        shopper = await given.shopper(brand)
        await http.post("/v1/events", headers=shopper.headers, json={"events": [event(clock)]})
        r = await http.get("/v1/analytics/funnel", headers=brand.headers)
        assert r.status_code == 200, r.text
        assert r.json()["steps"][1] == {"step": "opened", "reached": 1, "in_order": 0}
