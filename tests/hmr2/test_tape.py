"""Tape measurements of an SMPL-format body: the peer's numbers, the canonical definitions, and what a bad file gets."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from gpu_worker.body.smpl import JOINT_NAMES, SmplModel, SmplRefused, volume
from gpu_worker.body.smpl_canonical import CanonicalTape
from gpu_worker.body.smpl_tape import PARTS, Cutter, PeerTape, edges_of
from tests.hmr2.stand_in import face_parts, smpl_arrays

MAX_FULL_SET_MS = 1.5
SHARED_MACHINE = 2.0
"""How much slower a busy shared machine may be."""


@pytest.fixture(scope="module")
def peer(bundle: Path, smpl: SmplModel) -> PeerTape:
    return PeerTape(smpl, face_parts(bundle))


@pytest.fixture(scope="module")
def canonical(smpl: SmplModel) -> CanonicalTape:
    return CanonicalTape(smpl)


class TestPeerTape:
    def test_equals_the_peer_on_eight_bodies(self, bundle: Path, peer: PeerTape, smpl: SmplModel) -> None:
        reference = np.load(bundle / "tape_reference.npz")
        names = [str(name) for name in reference["names"]]
        assert sorted(names) == sorted(peer.names)
        assert len(names) == 21
        for betas, vertices, wanted in zip(
            reference["betas"], reference["verts"].astype(float), reference["measurements_cm"], strict=True
        ):
            from_betas = peer.measure(betas.astype(float))
            from_mesh = peer.measure_vertices(vertices, smpl.joints(vertices))
            assert np.abs([from_betas[name] for name in names] - wanted).max() <= 0.01
            assert np.abs([from_mesh[name] for name in names] - wanted).max() <= 0.01

    def test_derived_parts_agree_where_the_plane_is_clear_of_joints(self, peer: PeerTape, smpl: SmplModel) -> None:
        labelled, derived = peer.measure(np.zeros(10)), PeerTape(smpl).measure(np.zeros(10))
        for part in ("waist", "hip", "thigh left", "calf left", "forearm right", "bicep right", "wrist right"):
            name = f"{part} circumference"
            assert derived[name] == pytest.approx(labelled[name], abs=0.01), name


class TestCutter:
    def test_girth_of_a_tilted_cylinder_is_its_circumference(self) -> None:
        angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        ring = np.column_stack([0.3 * np.cos(angles), np.zeros(400), 0.3 * np.sin(angles)])
        cylinder = np.concatenate([ring - np.array([0, 1, 0]), ring + np.array([0, 1, 0])])
        edges = np.column_stack([np.arange(400), np.arange(400) + 400])
        tilt, _ = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [-0.3, 1.0, 0.4], [0.2, -0.5, 1.0]]))
        girths = Cutter([edges]).girths(cylinder @ tilt.T, np.zeros((1, 3)), tilt[:, 1][None])
        assert girths[0] == pytest.approx(2 * np.pi * 0.3, rel=1e-3)

    def test_a_plane_that_misses_gives_nan(self, smpl: SmplModel) -> None:
        girths = Cutter([edges_of(smpl.faces)]).girths(smpl.template, np.array([[0, 9.0, 0]]), np.array([[0, 1.0, 0]]))
        assert np.isnan(girths[0])


class TestCanonicalTape:
    def test_a_scaled_body_scales_its_lengths(self, canonical: CanonicalTape) -> None:
        betas = np.linspace(1, -1, 10)
        one = canonical.measure(betas, scale=1.0, gender=1.0)
        tall = canonical.measure(betas, scale=1.1, gender=1.0)
        assert all(tall[name] == pytest.approx(1.1 * one[name]) for name in one)

    def test_stature_is_vertical_and_of_the_whole_body(self, canonical: CanonicalTape, peer: PeerTape) -> None:
        stature = canonical.measure(np.zeros(10), scale=1.0, gender=0.5)["height_cm"]
        assert stature == pytest.approx(172.95, abs=0.05)
        assert peer.measure(np.zeros(10))["height"] == pytest.approx(170.9, abs=0.1)  # the peer's is slanted

    def test_girths_of_the_mean_body_are_those_of_its_capsules(self, canonical: CanonicalTape) -> None:
        """The synthetic body is a union of capsules whose radii its generator names."""
        found = canonical.measure(np.zeros(10), scale=1.0, gender=0.5)
        upper_arm_cm = 2 * np.pi * 4.7  # half-way between 5.2 and 4.2 cm
        assert found["upper_arm_cm"] == pytest.approx(upper_arm_cm, rel=0.03)
        assert found["chest_cm"] == pytest.approx(91, abs=2)
        assert found["chest_cm"] > found["waist_cm"]
        assert found["hip_cm"] > found["waist_cm"]

    def test_derivatives_are_those_of_the_measurements(self, canonical: CanonicalTape) -> None:
        betas, step = np.linspace(-1, 1, 10), 0.1
        before, found = canonical.measure_with_derivatives(betas, scale=1.1, gender=1.0, step=step)
        assert before == canonical.measure(betas, scale=1.1, gender=1.0)
        for number, unit in enumerate(np.eye(10)):
            after = canonical.measure(betas + step * unit, scale=1.1, gender=1.0)
            for name, value in before.items():
                assert found[name][number] == pytest.approx((after[name] - value) / step, abs=0.3), name

    def test_the_natural_waist_lies_higher_in_women(self, canonical: CanonicalTape) -> None:
        women, men = (canonical.definitions.waist_natural_level.at(gender) for gender in (1.0, 0.0))
        assert women > men > 0

    def test_arms_are_in_no_torso_girth(self, smpl: SmplModel, canonical: CanonicalTape) -> None:
        """Arms hanging through the chest's levels would double it."""
        betas = np.zeros(10)
        before = canonical.measure(betas, scale=1.0, gender=0.5)["chest_cm"]
        assert before < 110


class TestSmplModel:
    def test_a_pickle_of_arrays_is_read(self, bundle: Path, smpl: SmplModel, tmp_path: Path) -> None:
        arrays = smpl_arrays(bundle)
        arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
        path = tmp_path / "body.pkl"
        path.write_bytes(pickle.dumps(arrays, protocol=2))
        assert np.array_equal(SmplModel.load(path).template, smpl.template)

    def test_a_pickle_that_would_run_code_is_refused_and_not_run(self, tmp_path: Path) -> None:
        trace = tmp_path / "ran"
        path = tmp_path / "body.pkl"
        path.write_bytes(pickle.dumps({"v_template": _Malicious(str(trace))}))
        with pytest.raises(SmplRefused, match="refused"):
            SmplModel.load(path)
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"posedirs": None}, "no array posedirs"),
            ({"weights": np.zeros((6890, 55))}, "weights must be"),
            ({"v_template": np.full((6890, 3), np.nan)}, "finite"),
        ],
    )
    def test_another_model_is_refused_by_name(
        self, bundle: Path, tmp_path: Path, change: dict[str, Any], reason: str
    ) -> None:
        arrays = {k: v for k, v in (smpl_arrays(bundle) | change).items() if v is not None}
        path = tmp_path / "other.npz"
        np.savez(path, **arrays)
        with pytest.raises(SmplRefused, match=reason):
            SmplModel.load(path)

    def test_centimetres_and_holes_are_refused(self, bundle: Path, tmp_path: Path) -> None:
        arrays = smpl_arrays(bundle)
        holed = arrays["f"].copy()
        holed[0] = holed[1]
        for changed, reason in (({"v_template": arrays["v_template"] * 100}, "no adult"), ({"f": holed}, "not closed")):
            path = tmp_path / "other.npz"
            np.savez(path, **(arrays | changed))
            with pytest.raises(SmplRefused, match=reason):
                SmplModel.load(path)

    def test_missing_and_broken_files_say_so(self, tmp_path: Path) -> None:
        with pytest.raises(SmplRefused, match="cannot be read"):
            SmplModel.load(tmp_path / "nothing.npz")
        for name in ("body.npz", "body.pkl"):
            (tmp_path / name).write_bytes(b"not a model")
            with pytest.raises(SmplRefused, match="is not a"):
                SmplModel.load(tmp_path / name)


class _Malicious:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.path,)


def test_volume_of_a_box() -> None:
    corners = np.array([[x, y, z] for x in (0, 2.0) for y in (0, 3.0) for z in (0, 4.0)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    assert abs(volume(corners, faces)) == pytest.approx(24)


def test_every_part_and_joint_has_a_name() -> None:
    assert len(PARTS) == len(JOINT_NAMES) == 24
