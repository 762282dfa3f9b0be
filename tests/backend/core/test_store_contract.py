"""What every object store promises to the service; for holders of its addresses see `test_store_addresses.py`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backend.core.storage import (
    ByteRange,
    InvalidKey,
    ObjectExists,
    ObjectNotFound,
    ObjectStore,
    ObjectTooLarge,
    RangeNotSatisfiable,
    UnsupportedType,
    read,
)
from tests.stores import At, Place

JSON = "application/json"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
GLB = b"glTF" + (2).to_bytes(4, "little") + (20).to_bytes(4, "little") + b"\0" * 8


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


class TestPut:
    async def test_bytes_type_and_size_come_back(self, store: ObjectStore, at: At) -> None:
        put = await store.put("avatars", at("a.json"), b"{}", content_type=JSON)
        stat = await store.stat("avatars", at("a.json"))
        assert put == stat
        assert (stat.size, stat.content_type) == (2, JSON)
        assert await read(store, "avatars", at("a.json")) == b"{}"

    async def test_stream_is_stored_whole(self, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), pieces(b"[1,", b"2]"), content_type=JSON)
        assert await read(store, "avatars", at("a.json")) == b"[1,2]"

    async def test_broken_stream_leaves_nothing(self, store: ObjectStore, at: At) -> None:
        async def breaking() -> AsyncIterator[bytes]:
            yield b"["
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await store.put("avatars", at("a.json"), breaking(), content_type=JSON)
        with pytest.raises(ObjectNotFound):
            await store.stat("avatars", at("a.json"))

    async def test_second_put_is_refused(self, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"1", content_type=JSON)
        with pytest.raises(ObjectExists):
            await store.put("avatars", at("a.json"), b"2", content_type=JSON)
        assert await read(store, "avatars", at("a.json")) == b"1"

    async def test_of_twenty_writers_one_wins(self, store: ObjectStore, at: At) -> None:
        async def write(number: int) -> int | None:
            try:
                await store.put("avatars", at("a.json"), str(number).encode(), content_type=JSON)
            except ObjectExists:
                return None
            return number

        winners = [one for one in await asyncio.gather(*(write(number) for number in range(20))) if one is not None]
        assert len(winners) == 1
        assert await read(store, "avatars", at("a.json")) == str(winners[0]).encode()

    async def test_overwrite_shows_old_or_new_never_a_mix(self, store: ObjectStore, at: At) -> None:
        old, new = b"1" * 300_000, b"2" * 500_000
        await store.put("avatars", at("a.json"), old, content_type=JSON)

        async def overwrite() -> None:
            for body in (new, old) * 5:
                await store.put("avatars", at("a.json"), body, content_type=JSON, overwrite=True)

        writing = asyncio.create_task(overwrite())
        while not writing.done():
            assert await read(store, "avatars", at("a.json")) in {old, new}
            await asyncio.sleep(0)  # a store in memory would never let the writer in
        await writing

    async def test_too_large_is_refused_while_it_arrives(self, store: ObjectStore, at: At) -> None:
        with pytest.raises(ObjectTooLarge):
            await store.put("avatars", at("a.json"), pieces(b"x" * 60, b"x" * 60), content_type=JSON, max_bytes=100)
        with pytest.raises(ObjectNotFound):
            await store.stat("avatars", at("a.json"))

    @pytest.mark.parametrize(
        ("bucket", "content_type", "body"),
        [
            ("photos", "image/svg+xml", b"<svg/>"),
            ("photos", JSON, b"{}"),
            ("photos", "image/png", b"<script>"),
            ("photos", "image/jpeg", PNG),
            ("avatars", "model/gltf-binary", b"glTF" + b"\0" * 16),
            ("avatars", "model/gltf-binary", GLB + b"tail"),
            ("avatars", "application/zip", b"not a zip"),
        ],
    )
    async def test_wrong_type_is_refused(
        self, store: ObjectStore, at: At, bucket: str, content_type: str, body: bytes
    ) -> None:
        with pytest.raises(UnsupportedType):
            await store.put(bucket, at("x"), body, content_type=content_type)
        with pytest.raises(ObjectNotFound):
            await store.stat(bucket, at("x"))

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [("image/png", PNG), ("model/gltf-binary", GLB), ("application/zip", b"PK\x03\x04....")],
    )
    async def test_right_type_is_taken(self, store: ObjectStore, at: At, content_type: str, body: bytes) -> None:
        assert (await store.put("avatars", at("x"), body, content_type=content_type)).size == len(body)


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        [
            "", "/a", "a/", "a//b", "../a", "a/../b", "A", "a b", "a%20b", "ä", "a\0b", ".hidden", "a~ref", "a\\b",
            "x" * 101, "/".join("abcdefghi"), "/".join(["x" * 60] * 7),
        ],
    )  # fmt: skip
    async def test_key_outside_the_charset_is_refused(self, store: ObjectStore, at: At, key: str) -> None:
        with pytest.raises(InvalidKey):
            await store.put("avatars", key, b"{}", content_type=JSON)
        with pytest.raises(InvalidKey):
            await store.stat("avatars", key)

    async def test_a_key_may_be_the_beginning_of_another(self, store: ObjectStore, at: At) -> None:
        for key in (at("b"), at("b/c")):
            await store.put("avatars", key, key.encode(), content_type=JSON)
        assert await read(store, "avatars", at("b")) == at("b").encode()
        assert {stored.key async for stored in store.list("avatars", at(""))} == {at("b"), at("b/c")}


class TestOpen:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (ByteRange(0), b"0123456789"),
            (ByteRange(3, 5), b"345"),
            (ByteRange(9), b"9"),
            (ByteRange(8, 99), b"89"),
        ],
    )
    async def test_range(self, store: ObjectStore, at: At, wanted: ByteRange, expected: bytes) -> None:
        await store.put("avatars", at("a.json"), b"0123456789", content_type=JSON)
        opened = await store.open("avatars", at("a.json"), wanted)
        assert b"".join([chunk async for chunk in opened.chunks]) == expected

    async def test_range_beyond_the_end_is_refused(self, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"0123456789", content_type=JSON)
        with pytest.raises(RangeNotSatisfiable):
            await store.open("avatars", at("a.json"), ByteRange(10))

    async def test_reader_keeps_what_is_deleted_meanwhile(self, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"1" * 1_000_000, content_type=JSON)
        opened = await store.open("avatars", at("a.json"))
        await store.delete("avatars", at("a.json"))
        assert len(b"".join([chunk async for chunk in opened.chunks])) == 1_000_000

    async def test_unknown_object_and_bucket_are_not_found(self, store: ObjectStore, at: At) -> None:
        for bucket in ("avatars", "nowhere"):
            with pytest.raises(ObjectNotFound):
                await store.open(bucket, at("a.json"))


class TestDelete:
    async def test_twice_is_no_error(self, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"1", content_type=JSON)
        assert await store.delete("avatars", at("a.json")) is True
        assert await store.delete("avatars", at("a.json")) is False
        with pytest.raises(ObjectNotFound):
            await store.stat("avatars", at("a.json"))

    async def test_prefix_takes_whole_segments(self, store: ObjectStore, at: At) -> None:
        for key in (at("u1/x"), at("u1/y/z"), at("u10/x")):
            await store.put("avatars", key, b"1", content_type=JSON)
        assert await store.delete_prefix("avatars", at("u1/")) == 2
        assert [stored.key async for stored in store.list("avatars", at(""))] == [at("u10/x")]
        assert await store.delete_prefix("avatars", at("u1/")) == 0

    @pytest.mark.parametrize("prefix", ["", "/", "b", "b/", "b/u1", "../b/"])
    async def test_short_prefix_is_refused(self, store: ObjectStore, prefix: str) -> None:
        with pytest.raises(InvalidKey):
            await store.delete_prefix("avatars", prefix)


class TestAddresses:
    async def test_missing_object_is_not_signed(self, store: ObjectStore, at: At) -> None:
        with pytest.raises(ObjectNotFound):
            await store.signed_get_url("avatars", at("a.json"), ttl=timedelta(minutes=15))

    async def test_address_lives_at_least_as_long_as_asked(self, place: Place, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"1", content_type=JSON)
        read_until = (await store.signed_get_url("avatars", at("a.json"), ttl=timedelta(minutes=15))).expires_at
        put = await store.signed_put_url(
            "avatars", at("b.json"), content_type=JSON, max_bytes=10, min_ttl=timedelta(minutes=30)
        )
        slack = timedelta(seconds=5)
        assert timedelta(minutes=15) - slack <= read_until - place.now() <= timedelta(minutes=20)
        assert put.expires_at - place.now() >= timedelta(minutes=30) - slack

    async def test_address_stays_the_same_for_a_while(self, place: Place, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"1", content_type=JSON)
        place.wait(seconds=1)
        first = await store.signed_get_url("avatars", at("a.json"), ttl=timedelta(minutes=15))
        place.wait(seconds=30)
        assert await store.signed_get_url("avatars", at("a.json"), ttl=timedelta(minutes=15)) == first
        place.wait(minutes=5)
        later = await store.signed_get_url("avatars", at("a.json"), ttl=timedelta(minutes=15))
        assert later.expires_at - place.now() >= timedelta(minutes=15)

    async def test_deleted_object_is_not_signed_again(self, store: ObjectStore, at: At) -> None:
        for delete in (store.delete("avatars", at("u/a.json")), store.delete_prefix("avatars", at("u/"))):
            await store.put("avatars", at("u/a.json"), b"1", content_type=JSON)
            await store.signed_get_url("avatars", at("u/a.json"), ttl=timedelta(minutes=15))
            await delete
            with pytest.raises(ObjectNotFound):
                await store.signed_get_url("avatars", at("u/a.json"), ttl=timedelta(minutes=15))

    async def test_upload_over_an_object_is_not_signed(self, store: ObjectStore, at: At) -> None:
        await store.put("avatars", at("a.json"), b"1", content_type=JSON)
        with pytest.raises(ObjectExists):
            await store.signed_put_url(
                "avatars", at("a.json"), content_type=JSON, max_bytes=10, min_ttl=timedelta(minutes=30)
            )

    async def test_private_bucket_has_no_public_address(self, store: ObjectStore, at: At) -> None:
        assert store.public_url("garments", at("x.glb")).endswith(at("x.glb"))
        for bucket in ("photos", "avatars", "sources"):
            with pytest.raises(ValueError, match="public"):
                store.public_url(bucket, at("x"))
