"""The garment's file: every size is in it, exact, by the names the viewer looks for."""

import json
import struct
from typing import Any

import meshoptimizer
import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.dress import Dressed, chart_rows
from gpu_worker.garments.glb import attribute_of, encode_garment

from .conftest import Person

TYPES: dict[int, type[np.generic]] = {5120: np.int8, 5122: np.int16, 5123: np.uint16, 5126: np.float32}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}
STEP_M = 0.0002
FIVE_SIZES_BYTES = 250_000
"""What five sizes may weigh without textures."""


class Reader:
    """A GLB, its accessors as arrays, compressed or not."""

    def __init__(self, glb: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", glb)
        assert (magic, version, length) == (b"glTF", 2, len(glb))
        size = struct.unpack_from("<I", glb, 12)[0]
        self.json: dict[str, Any] = json.loads(glb[20 : 20 + size])
        self.binary = glb[28 + size :]

    def array(self, number: int) -> NDArray[Any]:
        accessor = self.json["accessors"][number]
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width, count = TYPES[accessor["componentType"]], WIDTH[accessor["type"]], accessor["count"]
        packed = view.get("extensions", {}).get("EXT_meshopt_compression")
        if packed is None:
            raw = self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        else:
            raw = self._decoded(packed)
        stride = view.get("byteStride", np.dtype(kind).itemsize)
        rows = np.frombuffer(raw, np.uint8, count * stride).reshape(count, stride)
        return np.ascontiguousarray(rows[:, : width * np.dtype(kind).itemsize]).view(kind)

    def _decoded(self, packed: dict[str, Any]) -> bytes:
        data = self.binary[packed["byteOffset"] : packed["byteOffset"] + packed["byteLength"]]
        if packed["mode"] == "TRIANGLES":
            indices = meshoptimizer.decode_index_buffer(packed["count"], 4, data)
            return bytes(np.asarray(indices).astype(np.uint16).tobytes())
        rows = meshoptimizer.decode_vertex_buffer(packed["count"], packed["byteStride"], data)
        return bytes(np.asarray(rows).tobytes())

    def points(self, target: int | None) -> Floats:
        """World positions with at most one morph target at 1."""
        primitive = self.json["meshes"][0]["primitives"][0]
        steps = self.array(primitive["attributes"]["POSITION"]).astype(np.float64)
        if target is not None:
            steps += self.array(primitive["targets"][target]["POSITION"])
        node = self.json["nodes"][0]
        points: Floats = steps * node["scale"] + np.array(node["translation"])
        return points


@pytest.fixture(scope="module")
def dressed(people: list[Person]) -> Dressed:
    sizes = {
        name: {"chest": people[0].chest_cm + 4 + 6 * step} for step, name in enumerate(("XS", "S", "M", "L", "2X/3X"))
    }
    return people[0].dressed.dress("t-shirt", chart_rows("t-shirt", sizes))


@pytest.mark.parametrize("compress", [False, True])
class TestEncodeGarment:
    def test_every_size_is_exact(self, dressed: Dressed, compress: bool) -> None:
        reader = Reader(encode_garment(dressed, -0.8, base="M", compress=compress))
        names = reader.json["meshes"][0]["extras"]["targetNames"]
        assert names == ["XS", "S", "L", "2X/3X"]
        for target, name in [(None, "M"), *enumerate(names)]:
            drawn = reader.points(target)
            points = dressed.pattern.with_hems(dressed.sizes[name].points)
            expected = np.stack([points[:, 0], points[:, 2] + 0.8, -points[:, 1]], axis=1)
            for row in drawn[:: len(drawn) // 200]:
                assert np.abs(expected - row).max(axis=1).min() < STEP_M

    def test_ease_is_there_by_a_name_viewers_can_carry(self, dressed: Dressed, compress: bool) -> None:
        reader = Reader(encode_garment(dressed, 0.0, base="M", compress=compress))
        attributes = reader.json["meshes"][0]["primitives"][0]["attributes"]
        assert attribute_of("2X/3X") == "_EASE_2X_3X"
        loose, tight = (reader.array(attributes[attribute_of(name)]).mean() for name in ("2X/3X", "XS"))
        assert loose - tight == pytest.approx(0.24, abs=0.06)

    def test_faces_name_vertices_that_exist(self, dressed: Dressed, compress: bool) -> None:
        reader = Reader(encode_garment(dressed, 0.0, base="S", compress=compress))
        primitive = reader.json["meshes"][0]["primitives"][0]
        indices = reader.array(primitive["indices"])
        assert indices.max() == len(reader.points(None)) - 1
        assert len(indices) == dressed.pattern.all_faces.size


class TestSizeOfTheFile:
    def test_five_sizes_stay_small(self, dressed: Dressed) -> None:
        assert len(encode_garment(dressed, 0.0, base="M", compress=True)) < FIVE_SIZES_BYTES

    def test_a_size_that_is_not_shown_is_no_base(self, dressed: Dressed) -> None:
        with pytest.raises(ValueError, match="5XL"):
            encode_garment(dressed, 0.0, base="5XL", compress=False)
