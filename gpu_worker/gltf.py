"""A glTF 2.0 file while it is built: accessors, their bytes, pictures and materials, compressed where possible.

Convention: metres, y up; attributes are rows of vertices. Same input, same bytes.
"""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats

try:
    import meshoptimizer
except ImportError:  # built from source: without a C++ compiler files are quantised only, three times larger
    meshoptimizer = None

GENERATOR = "TryOn"
FLOAT, SIGNED_BYTE, UNSIGNED_BYTE, SIGNED_SHORT, UNSIGNED_SHORT = 5126, 5120, 5121, 5122, 5123
UNSIGNED_INT = 5125
VERTICES, TRIANGLES = 34962, 34963
NORMAL_STEPS = 127
QUANTIZATION, MESHOPT, TRANSFORM = "KHR_mesh_quantization", "EXT_meshopt_compression", "KHR_texture_transform"
_ALIGNMENT = 4
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942


def meshopt_is_available() -> bool:
    return meshoptimizer is not None


def cache_order(indices: NDArray[np.uint32], vertex_count: int) -> NDArray[np.int32]:
    """Triangles in the order that a vertex cache likes."""
    ordered = np.zeros_like(indices)
    meshoptimizer.optimize_vertex_cache(ordered, indices, len(indices), vertex_count)
    return ordered.astype(np.int32)


@dataclass
class GltfFile:
    """One scene. `compressed` only where meshopt is available; `extensions` are required of the reader."""

    compressed: bool = False
    extensions: set[str] = field(default_factory=set)
    optional_extensions: set[str] = field(default_factory=set)
    extras: dict[str, Any] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    meshes: list[dict[str, Any]] = field(default_factory=list)
    materials: list[dict[str, Any]] = field(default_factory=list)
    _accessors: list[dict[str, Any]] = field(default_factory=list)
    _views: list[dict[str, Any]] = field(default_factory=list)
    _images: list[dict[str, Any]] = field(default_factory=list)
    _binary: bytearray = field(default_factory=bytearray)
    _plain_bytes: int = 0

    def add_vertices(
        self, values: NDArray[Any], component: int, *, bounds: bool = False, normalised: bool = False
    ) -> int:
        """An attribute (N, 1..4); rows are padded to four bytes as glTF asks."""
        padding = -(values.shape[1] * values.itemsize) % _ALIGNMENT // values.itemsize
        rows = np.ascontiguousarray(np.pad(values, ((0, 0), (0, padding))))
        accessor: dict[str, Any] = {
            "componentType": component,
            "count": len(values),
            "type": _TYPES[values.shape[1]],
        }
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        if normalised:
            accessor |= {"normalized": True}
        packed = _packed_vertices(rows) if self.compressed else rows.tobytes()
        stride = rows.itemsize * rows.shape[1]
        view = self._view(packed, stride, len(rows), "ATTRIBUTES")
        return self._accessor(accessor, {**view, "byteStride": stride, "target": VERTICES})

    def add_normals(self, normals: Floats) -> int:
        """Unit normals in three bytes; compressed, as two octahedral numbers that the reader's filter turns back."""
        if not self.compressed:
            steps = np.round(normals * NORMAL_STEPS).astype(np.int8)
            return self.add_vertices(steps, SIGNED_BYTE, normalised=True)
        rows = _octahedral(normals)
        view = self._view(_packed_vertices(rows), _ALIGNMENT, len(rows), "ATTRIBUTES")
        view["extensions"][MESHOPT]["filter"] = "OCTAHEDRAL"
        accessor = {"componentType": SIGNED_BYTE, "count": len(rows), "type": "VEC3", "normalized": True}
        return self._accessor(accessor, {**view, "byteStride": _ALIGNMENT, "target": VERTICES})

    def add_triangles(self, faces: NDArray[np.int32]) -> int:
        """(F, 3), in two bytes an index where they suffice."""
        is_wide = int(faces.max()) > np.iinfo(np.uint16).max - 1
        flat = faces.reshape(-1)
        indices = flat.astype(np.uint32) if is_wide else flat.astype(np.uint16)
        packed = _packed_triangles(indices) if self.compressed else indices.tobytes()
        view = self._view(packed, indices.itemsize, len(indices), "TRIANGLES")
        component = UNSIGNED_INT if is_wide else UNSIGNED_SHORT
        accessor = {"componentType": component, "count": len(indices), "type": "SCALAR"}
        return self._accessor(accessor, {**view, "target": TRIANGLES})

    def add_picture(self, media_type: str, data: bytes) -> int:
        """A texture that repeats; its number."""
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)}
        self._binary += data + bytes(-len(data) % _ALIGNMENT)
        self._views.append(view)
        self._images.append({"bufferView": len(self._views) - 1, "mimeType": media_type})
        return len(self._images) - 1

    def to_glb(self) -> bytes:
        text = json.dumps(self._json(), separators=(",", ":"), sort_keys=True).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        binary = bytes(self._binary)
        chunks = (
            struct.pack("<II", len(text), _JSON_CHUNK) + text + struct.pack("<II", len(binary), _BINARY_CHUNK) + binary
        )
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks

    def _view(self, packed: bytes, stride: int, count: int, mode: str) -> dict[str, Any]:
        """Append bytes; a compressed view also says where its plain bytes would lie in the absent buffer."""
        where = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(packed)}
        self._binary += packed + bytes(-len(packed) % _ALIGNMENT)
        if not self.compressed:
            return where
        plain = {"buffer": 1, "byteOffset": self._plain_bytes, "byteLength": stride * count}
        self._plain_bytes += stride * count + -stride * count % _ALIGNMENT
        meshopt = {**where, "byteStride": stride, "mode": mode, "count": count}
        return {**plain, "extensions": {MESHOPT: meshopt}}

    def _accessor(self, accessor: dict[str, Any], view: dict[str, Any]) -> int:
        self._views.append(view)
        self._accessors.append({"bufferView": len(self._views) - 1, **accessor})
        return len(self._accessors) - 1

    def _json(self) -> dict[str, Any]:
        buffers: list[dict[str, Any]] = [{"byteLength": len(self._binary)}]
        required = set(self.extensions)
        if self.compressed:
            required.add(MESHOPT)
            buffers.append({"byteLength": self._plain_bytes, "extensions": {MESHOPT: {"fallback": True}}})
        used = required | self.optional_extensions
        below = {child for node in self.nodes for child in node.get("children", ())}
        asset = {"version": "2.0", "generator": GENERATOR}
        pictures = {
            "images": self._images,
            "samplers": [{}],
            "textures": [{"source": number, "sampler": 0} for number in range(len(self._images))],
        }
        return {
            "asset": {**asset, "extras": self.extras} if self.extras else asset,
            **({"extensionsUsed": sorted(used)} if used else {}),
            **({"extensionsRequired": sorted(required)} if required else {}),
            **(pictures if self._images else {}),
            "scene": 0,
            "scenes": [{"nodes": [number for number in range(len(self.nodes)) if number not in below]}],
            "nodes": self.nodes,
            "meshes": self.meshes,
            "materials": self.materials,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": buffers,
        }


def _octahedral(normals: Floats) -> NDArray[np.int8]:
    """(N, 4) bytes: the two octahedral coordinates, what stands for 1, and padding."""
    flat = normals / np.maximum(np.abs(normals).sum(axis=1, keepdims=True), 1e-12)
    folded = (1 - np.abs(flat[:, [1, 0]])) * np.where(flat[:, :2] >= 0, 1.0, -1.0)
    pair = np.where(flat[:, 2:] >= 0, flat[:, :2], folded)
    rows = np.zeros((len(normals), _ALIGNMENT), np.int8)
    rows[:, :2] = np.round(pair * NORMAL_STEPS)
    rows[:, 2] = NORMAL_STEPS
    return rows


def _packed_vertices(rows: NDArray[Any]) -> bytes:
    meshoptimizer.encode_vertex_version(0)  # what EXT_meshopt_compression knows
    encoded: bytes = meshoptimizer.encode_vertex_buffer(np.ascontiguousarray(rows))
    return encoded


def _packed_triangles(indices: NDArray[np.uint16] | NDArray[np.uint32]) -> bytes:
    meshoptimizer.encode_index_version(1)
    encoded: bytes = meshoptimizer.encode_index_buffer(indices.astype(np.uint32), len(indices), int(indices.max()) + 1)
    return encoded
