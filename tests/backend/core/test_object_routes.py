"""Objects over HTTP: what a browser's cache and a worker's upload need, and what nobody else gets."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from litestar import Litestar

from backend.core.storage import ObjectStore
from tests.fakes import HandClock

KEY = "b/u/a.json"
BODY = b"0123456789"
JSON = "application/json"
TTL = timedelta(minutes=15)


@pytest.fixture
def store(app: Litestar) -> ObjectStore:
    stored: ObjectStore = app.state.store
    return stored


@pytest.fixture
async def url(store: ObjectStore) -> str:
    await store.put("avatars", KEY, BODY, content_type=JSON)
    return (await store.signed_get_url("avatars", KEY, ttl=TTL)).url


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, sqlite_database: str) -> str:
    """No table is read here: one engine is enough."""
    return sqlite_database


class TestRead:
    async def test_whole_object(self, http: httpx.AsyncClient, url: str) -> None:
        answer = await http.get(url)
        assert (answer.status_code, answer.content) == (200, BODY)
        headers = answer.headers
        assert headers["content-type"] == JSON
        assert headers["content-length"] == "10"
        assert headers["accept-ranges"] == "bytes"
        assert headers["cache-control"].startswith("private, max-age=")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["access-control-allow-origin"] == "*"
        assert headers["referrer-policy"] == "no-referrer"

    async def test_head_says_the_same_without_a_body(self, http: httpx.AsyncClient, url: str) -> None:
        whole, head = await http.get(url), await http.head(url)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "content-length", "content-type", "last-modified", "cache-control"):
            assert head.headers[name] == whole.headers[name]

    @pytest.mark.parametrize(
        ("wanted", "status", "body", "content_range"),
        [
            ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
            ("bytes=7-", 206, b"789", "bytes 7-9/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=-99", 206, BODY, "bytes 0-9/10"),
            ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
            ("bytes=5-2", 200, BODY, None),
            ("bytes=abc", 200, BODY, None),
            ("abc", 200, BODY, None),
            ("bytes=-", 200, BODY, None),
            ("bytes=10-", 416, None, "bytes */10"),
            ("bytes=-0", 416, None, "bytes */10"),
            ("bytes=0-1,3-4", 416, None, "bytes */10"),
        ],
    )
    async def test_range(
        self, http: httpx.AsyncClient, url: str, wanted: str, status: int, body: bytes | None, content_range: str | None
    ) -> None:
        answer = await http.get(url, headers={"Range": wanted})
        assert answer.status_code == status
        assert answer.headers.get("content-range") == content_range
        assert body is None or answer.content == body

    async def test_range_of_an_older_version_gives_the_whole(self, http: httpx.AsyncClient, url: str) -> None:
        etag = (await http.get(url)).headers["etag"]
        for condition, status in ((etag, 206), ('"other"', 200)):
            answer = await http.get(url, headers={"Range": "bytes=0-1", "If-Range": condition})
            assert answer.status_code == status

    async def test_known_object_is_not_sent_again(self, http: httpx.AsyncClient, url: str) -> None:
        etag = (await http.get(url)).headers["etag"]
        for condition in (etag, f'"x", W/{etag}', "*"):
            answer = await http.get(url, headers={"If-None-Match": condition, "Range": "bytes=0-1"})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert (await http.get(url, headers={"If-None-Match": '"x"'})).status_code == 200

    async def test_photo_is_never_kept(self, http: httpx.AsyncClient, store: ObjectStore) -> None:
        await store.put("photos", "b/u/a/x.png", b"\x89PNG\r\n\x1a\n....", content_type="image/png")
        signed = await store.signed_get_url("photos", "b/u/a/x.png", ttl=TTL)
        assert (await http.get(signed.url)).headers["cache-control"] == "private, no-store"

    async def test_public_object_needs_no_token(self, http: httpx.AsyncClient, store: ObjectStore) -> None:
        await store.put("garments", "b/g/x.png", b"\x89PNG\r\n\x1a\n....", content_type="image/png")
        answer = await http.get(store.public_url("garments", "b/g/x.png"))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"

    async def test_download_name_survives_any_script(self, http: httpx.AsyncClient, store: ObjectStore) -> None:
        await store.put("avatars", KEY, BODY, content_type=JSON)
        signed = await store.signed_get_url("avatars", KEY, ttl=TTL, download_name='Prüf"ung.glb')
        disposition = (await http.get(signed.url)).headers["content-disposition"]
        assert disposition == "attachment; filename=\"Pr_f_ung.glb\"; filename*=UTF-8''Pr%C3%BCf%22ung.glb"

    async def test_preflight_is_answered(self, http: httpx.AsyncClient) -> None:
        answer = await http.options("/objects/avatars/a/b", headers={"Origin": "https://shop.example"})
        assert answer.status_code == 204
        assert "PUT" in answer.headers["access-control-allow-methods"]


class TestToken:
    async def test_every_wrong_token_gets_the_same_answer(
        self, http: httpx.AsyncClient, store: ObjectStore, url: str, clock: HandClock
    ) -> None:
        await store.put("avatars", "b/u/other.json", BODY, content_type=JSON)
        await store.put("garments", "b/u/a.json", b"\x89PNG\r\n\x1a\n....", content_type="image/png")
        base, token = url.split("?token=")
        payload, signature = token.split(".")
        longer = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"exp": 2**33}
        forged = base64.urlsafe_b64encode(json.dumps(longer).encode()).decode().rstrip("=")
        upload = await store.signed_put_url(
            "avatars", "b/u/new.json", content_type=JSON, max_bytes=10, min_ttl=timedelta(minutes=30)
        )
        wrong = [
            base,
            f"{base}?token=",
            f"{base}?token={token}&token={token}",
            f"{base}?token={'x' * 10_000}",
            f"{base}?token=%00",
            f"{base}?token=%C3%A4.%C3%A4",
            f"{base}?token={payload}",
            f"{base}?token={payload}.{signature}.",
            f"{base}?token={forged}.{signature}",
            f"{base}?token={payload}.{signature[:-1]}",
            f"{base.replace('a.json', 'other.json')}?token={token}",
            f"{base.replace('a.json', 'missing.json')}?token={token}",
            f"{base.replace('avatars', 'garments')}?token={token}",
            f"{base}?token={upload.url.split('token=')[1]}",
            base.replace("a.json", "missing.json"),
        ]
        answers = {(answer.status_code, answer.text) for answer in [await http.get(address) for address in wrong]}
        assert len(answers) == 1
        assert next(iter(answers))[0] == 403
        assert (await http.put(url, content=BODY, headers={"Content-Type": JSON})).status_code == 403
        clock.advance(minutes=20, seconds=1)
        assert (await http.get(url)).status_code == 403

    @pytest.mark.parametrize(
        "path", ["nowhere/a/b", "avatars/..%2F..%2Fetc", "avatars/A", "avatars/a~ref", "avatars/a%00"]
    )
    async def test_impossible_key_is_not_found(self, http: httpx.AsyncClient, path: str) -> None:
        assert (await http.get(f"/objects/{path}")).status_code == 404

    async def test_deleted_object_is_not_found(self, http: httpx.AsyncClient, store: ObjectStore, url: str) -> None:
        await store.delete("avatars", KEY)
        assert (await http.get(url)).status_code == 404


class TestWrite:
    @pytest.fixture
    async def upload(self, store: ObjectStore) -> str:
        signed = await store.signed_put_url(
            "avatars", KEY, content_type=JSON, max_bytes=10, min_ttl=timedelta(minutes=30)
        )
        assert signed.headers == {"Content-Type": JSON}
        return signed.url

    async def test_upload_is_stored_once(self, http: httpx.AsyncClient, store: ObjectStore, upload: str) -> None:
        stored = await http.put(upload, content=BODY, headers={"Content-Type": JSON})
        assert stored.status_code == 200, stored.text
        assert stored.json()["size"] == 10
        again = await http.put(upload, content=BODY, headers={"Content-Type": JSON})
        assert (again.status_code, again.headers["connection"]) == (409, "close")
        assert (await store.stat("avatars", KEY)).size == 10

    @pytest.mark.parametrize(
        ("headers", "body", "status"),
        [
            ({"Content-Type": JSON}, b"x" * 11, 413),
            ({"Content-Type": "text/html"}, BODY, 415),
            ({}, BODY, 415),
            ({"Content-Type": JSON, "Content-Length": "5"}, BODY, 400),
            ({"Content-Type": JSON, "Content-Length": "10"}, b"123", 400),
            ({"Content-Type": JSON, "Content-Length": "-1"}, BODY, 411),
            ({"Content-Type": JSON, "Transfer-Encoding": "chunked"}, None, 411),
        ],
    )
    async def test_bad_upload_leaves_nothing(
        self,
        http: httpx.AsyncClient,
        store: ObjectStore,
        upload: str,
        headers: dict[str, str],
        body: bytes | None,
        status: int,
    ) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield BODY

        answer = await http.put(upload, content=chunks() if body is None else body, headers=headers)
        assert answer.status_code == status, answer.text
        assert [stored.key async for stored in store.list("avatars", "")] == []

    async def test_expired_upload_is_refused(self, http: httpx.AsyncClient, upload: str, clock: HandClock) -> None:
        clock.advance(minutes=31)
        assert (await http.put(upload, content=BODY, headers={"Content-Type": JSON})).status_code == 403

    async def test_other_methods_are_refused(self, http: httpx.AsyncClient, upload: str) -> None:
        for method in ("POST", "DELETE", "PATCH"):
            assert (await http.request(method, upload)).status_code == 405
