"""From the bytes of a GLB to its JSON and its binary chunk. Nothing here opens a file or an address.

Every value is taken through a getter that names its field when it is not what glTF 2.0 allows.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpu_worker.garments.brand.refused import BrandRefused

MAX_BYTES = 20_000_000
MAX_JSON_BYTES = 4_000_000
HEADER, CHUNK = struct.Struct("<4sII"), struct.Struct("<I4s")
MAX_ITEMS = 20_000
"""Nodes, accessors and the like; no garment has more."""

Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Container:
    """document : the parsed JSON; binary : the bytes of its one buffer."""

    document: Json
    binary: memoryview

    def items(self, name: str) -> list[Json]:
        """A top-level array of objects; empty when the file has none."""
        found = self.document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise BrandRefused(name, f"{name} must be an array of objects.")
        if len(found) > MAX_ITEMS:
            raise BrandRefused(name, f"The file has {len(found):,} {name}; at most {MAX_ITEMS:,} are read.")
        return found

    def item(self, name: str, number: object, field: str) -> Json:
        """Entry `number` of a top-level array, as `field` refers to it."""
        found = self.items(name)
        if not _is_integer(number) or not 0 <= int(str(number)) < len(found):
            raise BrandRefused(field, f"{field} refers to {name}[{number}], which the file does not have.")
        return found[int(str(number))]


def split(glb: bytes) -> Container:
    """Raises `BrandRefused` when the bytes are no whole GLB of version 2."""
    if len(glb) > MAX_BYTES:
        raise BrandRefused("file", f"The file has {len(glb):,} bytes; at most {MAX_BYTES:,} are taken.")
    if len(glb) < HEADER.size or glb[:4] != b"glTF":
        raise BrandRefused("magic", "This is not a GLB file: it does not begin with glTF.")
    _, version, length = HEADER.unpack_from(glb)
    if version != 2:
        raise BrandRefused("version", f"This is glTF container version {version}; version 2 is read.")
    if length != len(glb):
        raise BrandRefused("length", f"The header states {length:,} bytes, the file has {len(glb):,}: it is cut off.")
    chunks = _chunks(glb)
    if not chunks or chunks[0][0] != b"JSON":
        raise BrandRefused("chunks[0]", "The first chunk must be JSON.")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == b"BIN\0" else memoryview(b"")
    return Container(_parsed(bytes(chunks[0][1])), binary)


def _chunks(glb: bytes) -> list[tuple[bytes, memoryview]]:
    view, start, found = memoryview(glb), HEADER.size, list[tuple[bytes, memoryview]]()
    while start < len(glb):
        if start + CHUNK.size > len(glb):
            raise BrandRefused(f"chunks[{len(found)}]", "The file ends inside a chunk's header.")
        size, kind = CHUNK.unpack_from(glb, start)
        start += CHUNK.size
        if start + size > len(glb):
            raise BrandRefused(f"chunks[{len(found)}]", f"A chunk of {size:,} bytes reaches past the end of the file.")
        found.append((kind, view[start : start + size]))
        start += size
    return found


def _parsed(text: bytes) -> Json:
    if len(text) > MAX_JSON_BYTES:
        raise BrandRefused("JSON", f"The JSON chunk has {len(text):,} bytes; at most {MAX_JSON_BYTES:,} are read.")
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as broken:
        raise BrandRefused("JSON", "The JSON chunk is not valid JSON.") from broken
    if not isinstance(document, dict):
        raise BrandRefused("JSON", "The JSON chunk must hold an object.")
    return document


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def integer(owner: Mapping[str, Any], key: str, field: str, *, low: int = 0, default: int | None = None) -> int:
    """A whole number of at least `low`."""
    value = owner.get(key, default)
    if not _is_integer(value) or value < low:
        raise BrandRefused(f"{field}.{key}", f"{field}.{key} must be a whole number of at least {low}, not {value!r}.")
    return int(value)


def numbers(owner: Mapping[str, Any], key: str, field: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """As many finite numbers as `default` has."""
    value = owner.get(key, default)
    good = isinstance(value, list | tuple) and len(value) == len(default)
    if not good or not all(isinstance(part, int | float) and abs(part) < float("inf") for part in value):
        raise BrandRefused(f"{field}.{key}", f"{field}.{key} must be {len(default)} finite numbers.")
    return tuple(float(part) for part in value)


def mapping(owner: Mapping[str, Any], key: str, field: str) -> Json:
    """An object; empty when it is absent."""
    value = owner.get(key, {})
    if not isinstance(value, dict):
        raise BrandRefused(f"{field}.{key}", f"{field}.{key} must be an object.")
    return value


def strings(document: Mapping[str, Any], key: str) -> list[str]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise BrandRefused(key, f"{key} must be an array of strings.")
    return value


def entries(owner: Mapping[str, Any], key: str, field: str) -> list[Any]:
    value = owner.get(key, [])
    if not isinstance(value, list):
        raise BrandRefused(f"{field}.{key}", f"{field}.{key} must be an array.")
    return value
