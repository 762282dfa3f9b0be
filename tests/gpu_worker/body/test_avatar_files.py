"""The avatar GLB and body.npz: valid, small, always with a base layer, and the same bytes every time."""

import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.body.canonical import CanonicalBody, Shape
from gpu_worker.body.display import Display
from gpu_worker.glb import POSITION_STEPS, encode_avatar, encode_body_npz
from gpu_worker.gltf import meshopt_is_available

ROOT = Path(__file__).parents[3]
VALIDATOR = ROOT / "embed" / "node_modules" / "gltf-validator"
VALIDATE = """
const { validateBytes } = require(process.argv[1]);
const bytes = require("fs").readFileSync(process.argv[2]);
validateBytes(new Uint8Array(bytes)).then((report) => console.log(JSON.stringify(report.issues)));
"""

PEOPLE = {
    "man": Shape(gender=0.0, muscle=0.55, weight=0.5, height=0.36),
    "woman": Shape(gender=1.0, muscle=0.5, weight=0.5, height=0.4, cupsize=0.8),
    "heavy": Shape(gender=1.0, muscle=0.1, weight=1.0, height=0.38),
}
NIPPLE = 1799
needs_meshopt = pytest.mark.skipif(not meshopt_is_available(), reason="meshoptimizer is not built here (C++ compiler)")


@pytest.fixture(params=PEOPLE)
def vertices(body: CanonicalBody, request: pytest.FixtureRequest) -> Floats:
    return body.rest(PEOPLE[request.param])[0]


def chunks(glb: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary of a GLB."""
    magic, version, total = struct.unpack_from("<4sII", glb)
    assert (magic, version, total) == (b"glTF", 2, len(glb))
    length, kind = struct.unpack_from("<I4s", glb, 12)
    assert kind == b"JSON"
    return json.loads(glb[20 : 20 + length]), glb[28 + length :]


def decoded(glb: bytes) -> tuple[Floats, Floats, list[NDArray[np.uint32]]]:
    """Positions (metres), normals and both index lists of a compressed file, as a viewer would read them."""
    import meshoptimizer  # noqa: PLC0415 - only where it is built

    document, binary = chunks(glb)
    buffers: list[NDArray[Any]] = []
    for view in document["bufferViews"]:
        how = view["extensions"]["EXT_meshopt_compression"]
        data = np.frombuffer(binary[how["byteOffset"] : how["byteOffset"] + how["byteLength"]], np.uint8)
        if how["mode"] == "TRIANGLES":
            buffers.append(meshoptimizer.decode_index_buffer(how["count"], 4, data).reshape(-1))
        else:
            dtype = np.dtype(np.int8 if how.get("filter") else np.uint16)
            rows = meshoptimizer.decode_vertex_buffer(how["count"], how["byteStride"], data)
            buffers.append(np.frombuffer(rows.tobytes(), dtype).reshape(how["count"], 4).copy())
            assert how["byteStride"] == 4 * dtype.itemsize
    node = document["nodes"][0]
    positions = buffers[0][:, :3] * node["scale"][0] + node["translation"]
    return positions, octahedral_normals(buffers[1]), buffers[2:]


def octahedral_normals(rows: NDArray[np.int8]) -> Floats:
    """EXT_meshopt_compression, filter OCTAHEDRAL, as its specification words it."""
    x, y = (rows[:, k].astype(np.float64) / rows[:, 2] for k in (0, 1))
    z = 1 - np.abs(x) - np.abs(y)
    fold = np.maximum(-z, 0)
    pair = [np.where(axis >= 0, axis - fold, axis + fold) for axis in (x, y)]
    normal = np.stack([*pair, z], axis=1)
    unit: Floats = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return unit


class TestPlainTwin:
    def test_khronos_validator_finds_no_error(self, body: CanonicalBody, vertices: Floats, tmp_path: Path) -> None:
        if shutil.which("node") is None or not VALIDATOR.is_dir():
            pytest.skip("gltf-validator is not installed: run `make install` (embed/node_modules).")
        for name, compress in (("plain", False), ("small", True)):
            file = tmp_path / f"{name}.glb"
            file.write_bytes(encode_avatar(body, vertices, compress=compress))
            command = ["node", "-e", VALIDATE, str(VALIDATOR), str(file)]
            issues = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
            assert issues["numErrors"] == 0, issues["messages"]
            assert issues["numWarnings"] == 0, issues["messages"]

    def test_another_reader_sees_a_person_standing_on_the_floor_with_y_up(
        self, body: CanonicalBody, vertices: Floats
    ) -> None:
        scene = trimesh.load(io.BytesIO(encode_avatar(body, vertices, compress=False)), file_type="glb")
        low, high = scene.bounds
        assert low[1] == pytest.approx(0, abs=1e-6)
        assert high[1] == pytest.approx(np.ptp(vertices[:, 2]), abs=1e-5)
        toes = scene.to_geometry().vertices
        assert toes[toes[:, 1] < 0.03][:, 2].max() > 0.1  # faces +z

    def test_normals_point_outwards(self, body: CanonicalBody, vertices: Floats) -> None:
        surface = Display(body).surface(vertices)
        assert np.linalg.norm(surface.normals, axis=1) == pytest.approx(1)
        for triangles in (surface.skin, surface.base):
            assert facing_share(surface.vertices, surface.normals, triangles) > 0.99


class TestBaseLayer:
    @pytest.mark.parametrize("compress", [False, True])
    def test_it_is_a_darker_matte_second_primitive(
        self, body: CanonicalBody, vertices: Floats, *, compress: bool
    ) -> None:
        document, _ = chunks(encode_avatar(body, vertices, compress=compress))
        (mesh,) = document["meshes"]
        skin, base = (document["materials"][p["material"]]["pbrMetallicRoughness"] for p in mesh["primitives"])
        assert sum(base["baseColorFactor"][:3]) < 0.5 * sum(skin["baseColorFactor"][:3])
        for look in (skin, base):
            assert look["metallicFactor"] == 0
            assert look["roughnessFactor"] >= 0.85
        first, second = mesh["primitives"]
        assert first["attributes"] == second["attributes"]

    def test_it_covers_chest_to_upper_thigh_and_no_skin_lies_under_it(
        self, body: CanonicalBody, vertices: Floats
    ) -> None:
        surface = Display(body).surface(vertices)
        assert not np.intersect1d(surface.skin, surface.base).size
        height = (surface.vertices[:, 2] - vertices[:, 2].min()) / np.ptp(vertices[:, 2])
        middle = np.abs(surface.vertices[:, 0]) < 0.1
        torso = middle & (height > 0.46) & (height < 0.70)
        bare = np.setdiff1d(np.flatnonzero(torso), np.unique(surface.base))
        assert bare.size == 0
        assert height[np.unique(surface.base)].min() < 0.45

    @pytest.mark.parametrize("from_front", [True, False])
    def test_every_pixel_of_the_torso_shows_cloth(
        self, body: CanonicalBody, vertices: Floats, *, from_front: bool
    ) -> None:
        surface = Display(body).surface(vertices)
        stature, floor = np.ptp(vertices[:, 2]), vertices[:, 2].min()
        across, up = np.meshgrid(np.linspace(-0.09, 0.09, 13), floor + stature * np.linspace(0.49, 0.71, 25))
        pixels = np.stack([across.reshape(-1), up.reshape(-1)], axis=1)
        seen = first_seen(surface.vertices, np.concatenate([surface.skin, surface.base]), pixels, from_front=from_front)
        assert (seen >= len(surface.skin)).all()

    def test_cloth_is_lifted_off_the_body_but_not_by_much(self, body: CanonicalBody, vertices: Floats) -> None:
        surface = Display(body).surface(vertices)
        cloth = surface.vertices[np.unique(surface.base)]
        gap = trimesh.Trimesh(vertices, body.faces, process=False).nearest.vertex(cloth)[0]
        assert np.median(gap) > 0.0015
        assert gap.max() < 0.035

    @pytest.mark.parametrize("cupsize", [0.5, 0.8, 1.0])
    def test_the_apex_of_the_breast_is_flattened(self, body: CanonicalBody, cupsize: float) -> None:
        """The cloth lies 2 mm over the body everywhere, but less over the most forward point of the chest."""
        vertices, _ = body.rest(Shape(gender=1.0, height=0.4, cupsize=cupsize))
        surface = Display(body).surface(vertices)
        cloth = surface.vertices[np.unique(surface.base)]
        assert chest_depth(cloth) < chest_depth(vertices) - 0.001

    def test_the_nipple_does_not_show(self, body: CanonicalBody) -> None:
        vertices, _ = body.rest(Shape(gender=1.0, height=0.4))
        surface = Display(body).surface(vertices)
        skin = trimesh.Trimesh(vertices, body.faces, process=False)
        cloth = trimesh.Trimesh(surface.vertices, surface.base, process=False)
        assert sharpest_near(cloth, vertices[NIPPLE]) < 0.6 * sharpest_near(skin, vertices[NIPPLE])


def first_seen(vertices: Floats, faces: NDArray[np.int32], pixels: Floats, *, from_front: bool) -> NDArray[np.intp]:
    """The face that each pixel (x, z) of an orthographic picture shows."""
    a, b, c = (vertices[faces[:, k]][:, [0, 2]][None] for k in range(3))
    at = pixels[:, None]

    def twice_area(p: Floats, q: Floats, r: Floats) -> Floats:
        area: Floats = (q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0]
        return area

    shares = np.stack([twice_area(at, b, c), twice_area(a, at, c), twice_area(a, b, at)])
    inside = (shares >= 0).all(axis=0) | (shares <= 0).all(axis=0)
    whole = shares.sum(axis=0)
    weights = shares / np.where(whole == 0, np.inf, whole)
    depth = np.einsum("kpf,fk->pf", weights, vertices[faces][:, :, 1]) * (1 if from_front else -1)
    shown: NDArray[np.intp] = np.where(inside & (whole != 0), depth, np.inf).argmin(axis=1)
    return shown


def chest_depth(points: Floats) -> float:
    """How far forward the chest reaches, metres."""
    chest = (points[:, 2] > 0.2) & (points[:, 2] < 0.5) & (np.abs(points[:, 0]) < 0.15)
    return float(-points[chest, 1].min())


def sharpest_near(mesh: trimesh.Trimesh, point: Floats) -> float:
    """Largest angle between neighbouring faces within 2 cm, radians."""
    middle = mesh.vertices[mesh.face_adjacency_edges].mean(axis=1)
    near = np.linalg.norm(middle - point, axis=1) < 0.02
    return float(mesh.face_adjacency_angles[near].max())


@needs_meshopt
class TestCompressed:
    def test_it_is_at_most_120_kb(self, body: CanonicalBody, vertices: Floats) -> None:
        assert len(encode_avatar(body, vertices, compress=True)) <= 120_000

    def test_decoding_gives_the_plain_twin_back(self, body: CanonicalBody, vertices: Floats) -> None:
        positions, normals, triangles = decoded(encode_avatar(body, vertices, compress=True))
        plain = Display(body).surface(vertices)
        upright = np.stack([plain.vertices[:, 0], plain.vertices[:, 2], -plain.vertices[:, 1]], axis=1)
        upright[:, 1] -= upright[:, 1].min()
        step = np.ptp(upright, axis=0).max() / POSITION_STEPS
        for indices, faces in zip(triangles, (plain.skin, plain.base), strict=True):
            found, expected = positions[indices].reshape(-1, 9), upright[faces].reshape(-1, 9)
            assert len(found) == len(expected)
            np.testing.assert_allclose(centroids(found), centroids(expected), atol=step)
        facing = facing_share(positions, normals, np.concatenate(triangles).reshape(-1, 3))
        assert facing > 0.97

    def test_the_same_body_gives_the_same_bytes(self, body: CanonicalBody, vertices: Floats) -> None:
        assert encode_avatar(body, vertices, compress=True) == encode_avatar(body, vertices.copy(), compress=True)

    def test_a_fresh_process_gives_the_same_bytes_too(self, body: CanonicalBody, tmp_path: Path) -> None:
        run_in_fresh_process("", tmp_path / "again.glb")
        vertices, _ = body.rest(Shape())
        assert (tmp_path / "again.glb").read_bytes() == encode_avatar(body, vertices, compress=True)


def centroids(triangles: Floats) -> Floats:
    """Triangle centres in an order that does not depend on theirs."""
    centre = triangles.reshape(-1, 3, 3).mean(axis=1)
    return np.sort(centre, axis=0)


def facing_share(positions: Floats, normals: Floats, triangles: NDArray[np.integer]) -> float:
    """Share of triangles whose vertex normals lie on their own outer side."""
    a, b, c = (positions[triangles[:, k]] for k in range(3))
    side = np.cross(b - a, c - a)
    return float((np.einsum("ij,ij->i", side, normals[triangles].mean(axis=1)) > 0).mean())


class TestFiles:
    def test_the_file_says_version_and_units_and_nothing_about_the_person(
        self, body: CanonicalBody, vertices: Floats
    ) -> None:
        document, _ = chunks(encode_avatar(body, vertices, compress=True))
        assert document["asset"]["extras"] == {"body_version": body.version, "units": "metres"}
        assert not {"images", "textures", "cameras", "animations"} & document.keys()

    def test_without_meshopt_it_is_quantised_larger_and_still_valid(self, tmp_path: Path) -> None:
        run_in_fresh_process("sys.modules['meshoptimizer'] = None", tmp_path / "quantised.glb")
        glb = (tmp_path / "quantised.glb").read_bytes()
        document, _ = chunks(glb)
        assert document["extensionsRequired"] == ["KHR_mesh_quantization"]
        assert 250_000 < len(glb) < 400_000

    def test_body_npz_holds_the_parameters_exactly_and_is_at_most_100_kb(
        self, body: CanonicalBody, vertices: Floats
    ) -> None:
        parameters = np.linspace(-0.9, 0.9, 22)
        encoded = encode_body_npz(body, parameters, vertices, {"waist_cm": 80.1, "chest_cm": 95.2})
        assert len(encoded) <= 100_000
        assert encoded == encode_body_npz(body, parameters, vertices, {"chest_cm": 95.2, "waist_cm": 80.1})
        with np.load(io.BytesIO(encoded)) as archive:
            np.testing.assert_array_equal(archive["parameters"], parameters)
            assert np.abs(archive["vertices"].astype(np.float64) - vertices).max() < 0.0005
            assert archive["measurement_names"].tolist() == ["chest_cm", "waist_cm"]
            assert archive["measurements"].tolist() == [95.2, 80.1]
            assert int(archive["body_version"]) == body.version

    def test_building_a_body_and_its_files_stays_small_in_memory(self, tmp_path: Path) -> None:
        """A whole worker with the photo estimator (about 210 MB) must stay under 500 MB."""
        assert run_in_fresh_process("", tmp_path / "any.glb") < 260


def run_in_fresh_process(before: str, file: Path) -> float:
    """Encode the default body in another interpreter; its peak memory, MB."""
    program = f"""
import sys
{before}
from gpu_worker.body.canonical import CanonicalBody, Shape
from gpu_worker.body.solve import Solver
from gpu_worker.body.tape import Tape
from gpu_worker.glb import encode_avatar
body = CanonicalBody.load()
Solver(body, Tape(body)).solve({{"height_cm": 170.0, "waist_cm": 80.0}}, {{}}, "female", None)
open({str(file)!r}, "wb").write(encode_avatar(body, body.rest(Shape())[0], compress=True))
forbidden = {{"torch", "anny", "smplx", "jax", "matplotlib"}} & sys.modules.keys()
assert not forbidden, forbidden
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")] if sys.platform == "linux" else []
print(int(peak[0].split()[1]) / 1024 if peak else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=120, cwd=ROOT)
    return float(done.stdout)
