"""A body as files: the avatar GLB for browsers and `body.npz` for dressing. Same input, same bytes.

Convention: in the GLB y is up, metres, feet at 0, facing +z; the canonical body is z up, facing -y, so (x, z, -y).
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.archive import encode_npz
from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.display import Display, Surface

try:
    import meshoptimizer
except ImportError:  # built from source: without a C++ compiler avatars are quantised only, three times larger
    meshoptimizer = None

GENERATOR = "TryOn"
MATTE_SKIN = ("skin", (0.60, 0.56, 0.52), 0.9)
MATTE_BASE = ("base_layer", (0.115, 0.12, 0.135), 0.95)
"""Name, linear RGB, roughness. Neutral and matte: a mannequin, nobody's skin."""

POSITION_STEPS = 2**13 - 1
"""Steps over the longest side: .22 mm on a person of 1.8 m, so no vertex is off by more than .11 mm on an axis."""
NORMAL_STEPS = 127

FLOAT, SIGNED_BYTE, UNSIGNED_SHORT = 5126, 5120, 5123
VERTICES, TRIANGLES = 34962, 34963
_ALIGNMENT = 4
_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942


def meshopt_is_available() -> bool:
    return meshoptimizer is not None


def encode_avatar(body: CanonicalBody, vertices: Floats, *, compress: bool) -> bytes:
    """The avatar, base layer always included.

    vertices : (V, 3) metres, rest pose, z up
    compress : quantised and, where meshoptimizer is built, compressed; otherwise plain float32
    """
    surface = _y_up(_display(body, for_meshopt=compress and meshopt_is_available()).surface(vertices))
    document = _Document(extras={"body_version": body.version, "units": "metres"})
    if not compress:
        _write_plain(document, surface)
    else:
        _write_quantised(document, surface)
    return document.to_glb()


def encode_body_npz(
    body: CanonicalBody, parameters: Floats, vertices: Floats, measurements: Mapping[str, float]
) -> bytes:
    """What dressing needs: the parameters are the truth, the half-precision vertices are up to .5 mm off above 1 m.

    parameters   : (22,), in the order of `gpu_worker.body.family.PARAMETERS`
    measurements : wire name -> cm or kg, as the tape reads them on this body
    """
    names = sorted(measurements)
    return encode_npz(
        {
            "body_version": np.array(body.version, np.uint8),
            "parameters": parameters.astype(np.float64),
            "vertices": vertices.astype(np.float16),
            "measurement_names": np.array(names),
            "measurements": np.array([measurements[name] for name in names], np.float64),
        }
    )


def _y_up(surface: Surface) -> Surface:
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    vertices = surface.vertices @ turn
    vertices[:, 1] -= vertices[:, 1].min()
    return Surface(vertices, surface.normals @ turn, surface.skin, surface.base)


@lru_cache(maxsize=2)
def _display(body: CanonicalBody, *, for_meshopt: bool) -> Display:
    return Display(body, _cache_and_fetch_order) if for_meshopt else Display(body)


def _cache_and_fetch_order(skin: Ints, base: Ints, vertex_count: int) -> tuple[Ints, Ints, Ints]:
    """Triangles in the order a vertex cache likes, vertices in the order triangles fetch them: both compress better."""
    parts = [_cache_order(faces, vertex_count) for faces in (skin, base)]
    indices = np.concatenate(parts)
    first_use = np.unique(indices, return_index=True)[1]
    order = indices[np.sort(first_use)]
    place = np.zeros(vertex_count, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    skin_parts, base_parts = (place[part].reshape(-1, 3) for part in parts)
    return order, skin_parts, base_parts


def _cache_order(faces: Ints, vertex_count: int) -> Ints:
    indices = np.ascontiguousarray(faces.reshape(-1), np.uint32)
    ordered = np.zeros_like(indices)
    meshoptimizer.optimize_vertex_cache(ordered, indices, len(indices), vertex_count)
    return ordered.astype(np.int32)


def _write_plain(document: "_Document", surface: Surface) -> None:
    positions = document.add_vertices(surface.vertices.astype(np.float32), FLOAT, bounds=True)
    normals = document.add_vertices(surface.normals.astype(np.float32), FLOAT)
    _write_primitives(document, surface, positions, normals, node={})


def _write_quantised(document: "_Document", surface: Surface) -> None:
    document.extensions.add("KHR_mesh_quantization")
    document.compressed = meshopt_is_available()
    low = surface.vertices.min(axis=0)
    step = float(np.ptp(surface.vertices, axis=0).max()) / POSITION_STEPS
    steps = np.round((surface.vertices - low) / step).astype(np.uint16)
    positions = document.add_vertices(steps, UNSIGNED_SHORT, bounds=True)
    normals = document.add_normals(surface.normals)
    node = {"translation": low.tolist(), "scale": [step] * 3}
    _write_primitives(document, surface, positions, normals, node=node)


def _write_primitives(
    document: "_Document", surface: Surface, positions: int, normals: int, *, node: dict[str, Any]
) -> None:
    attributes = {"POSITION": positions, "NORMAL": normals}
    document.primitives = [
        {"attributes": attributes, "indices": document.add_triangles(faces), "material": material}
        for material, faces in enumerate((surface.skin, surface.base))
    ]
    document.node = {"name": "avatar", "mesh": 0, **node}


@dataclass
class _Document:
    """A glTF 2.0 document of one mesh while it is built; buffer views are kept with their bytes."""

    extras: dict[str, Any]
    compressed: bool = False
    extensions: set[str] = field(default_factory=set)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    primitives: list[dict[str, Any]] = field(default_factory=list)
    node: dict[str, Any] = field(default_factory=dict)
    plain_bytes: int = 0
    binary: bytearray = field(default_factory=bytearray)

    def add_vertices(
        self, values: NDArray[Any], component: int, *, bounds: bool = False, normalised: bool = False
    ) -> int:
        """An attribute of three components; rows are padded to four bytes as glTF asks."""
        row_bytes = 3 * values.itemsize
        padding = -row_bytes % _ALIGNMENT // values.itemsize
        rows = np.pad(values, ((0, 0), (0, padding)))
        accessor = {"componentType": component, "count": len(values), "type": "VEC3"}
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        if normalised:
            accessor |= {"normalized": True}
        stride = rows.itemsize * rows.shape[1]
        packed = _meshopt_vertices(rows) if self.compressed else rows.tobytes()
        view = self._view(packed, stride, len(rows), "ATTRIBUTES")
        return self._accessor(accessor, {**view, "byteStride": stride, "target": VERTICES})

    def add_normals(self, normals: Floats) -> int:
        """Unit normals in three bytes; compressed, as two octahedral numbers that the reader's filter turns back."""
        if not self.compressed:
            steps = np.round(normals * NORMAL_STEPS).astype(np.int8)
            return self.add_vertices(steps, SIGNED_BYTE, normalised=True)
        rows = _octahedral(normals)
        view = self._view(_meshopt_vertices(rows), _ALIGNMENT, len(rows), "ATTRIBUTES")
        view["extensions"]["EXT_meshopt_compression"]["filter"] = "OCTAHEDRAL"
        accessor = {"componentType": SIGNED_BYTE, "count": len(rows), "type": "VEC3", "normalized": True}
        return self._accessor(accessor, {**view, "byteStride": _ALIGNMENT, "target": VERTICES})

    def add_triangles(self, faces: NDArray[np.int32]) -> int:
        indices = faces.reshape(-1).astype(np.uint16)
        packed = _meshopt_triangles(indices) if self.compressed else indices.tobytes()
        view = self._view(packed, indices.itemsize, len(indices), "TRIANGLES")
        accessor = {"componentType": UNSIGNED_SHORT, "count": len(indices), "type": "SCALAR"}
        return self._accessor(accessor, {**view, "target": TRIANGLES})

    def _view(self, packed: bytes, stride: int, count: int, mode: str) -> dict[str, Any]:
        """Append bytes; a compressed view also says where its plain bytes would lie in the absent buffer."""
        start = len(self.binary)
        self.binary += packed + bytes(-len(packed) % _ALIGNMENT)
        if not self.compressed:
            return {"buffer": 0, "byteOffset": start, "byteLength": len(packed)}
        plain = {"buffer": 1, "byteOffset": self.plain_bytes, "byteLength": stride * count}
        self.plain_bytes += stride * count + -stride * count % _ALIGNMENT
        where = {"buffer": 0, "byteOffset": start, "byteLength": len(packed)}
        meshopt = {**where, "byteStride": stride, "mode": mode, "count": count}
        return {**plain, "extensions": {"EXT_meshopt_compression": meshopt}}

    def _accessor(self, accessor: dict[str, Any], view: dict[str, Any]) -> int:
        self.views.append(view)
        self.accessors.append({"bufferView": len(self.views) - 1, **accessor})
        return len(self.accessors) - 1

    def to_glb(self) -> bytes:
        text = json.dumps(self._json(), separators=(",", ":"), sort_keys=True).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        binary = bytes(self.binary)
        chunks = (
            struct.pack("<II", len(text), _JSON_CHUNK) + text + struct.pack("<II", len(binary), _BINARY_CHUNK) + binary
        )
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks

    def _json(self) -> dict[str, Any]:
        buffers: list[dict[str, Any]] = [{"byteLength": len(self.binary)}]
        if self.compressed:
            self.extensions.add("EXT_meshopt_compression")
            fallback = {"EXT_meshopt_compression": {"fallback": True}}
            buffers.append({"byteLength": self.plain_bytes, "extensions": fallback})
        named = {"extensionsUsed": sorted(self.extensions), "extensionsRequired": sorted(self.extensions)}
        return {
            "asset": {"version": "2.0", "generator": GENERATOR, "extras": self.extras},
            **(named if self.extensions else {}),
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [self.node],
            "meshes": [{"name": "avatar", "primitives": self.primitives}],
            "materials": [_material(*look) for look in (MATTE_SKIN, MATTE_BASE)],
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": buffers,
        }


def _material(name: str, colour: tuple[float, float, float], roughness: float) -> dict[str, Any]:
    matte = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": roughness}
    return {"name": name, "pbrMetallicRoughness": matte}


def _octahedral(normals: Floats) -> NDArray[np.int8]:
    """(N, 4) bytes: the two octahedral coordinates, what stands for 1, and padding."""
    flat = normals / np.maximum(np.abs(normals).sum(axis=1, keepdims=True), 1e-12)
    folded = (1 - np.abs(flat[:, [1, 0]])) * np.where(flat[:, :2] >= 0, 1.0, -1.0)
    pair = np.where(flat[:, 2:] >= 0, flat[:, :2], folded)
    rows = np.zeros((len(normals), _ALIGNMENT), np.int8)
    rows[:, :2] = np.round(pair * NORMAL_STEPS)
    rows[:, 2] = NORMAL_STEPS
    return rows


def _meshopt_vertices(rows: NDArray[Any]) -> bytes:
    meshoptimizer.encode_vertex_version(0)  # what EXT_meshopt_compression knows
    encoded: bytes = meshoptimizer.encode_vertex_buffer(np.ascontiguousarray(rows))
    return encoded


def _meshopt_triangles(indices: NDArray[np.uint16]) -> bytes:
    meshoptimizer.encode_index_version(1)
    encoded: bytes = meshoptimizer.encode_index_buffer(indices.astype(np.uint32), len(indices), int(indices.max()) + 1)
    return encoded
