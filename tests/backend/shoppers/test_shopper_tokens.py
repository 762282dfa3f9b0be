from httpx import AsyncClient

from tests.factories import ORIGIN, Given


class TestCreateShopperToken:
    async def test_code_becomes_a_token_of_a_new_shopper(self, http: AsyncClient, given: Given) -> None:
        brand = await given.brand()
        created = await http.post("/v1/shopper-tokens", headers=brand.headers, json={"origin": ORIGIN})
        assert created.status_code == 201, created.text
        exchanged = await http.post("/embed/token", json={"code": created.json()["code"]})
        assert exchanged.status_code == 200, exchanged.text
        assert exchanged.json()["origin"] == ORIGIN
