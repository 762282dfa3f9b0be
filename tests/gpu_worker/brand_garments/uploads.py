"""GLBs as brands would send them, written from meshes; and what is wrong with some of them.

Convention: `points` are glTF's, y up, facing +z, metres.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats, Ints

Json = dict[str, Any]
COMPONENT = {np.dtype(np.float32): 5126, np.dtype(np.uint32): 5125, np.dtype(np.uint16): 5123, np.dtype(np.uint8): 5121}
SHAPE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


@dataclass(frozen=True, eq=False)
class Part:
    """One mesh with its own node."""

    points: Floats
    faces: Ints
    texture: Floats | None = None
    name: str = "cloth"


@dataclass
class Document:
    """glTF JSON and bytes while they are put together."""

    json: Json = field(default_factory=dict)
    binary: bytearray = field(default_factory=bytearray)

    def view(self, data: bytes) -> int:
        views = self.json.setdefault("bufferViews", [])
        views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)})
        self.binary += data + bytes(-len(data) % 4)
        return len(views) - 1

    def accessor(self, values: NDArray[Any]) -> int:
        rows = values.reshape(len(values), -1)
        accessors = self.json.setdefault("accessors", [])
        entry = {"componentType": COMPONENT[rows.dtype], "count": len(rows), "type": SHAPE[rows.shape[1]]}
        if rows.shape[1] == 3 and rows.dtype == np.float32:
            entry |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        accessors.append({"bufferView": self.view(rows.tobytes()), **entry})
        return len(accessors) - 1

    def glb(self, version: int = 2) -> bytes:
        self.json["buffers"] = [{"byteLength": len(self.binary)}, *self.json.get("buffers", [])[1:]]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.binary), b"BIN\0") + bytes(self.binary)
        return struct.pack("<4sII", b"glTF", version, 12 + len(chunks)) + chunks


def document_of(parts: list[Part], picture: bytes | None = None) -> Document:
    """One node, mesh and primitive for each part, all of one material."""
    document = Document({"asset": {"version": "2.0"}, "scene": 0, "nodes": [], "meshes": [], "materials": [{}]})
    document.json["materials"] = [{"name": "cloth", "pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.2, 0.2, 1]}}]
    for row, part in enumerate(parts):
        attributes = {"POSITION": document.accessor(part.points.astype(np.float32))}
        if part.texture is not None:
            attributes["TEXCOORD_0"] = document.accessor(part.texture.astype(np.float32))
        indices = document.accessor(part.faces.astype(np.uint32).reshape(-1, 1))
        primitive = {"attributes": attributes, "indices": indices, "material": 0}
        document.json["meshes"].append({"name": part.name, "primitives": [primitive]})
        document.json["nodes"].append({"name": part.name, "mesh": row})
    document.json["scenes"] = [{"nodes": list(range(len(parts)))}]
    if picture is not None:
        document.json["images"] = [{"bufferView": document.view(picture), "mimeType": "image/png"}]
        document.json["textures"] = [{"source": 0}]
        document.json["materials"][0]["pbrMetallicRoughness"] = {"baseColorTexture": {"index": 0}}
    return document


def glb_of(parts: list[Part], picture: bytes | None = None) -> bytes:
    return document_of(parts, picture).glb()


def edited(parts: list[Part], change: Callable[[Document], None], version: int = 2) -> bytes:
    """The GLB of these parts after `change` had its way with it."""
    document = document_of(parts)
    change(document)
    return document.glb(version)
