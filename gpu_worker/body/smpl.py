"""An SMPL-format body from a file that the operator mounts: read without running its pickle, checked, kept in memory.

Nothing of it, and nothing computed from it, is written, logged or sent: only canonical measurements leave the worker.
Imported by the estimator `hmr2` alone. The model's licence is the operator's affair: see docs/licences.md.

Convention: SMPL's own frame, metres, y up, facing +z, the person's left at +x; rest pose with the arms held out.
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from smplx import SMPLLayer
from smplx.lbs import batch_rigid_transform
from smplx.utils import Struct

from gpu_worker.body.arrays import Edges, Floats, Ints

VERTICES, FACES, JOINTS, BETAS = 6890, 13776, 24, 10
POSE_TERMS = 9 * (JOINTS - 1)
STATURE_M = (1.5, 1.9)
VOLUME_M3 = (0.04, 0.12)
"""Of the model's mean body; anything else is in other units or not a body."""

JOINT_NAMES: Final = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
ROOT_PARENT = -1


class SmplRefused(Exception):
    """The mounted file is no SMPL body that can be used; the text is one sentence."""


@dataclass(frozen=True, eq=False)
class SmplModel:
    """The arrays of the model.

    template         : (6890, 3) the mean body
    directions       : (6890, 3, 10) metres for each unit of a beta
    pose_directions  : (6890, 3, 207)
    joint_regressor  : (24, 6890)
    skin_weights     : (6890, 24)
    faces            : (13776, 3) int32
    parents          : (24,), the root's is -1
    """

    template: Floats
    directions: Floats
    pose_directions: Floats
    joint_regressor: Floats
    skin_weights: Floats
    faces: Ints
    parents: Ints

    @classmethod
    def load(cls, path: Path) -> "SmplModel":
        """Read `.npz` or `.pkl` and check it; raises `SmplRefused`."""
        model = cls.of(_read(path), path.name)
        _check(model, path.name)
        return model

    @classmethod
    def of(cls, arrays: Mapping[str, Any], name: str) -> "SmplModel":
        def take(key: str, shape: tuple[int, ...]) -> Floats:
            if key not in arrays:
                raise SmplRefused(f"{name} has no array {key}: it is not an SMPL model.")
            value = arrays[key]
            array = np.asarray(value.todense() if hasattr(value, "todense") else value, np.float64)
            array = array[..., :BETAS] if key == "shapedirs" else array
            if array.shape != shape or not np.isfinite(array).all():
                raise SmplRefused(f"{name}: {key} must be {shape} and finite, not {array.shape}.")
            return array

        parents = take("kintree_table", (2, JOINTS))[0].astype(np.int64)
        parents[0] = ROOT_PARENT  # stored as 2**32 - 1
        return cls(
            template=take("v_template", (VERTICES, 3)),
            directions=take("shapedirs", (VERTICES, 3, BETAS)),
            pose_directions=take("posedirs", (VERTICES, 3, POSE_TERMS)),
            joint_regressor=take("J_regressor", (JOINTS, VERTICES)),
            skin_weights=take("weights", (VERTICES, JOINTS)),
            faces=take("f", (FACES, 3)).astype(np.int32),
            parents=parents.astype(np.int32),
        )

    def vertices(self, betas: Floats) -> Floats:
        """(6890, 3) of the rest pose."""
        rest: Floats = self.template + self.directions @ betas
        return rest

    def joints(self, vertices: Floats) -> Floats:
        """(24, 3) of the rest pose."""
        return self.joint_regressor @ vertices

    def posed_joints(self, betas: Floats, rotations: Floats) -> Floats:
        """(24, 3) with (24, 3, 3) rotations of each joint in its parent's frame."""
        rest = torch.from_numpy(self.joints(self.vertices(betas)))[None]
        posed, _ = batch_rigid_transform(torch.from_numpy(rotations)[None], rest, torch.from_numpy(self.parents).long())
        joints: Floats = posed[0].numpy()
        return joints

    def layer(self) -> SMPLLayer:
        """These arrays in the layer of smplx: posed vertices, for checks; float32."""
        record = Struct(
            v_template=self.template,
            shapedirs=self.directions,
            posedirs=self.pose_directions,
            J_regressor=self.joint_regressor,
            weights=self.skin_weights,
            f=self.faces.astype(np.uint32),
            kintree_table=np.stack([self.parents, np.arange(JOINTS)]),
        )
        return SMPLLayer(model_path="", data_struct=record, num_betas=BETAS)


def volume(vertices: Floats, faces: Ints) -> float:
    """Enclosed, m³, by signed tetrahedra."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6


def _check(model: SmplModel, name: str) -> None:
    edges = _directed(model.faces)
    if len(np.unique(edges)) != len(edges) or not np.array_equal(
        np.sort(edges), np.sort(_directed(model.faces[:, ::-1]))
    ):
        raise SmplRefused(f"{name}: the mesh is not closed.")
    stature = float(np.ptp(model.template[:, 1]))
    enclosed = volume(model.template, model.faces)
    if not STATURE_M[0] <= stature <= STATURE_M[1] or not VOLUME_M3[0] <= enclosed <= VOLUME_M3[1]:
        raise SmplRefused(f"{name}: {stature:.2f} m and {enclosed:.3f} m³ are no adult's; metres with y up are wanted.")


def _directed(faces: Ints) -> Edges:
    """One number for each directed edge; in a closed mesh each runs once either way."""
    start, end = faces.astype(np.intp), np.roll(faces, -1, axis=1).astype(np.intp)
    return (start * VERTICES + end).reshape(-1)


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SmplRefused(f"{path.name} cannot be read: {error.strerror}.") from error
    if path.suffix == ".npz":
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except (ValueError, OSError) as error:
            raise SmplRefused(f"{path.name} is not a plain npz of arrays.") from error
    try:
        record = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except SmplRefused:
        raise
    except Exception as error:  # a broken pickle raises almost anything
        raise SmplRefused(f"{path.name} is not a pickle of arrays.") from error
    if not isinstance(record, dict):
        raise SmplRefused(f"{path.name} is not a pickle of arrays.")
    return record


class _Chumpy:
    """Stands for an array of the package chumpy, of which only the numbers are wanted."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._numbers = state.get("x")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self._numbers is None:
            raise SmplRefused("The file holds chumpy expressions: write its arrays to an npz once, and mount that.")
        return np.asarray(self._numbers, dtype)


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy and scipy arrays, and nothing else: a pickle may otherwise run any code."""

    allowed = frozenset(
        {("numpy", "ndarray"), ("numpy", "dtype"), ("scipy.sparse._csc", "csc_matrix"), ("_codecs", "encode")}
        | {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")}
        | {(f"scipy.sparse.{kind}", f"{kind}_matrix") for kind in ("csc", "csr", "coo")}
        | {(f"scipy.sparse._{kind}", f"{kind}_matrix") for kind in ("csc", "csr", "coo")}
    )

    def find_class(self, module: str, name: str) -> Any:
        """Look a class up among those allowed."""
        if module.partition(".")[0] == "chumpy":
            return _Chumpy
        if (module, name) not in self.allowed:
            raise SmplRefused(f"The file wants to load {module}.{name}, which is no array: refused.")
        modern = module.replace("numpy.core", "numpy._core")
        modern = "scipy.sparse" if modern.startswith("scipy.sparse") else modern
        return super().find_class(modern, name)
