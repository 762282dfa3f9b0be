"""The canonical body: a baked Anny as plain numpy, from shape parameters to vertices.

Convention: metres, z up, facing -y, origin near the pelvis (feet at z about -0.87); the rest pose is an A-pose.
The asset `body_v1.npz` is made by `gpu_worker.training.bake`; see `LICENSE-anny.md` beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats, Ints, check_shape

DEFAULT = Path(__file__).with_name("body_v1.npz")
FORMAT_VERSION = 1
NEGLIGIBLE = 1e-6
"""Blend shapes with a smaller coefficient are skipped; the largest shape moves a vertex by under a metre."""

YOUNG = 2 / 3
"""Phenotype age of a young adult; below it Anny mixes in children."""


@dataclass(frozen=True)
class Shape:
    """What makes one body. All phenotypes in [0, 1]; local changes in [-1, 1] by their Anny name.

    gender : 0 male, 1 female
    age    : 2/3 a young adult, 1 old; smaller values are read as 2/3
    """

    gender: float = 0.5
    age: float = 0.7
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    cupsize: float = 0.5
    firmness: float = 0.5
    local: Mapping[str, float] = field(default_factory=dict)


def hats(shape: Shape) -> dict[str, float]:
    """Weight of every phenotype anchor; the anchors of one phenotype sum to 1."""
    old = 3 * (min(max(shape.age, YOUNG), 1.0) - YOUNG)
    return {
        "male": 1 - shape.gender,
        "female": shape.gender,
        "young": 1 - old,
        "old": old,
        **three_anchors(shape.muscle, "muscle"),
        **three_anchors(shape.weight, "weight"),
        "minheight": 1 - shape.height,
        "maxheight": shape.height,
        "idealproportions": 1 - shape.proportions,
        "uncommonproportions": shape.proportions,
        **three_anchors(shape.cupsize, "cup"),
        **three_anchors(shape.firmness, "firmness"),
    }


def three_anchors(value: float, noun: str) -> dict[str, float]:
    """Hat weights of a phenotype with anchors at 0, 1/2 and 1."""
    return {
        f"min{noun}": max(0.0, 1 - 2 * value),
        f"average{noun}": 1 - abs(2 * value - 1),
        f"max{noun}": max(0.0, 2 * value - 1),
    }


@dataclass(frozen=True, eq=False)
class CanonicalBody:
    """The baked body; loaded once, never changed.

    template, template_heads     : (V, 3) and (B, 3) float32, metres
    phenotype_shapes, _heads     : (K, V, 3) int16 in `step_m` and (K, B, 3) float32 metres, per unit coefficient
    phenotype_mask               : (K, A) bool, which of `anchors` shape k multiplies
    local_shapes, local_heads    : (2 L, V, 3) int16 and (2 L, B, 3) float32; the (+, -) pair of each local change
    step_m                       : what 1 in a shape stands for; finer than half precision where shapes are large
    skin_weights, skin_bones     : (V, 9) float32 and uint8
    navel_vertices, _weights     : vertices and weights (sum 1) whose mean height is the navel's level
    arrays                       : the remaining arrays of the asset (display mesh, texture coordinates), by name
    """

    version: int
    faces: Ints
    anchors: tuple[str, ...]
    bone_names: tuple[str, ...]
    local_names: tuple[str, ...]
    parents: Ints
    template: NDArray[np.float32]
    template_heads: NDArray[np.float32]
    phenotype_shapes: NDArray[np.int16]
    phenotype_heads: NDArray[np.float32]
    phenotype_mask: NDArray[np.bool_]
    local_shapes: NDArray[np.int16]
    step_m: float
    local_heads: NDArray[np.float32]
    skin_weights: NDArray[np.float32]
    skin_bones: NDArray[np.uint8]
    navel_vertices: Ints
    navel_weights: Floats
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def load(cls, path: Path = DEFAULT) -> Self:
        """Read the baked asset (0.2 s, 35 MB of memory)."""
        with np.load(path, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
        version = int(data.pop("version"))
        if version != FORMAT_VERSION:
            raise ValueError(f"{path.name} has format {version}; this code reads format {FORMAT_VERSION}.")
        return cls(
            version=version,
            faces=data.pop("faces").astype(np.int32),
            anchors=tuple(str(name) for name in data.pop("order")),
            bone_names=tuple(str(name) for name in data.pop("bones")),
            local_names=tuple(str(name) for name in data.pop("local")),
            parents=data.pop("parents").astype(np.int32),
            template=data.pop("T"),
            template_heads=data.pop("TH"),
            phenotype_shapes=data.pop("PB"),
            phenotype_heads=data.pop("PBH"),
            phenotype_mask=data.pop("mask").astype(np.bool_),
            local_shapes=data.pop("LB"),
            step_m=float(data.pop("step")),
            local_heads=data.pop("LBH"),
            skin_weights=data.pop("vbw"),
            skin_bones=data.pop("vbi"),
            navel_vertices=data.pop("navel_vertices").astype(np.int32),
            navel_weights=data.pop("navel_weights").astype(np.float64),
            arrays=data,
        )

    @property
    def vertex_count(self) -> int:
        return len(self.template)

    def bone(self, name: str) -> int:
        return self.bone_names.index(name)

    def local_row(self, name: str, *, positive: bool) -> int:
        """Row of a local change in `local_shapes`: its + shape or its - shape."""
        if name not in self.local_names:
            raise ValueError(f"The canonical body has no local change {name!r}.")
        return 2 * self.local_names.index(name) + (0 if positive else 1)

    def coefficients(self, shape: Shape) -> Floats:
        """(K,) products of hat weights: how much of each phenotype shape is added."""
        weight_of = hats(shape)
        weights = np.array([weight_of.get(anchor, 1.0) for anchor in self.anchors])
        product: Floats = np.where(self.phenotype_mask, weights, 1.0).prod(axis=1)
        return product

    def rest(self, shape: Shape) -> tuple[Floats, Floats]:
        """Vertices (V, 3) and bone heads (B, 3) of `shape` in the rest pose, metres."""
        coefficient = self.coefficients(shape)
        vertices = self.template.astype(np.float64)
        heads = self.template_heads.astype(np.float64)
        for k in np.flatnonzero(np.abs(coefficient) >= NEGLIGIBLE):
            vertices += np.float32(coefficient[k] * self.step_m) * self.phenotype_shapes[k]
            heads += coefficient[k] * self.phenotype_heads[k]
        for name, amount in shape.local.items():
            row = self.local_row(name, positive=amount > 0)
            vertices += np.float32(abs(amount) * self.step_m) * self.local_shapes[row]
            heads += abs(amount) * self.local_heads[row]
        return vertices, heads

    def pose(self, vertices: Floats, bone_heads: Floats, rotations: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Turn bones about their heads (linear blend skinning). Never measured: skinning shifts girths.

        rotations : bone name -> (3, 3), in rest axes, relative to the parent
        """
        check_shape(vertices, (self.vertex_count, 3), "vertices")
        turn, shift = self._forward_kinematics(bone_heads, rotations)
        posed = np.zeros_like(vertices)
        for slot in range(self.skin_weights.shape[1]):
            skinned = np.flatnonzero(self.skin_weights[:, slot])
            bones = self.skin_bones[skinned, slot]
            moved = np.einsum("vij,vj->vi", turn[bones], vertices[skinned]) + shift[bones]
            posed[skinned] += self.skin_weights[skinned, slot, None] * moved
        return posed, np.einsum("bij,bj->bi", turn, bone_heads) + shift

    def _forward_kinematics(self, bone_heads: Floats, rotations: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """World rotation (B, 3, 3) and translation (B, 3) of every bone; parents come before their children."""
        turn = np.tile(np.eye(3), (len(self.bone_names), 1, 1))
        shift = np.zeros((len(self.bone_names), 3))
        for bone, name in enumerate(self.bone_names):
            parent = self.parents[bone]
            if parent >= 0:
                turn[bone], shift[bone] = turn[parent], shift[parent]
            if name in rotations:
                head = turn[bone] @ bone_heads[bone] + shift[bone]
                turn[bone] = turn[bone] @ rotations[name]
                shift[bone] = head - turn[bone] @ bone_heads[bone]
        return turn, shift
