"""A dressed garment as a GLB: one mesh, one morph target per further size, `_EASE_<size>` for the heat map.

Convention: y up, metres, feet at 0, facing +z, as the avatar of the same body. Exactly one size is shown at a time:
all weights 0 is the base size, one weight at 1 another.
"""

import json
import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.dress import Dressed
from gpu_worker.garments.pattern import Grid, quads, vertex_normals

try:
    import meshoptimizer
except ImportError:  # built from source: without a C++ compiler garments are quantised only
    meshoptimizer = None

GENERATOR = "TryOn"
POSITION_STEPS = 2**14 - 1
NORMAL_STEPS = 127
EASE_STEP_M = 0.001
FLOAT, SIGNED_BYTE, SIGNED_SHORT, UNSIGNED_SHORT = 5126, 5120, 5122, 5123
VERTICES, TRIANGLES = 34962, 34963
_ALIGNMENT = 4
_COMPONENTS = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
COTTON_ROUGHNESS = 0.92


@dataclass(frozen=True)
class Look:
    """Colour as linear RGB. Cloth is never shiny here."""

    colour: tuple[float, float, float] = (0.22, 0.30, 0.42)
    roughness: float = COTTON_ROUGHNESS


@dataclass(frozen=True, eq=False)
class _Render:
    """Vertices as drawn: panels apart, each with its own texture coordinates. source : (N,) rows of the points."""

    source: Ints
    faces: Ints
    texture: Floats


def attribute_of(size: str) -> str:
    """Name of a size's ease attribute: what glTF and three.js can carry."""
    return "_EASE_" + re.sub(r"[^A-Z0-9]+", "_", size.upper()).strip("_")


def encode_garment(dressed: Dressed, floor_m: float, *, base: str, look: Look | None = None, compress: bool) -> bytes:
    """The GLB of all sizes that fit on; `base` is the size without a morph target.

    floor_m : height of the body's lowest point, so that garment and avatar stand on the same floor
    """
    sizes = [size for size, worn in dressed.sizes.items() if worn.fits_on]
    if base not in sizes:
        raise ValueError(f"Size {base} is not among those that can be shown.")
    others = [size for size in sizes if size != base]
    points = {size: dressed.pattern.with_hems(dressed.sizes[size].points) for size in sizes}
    render = _rendered(dressed, points[base])
    document = _Document(compressed=compress and meshoptimizer is not None)
    drawn = {size: _y_up(points[size], floor_m) for size in sizes}
    low = np.min([drawn[size].min(axis=0) for size in sizes], axis=0)
    step = float(max(np.ptp(drawn[base], axis=0).max(), 0.1)) * 1.2 / POSITION_STEPS
    steps = {size: np.round((drawn[size] - low) / step)[render.source] for size in sizes}
    normals = vertex_normals(drawn[base], dressed.pattern.all_faces)[render.source]
    attributes = {
        "POSITION": document.add(steps[base].astype(np.uint16), UNSIGNED_SHORT, bounds=True),
        "NORMAL": document.add(np.round(normals * NORMAL_STEPS).astype(np.int8), SIGNED_BYTE, normalised=True),
        "TEXCOORD_0": document.add(render.texture.astype(np.float32), FLOAT),
    }
    for size in sizes:
        ease = _with_hems(dressed, dressed.sizes[size].ease)[render.source]
        rounded = np.round(ease / EASE_STEP_M) * EASE_STEP_M
        attributes[attribute_of(size)] = document.add(rounded[:, None].astype(np.float32), FLOAT)
    targets = [
        {"POSITION": document.add((steps[size] - steps[base]).astype(np.int16), SIGNED_SHORT, bounds=True)}
        for size in others
    ]
    primitive: dict[str, Any] = {"attributes": attributes, "indices": document.add_faces(render.faces), "material": 0}
    if targets:
        primitive["targets"] = targets
    extras = {
        "units": "metres",
        "sizes": list(dressed.sizes),
        "base": base,
        "targetNames": others,
        "ease": {size: attribute_of(size) for size in sizes},
        "estimated": {size: list(worn.row.estimated) for size, worn in dressed.sizes.items()},
        "unavailable": [size for size, worn in dressed.sizes.items() if not worn.fits_on],
    }
    mesh = {"name": dressed.category, "primitives": [primitive], "weights": [0.0] * len(targets), "extras": extras}
    if not targets:
        del mesh["weights"]
    node = {"name": "garment", "mesh": 0, "translation": low.tolist(), "scale": [step] * 3}
    return document.to_glb(mesh, node, look or Look())


def _with_hems(dressed: Dressed, ease: Floats) -> Floats:
    """The inner sheets take the ease of their edge."""
    return np.concatenate([ease, *(np.tile(ease[edge], 2) for edge, _ in dressed.pattern.hems.values())])


def _y_up(points: Floats, floor_m: float) -> Floats:
    return np.stack([points[:, 0], points[:, 2] - floor_m, -points[:, 1]], axis=1)


def _rendered(dressed: Dressed, points: Floats) -> _Render:
    """Every panel as its own grid of vertices; texture coordinates are metres on the flat panel, side by side."""
    sources, faces, textures = [], [], []
    start, across = 0, 0.0
    for grid in (*dressed.pattern.panels.values(), *dressed.pattern.hem_panels.values()):
        texture = _flat(points, grid)
        textures.append(texture.reshape(-1, 2) + np.array([across, 0.0]))
        across += float(texture[:, :, 0].max()) + 0.02
        sources.append(grid.reshape(-1))
        local = np.arange(grid.size, dtype=np.int32).reshape(grid.shape)
        faces.append(quads(local) + start)
        start += grid.size
    return _Render(np.concatenate(sources), np.concatenate(faces).astype(np.int32), np.concatenate(textures))


def _flat(points: Floats, grid: Grid) -> Floats:
    """(R, C, 2) metres across and up, by the panel's mean spacing."""
    panel = points[grid]
    across = np.linalg.norm(np.diff(panel, axis=1), axis=2).mean(axis=0)
    up = np.linalg.norm(np.diff(panel, axis=0), axis=2).mean(axis=1)
    u, v = np.append(0.0, np.cumsum(across)), np.append(0.0, np.cumsum(up))
    return np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=-1)


@dataclass
class _Document:
    """Accessors and their bytes, while they are gathered."""

    compressed: bool
    accessors: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    plain_bytes: int = 0
    binary: bytearray = field(default_factory=bytearray)

    def add(self, values: NDArray[Any], component: int, *, bounds: bool = False, normalised: bool = False) -> int:
        """An attribute (N, 1..3); rows are padded to four bytes as glTF asks."""
        padding = -(values.shape[1] * values.itemsize) % _ALIGNMENT // values.itemsize
        rows = np.ascontiguousarray(np.pad(values, ((0, 0), (0, padding))))
        stride = rows.itemsize * rows.shape[1]
        accessor: dict[str, Any] = {
            "componentType": component,
            "count": len(values),
            "type": _COMPONENTS[values.shape[1]],
        }
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        if normalised:
            accessor["normalized"] = True
        packed = rows.tobytes()
        if self.compressed:
            meshoptimizer.encode_vertex_version(0)
            packed = bytes(meshoptimizer.encode_vertex_buffer(rows))
        view = self._view(packed, stride, len(rows), "ATTRIBUTES")
        return self._accessor(accessor, {**view, "byteStride": stride, "target": VERTICES})

    def add_faces(self, faces: Ints) -> int:
        indices = faces.reshape(-1).astype(np.uint16)
        packed = indices.tobytes()
        if self.compressed:
            meshoptimizer.encode_index_version(1)
            wide = indices.astype(np.uint32)
            packed = bytes(meshoptimizer.encode_index_buffer(wide, len(wide), int(wide.max()) + 1))
        view = self._view(packed, indices.itemsize, len(indices), "TRIANGLES")
        accessor = {"componentType": UNSIGNED_SHORT, "count": len(indices), "type": "SCALAR"}
        return self._accessor(accessor, {**view, "target": TRIANGLES})

    def _view(self, packed: bytes, stride: int, count: int, mode: str) -> dict[str, Any]:
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

    def to_glb(self, mesh: dict[str, Any], node: dict[str, Any], look: Look) -> bytes:
        buffers: list[dict[str, Any]] = [{"byteLength": len(self.binary)}]
        extensions = ["KHR_mesh_quantization"]
        if self.compressed:
            extensions.append("EXT_meshopt_compression")
            fallback = {"EXT_meshopt_compression": {"fallback": True}}
            buffers.append({"byteLength": self.plain_bytes, "extensions": fallback})
        material = {
            "name": "cloth",
            "doubleSided": True,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*look.colour, 1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": look.roughness,
            },
        }
        content = {
            "asset": {"version": "2.0", "generator": GENERATOR},
            "extensionsUsed": extensions,
            "extensionsRequired": extensions,
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [node],
            "meshes": [mesh],
            "materials": [material],
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": buffers,
        }
        text = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        binary = bytes(self.binary)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
        return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
