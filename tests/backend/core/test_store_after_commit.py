"""No request keeps rows locked while a store is asked: with a store far away that would be everybody's wait."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import event

from backend.core.folder_store import FolderStore
from backend.core.storage import SignedUrl
from tests.backend.conftest import Finish, Step
from tests.factories import Given
from tests.scripted_endpoint import ScriptedEndpoint


class Watch:
    """Which tasks have written and not committed yet."""

    def __init__(self, app: Litestar) -> None:
        self.writing: set[Any] = set()
        engine = app.state.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._execute)
        event.listen(engine, "commit", self._end)
        event.listen(engine, "rollback", self._end)

    def _execute(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self.writing.add(asyncio.current_task())

    def _end(self, _connection: object) -> None:
        self.writing.discard(asyncio.current_task())


class WatchedStore(FolderStore):
    watch: Watch
    asked = 0

    async def signed_get_url(self, *arguments: Any, **options: Any) -> SignedUrl:
        self.asked += 1
        assert asyncio.current_task() not in self.watch.writing, "rows are locked"
        return await super().signed_get_url(*arguments, **options)


@pytest.fixture
def store(app: Litestar, tmp_path: Path) -> WatchedStore:
    """What the handlers ask; the sweeper has the same files by a store of its own."""
    settings = app.state.settings
    app.state.store = WatchedStore(
        tmp_path / "data" / "objects", settings.public_base_url, settings.storage_signing_key, app.state.clock
    )
    app.state.store.watch = Watch(app)
    watched: WatchedStore = app.state.store
    return watched


async def test_what_is_shown_is_signed_after_the_commit(
    http: httpx.AsyncClient,
    given: Given,
    endpoint: ScriptedEndpoint,
    step: Step,
    finish: Finish,
    store: WatchedStore,
) -> None:
    brand = await given.brand()
    session = await given.session(brand, brand)
    for _ in range(4):
        await step()
        for job in [job for job in endpoint.jobs.values() if job.status["status"] == "IN_QUEUE"]:
            await finish(job)

    async def asks(method: str, path: str, **body: Any) -> dict[str, Any]:
        before = store.asked
        answer = await http.request(method, path, headers=brand.headers, **body)
        assert answer.is_success, answer.text
        assert store.asked == before + 1
        shown: dict[str, Any] = answer.json()
        return shown

    avatar, garment = session["avatar_id"], session["garment_id"]
    changed = await asks("PATCH", f"/v1/tryon-sessions/{session['id']}", json={"selected_size": "L"})
    assert changed["garment_glb_url"] is not None
    again = {"avatar_id": avatar, "garment_id": garment}
    assert (await asks("POST", "/v1/tryon-sessions", json=again))["garment_glb_url"] is not None
    assert (await asks("PATCH", f"/v1/garments/{garment}", json={"name": "Shirt"}))["preview_url"] is not None
