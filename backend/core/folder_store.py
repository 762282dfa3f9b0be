"""The object store of the embedded default: a folder, no server, no dependency.

`blobs/aa/<uuid>` holds bytes, `refs/<bucket>/<key>~ref` is a small pointer with size, hashes and type. The pointer is
the commit point: readers see the old object or the new one, never a mix. `~` is outside the key charset, so the keys
`a` and `a/b` never collide.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec

from backend.core.clock import Clock
from backend.core.folder_files import (
    FileChunks,
    append,
    create_private,
    disk_faults,
    make_folders,
    sync,
    sync_folder,
)
from backend.core.magic import matches_type
from backend.core.object_addresses import OwnAddresses
from backend.core.storage import (
    BUCKETS,
    HEAD_BYTES,
    ByteRange,
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    OpenedObject,
    RangeNotSatisfiable,
    SignedPut,
    SignedUrl,
    StoredObject,
    StoreUnavailable,
    UnsupportedType,
    check_bucket,
    check_key,
    check_listed,
    check_prefix,
    check_type,
    chunks_of,
    limit_of,
)

REF_SUFFIX = "~ref"
DRAFT_SUFFIX = ".draft"
PUBLISH_ATTEMPTS = 5
ORPHAN_AGE = timedelta(hours=1)


class Pointer(msgspec.Struct, frozen=True):
    """The content of a `~ref` file."""

    blob: str
    size: int
    md5: str
    sha256: str
    content_type: str
    modified_at: datetime


class FolderStore:
    def __init__(self, root: Path, base_url: str, signing_key: str, clock: Clock) -> None:
        self.root = root
        self.clock = clock
        self._addresses = OwnAddresses(base_url, signing_key, clock)

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
        rules, reference = check_bucket(bucket), self._reference(bucket, key)
        check_type(rules, content_type)
        if not overwrite and await asyncio.to_thread(reference.exists):
            raise ObjectExists("There is an object under this key.")
        with disk_faults():
            blob = await asyncio.to_thread(self._new_blob)
        try:
            pointer = await self._write(blob, body, content_type, limit_of(rules, max_bytes))
        except BaseException:
            blob.unlink(missing_ok=True)
            raise
        with disk_faults():  # in one piece with its clean-up: a thread goes on when its caller is gone
            await asyncio.to_thread(self._publish_or_drop, reference, pointer, overwrite=overwrite)
        return _stored(bucket, key, pointer)

    def _publish_or_drop(self, reference: Path, pointer: Pointer, *, overwrite: bool) -> None:
        try:
            self._publish(reference, pointer, overwrite=overwrite)
        except BaseException:
            self._blob(pointer.blob).unlink(missing_ok=True)
            raise

    async def _write(self, blob: Path, body: bytes | AsyncIterator[bytes], content_type: str, limit: int) -> Pointer:
        digests = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        size, head = 0, b""
        with disk_faults():
            file = create_private(blob)
        with file:
            async for chunk in chunks_of(body):  # what the sender's stream raises passes through
                size += len(chunk)
                if size > limit:
                    raise ObjectTooLarge(f"At most {limit} bytes are taken.")
                head = (head + chunk[:HEAD_BYTES])[:HEAD_BYTES]
                with disk_faults():
                    await asyncio.to_thread(append, file, chunk, digests)
            if not matches_type(head, size, content_type):
                raise UnsupportedType(f"The bytes are not {content_type}.")
            with disk_faults():
                await asyncio.to_thread(sync, file)
        md5, sha256 = (digest.hexdigest() for digest in digests)
        return Pointer(blob.name, size, md5, sha256, content_type, self.clock.now())

    def _publish(self, reference: Path, pointer: Pointer, *, overwrite: bool) -> None:
        for attempt in range(1, PUBLISH_ATTEMPTS + 1):
            try:
                self._publish_once(reference, pointer, overwrite=overwrite)
            except FileNotFoundError:  # a deletion removed the empty folder between mkdir and link
                if attempt == PUBLISH_ATTEMPTS:
                    raise
            else:
                return

    def _publish_once(self, reference: Path, pointer: Pointer, *, overwrite: bool) -> None:
        make_folders(reference.parent, self.root)
        draft = reference.with_name(f".{secrets.token_hex(8)}{DRAFT_SUFFIX}")
        with create_private(draft) as file:
            file.write(msgspec.json.encode(pointer))
            sync(file)
        replaced = None
        try:
            if overwrite:
                with contextlib.suppress(FileNotFoundError):
                    replaced = _read_pointer(reference)
                draft.replace(reference)
            else:
                os.link(draft, reference)
        except FileExistsError as error:
            raise ObjectExists("There is an object under this key.") from error
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(reference.parent)
        if replaced is not None:
            self._blob(replaced.blob).unlink(missing_ok=True)

    def _new_blob(self) -> Path:
        blob = self._blob(secrets.token_hex(16))
        make_folders(blob.parent, self.root)
        return blob

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def open(self, bucket: str, key: str, byte_range: ByteRange | None = None) -> OpenedObject:
        reference = self._reference(bucket, key)
        pointer, file = await asyncio.to_thread(self._open, reference)
        first, last = 0, pointer.size - 1
        if byte_range is not None:
            first = byte_range.first
            last = min(last, last if byte_range.last is None else byte_range.last)
            if first > last:
                file.close()
                raise RangeNotSatisfiable(pointer.size)
        return OpenedObject(_stored(bucket, key, pointer), FileChunks(file, first, last - first + 1))

    def _open(self, reference: Path) -> tuple[Pointer, BinaryIO]:
        """An overwrite may unlink the blob between reading the pointer and opening it: look again then.

        The same pointer twice, and no blob: a deletion has begun.
        """
        seen = None
        for _ in range(PUBLISH_ATTEMPTS):
            pointer = _find_pointer(reference)
            with contextlib.suppress(FileNotFoundError):
                return pointer, self._blob(pointer.blob).open("rb")
            if pointer.blob == seen:
                raise ObjectNotFound("No object under this key.")
            seen = pointer.blob
        raise StoreUnavailable("The object changes faster than it can be read.")

    async def stat(self, bucket: str, key: str) -> StoredObject:
        return _stored(bucket, key, await asyncio.to_thread(_find_pointer, self._reference(bucket, key)))

    async def list(self, bucket: str, prefix: str) -> AsyncIterator[StoredObject]:
        folder = self._folder(bucket, prefix)
        for reference in await asyncio.to_thread(lambda: sorted(_references(folder))):
            key = str(reference.relative_to(self.root / "refs" / bucket)).removesuffix(REF_SUFFIX)
            with contextlib.suppress(ObjectNotFound):
                yield await self.stat(bucket, key)

    # ---- addresses --------------------------------------------------------------------------------------------------

    async def signed_get_url(
        self, bucket: str, key: str, *, ttl: timedelta, download_name: str | None = None
    ) -> SignedUrl:
        await self.stat(bucket, key)
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
        if not overwrite and await asyncio.to_thread(self._reference(bucket, key).exists):
            raise ObjectExists("There is an object under this key.")
        return self._addresses.to_write(bucket, key, content_type, max_bytes, min_ttl, overwrite=overwrite)

    def public_url(self, bucket: str, key: str) -> str:
        return self._addresses.public(bucket, key)

    # ---- deleting ---------------------------------------------------------------------------------------------------

    async def delete(self, bucket: str, key: str) -> bool:
        reference = self._reference(bucket, key)
        with disk_faults():
            return await asyncio.to_thread(self._delete, reference)

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        check_prefix(prefix)
        folder = self._folder(bucket, prefix)
        references = await asyncio.to_thread(lambda: list(_references(folder)))
        with disk_faults():
            return sum([await asyncio.to_thread(self._delete, reference) for reference in references])

    def _delete(self, reference: Path) -> bool:
        """The bytes first: what a crash leaves is a pointer to nothing, and the next try takes that too."""
        try:
            pointer = _read_pointer(reference)
            self._blob(pointer.blob).unlink(missing_ok=True)
            reference.unlink()
        except FileNotFoundError:
            return False
        top = self.root / "refs"
        with contextlib.suppress(OSError):  # stops at the first folder that is not empty
            folder = reference.parent
            while folder.parent != top:
                folder.rmdir()
                folder = folder.parent
        return True

    async def collect_garbage(self) -> int:
        """Blobs without a pointer and pointers that were never published, left by a crash."""
        with disk_faults():
            return await asyncio.to_thread(self._collect_orphans)

    def _collect_orphans(self) -> int:
        """Blobs are listed before pointers are: one that is published meanwhile is none of them."""
        oldest_kept = (self.clock.now() - ORPHAN_AGE).timestamp()
        blobs = [blob for blob in _files(self.root / "blobs") if _is_older(blob, oldest_kept)]
        known = set()
        for reference in _references(self.root / "refs"):
            with contextlib.suppress(FileNotFoundError):  # deleted while we look
                known.add(_read_pointer(reference).blob)
        drafts = [file for file in _files(self.root / "refs") if file.name.endswith(DRAFT_SUFFIX)]
        orphans = [blob for blob in blobs if blob.name not in known]
        orphans += [draft for draft in drafts if _is_older(draft, oldest_kept)]
        for orphan in orphans:
            orphan.unlink(missing_ok=True)
        return len(orphans)

    # ---- the folder -------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """The folder can be written; made with its buckets when absent."""
        with disk_faults():
            await asyncio.to_thread(self._check)

    def _check(self) -> None:
        for bucket in BUCKETS:
            make_folders(self.root / "refs" / bucket, self.root)
        make_folders(self.root / "blobs", self.root)
        with tempfile.TemporaryFile(dir=self.root / "blobs"):
            pass

    async def close(self) -> None:
        """Nothing is held open."""

    def _blob(self, name: str) -> Path:
        return self.root / "blobs" / name[:2] / name

    def _reference(self, bucket: str, key: str) -> Path:
        check_bucket(bucket)
        return self.root / "refs" / bucket / f"{check_key(key)}{REF_SUFFIX}"

    def _folder(self, bucket: str, prefix: str) -> Path:
        check_bucket(bucket)
        return self.root / "refs" / bucket / check_listed(prefix)


def _references(folder: Path) -> Iterator[Path]:
    return (file for file in _files(folder) if file.name.endswith(REF_SUFFIX))


def _files(folder: Path) -> Iterator[Path]:
    """All below it; a folder that a deletion removes meanwhile is empty, which `rglob` would fault on."""
    return (Path(at) / name for at, _, names in os.walk(folder) for name in names)


def _is_older(file: Path, moment_s: float) -> bool:
    """False of one that is gone meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_mtime < moment_s
    return False


def _read_pointer(reference: Path) -> Pointer:
    return msgspec.json.decode(reference.read_bytes(), type=Pointer)


def _find_pointer(reference: Path) -> Pointer:
    try:
        return _read_pointer(reference)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectNotFound("No object under this key.") from error


def _stored(bucket: str, key: str, pointer: Pointer) -> StoredObject:
    return StoredObject(
        bucket, key, pointer.size, pointer.content_type, BUCKETS[bucket].cache, pointer.md5, pointer.modified_at
    )
