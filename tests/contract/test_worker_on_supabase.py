"""The worker's own client at the addresses that a Supabase project signs."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backend.core.clock import SystemClock
from backend.core.supabase_store import SupabaseStore
from gpu_worker.contract import InputFile, OutputFile
from gpu_worker.files import FileFault, SignedFiles, storage_session
from tests.fake_supabase_storage import FakeSupabaseStorage
from tests.stores import on_a_socket

PHOTO = b"\xff\xd8\xff" + b"p" * 1000
BODY = b'{"a": 1}'
LIFE = timedelta(minutes=30)


@pytest.fixture
def server() -> FakeSupabaseStorage:
    return FakeSupabaseStorage(SystemClock())


@pytest.fixture
async def stand(server: FakeSupabaseStorage) -> AsyncIterator[tuple[SupabaseStore, SignedFiles]]:
    async with on_a_socket(server) as url, storage_session() as session:
        store = SupabaseStore(url, server.service_key, SystemClock())
        await store.make_buckets()
        await store.put("photos", "b/u/a/x.jpg", PHOTO, content_type="image/jpeg")
        yield store, SignedFiles(session, url)
        await store.close()


async def photo_of(store: SupabaseStore) -> InputFile:
    signed = await store.signed_get_url("photos", "b/u/a/x.jpg", ttl=LIFE)
    return InputFile(signed.url, hashlib.sha256(PHOTO).hexdigest(), len(PHOTO), "image/jpeg")


async def output_of(store: SupabaseStore, key: str) -> OutputFile:
    signed = await store.signed_put_url(
        "avatars", key, content_type="application/json", max_bytes=1_000_000, min_ttl=LIFE
    )
    return OutputFile(signed.url, signed.headers, 1_000_000)


async def test_reads_its_photo_and_writes_its_files(stand: tuple[SupabaseStore, SignedFiles]) -> None:
    store, files = stand
    assert await files.read("photo", await photo_of(store)) == PHOTO
    written = await files.write("manifest.json", await output_of(store, "b/u/a/1/manifest.json"), BODY)
    stored = await store.stat("avatars", "b/u/a/1/manifest.json")
    assert (stored.size, stored.content_type, stored.etag) == (written.bytes, "application/json", written.md5)


async def test_a_deleted_photo_is_gone_not_broken(stand: tuple[SupabaseStore, SignedFiles]) -> None:
    store, files = stand
    photo = await photo_of(store)
    await store.delete("photos", "b/u/a/x.jpg")
    with pytest.raises(FileFault) as fault:
        await files.read("photo", photo)
    assert fault.value.code == "photo_gone"


async def test_another_runs_file_is_not_taken_for_its_own(stand: tuple[SupabaseStore, SignedFiles]) -> None:
    store, files = stand
    output = await output_of(store, "b/u/a/1/manifest.json")
    await files.write("manifest.json", output, BODY)
    with pytest.raises(FileFault) as fault:
        await files.write("manifest.json", output, b'{"a": 2}')
    assert fault.value.code == "output_exists"


async def test_a_wrong_type_is_refused_for_good(
    stand: tuple[SupabaseStore, SignedFiles], server: FakeSupabaseStorage
) -> None:
    store, files = stand
    output = await output_of(store, "b/u/a/1/manifest.json")
    wrong = OutputFile(output.url, {"Content-Type": "text/html"}, output.max_bytes)
    asked = len(server.clients)
    with pytest.raises(FileFault) as fault:
        await files.write("manifest.json", wrong, BODY)
    assert fault.value.code == "upload_failed"
    assert len(server.clients) == asked + 1
