"""A shopper before a garment, for the tests of what it looks like on her."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from litestar import Litestar

from gpu_worker.contract import DressParams
from tests.backend.conftest import Finish, Step
from tests.factories import Given, GivenBrand, GivenShopper
from tests.scripted_endpoint import ScriptedEndpoint, SubmittedJob


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


def looked_at(session: Any) -> list[str]:
    """Where no size was chosen: what we say."""
    fit = session["fit_result"]
    return [fit["recommended_size"]] if fit["recommended_size"] else list(fit["between"])


def params_of(job: SubmittedJob) -> DressParams:
    return msgspec.convert(job.input.params, DressParams)


def path_of(session: Any) -> str:
    return str(urlsplit(session["garment_glb_url"]).path)


async def objects(app: Litestar, part: str) -> list[str]:
    """Folders of the private bucket with this in their name."""
    found = [one.key async for one in app.state.store.list("avatars", "")]
    return sorted({key.rpartition("/")[0] for key in found if part in key})
