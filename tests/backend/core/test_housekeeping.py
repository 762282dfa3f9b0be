from pathlib import Path

from backend.core.folder_store import FolderStore
from backend.core.housekeeping import Housekeeping
from tests.fakes import HandClock

JPEG = b"\xff\xd8\xff" + b"\0" * 20


async def test_no_photo_is_older_than_a_day(tmp_path: Path, clock: HandClock) -> None:
    """Whatever the rows say, and whoever forgot it."""
    store = FolderStore(tmp_path / "objects", "http://tryon.test", "k" * 32, clock)
    housekeeping = Housekeeping(store, clock)
    await store.put("photos", "b/u/a/old.jpg", JPEG, content_type="image/jpeg")
    await store.put("avatars", "b/u/a/kept.json", b"{}", content_type="application/json")
    clock.advance(hours=23)
    await store.put("photos", "b/u/a/new.jpg", JPEG, content_type="image/jpeg")
    assert await housekeeping.run_if_due() == 0
    clock.advance(hours=1, seconds=1)
    assert await housekeeping.run_if_due() == 1
    assert [photo.key async for photo in store.list("photos", "")] == ["b/u/a/new.jpg"]
    assert (await store.stat("avatars", "b/u/a/kept.json")).size == 2


async def test_it_looks_once_an_hour(tmp_path: Path, clock: HandClock) -> None:
    store = FolderStore(tmp_path / "objects", "http://tryon.test", "k" * 32, clock)
    housekeeping = Housekeeping(store, clock)
    await store.put("photos", "b/u/a/old.jpg", JPEG, content_type="image/jpeg")
    clock.advance(hours=23, minutes=30)
    assert await housekeeping.run_if_due() == 0
    clock.advance(minutes=45)
    assert await housekeeping.run_if_due() == 0
    clock.advance(minutes=15)
    assert await housekeeping.run_if_due() == 1
