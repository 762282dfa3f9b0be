"""What the tests of avatars ask for, in the forms a frame sends."""

from typing import Any

import httpx
from litestar import Litestar

from tests.factories import GivenShopper, photo

FACTS = {"height_cm": "178", "weight_kg": "74", "sex": "male"}


def picture(media_type: str = "image/jpeg", body: bytes | None = None) -> dict[str, tuple[str, bytes, str]]:
    return {"photo": ("me", photo() if body is None else body, media_type)}


async def create(http: httpx.AsyncClient, shopper: GivenShopper, files: Any = None, **facts: str) -> httpx.Response:
    return await http.post("/v1/avatars", headers=shopper.headers, data=FACTS | facts, files=files)


async def stored_photos(app: Litestar, shopper: GivenShopper) -> int:
    return len([one async for one in app.state.store.list("photos", f"{shopper.brand_id}/{shopper.id}/")])
