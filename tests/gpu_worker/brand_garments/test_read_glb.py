"""Every unreadable upload gets its own refusal, which names the field; nothing else comes out of the reader."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import meshoptimizer
import numpy as np
import pytest
from PIL import Image

from gpu_worker.garments.brand.read_glb import read_glb
from gpu_worker.garments.brand.refused import BrandRefused

from .uploads import Document, Part, document_of, edited, glb_of

SQUARE = Part(
    np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]),
    np.array([[0, 1, 2], [0, 2, 3]], np.int32),
    np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
)
TURN = float(np.sqrt(0.5))


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def refusal(glb: bytes) -> BrandRefused:
    with pytest.raises(BrandRefused) as refused:
        read_glb(glb)
    assert refused.value.code == "garment_invalid"
    assert refused.value.reason.endswith(".")
    return refused.value


def put(path: str, value: Any) -> Any:
    """A change of the document: `accessors.0.count` becomes `value`; None takes it out."""

    def change(document: Document) -> None:
        owner: Any = document.json
        *steps, last = path.split(".")
        for step in steps:
            owner = owner[int(step)] if isinstance(owner, list) else owner.setdefault(step, {})
        key = int(last) if isinstance(owner, list) else last
        if value is None:
            del owner[key]
        else:
            owner[key] = value

    return change


BROKEN = {
    "asset.version": put("asset.version", "1.0"),
    "accessors[0]": put("accessors.0.byteOffset", 8),
    "accessors[0].count": put("accessors.0.count", 4_000_000_000),
    "accessors[0].type": put("accessors.0.type", "VEC2"),
    "accessors[0].componentType": put("accessors.0.componentType", 5124),
    "accessors[0].sparse": put("accessors.0.sparse", {"count": 1}),
    "accessors[0].bufferView": put("accessors.0.bufferView", 99),
    "bufferViews[0]": put("bufferViews.0.byteOffset", 10_000),
    "bufferViews[0].byteStride": put("bufferViews.0.byteStride", 4),
    "bufferViews[0].byteLength": put("bufferViews.0.byteLength", -1),
    "buffers[1].uri": put("buffers", [{}, {"uri": "https://shop.example/cloth.bin", "byteLength": 4}]),
    "images[0].uri": put("images", [{"uri": "https://shop.example/cloth.png"}]),
    "images[0].mimeType": put("images", [{"bufferView": 0, "mimeType": "image/ktx2"}]),
    "images[0]": put("images", [{"bufferView": 0, "mimeType": "image/png"}]),
    "textures[0].source": put("textures", [{}]),
    "materials[0].baseColorTexture.index": put("materials.0.pbrMetallicRoughness", {"baseColorTexture": {"index": 3}}),
    "materials[0].pbrMetallicRoughness": put("materials.0.pbrMetallicRoughness", "red"),
    "meshes": put("nodes.0.mesh", None),
    "meshes[0].primitives[0].attributes": put("meshes.0.primitives.0.attributes", {}),
    "meshes[0].primitives[0].indices": put("accessors.2.count", 5),
    "meshes[0].primitives[0].material": put("meshes.0.primitives.0.material", 7),
    "nodes[0].mesh": put("nodes.0.mesh", 4),
    "nodes[0].matrix": put("nodes.0.matrix", [1, 2, 3]),
    "nodes[0].rotation": put("nodes.0.rotation", [0, 0, 0, 0]),
    "nodes[0]": put("nodes.0.children", [0]),
    "skins[0]": put("nodes.0.skin", 0),
    "nodes": put("nodes", {"0": {}}),
}


class TestRefusals:
    @pytest.mark.parametrize("field", BROKEN)
    def test_names_the_field(self, field: str) -> None:
        if field == "skins[0]":
            joints = np.zeros((4, 4), np.uint8)

            def skinned(document: Document) -> None:
                BROKEN[field](document)
                document.json["meshes"][0]["primitives"][0]["attributes"]["JOINTS_0"] = document.accessor(joints)

            assert refusal(edited([SQUARE], skinned)).field == field
        else:
            assert refusal(edited([SQUARE], BROKEN[field])).field == field

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("KHR_draco_mesh_compression", "Draco"),
            ("KHR_texture_basisu", "KTX2"),
            ("EXT_unheard_of", "EXT_unheard_of"),
        ],
    )
    def test_an_extension_is_refused_by_name(self, name: str, words: str) -> None:
        refused = refusal(edited([SQUARE], put("extensionsRequired", [name])))
        assert refused.field == "extensionsRequired"
        assert name in refused.reason
        assert words in refused.reason

    def test_not_a_glb(self) -> None:
        assert refusal(b"").field == "magic"
        assert refusal(b"solid cube\n" * 9).field == "magic"
        assert refusal(edited([SQUARE], lambda _: None, version=1)).field == "version"

    def test_cut_off_anywhere(self) -> None:
        whole = glb_of([SQUARE])
        for end in range(12, len(whole), 7):
            assert refusal(whole[:end]).field == "length"

    def test_a_chunk_longer_than_the_file(self) -> None:
        whole = bytearray(glb_of([SQUARE]))
        struct.pack_into("<I", whole, 12, 10_000_000)
        assert refusal(bytes(whole)).field == "chunks[0]"

    def test_json_that_is_none(self) -> None:
        whole = bytearray(glb_of([SQUARE]))
        whole[20:24] = b"{{{{"
        assert refusal(bytes(whole)).field == "JSON"
        text = b"[" * 100_000
        deep = struct.pack("<I4s", len(text), b"JSON") + text
        assert refusal(struct.pack("<4sII", b"glTF", 2, 12 + len(deep)) + deep).field == "JSON"

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_positions_that_are_no_numbers(self, value: float) -> None:
        points = SQUARE.points.copy()
        points[2, 1] = value
        refused = refusal(
            glb_of([Part(points, SQUARE.faces)]).replace(b"NaN", b"0.0").replace(b"Infinity", b"0.0     ")
        )
        assert refused.field == "accessors[0]"
        assert "NaN or infinity" in refused.reason

    def test_an_index_beyond_the_vertices(self) -> None:
        assert "indices" in refusal(glb_of([Part(SQUARE.points, SQUARE.faces + 2)])).field

    def test_too_many_triangles(self) -> None:
        many = np.tile(SQUARE.faces, (150_001, 1))
        refused = refusal(glb_of([Part(SQUARE.points, many)]))
        assert "300,000" in refused.reason

    def test_too_many_triangles_by_repeating_a_mesh(self) -> None:
        def repeated(document: Document) -> None:
            document.json["nodes"] = [{"mesh": 0} for _ in range(4)]
            document.json["scenes"] = [{"nodes": [0, 1, 2, 3]}]

        faces = np.tile(SQUARE.faces, (40_000, 1))
        assert refusal(edited([Part(SQUARE.points, faces)], repeated)).field == "meshes"

    def test_a_texture_beyond_4096_pixels(self) -> None:
        read_glb(glb_of([SQUARE], png(4096, 8)))
        assert "4097" in refusal(glb_of([SQUARE], png(8, 4097))).reason

    def test_more_than_twenty_megabytes(self) -> None:
        assert refusal(bytes(20_000_001)).field == "file"

    def test_whatever_is_flipped_only_a_refusal_comes_out(self) -> None:
        whole = np.frombuffer(glb_of([SQUARE], png(8, 8)), np.uint8)
        rng = np.random.default_rng(3)
        refused = 0
        for _ in range(600):
            damaged = whole.copy()
            damaged[rng.integers(12, len(whole), rng.integers(1, 4))] = rng.integers(0, 256)
            try:
                read_glb(damaged.tobytes())
            except BrandRefused:
                refused += 1
        assert refused > 100


class TestScene:
    def test_a_nodes_transform_is_applied(self) -> None:
        change = put(
            "nodes.0", {"mesh": 0, "translation": [1, 2, 3], "rotation": [0, 0, TURN, TURN], "scale": [2, 2, 2]}
        )
        (piece,) = read_glb(edited([SQUARE], change)).pieces
        np.testing.assert_allclose(piece.points, [[1, 2, 3], [1, 4, 3], [-1, 4, 3], [-1, 2, 3]], atol=1e-6)

    def test_a_mirrored_node_keeps_its_outside_outside(self) -> None:
        (piece,) = read_glb(edited([SQUARE], put("nodes.0.scale", [-1, 1, 1]))).pieces
        corners = piece.points[piece.faces[0]]
        assert np.cross(corners[1] - corners[0], corners[2] - corners[0])[2] > 0

    def test_the_skins_pose_is_applied(self) -> None:
        def posed(document: Document) -> None:
            primitive = document.json["meshes"][0]["primitives"][0]
            primitive["attributes"]["JOINTS_0"] = document.accessor(np.tile([[0, 1, 0, 0]], (4, 1)).astype(np.uint8))
            weights = np.tile([[0.5, 0.5, 0.0, 0.0]], (4, 1)).astype(np.float32)
            primitive["attributes"]["WEIGHTS_0"] = document.accessor(weights)
            document.json["nodes"][0] |= {"skin": 0, "translation": [9, 9, 9]}
            document.json["nodes"] += [{"translation": [0, 2, 0]}, {"translation": [0, 4, 0]}]
            document.json["scenes"] = [{"nodes": [0, 1, 2]}]
            inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
            inverse[:, 3, 0] = 1.0
            document.json["skins"] = [
                {"joints": [1, 2], "inverseBindMatrices": document.accessor(inverse.reshape(2, 16))}
            ]

        (piece,) = read_glb(edited([SQUARE], posed)).pieces
        np.testing.assert_allclose(piece.points, SQUARE.points + np.array([1, 3, 0]), atol=1e-6)

    def test_strips_and_fans_become_triangles(self) -> None:
        for mode in (5, 6):
            order = np.array([[0], [1], [3], [2]] if mode == 5 else [[0], [1], [2], [3]], np.uint32)

            def change(document: Document, mode: int = mode, order: Any = order) -> None:
                primitive = document.json["meshes"][0]["primitives"][0]
                primitive |= {"mode": mode, "indices": document.accessor(order)}

            (piece,) = read_glb(edited([SQUARE], change)).pieces
            corners = piece.points[piece.faces]
            across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            np.testing.assert_allclose(across, [[0, 0, 1], [0, 0, 1]])

    def test_meshopt_is_decoded(self) -> None:
        (piece,) = read_glb(compressed_square()).pieces
        np.testing.assert_allclose(piece.points, SQUARE.points)

    def test_meshopt_is_refused_by_name_where_it_cannot_be_read(self, tmp_path: Path) -> None:
        """A worker for whose platform there is no decoder."""
        (tmp_path / "square.glb").write_bytes(compressed_square())
        code = (
            "import sys; sys.modules['meshoptimizer'] = None\n"
            "from pathlib import Path\n"
            "from gpu_worker.garments.brand.refused import BrandRefused\n"
            "from gpu_worker.garments.brand.read_glb import read_glb\n"
            "try: read_glb(Path(sys.argv[1]).read_bytes())\n"
            "except BrandRefused as refused: print(refused.field, refused)"
        )
        arguments = [sys.executable, "-c", code, str(tmp_path / "square.glb")]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("extensionsRequired ")
        assert "EXT_meshopt_compression" in done.stdout


def compressed_square() -> bytes:
    document = document_of([SQUARE])
    rows = SQUARE.points.astype(np.float32)
    meshoptimizer.encode_vertex_version(0)
    packed = bytes(meshoptimizer.encode_vertex_buffer(rows))
    view = document.view(packed)
    compressed = {**document.json["bufferViews"][view], "byteStride": 12, "mode": "ATTRIBUTES", "count": 4}
    document.json["bufferViews"][0] = {
        "buffer": 1,
        "byteLength": 48,
        "extensions": {"EXT_meshopt_compression": compressed},
    }
    document.json["buffers"] = [{}, {"byteLength": 48}]
    document.json["extensionsRequired"] = ["EXT_meshopt_compression"]
    return document.glb()


class TestLook:
    def test_shade_on_other_coordinates_is_left_out_but_colour_is_not(self) -> None:
        document = document_of([SQUARE], png(8, 8))
        document.json["materials"][0]["occlusionTexture"] = {"index": 0, "texCoord": 1}
        (material,) = read_glb(document.glb()).look.materials
        assert "occlusionTexture" not in material
        assert material["pbrMetallicRoughness"] == {"baseColorTexture": {"index": 0}}
        document.json["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["texCoord"] = 1
        assert refusal(document.glb()).field == "materials[0].baseColorTexture.texCoord"

    def test_pictures_are_kept_byte_for_byte(self) -> None:
        picture = png(16, 8)
        assert read_glb(glb_of([SQUARE], picture)).look.images == [("image/png", picture)]
