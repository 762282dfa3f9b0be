"""Arrays out of a GLB's binary chunk: plain, interleaved, normalised, or compressed by EXT_meshopt_compression."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.brand.container import Container, Json, integer, mapping
from gpu_worker.garments.brand.refused import BrandRefused

try:
    import meshoptimizer
except ImportError:  # built from source: without a C++ compiler compressed uploads are refused by name
    meshoptimizer = None

MESHOPT_IS_READ = meshoptimizer is not None
MESHOPT = "EXT_meshopt_compression"
KINDS: dict[int, type[np.generic]] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
MAX_COUNT = 1_000_000
"""Elements of one accessor; with at most 300,000 triangles none needs more."""


class Accessors:
    """Reads the accessors of one file, each checked against the bytes that are there."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._views: dict[int, NDArray[np.uint8]] = {}

    def read(self, number: object, field: str, kinds: frozenset[str]) -> NDArray[Any]:
        """(count, width) as stored. kinds : the glTF types that are allowed here."""
        accessor = self._container.item("accessors", number, field)
        where = f"accessors[{number}]"
        shape, component = accessor.get("type"), accessor.get("componentType")
        if shape not in kinds:
            raise BrandRefused(f"{where}.type", f"{field} must be {' or '.join(sorted(kinds))}, not {shape!r}.")
        if not isinstance(component, int) or component not in KINDS:
            raise BrandRefused(f"{where}.componentType", f"{where} has the unknown component type {component!r}.")
        if "sparse" in accessor:
            raise BrandRefused(f"{where}.sparse", "Sparse accessors are not read; export the mesh without them.")
        kind, width = np.dtype(KINDS[component]), WIDTHS[str(shape)]
        count = integer(accessor, "count", where, low=1)
        if count > MAX_COUNT:
            raise BrandRefused(f"{where}.count", f"{where} has {count:,} elements; at most {MAX_COUNT:,} are read.")
        if "bufferView" not in accessor:
            raise BrandRefused(f"{where}.bufferView", f"{where} holds no data of its own (another extension's).")
        rows = self._rows(accessor, where, count, kind.itemsize * width)
        return np.ascontiguousarray(rows).view(kind).reshape(count, width)

    def floats(self, number: object, field: str, kinds: frozenset[str]) -> Floats:
        """(count, width) float64, integers taken as normalised where the accessor says so; finite."""
        stored = self.read(number, field, kinds)
        values: Floats = stored.astype(np.float64)
        is_normalised = self._container.item("accessors", number, field).get("normalized") is True
        if is_normalised and stored.dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(stored.dtype).max, -1.0)
        if not np.isfinite(values).all():
            raise BrandRefused(f"accessors[{number}]", f"{field} holds NaN or infinity.")
        return values

    def _rows(self, accessor: Json, where: str, count: int, row_bytes: int) -> NDArray[np.uint8]:
        """(count, row_bytes) bytes."""
        number = accessor["bufferView"]
        view = self._container.item("bufferViews", number, f"{where}.bufferView")
        data = self.view(number, f"{where}.bufferView")
        stride = integer(view, "byteStride", f"bufferViews[{number}]", low=1, default=row_bytes)
        start = integer(accessor, "byteOffset", where, default=0)
        if stride < row_bytes:
            raise BrandRefused(f"bufferViews[{number}].byteStride", f"Rows of {where} overlap: stride {stride}.")
        end = start + stride * (count - 1) + row_bytes
        if end > len(data):
            raise BrandRefused(where, f"{where} reaches to byte {end:,} of a view of {len(data):,} bytes.")
        windows = np.lib.stride_tricks.as_strided(data[start:], (count, row_bytes), (stride, 1), writeable=False)
        return np.array(windows)

    def view(self, number: object, field: str) -> NDArray[np.uint8]:
        """(n,) the bytes of one buffer view, decompressed."""
        view = self._container.item("bufferViews", number, field)
        key = int(str(number))
        if key not in self._views:
            where = f"bufferViews[{number}]"
            packed = mapping(mapping(view, "extensions", where), MESHOPT, f"{where}.extensions")
            self._views[key] = self._decoded(packed, where) if packed else self._slice(view, where)
        return self._views[key]

    def _slice(self, view: Json, where: str) -> NDArray[np.uint8]:
        buffer = integer(view, "buffer", where)
        start = integer(view, "byteOffset", where, default=0)
        length = integer(view, "byteLength", where, low=1)
        binary = self._container.binary
        stated = integer(self._container.item("buffers", buffer, f"{where}.buffer"), "byteLength", "buffers[0]", low=1)
        if buffer != 0 or start + length > min(len(binary), stated):
            raise BrandRefused(
                where, f"{where} asks for bytes {start:,} to {start + length:,}, beyond the file's data."
            )
        return np.frombuffer(binary[start : start + length], np.uint8)

    def _decoded(self, packed: Json, where: str) -> NDArray[np.uint8]:
        """What EXT_meshopt_compression stored, by the package of the same library that made it."""
        if meshoptimizer is None:
            raise BrandRefused("extensionsRequired", f"{MESHOPT} is not read by this worker; export uncompressed.")
        data = bytes(self._slice(packed, f"{where}.extensions.{MESHOPT}"))
        count, stride = integer(packed, "count", where, low=1), integer(packed, "byteStride", where, low=1)
        if count > MAX_COUNT * 3 or stride > 256:
            raise BrandRefused(where, f"{where} would unpack to {count:,} rows of {stride} bytes.")
        try:
            return _unpacked(str(packed.get("mode")), str(packed.get("filter", "NONE")), count, stride, data)
        except (ValueError, RuntimeError, KeyError) as broken:
            raise BrandRefused(where, f"{where} cannot be decompressed.") from broken


def _unpacked(mode: str, named: str, count: int, stride: int, data: bytes) -> NDArray[np.uint8]:
    if mode == "ATTRIBUTES":
        rows = np.ascontiguousarray(meshoptimizer.decode_vertex_buffer(count, stride, data)).view(np.uint8)
        return _unfiltered(np.array(rows).reshape(count, stride), named).reshape(-1)
    decode = {"TRIANGLES": meshoptimizer.decode_index_buffer, "INDICES": meshoptimizer.decode_index_sequence}[mode]
    indices = np.asarray(decode(count, 4, data), np.uint32)
    found: NDArray[np.uint8] = np.ascontiguousarray(indices if stride == 4 else indices.astype(np.uint16)).view(
        np.uint8
    )
    return found


def _unfiltered(rows: NDArray[np.uint8], named: str) -> NDArray[np.uint8]:
    """Filters of the extension; of those only normals and rotations use the first two, which are not read here."""
    if named == "EXPONENTIAL":
        packed = rows.view(np.int32)
        mantissa, exponent = (packed << 8) >> 8, packed >> 24
        values: NDArray[np.float32] = np.ldexp(mantissa.astype(np.float32), exponent).astype(np.float32)
        return values.view(np.uint8)
    if named not in {"NONE", "OCTAHEDRAL", "QUATERNION"}:
        raise KeyError(named)
    return rows
