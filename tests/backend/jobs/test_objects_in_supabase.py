"""The way of a photo to a body with every object in a Supabase project, and the worker on its addresses."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import msgspec
import pytest

from backend.app import create_app
from backend.jobs.queue import ComputeQueue
from backend.settings import Settings
from gpu_worker.contract import FileRecord
from tests.factories import Given, GivenShopper
from tests.fake_supabase_storage import FakeSupabaseStorage
from tests.fakes import HandClock
from tests.scripted_endpoint import GLB, NPZ, ScriptedEndpoint, SubmittedJob, manifest_of, rows, upload
from tests.stores import supabase_on_fake


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@dataclass
class Stage:
    """The service on the fake project, a shopper with a photo, and a job on its way to a worker."""

    given: Given
    server: FakeSupabaseStorage
    http: httpx.AsyncClient
    clock: HandClock
    shopper: GivenShopper
    avatar_id: str

    async def step(self) -> None:
        self.clock.advance(seconds=3)
        await self.given.app.state.sweeper.step()

    async def avatar(self) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self.given.token(self.shopper.brand_id, self.shopper.id)}"}
        found: dict[str, object] = (await self.http.get(f"/v1/avatars/{self.avatar_id}", headers=headers)).json()
        return found

    def keys(self, bucket: str) -> list[str]:
        return self.server.keys(bucket, "")


@asynccontextmanager
async def stage(settings: Settings, clock: HandClock, queue: ComputeQueue) -> AsyncIterator[Stage]:
    server = FakeSupabaseStorage(clock)
    store, way = await supabase_on_fake(server, clock)
    app = create_app(settings, clock=clock, store=store, queue=queue)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    mounts = {"http://storage.test": way}
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, mounts=mounts, base_url="http://tryon.test") as http,
    ):
        given = Given(app)
        shopper = await given.shopper(await given.brand())
        avatar = await given.avatar_with_photo(shopper)
        here = Stage(given, server, http, clock, shopper, avatar["id"])
        await here.step()
        yield here


async def test_from_photo_to_body(
    settings: Settings, clock: HandClock, queue: ComputeQueue, endpoint: ScriptedEndpoint
) -> None:
    async with stage(settings, clock, queue) as here:
        job = endpoint.newest
        photo = job.input.inputs["photo"]
        assert photo.url.startswith("http://storage.test/storage/v1/object/sign/photos/")
        assert hashlib.sha256((await here.http.get(photo.url)).content).hexdigest() == photo.sha256
        await upload(here.http, job, manifest_of(job))
        endpoint.complete(job)
        await here.step()
        avatar = await here.avatar()
        assert avatar["status"] == "ready"
        assert str(avatar["glb_url"]).startswith("http://storage.test/storage/v1/object/sign/avatars/")
        assert (await here.http.get(str(avatar["glb_url"]))).content[:4] == b"glTF"
        await here.step()
        assert here.keys("photos") == []
        assert len(here.keys("avatars")) == 3


async def test_a_body_in_pieces_past_the_limit_is_deleted_and_not_believed(
    settings: Settings, clock: HandClock, queue: ComputeQueue, endpoint: ScriptedEndpoint
) -> None:
    """The server lets it in; its size is looked at, whatever the manifest says."""
    async with stage(settings, clock, queue) as here:
        job = endpoint.newest
        large = NPZ + b"\0" * job.input.outputs["body.npz"].max_bytes
        await upload_in_pieces(here.http, job, large)
        endpoint.complete(job)
        await here.step()
        assert (await here.avatar())["status"] != "ready"
        states = await rows(here.given.database, "select state from job_attempts")
        assert ("succeeded",) not in states
        assert not any(key.endswith("body.npz") for key in here.keys("avatars"))


async def upload_in_pieces(http: httpx.AsyncClient, job: SubmittedJob, large: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 1_000_000):
            yield large[start : start + 1_000_000]

    output = job.input.outputs["body.npz"]
    (await http.put(output.url, content=pieces(), headers=output.headers)).raise_for_status()
    honest = manifest_of(job)
    claimed = FileRecord(len(large), hashlib.sha256(large).hexdigest(), hashlib.md5(large).hexdigest())
    manifest = msgspec.structs.replace(honest, files=honest.files | {"body.npz": claimed})
    for name, body in (("avatar.glb", GLB), ("manifest.json", msgspec.json.encode(manifest))):
        address = job.input.outputs[name]
        (await http.put(address.url, content=body, headers=address.headers)).raise_for_status()
