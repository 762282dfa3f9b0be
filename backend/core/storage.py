"""The object store as the product sees it: private files under keys, reached by short-lived signed addresses.

Rows hold keys, never addresses. Keys are made of ids and secrets, never from a name a person chose.
"""

import re
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from backend.core.magic import matches_type

MAX_KEY_LENGTH = 400
KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99}){0,7}")
SECRET_BYTES = 16
MEGABYTE = 1_000_000
HEAD_BYTES = 16
"""How much of the beginning is kept to compare with the declared type."""


class Cache(StrEnum):
    """How long a copy may live outside the store; each store turns it into headers."""

    IMMUTABLE = "immutable"
    PRIVATE = "private"
    NO_STORE = "no_store"


class Bucket(msgspec.Struct, frozen=True):
    """What a bucket takes: a limit in bytes and the exact media types."""

    name: str
    is_public: bool
    max_bytes: int
    media_types: tuple[str, ...]
    cache: Cache


IMAGES = ("image/jpeg", "image/png", "image/webp")
GLB = "model/gltf-binary"
NPZ = "application/zip"
"""npz files are declared so: with application/octet-stream allowed, a missing type would pass."""

PHOTOS = Bucket("photos", is_public=False, max_bytes=10 * MEGABYTE, media_types=IMAGES, cache=Cache.NO_STORE)
AVATARS = Bucket(
    "avatars",
    is_public=False,
    max_bytes=20 * MEGABYTE,
    media_types=(GLB, "image/png", "image/webp", "application/json", NPZ),
    cache=Cache.PRIVATE,
)
GARMENTS = Bucket(
    "garments", is_public=True, max_bytes=20 * MEGABYTE, media_types=(GLB, *IMAGES), cache=Cache.IMMUTABLE
)
SOURCES = Bucket(
    "sources",
    is_public=False,
    max_bytes=20 * MEGABYTE,
    media_types=(GLB, "image/png", "image/jpeg", "application/json", NPZ),
    cache=Cache.PRIVATE,
)
BUCKETS = {bucket.name: bucket for bucket in (PHOTOS, AVATARS, GARMENTS, SOURCES)}


class StoredObject(msgspec.Struct, frozen=True):
    bucket: str
    key: str
    size: int
    content_type: str
    cache: Cache
    etag: str
    modified_at: datetime


class SignedUrl(msgspec.Struct, frozen=True):
    url: str
    expires_at: datetime


class SignedPut(msgspec.Struct, frozen=True):
    """`headers` must be sent exactly, with a real Content-Length beside them."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


class ByteRange(msgspec.Struct, frozen=True):
    """First and last byte, both included; `last` None means to the end."""

    first: int
    last: int | None = None


class OpenedObject(msgspec.Struct, frozen=True):
    """`chunks` must be read to its end or closed."""

    stored: StoredObject
    chunks: AsyncIterator[bytes]


class StorageError(Exception):
    """Base of what a store may say; texts never hold an address or a token."""


class ObjectNotFound(StorageError): ...


class ObjectExists(StorageError): ...


class ObjectTooLarge(StorageError): ...


class UnsupportedType(StorageError): ...


class InvalidKey(StorageError): ...


class RangeNotSatisfiable(StorageError):
    def __init__(self, size: int) -> None:
        super().__init__(f"The object has {size} bytes.")
        self.size = size


class StoreForbidden(StorageError):
    """The store does not let this service do it."""


class StoreMisconfigured(StorageError):
    """A bucket is missing or not as it must be, or the key is not accepted: for the operator, not to be repeated."""


class StoreUnavailable(StorageError):
    """Disk full, network down; `ambiguous` when the effect may have happened."""

    def __init__(self, detail: str, *, ambiguous: bool = False) -> None:
        super().__init__(detail)
        self.ambiguous = ambiguous


class ObjectStore(Protocol):
    """One port; every implementation passes the same contract tests."""

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
        """Store whole or not at all; bytes are counted while they arrive. `ObjectExists` unless `overwrite`."""
        ...

    async def open(self, bucket: str, key: str, byte_range: ByteRange | None = None) -> OpenedObject: ...

    async def stat(self, bucket: str, key: str) -> StoredObject: ...

    def list(self, bucket: str, prefix: str) -> AsyncIterator[StoredObject]: ...

    async def signed_get_url(
        self, bucket: str, key: str, *, ttl: timedelta, download_name: str | None = None
    ) -> SignedUrl:
        """The object must exist when its address is signed."""
        ...

    async def signed_put_url(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        max_bytes: int,
        min_ttl: timedelta,
        overwrite: bool = False,
    ) -> SignedPut: ...

    async def delete(self, bucket: str, key: str) -> bool:
        """True when something was removed; absent is no error."""
        ...

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        """The prefix ends in `/` and has at least two segments: an empty one would empty the bucket."""
        ...

    def public_url(self, bucket: str, key: str) -> str: ...

    async def collect_garbage(self) -> int:
        """Remove what a crash left behind and no key leads to; how much that was."""
        ...

    async def check(self) -> None:
        """The store answers and is set up as it must be; `StorageError` otherwise."""
        ...

    async def close(self) -> None: ...


async def read(store: ObjectStore, bucket: str, key: str) -> bytes:
    """The whole object; for small ones such as a manifest."""
    opened = await store.open(bucket, key)
    return b"".join([chunk async for chunk in opened.chunks])


def check_key(key: str) -> str:
    """A strict subset of what any store and file system takes; anything else is `InvalidKey`."""
    if len(key) > MAX_KEY_LENGTH or KEY_PATTERN.fullmatch(key) is None:
        raise InvalidKey("The key is not of the allowed form.")
    return key


def check_prefix(prefix: str) -> str:
    if not prefix.endswith("/") or "/" not in prefix[:-1]:
        raise InvalidKey("A prefix ends in / and has at least two segments.")
    check_key(prefix[:-1])
    return prefix


def check_listed(prefix: str) -> str:
    """Whole segments, or empty for all of a bucket."""
    if prefix and not prefix.endswith("/"):
        raise InvalidKey("A prefix ends in /.")
    return f"{check_key(prefix[:-1])}/" if prefix else ""


def check_type(bucket: Bucket, content_type: str) -> None:
    if content_type not in bucket.media_types:
        raise UnsupportedType(f"The bucket takes {', '.join(bucket.media_types)}.")


def check_content(body: bytes, content_type: str) -> None:
    """A declared type is only a claim."""
    if not matches_type(body[:HEAD_BYTES], len(body), content_type):
        raise UnsupportedType(f"The bytes are not {content_type}.")


async def gather(body: bytes | AsyncIterator[bytes], max_bytes: int) -> bytes:
    """All of it in memory, for stores that cannot stream; counted while it arrives."""
    gathered = bytearray()
    async for chunk in chunks_of(body):
        gathered += chunk
        if len(gathered) > max_bytes:
            raise ObjectTooLarge(f"At most {max_bytes} bytes are taken.")
    return bytes(gathered)


async def chunks_of(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    async for chunk in body:
        yield chunk


def limit_of(bucket: Bucket, max_bytes: int | None) -> int:
    """The caller's limit, never above the bucket's."""
    return bucket.max_bytes if max_bytes is None else min(bucket.max_bytes, max_bytes)


def check_bucket(bucket: str) -> Bucket:
    if bucket not in BUCKETS:
        raise ObjectNotFound(f"No bucket {bucket!r}.")
    return BUCKETS[bucket]


def new_secret() -> str:
    """128 random bits in hex: the part of a key that nobody can guess (a UUIDv7 can be)."""
    return secrets.token_hex(SECRET_BYTES)


def person_prefix(brand_id: UUID, user_id: UUID) -> str:
    """One prefix removes a person: the brand comes first, the shopper second."""
    return f"{brand_id}/{user_id}/"


def photo_key(brand_id: UUID, user_id: UUID, avatar_id: UUID, media_type: str) -> str:
    suffix = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}[media_type]
    return f"{person_prefix(brand_id, user_id)}{avatar_id}/{new_secret()}.{suffix}"
