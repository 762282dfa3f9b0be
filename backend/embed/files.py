"""The built front end: read from its folder, compressed once and kept."""

import asyncio
import gzip
import mimetypes
from pathlib import Path

import msgspec

COMPRESSIBLE = ("text/", "application/json", "application/wasm", "image/svg+xml")


class FrontEndMissing(Exception):
    """`make install` builds it."""


class Asset(msgspec.Struct, frozen=True):
    body: bytes
    gzipped: bytes | None
    media_type: str


class FrontEnd:
    """The page is read anew each time (a rebuild names other files); files with a hash in their name are kept."""

    def __init__(self, dist: Path) -> None:
        self.dist = dist
        self._assets: dict[str, Asset] = {}

    async def page(self) -> str:
        try:
            return await asyncio.to_thread((self.dist / "index.html").read_text, "utf-8")
        except FileNotFoundError as error:
            raise FrontEndMissing from error

    async def asset(self, name: str) -> Asset | None:
        """`name` is a checked file name, no path."""
        if name not in self._assets:
            found = await asyncio.to_thread(self._load, name)
            if found is None:
                return None
            self._assets[name] = found
        return self._assets[name]

    def _load(self, name: str) -> Asset | None:
        try:
            body = (self.dist / "assets" / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        is_text = media_type.startswith(COMPRESSIBLE)
        return Asset(body, gzip.compress(body, mtime=0) if is_text else None, media_type)
