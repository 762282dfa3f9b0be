"""The object store of production: Supabase Storage, through its own package.

What the server does otherwise than one would expect, and what is done about it here (docs/supabase.md):
it answers a refused upload before reading its body, so what can be known is asked or checked before sending; it takes
chunked bodies of any size, so the one who takes a worker's file looks at its size; it deletes and lists in silence
where it may not, so both are proven.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import httpx
from storage3.types import CreateSignedUploadUrlOptions, FileOptions, SearchV2Options, SearchV2Result, URLOptions

from backend.core import supabase_buckets
from backend.core.clock import Clock
from backend.core.storage import (
    MEGABYTE,
    ByteRange,
    Cache,
    ObjectExists,
    ObjectNotFound,
    OpenedObject,
    RangeNotSatisfiable,
    SignedPut,
    SignedUrl,
    StorageError,
    StoredObject,
    StoreForbidden,
    StoreMisconfigured,
    StoreUnavailable,
    check_bucket,
    check_content,
    check_key,
    check_listed,
    check_prefix,
    check_type,
    gather,
    limit_of,
    read,
)
from backend.core.supabase_answers import lifetime_of, stored_from_info, stored_from_listing
from backend.core.supabase_client import Connections, Pause, Unsatisfiable
from backend.core.supabase_reading import open_address

ASK_FIRST_BYTES = MEGABYTE
"""A larger upload asks whether its key is free before its body is sent."""
READ_TTL = timedelta(seconds=60)
STABLE_FOR = timedelta(minutes=5)
"""Addresses are signed for so much longer than asked, and handed out again until only the asked life is left."""
MAX_KEPT_ADDRESSES = 4096
PAGE = 100
CHECK_EVERY = timedelta(minutes=5)
LIFE = {Cache.IMMUTABLE: "31536000, immutable", Cache.PRIVATE: "0", Cache.NO_STORE: "0"}
"""The server writes `max-age=` before it; signed reads carry no Cache-Control at all."""

Address = tuple[str, str, timedelta, str | None]


class SupabaseStore:
    def __init__(
        self,
        url: str,
        secret_key: str,
        clock: Clock,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self._public_root = f"{url.rstrip('/')}/storage/v1/object/public"
        self._connections = Connections(url, secret_key, transport=transport, pause=pause)
        self._kept: dict[Address, SignedUrl] = {}
        self._good_until: datetime | None = None

    # ---- writing ----------------------------------------------------------------------------------------------------

    async def put(
        self,
        bucket: str,
        key: str,
        body: bytes | AsyncIterator[bytes],
        *,
        content_type: str,
        max_bytes: int | None = None,
        overwrite: bool = False,
    ) -> StoredObject:
        rules = check_bucket(bucket)
        check_key(key)
        check_type(rules, content_type)
        content = await gather(body, limit_of(rules, max_bytes))
        check_content(content, content_type)
        if not overwrite and len(content) > ASK_FIRST_BYTES:
            await self._sign_upload(bucket, key, overwrite=False)  # "exists" without a body on the way
        await self._send(bucket, key, content, content_type, overwrite=overwrite)
        self._forget(bucket, key)
        return await self._stat_after_put(bucket, key)

    async def _send(self, bucket: str, key: str, body: bytes, content_type: str, *, overwrite: bool) -> None:
        """A lost answer is looked up, never answered by sending blindly again."""
        options: FileOptions = {"content-type": content_type, "cache-control": LIFE[check_bucket(bucket).cache]}
        if overwrite:
            options["upsert"] = "true"
        upload = partial(self._connections.uploads.from_(bucket).upload, key, body, options)
        is_in_doubt = False
        for _ in range(2):
            try:
                await self._connections.once(upload)
            except ObjectExists:
                if not is_in_doubt:
                    raise
            except StoreUnavailable as fault:
                if not fault.ambiguous:
                    raise
            else:
                return
            is_in_doubt = True
            if await self._has_arrived(bucket, key, body):
                return
            if not overwrite and await self._exists(bucket, key):
                raise ObjectExists("There is an object under this key.")
        raise StoreUnavailable("The upload was not confirmed.", ambiguous=True)

    async def _has_arrived(self, bucket: str, key: str, body: bytes) -> bool:
        """By size and MD5; by the bytes themselves where the store's ETag is no MD5."""
        try:
            stored = await self.stat(bucket, key)
            if stored.size != len(body):
                return False
            if len(stored.etag) == 32:
                return stored.etag == hashlib.md5(body, usedforsecurity=False).hexdigest()
            return await read(self, bucket, key) == body
        except ObjectNotFound:
            return False
        except StorageError as error:
            raise StoreUnavailable("The upload was not confirmed.", ambiguous=True) from error

    async def _exists(self, bucket: str, key: str) -> bool:
        try:
            await self.stat(bucket, key)
        except ObjectNotFound:
            return False
        except StorageError as error:
            raise StoreUnavailable("The upload was not confirmed.", ambiguous=True) from error
        return True

    async def _stat_after_put(self, bucket: str, key: str) -> StoredObject:
        try:
            return await self.stat(bucket, key)
        except StoreUnavailable as error:
            raise StoreUnavailable("The object was sent and could not be looked at.", ambiguous=True) from error

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def open(self, bucket: str, key: str, byte_range: ByteRange | None = None) -> OpenedObject:
        address = await self._sign_read(bucket, key, READ_TTL, None)
        try:
            return await open_address(self._connections, address.url, bucket, key, byte_range)
        except Unsatisfiable:
            pass
        raise RangeNotSatisfiable((await self.stat(bucket, key)).size)

    async def stat(self, bucket: str, key: str) -> StoredObject:
        check_bucket(bucket)
        files = self._connections.calls.from_(bucket)

        async def info() -> StoredObject:
            return stored_from_info(bucket, key, await files.info(key))

        check_key(key)
        return await self._connections.repeat(info)

    async def list(self, bucket: str, prefix: str) -> AsyncIterator[StoredObject]:
        check_bucket(bucket)
        check_listed(prefix)
        cursor: str | None = None
        while True:
            page = await self._page(bucket, prefix, cursor)
            for one in page.objects:
                if one.metadata is not None and one.name.startswith(prefix):
                    yield stored_from_listing(bucket, one.name, one.metadata)
            cursor = page.nextCursor
            if not page.hasNext or cursor is None:
                return

    async def _page(self, bucket: str, prefix: str, cursor: str | None) -> SearchV2Result:
        options: SearchV2Options = {"prefix": prefix, "limit": PAGE}
        if cursor is not None:
            options["cursor"] = cursor
        return await self._connections.repeat(partial(self._connections.calls.from_(bucket).list_v2, options))

    # ---- addresses --------------------------------------------------------------------------------------------------

    async def signed_get_url(
        self, bucket: str, key: str, *, ttl: timedelta, download_name: str | None = None
    ) -> SignedUrl:
        """The same address for up to five minutes, so that a browser's cache hits."""
        name = bucket, key, ttl, download_name
        kept = self._kept.get(name)
        if kept is not None and kept.expires_at - self.clock.now() >= ttl:
            return kept
        signed = await self._sign_read(bucket, key, ttl + STABLE_FOR, download_name)
        self._kept.pop(name, None)
        while len(self._kept) >= MAX_KEPT_ADDRESSES:
            self._kept.pop(next(iter(self._kept)))
        self._kept[name] = signed
        return signed

    async def _sign_read(self, bucket: str, key: str, ttl: timedelta, download_name: str | None) -> SignedUrl:
        check_bucket(bucket)
        files, now = self._connections.calls.from_(bucket), self.clock.now()
        options: URLOptions | None = {"download": download_name} if download_name else None
        sign = partial(files.create_signed_url, check_key(key), int(ttl.total_seconds()), options)
        url = (await self._connections.repeat(sign))["signedURL"]
        if not url:
            raise StoreUnavailable("The store signed no address.")
        return SignedUrl(url, now + ttl)

    async def signed_put_url(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        max_bytes: int,  # noqa: ARG002  the server knows its bucket's limit alone; whoever takes the file measures it
        min_ttl: timedelta,
        overwrite: bool = False,
    ) -> SignedPut:
        rules, now = check_bucket(bucket), self.clock.now()
        check_type(rules, content_type)
        url, lifetime = await self._sign_upload(bucket, key, overwrite=overwrite)
        if lifetime < min_ttl:
            raise StoreMisconfigured(f"Upload addresses live {lifetime}, {min_ttl} is needed: a setting of the server.")
        headers = {"Content-Type": content_type, "Cache-Control": f"max-age={LIFE[rules.cache]}"}
        return SignedPut(url, headers, now + lifetime)

    async def _sign_upload(self, bucket: str, key: str, *, overwrite: bool) -> tuple[str, timedelta]:
        """`ObjectExists` without `overwrite`; the option's presence is what switches it on."""
        options = CreateSignedUploadUrlOptions(upsert="true") if overwrite else None
        files = self._connections.calls.from_(bucket)

        async def sign() -> tuple[str, timedelta]:
            answer = await files.create_signed_upload_url(check_key(key), options)
            return answer["signed_url"], lifetime_of(answer["token"])

        return await self._connections.repeat(sign)

    def public_url(self, bucket: str, key: str) -> str:
        if not check_bucket(bucket).is_public:
            raise ValueError(f"Nothing in {bucket} has a public address.")
        return f"{self._public_root}/{bucket}/{check_key(key)}"

    # ---- deleting ---------------------------------------------------------------------------------------------------

    async def delete(self, bucket: str, key: str) -> bool:
        check_bucket(bucket)
        self._forget(bucket, check_key(key))
        if await self._remove(bucket, [key]):
            return True
        try:
            await self.stat(bucket, key)  # nothing removed means absent, or hidden
        except ObjectNotFound:
            return False
        raise StoreForbidden("The store does not delete the object and does not say why.")

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        check_bucket(bucket)
        check_prefix(prefix)
        deleted = 0
        while keys := [one.name for one in (await self._page(bucket, prefix, None)).objects]:
            if not all(key.startswith(prefix) for key in keys):
                raise StoreUnavailable("The store listed what was not asked for.")
            removed = await self._remove(bucket, keys)
            if not removed:
                raise StoreForbidden("The store does not delete the objects and does not say why.")
            deleted += removed
            for key in keys:
                self._forget(bucket, key)
        return deleted

    async def _remove(self, bucket: str, keys: Sequence[str]) -> int:
        return len(await self._connections.repeat(partial(self._connections.calls.from_(bucket).remove, [*keys])))

    def _forget(self, bucket: str, key: str) -> None:
        for name in [name for name in self._kept if name[:2] == (bucket, key)]:
            del self._kept[name]

    async def collect_garbage(self) -> int:
        """A broken upload leaves nothing here that a key does not lead to."""
        return 0

    # ---- the project ------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """All buckets as they must be, and the key accepted; asked at most every five minutes while all is well."""
        now = self.clock.now()
        if self._good_until is not None and now < self._good_until:
            return
        self._good_until = None
        await supabase_buckets.check(self._connections)
        self._good_until = now + CHECK_EVERY

    async def make_buckets(self) -> Sequence[str]:
        """Create what is missing, set what differs; one word for each bucket."""
        return await supabase_buckets.make(self._connections)

    async def close(self) -> None:
        await self._connections.close()
