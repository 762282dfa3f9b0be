import asyncio
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from backend.core.folder_store import FolderStore
from backend.core.storage import ObjectNotFound, StoreUnavailable, read
from tests.fakes import HandClock

JSON = "application/json"
PNG = b"\x89PNG\r\n\x1a\n...."


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

    async def test_a_pointer_begun_in_a_crash_is_collected_too(self, store: FolderStore, clock: HandClock) -> None:
        """It holds the hash of what it would have pointed at."""
        await store.put("photos", "b/u/a/x.png", PNG, content_type="image/png")
        draft = store.root / "refs" / "photos" / "b" / "u" / "a" / ".0123.draft"
        draft.write_text("{}")
        made = clock.now().timestamp() - 3601
        os.utime(draft, (made, made))
        assert await store.collect_garbage() == 1
        await store.delete("photos", "b/u/a/x.png")
        assert list((store.root / "refs" / "photos").iterdir()) == []

    async def test_collecting_beside_deletions_goes_on(
        self, store: FolderStore, clock: HandClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever is there when the folder is read may be gone when the file is."""
        for name in ("a", "b"):
            await store.put("avatars", f"b/u/{name}.json", b"1", content_type=JSON)
        clock.advance(hours=2)
        for call in ("stat", "read_bytes"):
            original = getattr(Path, call)

            def vanishing(path: Path, call: str = call, original: Any = original, **more: Any) -> Any:
                if path.parent.parent.name == "blobs" or path.name.endswith("~ref"):
                    monkeypatch.setattr(Path, call, original)
                    path.unlink()
                return original(path, **more)

            monkeypatch.setattr(Path, call, vanishing)
            await store.collect_garbage()

    async def test_a_folder_that_goes_while_it_is_read_is_empty(
        self, store: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.put("avatars", "b/u/a/a.json", b"1", content_type=JSON)
        scan = os.scandir

        def vanishing(path: Any) -> Any:
            if Path(path).name == "a":
                raise FileNotFoundError
            return scan(path)

        monkeypatch.setattr(os, "scandir", vanishing)
        assert [one.key async for one in store.list("avatars", "b/u/")] == []

    async def test_a_crash_in_a_deletion_leaves_no_bytes(
        self, store: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next try finds the pointer and says gone: nothing may lie behind it then."""
        await store.put("photos", "b/u/a/x.png", PNG, content_type="image/png")
        unlink = Path.unlink

        def dying(path: Path, *, missing_ok: bool = False) -> None:
            unlink(path, missing_ok=missing_ok)
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", dying)
            with pytest.raises(SystemExit):
                store._delete(store._reference("photos", "b/u/a/x.png"))
        assert blobs(store) == []
        with pytest.raises(ObjectNotFound):
            await store.open("photos", "b/u/a/x.png")
        assert await store.delete("photos", "b/u/a/x.png")

    async def test_one_who_goes_while_his_object_is_published_breaks_nothing(
        self, store: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The thread is not stopped: a pointer to bytes that are gone would stay for ever."""
        begun, may_go_on, done = threading.Event(), threading.Event(), threading.Event()
        publish = store._publish_once

        def slowly(*given: Any, **more: Any) -> None:
            begun.set()
            may_go_on.wait()
            publish(*given, **more)
            done.set()

        monkeypatch.setattr(store, "_publish_once", slowly)
        putting = asyncio.create_task(store.put("avatars", "b/u/a.json", b"1", content_type=JSON))
        await asyncio.to_thread(begun.wait)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        may_go_on.set()
        assert await asyncio.to_thread(done.wait, 5)
        assert await read(store, "avatars", "b/u/a.json") == b"1"

    async def test_folder_that_cannot_be_made_is_said_at_once(self, tmp_path: Path, clock: HandClock) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StoreUnavailable):
            await FolderStore(tmp_path / "file", "http://tryon.test", "k" * 32, clock).check()
