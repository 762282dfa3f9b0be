"""The project's measurements, all but weight, on an SMPL-format body: ISO 8559-1 style.

The definitions are those of `gpu_worker/body/tape.py`, on landmarks of another topology.

Read in the rest pose, whose arms are held out: that moves chest and shoulder a little, which the estimator's
`DEFINITION_SD` carries until the two bodies are calibrated against each other.

Convention: SMPL's frame, metres, y up; centimetres out, of a body scaled by `scale`.
"""

from dataclasses import dataclass

import numpy as np

from gpu_worker.body.arrays import Bools, Floats
from gpu_worker.body.smpl import JOINT_NAMES, SmplModel
from gpu_worker.body.smpl_tape import PARTS, Cutter, edges_of, part_of_faces
from gpu_worker.body.tape import (
    ARM_AT,
    ARM_REACH,
    CHEST_FROM,
    CHEST_PLANES,
    CROTCH_ABOVE,
    HIP_PLANES,
    HIP_TO,
    MIDLINE_M,
    NECK_AT,
    NECK_REACH,
    ONE_CM,
    Definitions,
)

NAVEL = 3501
CERVICALE = 829
"""The seventh neck vertebra."""
ACROMION_LEFT, ACROMION_RIGHT = 3011, 6470
"""Tips of the shoulders."""

ARM_PARTS = ("left_arm", "right_arm", "left_forearm", "right_forearm", "left_hand", "right_hand", "left_fingers",
             "right_fingers")  # fmt: skip
LEVEL_WINDOW_M = 0.15
"""How far from its place on the mean body a level may lie: edges further away are not looked at."""
UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Levels:
    """Heights of one body, metres."""

    floor: float
    stature: float
    crotch: float
    navel: float
    armpit: float


@dataclass(frozen=True, eq=False)
class Fullest:
    """Where the girth is searched, or where it was found: shares of the stretches for chest and hip."""

    chest: Floats
    hip: Floats

    def found(self, girths: Floats) -> "Fullest":
        """The one place of each stretch where the girth is largest."""
        chest, hip = np.split(girths[: len(self.chest) + len(self.hip)], [len(self.chest)])
        return Fullest(self.chest[[chest.argmax()]], self.hip[[hip.argmax()]])


EVERYWHERE = Fullest(np.linspace(0, 1, CHEST_PLANES), np.linspace(0, 1, HIP_PLANES))
SOMEWHERE = Fullest(np.array([0.5]), np.array([0.5]))
FINE, COARSE = 256, 128
"""Directions in which hulls are looked at: for values, and for their derivatives."""


class CanonicalTape:
    """Measures one model's bodies; all that depends on the mesh alone is done once."""

    def __init__(self, model: SmplModel) -> None:
        self.model = model
        self.definitions = Definitions.load()
        is_arm = np.isin(part_of_faces(model), [PARTS.index(name) for name in ARM_PARTS])
        on_arm = np.zeros(len(model.template), bool)
        on_arm[model.faces[is_arm]] = True
        off_arm = np.zeros(len(model.template), bool)
        off_arm[model.faces[~is_arm]] = True
        self._seam = np.flatnonzero(on_arm & off_arm)
        self._midline = np.flatnonzero((np.abs(model.template[:, 0]) < MIDLINE_M) & ~on_arm)
        self._push = np.ascontiguousarray(np.moveaxis(model.directions, 2, 0))
        self._pull = np.array([model.joints(push) for push in self._push])
        self._search = self._make_cutter(is_arm, EVERYWHERE, FINE)
        self._again = self._make_cutter(is_arm, SOMEWHERE, COARSE)

    def measure(self, betas: Floats, *, scale: float, gender: float) -> dict[str, float]:
        """Wire name -> centimetres, NaN where a plane misses; `gender` 0 male to 1 female places the natural waist."""
        vertices = self.model.vertices(betas)
        return self._measure(vertices, self.model.joints(vertices), scale, gender, EVERYWHERE, self._search)[0]

    def measure_with_derivatives(
        self, betas: Floats, *, scale: float, gender: float, step: float
    ) -> tuple[dict[str, float], dict[str, Floats]]:
        """The same, and (10,) centimetres for each unit of a beta, by differences; the fullest levels stay theirs."""
        vertices = self.model.vertices(betas)
        joints = self.model.joints(vertices)
        measured, fullest = self._measure(vertices, joints, scale, gender, EVERYWHERE, self._search)
        before, _ = self._measure(vertices, joints, scale, gender, fullest, self._again)
        moved = [
            self._measure(vertices + step * push, joints + step * pull, scale, gender, fullest, self._again)[0]
            for push, pull in zip(self._push, self._pull, strict=True)
        ]
        slopes = {name: np.array([after[name] - before[name] for after in moved]) / step for name in before}
        return measured, slopes

    def _measure(
        self, vertices: Floats, joints: Floats, scale: float, gender: float, where: Fullest, cutter: Cutter
    ) -> tuple[dict[str, float], Fullest]:
        levels = self._levels(vertices)
        girths = cutter.girths(vertices, *self._planes(levels, joints, gender, where))
        found = where.found(girths)
        chest, hip = girths[: len(where.chest)], girths[len(where.chest) : len(where.chest) + len(where.hip)]
        waist, natural, thigh, neck, upper_arm = girths[len(where.chest) + len(where.hip) :]
        shoulders = vertices[ACROMION_LEFT] - vertices[ACROMION_RIGHT]
        elbow, wrist = joints[_joint("left_elbow")], joints[_joint("left_wrist")]
        lengths_m = {
            "chest_cm": chest.max(),
            "waist_cm": waist,
            "waist_natural_cm": natural,
            "hip_cm": hip.max(),
            "inseam_cm": levels.crotch - levels.floor,
            "shoulder_cm": abs(shoulders[0]),
            "neck_cm": neck,
            "upper_arm_cm": upper_arm,
            "thigh_cm": thigh,
            "arm_length_cm": np.linalg.norm(elbow - vertices[ACROMION_LEFT]) + np.linalg.norm(wrist - elbow),
            "torso_length_cm": vertices[CERVICALE, 1] - levels.crotch,
            "height_cm": levels.stature,
        }
        return {name: 100 * scale * float(length) for name, length in lengths_m.items()}, found

    def _levels(self, vertices: Floats) -> Levels:
        height = vertices[:, 1]
        floor, crown = float(height.min()), float(height.max())
        midline = height[self._midline]
        crotch = float(midline[midline > floor + CROTCH_ABOVE * (crown - floor)].min())
        return Levels(floor, crown - floor, crotch, float(height[NAVEL]), float(height[self._seam].min()))

    def _planes(self, levels: Levels, joints: Floats, gender: float, where: Fullest) -> tuple[Floats, Floats]:
        """(P, 3) points and (P, 3) normals, in the order in which `_measure` reads them."""
        low = levels.navel + CHEST_FROM * (levels.armpit - levels.navel)
        chest = low + where.chest * (levels.armpit - ONE_CM * levels.stature - low)
        bottom = levels.crotch + ONE_CM * levels.stature
        hip = bottom + where.hip * (levels.crotch + HIP_TO * (levels.navel - levels.crotch) - bottom)
        natural = levels.navel + self.definitions.waist_natural_level.at(gender) * levels.stature
        heights = [*chest, *hip, levels.navel, natural, levels.crotch - 3 * ONE_CM * levels.stature]
        neck, shoulder = _joint("neck"), _joint("left_shoulder")
        neck_line = joints[_joint("head")] - joints[neck]
        arm_line = joints[_joint("left_elbow")] - joints[shoulder]
        origins = [*np.outer(heights, UP), joints[neck] + NECK_AT * neck_line, joints[shoulder] + ARM_AT * arm_line]
        return np.array(origins), np.array([*[UP] * len(heights), neck_line, arm_line])

    def _make_cutter(self, is_arm: Bools, where: Fullest, directions: int) -> Cutter:
        """Edges for each plane of `_planes`: near to where it lies on the mean body, and of the right limb."""
        model = self.model
        centre = model.template[model.faces].mean(axis=1)
        joints = model.joints(model.template)
        origins, _ = self._planes(self._levels(model.template), joints, 0.5, where)
        *levels, neck, arm = origins
        stature = float(np.ptp(model.template[:, 1]))
        chosen = [~is_arm & (np.abs(centre[:, 1] - level[1]) < LEVEL_WINDOW_M) for level in levels]
        chosen[-1] &= centre[:, 0] > 0  # below the crotch, the left leg
        chosen.append(~is_arm & (np.linalg.norm(centre - neck, axis=1) < NECK_REACH * stature))
        chosen.append(np.linalg.norm(centre - arm, axis=1) < ARM_REACH * stature)
        return Cutter([edges_of(model.faces[part]) for part in chosen], directions)


def _joint(name: str) -> int:
    return JOINT_NAMES.index(name)
