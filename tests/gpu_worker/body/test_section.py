"""Tape lengths round solids whose girth is known, and their derivatives."""

import numpy as np
import pytest
import trimesh

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.section import Dual, Moving, Plane, cut, girth, girth_with_derivatives, still
from gpu_worker.body.tape import edges_of, volume


def level(height: float) -> Plane:
    return Plane.level(Dual(height, np.zeros(0)))


def across(direction: list[float]) -> Plane:
    """The plane through the origin square to a direction."""
    plane, _ = Plane.across(still(np.array([[0.0, 0, 0], direction])), 0, 1, 0.0)
    return plane


def solid(mesh: trimesh.Trimesh) -> tuple[Floats, Ints]:
    return np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int32)


def tape_round(mesh: trimesh.Trimesh, plane: Plane) -> float:
    vertices, faces = solid(mesh)
    return girth(cut(vertices, edges_of(faces), plane))


CYLINDER = trimesh.creation.cylinder(radius=0.15, height=1.0, sections=256)
BOX = trimesh.creation.box(extents=(0.3, 0.2, 1.0))
LEGS = trimesh.util.concatenate(
    [trimesh.creation.cylinder(radius=0.08, height=1.0, sections=256).apply_translation([x, 0, 0]) for x in (-0.1, 0.1)]
)
HOLLOW = trimesh.util.concatenate(
    [
        trimesh.creation.box(extents=(0.1, 0.1, 1.0)).apply_translation([x, y, 0])
        for x, y in ((0, 0), (0.3, 0), (0, 0.3))
    ]
)


class TestGirth:
    @pytest.mark.parametrize(
        ("mesh", "expected"),
        [
            (CYLINDER, 2 * np.pi * 0.15),
            (BOX, 2 * (0.3 + 0.2)),
            (LEGS, 2 * np.pi * 0.08 + 2 * 0.2),  # round both legs: two half circles and the two gaps
            (HOLLOW, 4 * 0.1 + 2 * 0.3 + 0.3 * np.sqrt(2)),  # bridges the hollow of an L
        ],
    )
    def test_tape_bridges_hollows_and_follows_bulges(self, mesh: trimesh.Trimesh, expected: float) -> None:
        assert tape_round(mesh, level(0.123)) == pytest.approx(expected, rel=1.5e-4)

    def test_slanting_cut_of_a_cylinder_is_its_ellipse(self) -> None:
        tilt = np.radians(30)
        a, b = 0.15 / np.cos(tilt), 0.15
        h = ((a - b) / (a + b)) ** 2
        ellipse = np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))
        assert tape_round(CYLINDER, across([np.sin(tilt), 0, np.cos(tilt)])) == pytest.approx(ellipse, rel=1.5e-4)

    def test_rigid_motion_changes_nothing(self) -> None:
        motion = trimesh.transformations.rotation_matrix(0.8, [1, 2, 3], point=[0.0, 0.0, 0.2])
        turned = CYLINDER.copy().apply_transform(motion)
        plane, _ = Plane.across(still(np.stack([motion[:3, 3], motion[:3, 3] + motion[:3, 2]])), 0, 1, 0.1)
        vertices, faces = solid(turned)
        assert girth(cut(vertices, edges_of(faces), plane)) == pytest.approx(2 * np.pi * 0.15, rel=1.5e-4)

    def test_plane_beside_the_mesh_reads_nothing(self) -> None:
        assert tape_round(CYLINDER, level(2.0)) == 0.0

    def test_within_leaves_out_what_is_far(self) -> None:
        vertices, faces = solid(LEGS)
        section = cut(vertices, edges_of(faces), level(0.1)).within(0.09, np.array([0.1, 0, 0.1]))
        assert girth(section) == pytest.approx(2 * np.pi * 0.08, rel=1.5e-4)


class TestDerivatives:
    def test_growing_a_solid_lengthens_the_tape_at_the_expected_rate(self) -> None:
        vertices, faces = solid(CYLINDER)
        outwards = vertices * [1, 1, 0]
        moving = Moving(vertices, np.stack([outwards, np.zeros_like(vertices)]))
        plane = Plane.level(Dual(0.2, np.zeros(2)))
        dual = girth_with_derivatives(cut(vertices, edges_of(faces), plane), moving)
        assert dual.by == pytest.approx([dual.value, 0], abs=1e-9)

    def test_tilted_moving_plane_agrees_with_differences(self) -> None:
        mesh = trimesh.creation.cone(radius=0.3, height=1.0, sections=64)
        vertices, faces = solid(mesh)
        edges, rng = edges_of(faces), np.random.default_rng(3)
        by, heads_by = rng.normal(0, 0.1, (4, *vertices.shape)), rng.normal(0, 0.1, (4, 2, 3))
        heads = np.array([[0.01, 0.02, 0.2], [0.05, -0.03, 0.6]])

        def read(amount: Floats) -> Dual:
            points = Moving(vertices + np.tensordot(amount, by, 1), by)
            plane, _ = Plane.across(Moving(heads + np.tensordot(amount, heads_by, 1), heads_by), 0, 1, 0.4)
            return girth_with_derivatives(cut(points.at, edges, plane), points)

        step = 1e-6
        differences = [(read(step * e).value - read(-step * e).value) / (2 * step) for e in np.eye(4)]
        assert read(np.zeros(4)).by == pytest.approx(differences, rel=1e-3, abs=1e-4)


class TestVolume:
    def test_signed_tetrahedra_fill_the_solid(self) -> None:
        vertices, faces = solid(BOX)
        assert volume(still(vertices + np.array([3.0, -2.0, 1.0])), faces).value == pytest.approx(0.06)

    def test_derivative_of_growth_is_three_volumes(self) -> None:
        vertices, faces = solid(BOX)
        assert volume(Moving(vertices, vertices[None]), faces).by == pytest.approx([3 * 0.06])
