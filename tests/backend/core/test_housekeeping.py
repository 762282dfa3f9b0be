from datetime import timedelta
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


async def test_none_is_there_when_its_day_is_over(tmp_path: Path, clock: HandClock) -> None:
    """Shoppers are told "at the latest after 24 hours", wherever between two looks it came."""
    store = FolderStore(tmp_path / "objects", "http://tryon.test", "k" * 32, clock)
    housekeeping = Housekeeping(store, clock)
    put_at = clock.now()
    await store.put("photos", "b/u/a/old.jpg", JPEG, content_type="image/jpeg")
    clock.advance(minutes=1)
    while not await housekeeping.run_if_due():
        clock.advance(minutes=1)
    assert timedelta(hours=23, minutes=30) < clock.now() - put_at < timedelta(hours=24)
