"""Files of the folder store: private, synced, read in pieces; work on the disk runs in threads."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from backend.core.storage import StoreUnavailable

CHUNK_BYTES = 262_144


class FileChunks:
    """Part of an open file, read in threads; closes itself at the end, when closed, or when dropped."""

    def __init__(self, file: BinaryIO, first: int, length: int) -> None:
        self._file = file
        self._left = length
        self._file.seek(first)

    def __aiter__(self) -> "FileChunks":
        return self

    async def __anext__(self) -> bytes:
        chunk = b""
        if self._left > 0:
            chunk = await asyncio.to_thread(self._file.read, min(CHUNK_BYTES, self._left))
        self._left -= len(chunk)
        if not chunk:
            self._file.close()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        self._file.close()


@contextlib.contextmanager
def disk_faults() -> Iterator[None]:
    """Disk full, no right, folder gone: the store's fault, not the caller's."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"The folder cannot be written ({error.strerror}).") from error


def create_private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def append(file: BinaryIO, chunk: bytes, digests: "tuple[hashlib._Hash, ...]") -> None:
    file.write(chunk)
    for digest in digests:
        digest.update(chunk)


def sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path, root: Path) -> None:
    """Each level 0700: `mkdir(parents=True)` would give the parents the umask's mode."""
    for level in (*reversed([parent for parent in folder.parents if parent.is_relative_to(root)]), folder):
        level.mkdir(mode=0o700, exist_ok=True, parents=level == root)
