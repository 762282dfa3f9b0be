"""Stand-ins for what cannot be shipped: weights made from the names of their keys, and a synthetic body.

The reference bundle was made by the original code with exactly these, so equality with it proves the arithmetic and
nothing about people. As a command it writes a full set for trying the worker: `python -m tests.hmr2.stand_in OUT`.
"""

import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from gpu_worker.body.smpl_tape import PARTS
from gpu_worker.estimators.hmr2 import FULL, Sizes, expected_shapes
from gpu_worker.weights import WeightsLock, sha256_of

TINY = Sizes(width=64, depth=2, heads=4, head_width=32, head_depth=2, head_heads=2, head_heads_width=16, head_hidden=32)
"""The configuration of the bundle's `tiny.npz`."""

READOUTS = ("smpl_head.decpose", "smpl_head.decshape", "smpl_head.deccam")
MEANS = {"smpl_head.init_body_pose": "pose", "smpl_head.init_betas": "shape", "smpl_head.init_cam": "cam"}

LEFT_ARM = {"hip": (0.08, -0.33, 0), "knee": (0.10, -0.71, 0), "ankle": (0.10, -1.10, -0.03),
            "foot": (0.12, -1.16, 0.09), "collar": (0.08, 0.19, -0.02), "shoulder": (0.17, 0.225, -0.03),
            "elbow": (0.43, 0.215, -0.04), "wrist": (0.68, 0.215, -0.04), "hand": (0.76, 0.21, -0.04)}  # fmt: skip
MIDDLE = {"pelvis": (0, -0.24, 0), "spine1": (0, -0.12, -0.02), "spine2": (0, 0.02, -0.01), "spine3": (0, 0.09, 0),
          "neck": (0, 0.29, -0.02), "head": (0, 0.36, 0.02)}  # fmt: skip
"""Where the generator of the synthetic body put the joints, metres."""
POSE_REACH_M = 0.1

PART_NAMES = {
    "hips": "hips", "leftUpLeg": "left_thigh", "rightUpLeg": "right_thigh", "spine": "spine", "leftLeg": "left_calf",
    "rightLeg": "right_calf", "spine1": "lower_chest", "leftFoot": "left_foot", "rightFoot": "right_foot",
    "spine2": "upper_chest", "leftToeBase": "left_toes", "rightToeBase": "right_toes", "neck": "neck",
    "leftShoulder": "left_shoulder", "rightShoulder": "right_shoulder", "head": "head", "leftArm": "left_arm",
    "rightArm": "right_arm", "leftForeArm": "left_forearm", "rightForeArm": "right_forearm", "leftHand": "left_hand",
    "rightHand": "right_hand", "leftHandIndex1": "left_fingers", "rightHandIndex1": "right_fingers",
}  # fmt: skip
"""The peer's names of the parts, and ours."""


def weight(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Made from the key and the shape alone: small enough everywhere to stay stable through 32 blocks."""
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape, dtype=np.float32)
    if "norm" in key and key.endswith("weight"):
        return np.float32(1) + np.float32(0.1) * noise
    if len(shape) == 1:
        return np.float32(0.05) * noise
    if "pos_embed" in key:
        return np.float32(0.3) * noise
    gain = (0.3 if key.startswith(READOUTS) else 1.0) / np.sqrt(np.prod(shape[1:]))
    scaled: NDArray[np.float32] = (noise.astype(np.float64) * gain).astype(np.float32)
    return scaled


def weights(bundle: Path, sizes: Sizes) -> dict[str, torch.Tensor]:
    """Every weight of a configuration."""
    means = np.load(bundle / "init_buffers.npz")
    return {
        key: torch.from_numpy(np.asarray(means[MEANS[key]], np.float32)[None] if key in MEANS else weight(key, shape))
        for key, shape in expected_shapes(sizes).items()
    }


def smpl_arrays(bundle: Path) -> dict[str, Any]:
    """The arrays of the synthetic body under SMPL's names."""
    with np.load(bundle / "synthetic_smpl_core.npz") as core:
        template = core["v_template"]
        skin = np.zeros((len(template), 24), np.float32)
        np.put_along_axis(skin, core["w_idx"].astype(int), core["w_val"], 1)
        regressor = np.zeros((24, len(template)), np.float32)
        regressor[core["j_row"], core["j_col"]] = core["j_val"]
        return {
            "v_template": template,
            "shapedirs": core["shapedirs"],
            "posedirs": _pose_directions(template, core),
            "J_regressor": regressor,
            "weights": skin,
            "f": core["f"].astype(np.uint32),
            "kintree_table": core["kintree_table"],
        }


def _pose_directions(template: NDArray[np.float32], core: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    names = ["l_hip", "r_hip", "spine1", "l_knee", "r_knee", "spine2", "l_ankle", "r_ankle", "spine3"]
    names += ["l_foot", "r_foot", "neck", "l_collar", "r_collar", "head"]
    names += [f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "hand") for side in "lr"]
    joints = [MIDDLE[n] if n in MIDDLE else np.array(LEFT_ARM[n[2:]]) * (1 if n[0] == "l" else -1, 1, 1) for n in names]
    away = np.linalg.norm(template[:, None].astype(float) - np.array(joints), axis=-1)
    near = np.exp(-((away / POSE_REACH_M) ** 2))
    pushed = np.einsum("vk,vj,jc->vkjc", core["normal"].astype(float), near, core["pd_coef"])
    flat: NDArray[np.float32] = pushed.reshape(len(template), 3, 207).astype(np.float32)
    return flat


def face_parts(bundle: Path) -> NDArray[np.intp]:
    """(13776,) the generator's own labels, as indices into `PARTS`; the peer was given the same."""
    with np.load(bundle / "synthetic_smpl_core.npz") as core:
        table = np.array([PARTS.index(PART_NAMES[str(name)]) for name in core["part_names"]])
        labels: NDArray[np.intp] = table[core["face_part"]]
    return labels


def write_set(folder: Path, bundle: Path, sizes: Sizes = FULL) -> tuple[Path, Path]:
    """A float16 weights file with its lock, and the body: what an operator would mount."""
    folder.mkdir(parents=True, exist_ok=True)
    path, body = folder / "stand-in.safetensors", folder / "SYNTHETIC.npz"
    save_file({key: value.half() for key, value in weights(bundle, sizes).items()}, path)
    WeightsLock(path.name, path.stat().st_size, sha256_of(path), "", "", "float16", "stand-in", "none").write(folder)
    np.savez(body, **smpl_arrays(bundle))
    return path, body


if __name__ == "__main__":
    write_set(Path(sys.argv[1]), Path(os.environ["HMR2_REFERENCE_DIR"]))
