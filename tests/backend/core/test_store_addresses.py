"""What a signed address allows, and that it allows nothing else: the same for every store.

Refusals are "no", whatever the number: Supabase says 400 where our own routes say 403.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product

import pytest

from backend.core.storage import ObjectNotFound, ObjectStore, SignedPut, read
from tests.stores import At, Place

JSON = "application/json"
BODY = b"0123456789"
READ = timedelta(minutes=15)
WRITE = timedelta(minutes=30)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


async def upload_address(store: ObjectStore, key: str, *, overwrite: bool = False) -> SignedPut:
    return await store.signed_put_url(
        "avatars", key, content_type=JSON, max_bytes=10_000_000, min_ttl=WRITE, overwrite=overwrite
    )


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.fixture
async def url(store: ObjectStore, at: At) -> str:
    await store.put("avatars", at("a.json"), BODY, content_type=JSON)
    return (await store.signed_get_url("avatars", at("a.json"), ttl=READ)).url


class TestRead:
    async def test_whole_object_as_it_was_stored(self, place: Place, url: str) -> None:
        answer = await place.http.get(url, headers={"Accept-Encoding": "gzip, br"})
        assert (answer.status_code, answer.content) == (200, BODY)
        assert answer.headers["content-type"] == JSON
        assert answer.headers["content-length"] == "10"
        assert answer.headers["accept-ranges"] == "bytes"
        assert "content-encoding" not in answer.headers

    async def test_head_has_no_body(self, place: Place, url: str) -> None:
        answer = await place.http.head(url)
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "10")

    @pytest.mark.parametrize(
        ("wanted", "status", "body", "content_range"),
        [
            ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
            ("bytes=7-", 206, b"789", "bytes 7-9/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
            ("bytes=10-", 416, None, None),
            ("bytes=0-1,3-4", 416, None, None),
        ],
    )
    async def test_range(
        self, place: Place, url: str, wanted: str, status: int, body: bytes | None, content_range: str | None
    ) -> None:
        answer = await place.http.get(url, headers={"Range": wanted})
        assert answer.status_code == status
        if body is not None:
            assert (answer.content, answer.headers["content-range"]) == (body, content_range)

    async def test_known_object_is_not_sent_again(self, place: Place, url: str) -> None:
        etag = (await place.http.get(url)).headers["etag"]
        answer = await place.http.get(url, headers={"If-None-Match": etag})
        assert (answer.status_code, answer.content) == (304, b"")

    async def test_download_name_is_offered(self, place: Place, store: ObjectStore, at: At, url: str) -> None:
        signed = await store.signed_get_url("avatars", at("a.json"), ttl=READ, download_name="My avatar.glb")
        answer = await place.http.get(signed.url)
        assert answer.content == BODY
        assert "My%20avatar.glb" in answer.headers["content-disposition"]
        assert "content-disposition" not in (await place.http.get(url)).headers

    async def test_public_object_needs_no_token(self, place: Place, store: ObjectStore, at: At) -> None:
        await store.put("garments", at("x.png"), PNG, content_type="image/png")
        answer = await place.http.get(store.public_url("garments", at("x.png")))
        assert answer.content == PNG
        assert "max-age=31536000" in answer.headers["cache-control"]

    async def test_private_object_is_refused_without_or_with_another_token(
        self, place: Place, store: ObjectStore, at: At, url: str
    ) -> None:
        await store.put("avatars", at("b.json"), BODY, content_type=JSON)
        await store.put("garments", at("a.json"), PNG, content_type="image/png")
        path, _, token = url.partition("?token=")
        upload = (await upload_address(store, at("new.json"))).url.partition("?token=")[2]
        refused = [
            path,
            f"{path}?token=",
            f"{path}?token={token[:-8]}AAAAAAAA",
            f"{path}?token={upload}",
            url.replace("a.json", "b.json"),
            url.replace("avatars", "garments"),
            url.replace("avatars", "photos"),
        ]
        for address in refused:
            assert (await place.http.get(address)).is_client_error, address.replace(token, "…")

    async def test_address_allows_reading_only(self, place: Place, store: ObjectStore, at: At, url: str) -> None:
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            assert (await place.http.request(method, url, content=b"x", headers={"Content-Type": JSON})).is_client_error
        assert await read(store, "avatars", at("a.json")) == BODY

    async def test_address_ends(self, place: Place, url: str) -> None:
        place.wait(minutes=20, seconds=2)
        assert (await place.http.get(url)).is_client_error

    async def test_deleted_object_is_gone_from_its_address(
        self, place: Place, store: ObjectStore, at: At, url: str
    ) -> None:
        await store.delete("avatars", at("a.json"))
        assert (await place.http.get(url)).is_client_error


class TestWrite:
    async def test_upload_is_stored_as_declared_and_once(self, place: Place, store: ObjectStore, at: At) -> None:
        signed = await upload_address(store, at("a.json"))
        assert (await place.http.put(signed.url, content=BODY, headers=signed.headers)).status_code == 200
        stored = await store.stat("avatars", at("a.json"))
        assert (stored.size, stored.content_type) == (10, JSON)
        assert (await place.http.put(signed.url, content=b"again", headers=signed.headers)).is_client_error
        assert await read(store, "avatars", at("a.json")) == BODY

    async def test_header_of_the_sender_does_not_allow_overwriting(
        self, place: Place, store: ObjectStore, at: At
    ) -> None:
        signed = await upload_address(store, at("a.json"))
        await store.put("avatars", at("a.json"), BODY, content_type=JSON)
        headers = signed.headers | {"x-upsert": "true"}
        assert (await place.http.put(signed.url, content=b"other", headers=headers)).is_client_error
        assert await read(store, "avatars", at("a.json")) == BODY

    async def test_overwriting_is_allowed_when_it_was_signed(self, place: Place, store: ObjectStore, at: At) -> None:
        signed = await upload_address(store, at("a.json"), overwrite=True)
        for body in (b"1", b"22", b"333"):
            assert (await place.http.put(signed.url, content=body, headers=signed.headers)).status_code == 200
        assert await read(store, "avatars", at("a.json")) == b"333"

    async def test_what_was_not_signed_is_refused_and_leaves_nothing(
        self, place: Place, store: ObjectStore, at: At
    ) -> None:
        signed = await upload_address(store, at("a.json"))
        path, _, token = signed.url.partition("?token=")
        for address in (
            path,
            f"{path}?token={token[:-8]}AAAAAAAA",
            signed.url.replace("a.json", "b.json"),
            signed.url.replace("avatars", "sources"),
        ):
            answer = await place.http.put(address, content=BODY, headers=signed.headers)
            assert answer.is_client_error, address.replace(token, "…")
        for headers in ({"Content-Type": "text/html"}, {}, {"Content-Type": f"{JSON}; charset=x"}):
            assert (await place.http.put(signed.url, content=BODY, headers=headers)).is_client_error
        for method in ("GET", "POST", "DELETE"):
            assert (await place.http.request(method, signed.url, headers=signed.headers)).is_client_error
        for bucket in ("avatars", "sources"):
            assert [one.key async for one in store.list(bucket, at(""))] == []

    async def test_more_than_the_bucket_takes_is_refused(self, place: Place, store: ObjectStore, at: At) -> None:
        signed = await store.signed_put_url(
            "photos", at("x.png"), content_type="image/png", max_bytes=10_000_000, min_ttl=WRITE
        )
        body = PNG + b"\0" * 10_000_000
        assert (await place.http.put(signed.url, content=body, headers=signed.headers)).is_client_error
        with pytest.raises(ObjectNotFound):
            await store.stat("photos", at("x.png"))

    async def test_body_in_chunks_is_refused_or_seen_at_its_true_size(
        self, place: Place, store: ObjectStore, at: At
    ) -> None:
        """Supabase lets it pass every limit: whoever takes a worker's file measures it."""
        signed = await store.signed_put_url(
            "photos", at("x.png"), content_type="image/png", max_bytes=10_000_000, min_ttl=WRITE
        )
        pieces = in_pieces(PNG, *[b"\0" * 1_000_000] * 11)
        answer = await place.http.put(signed.url, content=pieces, headers=signed.headers)
        if answer.is_success:
            assert (await store.stat("photos", at("x.png"))).size == len(PNG) + 11_000_000
        else:
            with pytest.raises(ObjectNotFound):
                await store.stat("photos", at("x.png"))

    async def test_address_ends(self, place: Place, store: ObjectStore, at: At) -> None:
        signed = await upload_address(store, at("a.json"))
        left = signed.expires_at - place.now()
        place.wait(seconds=left.total_seconds() + 2)
        assert (await place.http.put(signed.url, content=BODY, headers=signed.headers)).is_client_error


async def test_a_worker_reaches_its_own_attempt_and_nothing_else(place: Place, store: ObjectStore, at: At) -> None:
    """All it holds are addresses: its photo to read, its files to write. Every other use of them is refused."""
    photo, foreign_photo = at("b/u/photo.png"), at("b/u2/photo.png")
    for key in (photo, foreign_photo):
        await store.put("photos", key, PNG, content_type="image/png")
    own = [at(f"b/u/attempt-1/{name}") for name in ("avatar.json", "manifest.json")]
    foreign = [at("b/u/attempt-2/avatar.json"), at("b/u/attempt-2/manifest.json"), at("b2/u/attempt-1/avatar.json")]
    await store.put("avatars", foreign[0], b'"another run"', content_type=JSON)
    may_read = (await store.signed_get_url("photos", photo, ttl=WRITE)).url
    may_write = [await upload_address(store, key) for key in own]

    assert (await place.http.get(may_read)).content == PNG
    stolen = [may_read, *(signed.url for signed in may_write)]
    targets = [("photos", foreign_photo), *(("avatars", key) for key in foreign)]
    for address, (bucket, key), method in product(stolen, targets, ("GET", "HEAD", "PUT", "POST", "DELETE")):
        held_bucket, held_key = ("photos", photo) if address is may_read else ("avatars", "")
        for own_key in own:
            held_key = own_key if not held_key and own_key in address else held_key
        moved = address.replace(f"/{held_bucket}/{held_key}", f"/{bucket}/{key}")
        assert moved != address
        answer = await place.http.request(method, moved, content=b"{}" if method == "PUT" else None)
        assert answer.is_client_error, (method, key)
    for signed, method in product(may_write, ("GET", "HEAD", "DELETE")):
        assert (await place.http.request(method, signed.url)).is_client_error
    for method in ("PUT", "DELETE"):
        assert (await place.http.request(method, may_read, content=b"{}")).is_client_error

    for signed in may_write:
        assert (await place.http.put(signed.url, content=b"{}", headers=signed.headers)).status_code == 200
    everything = [one.key async for one in store.list("avatars", at(""))]
    assert sorted(everything) == sorted([*own, foreign[0]])
    assert await read(store, "avatars", foreign[0]) == b'"another run"'
    assert [await read(store, "photos", key) for key in (photo, foreign_photo)] == [PNG, PNG]
