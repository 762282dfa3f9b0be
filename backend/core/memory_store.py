"""An object store that forgets: for tests of what stands on the port, and for nothing else."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from backend.core.clock import Clock
from backend.core.object_addresses import OwnAddresses
from backend.core.storage import (
    ByteRange,
    ObjectExists,
    ObjectNotFound,
    OpenedObject,
    RangeNotSatisfiable,
    SignedPut,
    SignedUrl,
    StoredObject,
    check_bucket,
    check_content,
    check_key,
    check_listed,
    check_prefix,
    check_type,
    chunks_of,
    gather,
    limit_of,
)


class MemoryStore:
    def __init__(self, base_url: str, signing_key: str, clock: Clock) -> None:
        self.clock = clock
        self._addresses = OwnAddresses(base_url, signing_key, clock)
        self._objects: dict[tuple[str, str], tuple[StoredObject, bytes]] = {}

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
        if not overwrite:
            self._refuse_existing(bucket, key)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        stored = StoredObject(bucket, key, len(content), content_type, rules.cache, md5, self.clock.now())
        self._objects[bucket, key] = stored, content
        return stored

    async def open(self, bucket: str, key: str, byte_range: ByteRange | None = None) -> OpenedObject:
        stored, content = self._find(bucket, key)
        if byte_range is None:
            return OpenedObject(stored, chunks_of(content))
        if byte_range.first >= stored.size:
            raise RangeNotSatisfiable(stored.size)
        end = stored.size if byte_range.last is None else byte_range.last + 1
        return OpenedObject(stored, chunks_of(content[byte_range.first : end]))

    async def stat(self, bucket: str, key: str) -> StoredObject:
        return self._find(bucket, key)[0]

    async def list(self, bucket: str, prefix: str) -> AsyncIterator[StoredObject]:
        for key in self._keys(bucket, check_listed(prefix)):
            if (bucket, key) in self._objects:  # deleted while the caller looked at the one before
                yield self._objects[bucket, key][0]

    async def signed_get_url(
        self, bucket: str, key: str, *, ttl: timedelta, download_name: str | None = None
    ) -> SignedUrl:
        self._find(bucket, key)
        return self._addresses.to_read(bucket, key, ttl, download_name)

    async def signed_put_url(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        max_bytes: int,
        min_ttl: timedelta,
        overwrite: bool = False,
    ) -> SignedPut:
        check_type(check_bucket(bucket), content_type)
        check_key(key)
        if not overwrite:
            self._refuse_existing(bucket, key)
        return self._addresses.to_write(bucket, key, content_type, max_bytes, min_ttl, overwrite=overwrite)

    def public_url(self, bucket: str, key: str) -> str:
        return self._addresses.public(bucket, key)

    async def delete(self, bucket: str, key: str) -> bool:
        check_bucket(bucket)
        return self._objects.pop((bucket, check_key(key)), None) is not None

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        return sum([await self.delete(bucket, key) for key in self._keys(bucket, check_prefix(prefix))])

    async def collect_garbage(self) -> int:
        return 0

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def close(self) -> None:
        """Nothing is held open."""

    def _keys(self, bucket: str, prefix: str) -> Sequence[str]:
        check_bucket(bucket)
        return sorted(key for name, key in self._objects if name == bucket and key.startswith(prefix))

    def _find(self, bucket: str, key: str) -> tuple[StoredObject, bytes]:
        check_bucket(bucket)
        if (bucket, check_key(key)) not in self._objects:
            raise ObjectNotFound("No object under this key.")
        return self._objects[bucket, key]

    def _refuse_existing(self, bucket: str, key: str) -> None:
        if (bucket, key) in self._objects:
            raise ObjectExists("There is an object under this key.")
