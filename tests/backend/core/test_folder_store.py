import os
import stat
from pathlib import Path

import pytest

from backend.core.folder_store import FolderStore
from backend.core.storage import StoreUnavailable
from tests.fakes import HandClock

JSON = "application/json"


@pytest.fixture
async def store(tmp_path: Path, clock: HandClock) -> FolderStore:
    store = FolderStore(tmp_path / "objects", "http://tryon.test", "k" * 32, clock)
    await store.check()
    return store


def blobs(store: FolderStore) -> list[Path]:
    return list((store.root / "blobs").glob("*/*"))


class TestFiles:
    async def test_only_the_owner_may_read_them(self, store: FolderStore) -> None:
        await store.put("photos", "b/u/a/x.png", b"\x89PNG\r\n\x1a\n....", content_type="image/png")
        for path in store.root.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path

    async def test_nothing_of_a_deleted_object_stays(self, store: FolderStore) -> None:
        await store.put("photos", "b/u/a/x.png", b"\x89PNG\r\n\x1a\n....", content_type="image/png")
        await store.delete("photos", "b/u/a/x.png")
        assert blobs(store) == []
        assert list((store.root / "refs" / "photos").iterdir()) == []

    async def test_refused_and_overwritten_bytes_do_not_stay(self, store: FolderStore) -> None:
        await store.put("avatars", "b/u/a.json", b"1", content_type=JSON)
        for body in (b"2", b"3"):
            await store.put("avatars", "b/u/a.json", body, content_type=JSON, overwrite=True)
        with pytest.raises(Exception, match="At most"):
            await store.put("avatars", "b/u/b.json", b"1234", content_type=JSON, max_bytes=3)
        assert len(blobs(store)) == 1

    async def test_bytes_left_by_a_crash_are_collected_after_an_hour(
        self, store: FolderStore, clock: HandClock
    ) -> None:
        await store.put("avatars", "b/u/a.json", b"1", content_type=JSON)
        young, old = (store.root / "blobs" / "aa" / name for name in ("aa1", "aa2"))
        young.parent.mkdir(exist_ok=True)
        for path, age_s in ((young, 0), (old, 3601)):
            path.write_bytes(b"x")
            made = clock.now().timestamp() - age_s
            os.utime(path, (made, made))
        assert await store.collect_garbage() == 1
        assert young.exists()
        assert not old.exists()

    async def test_folder_that_cannot_be_made_is_said_at_once(self, tmp_path: Path, clock: HandClock) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StoreUnavailable):
            await FolderStore(tmp_path / "file", "http://tryon.test", "k" * 32, clock).check()
