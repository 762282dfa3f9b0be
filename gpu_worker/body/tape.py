"""The tape: thirteen measurements (and the calf) of a body in the rest pose, with exact derivatives.

Convention: metres and z up inside; centimetres and kilograms on the wire. Always measured with skinning off: a posed
arm or leg shifts girths by an unknown amount. Torso levels see no edge of the arms, hands included, else the "armpit"
is the wrist and the chest is read at the waist.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpu_worker.body.arrays import Bools, Edges, Floats, Ints, check_shape
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.section import Cut, Dual, Moving, Plane, cut, girth, girth_with_derivatives, still

DEFINITIONS = Path(__file__).with_name("tape_v1.json")

ARM_BONES = ("shoulder01", "upperarm", "lowerarm", "wrist", "metacarpal", "finger")
LEG_BONES = ("upperleg", "lowerleg", "foot", "toe")
HEAD_BONES = ("head", "neck", "eye")
FAR_BONES = ("head", "eye", "lowerleg", "foot", "toe")
"""No torso level comes near these; half the mesh's edges are theirs."""
NECK_BONES = ("neck01", "neck02", "neck03", "head", "spine01", "clavicle.L", "clavicle.R")

# Levels, each a share of stature or of the stretch between two landmarks, so that a scaled body scales its tape.
ONE_CM = 0.01 / 1.73
"""A centimetre on a person of 173 cm, as a share of stature."""
MIDLINE_M = 0.012
"""Half width of the strip, on the template, whose lowest trunk vertex is the crotch."""
CROTCH_ABOVE = 0.3
CHEST_FROM, CHEST_PLANES = 0.45, 7
"""Share of waist to armpit where the chest search starts; lower it would find the belly."""
HIP_TO, HIP_PLANES = 0.62, 8
"""Share of crotch to waist where the hip search ends; higher it would find the belly."""
NECK_AT, ARM_AT, CALF_AT = 0.45, 0.5, 0.72
"""Along neck01 to head, along the upper arm, and up the lower leg."""
NECK_REACH, ARM_REACH = 14 * ONE_CM, 15 * ONE_CM

WEIGHT_SPREAD = 0.03
"""Standard deviation between people of survey weight / mesh volume, as a share of its mean."""


@dataclass(frozen=True)
class BySex:
    """A fitted number for each sex, mixed by gender in between."""

    male: float
    female: float

    def at(self, gender: float) -> float:
        return (1 - gender) * self.male + gender * self.female


@dataclass(frozen=True)
class Definitions:
    """What turns a mesh reading into a published measurement; fitted on bodies solved from the ANSUR II survey.

    offset_cm           : published definition minus mesh reading, for the four that are not the mesh's own
    waist_natural_level : height of the natural waist (midway rib to iliac crest) over the navel, in statures
    density_kg_m3       : effective, survey weight / mesh volume: it corrects the shape model, not human tissue
    """

    offset_cm: Mapping[str, BySex]
    waist_natural_level: BySex
    density_kg_m3: BySex

    @classmethod
    def load(cls, path: Path = DEFINITIONS) -> "Definitions":
        """Written by `gpu_worker.training.fit_tape_definitions`."""
        record = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            {name: BySex(**pair) for name, pair in record["offset_cm"].items()},
            BySex(**record["waist_natural_level"]),
            BySex(**record["density_kg_m3"]),
        )


def edges_of(faces: Ints) -> Edges:
    """Every edge of some triangles once, (E, 2)."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.asfortranarray(np.unique(pairs, axis=0).astype(np.intp))


class Tape:
    """Measures bodies of one topology."""

    def __init__(self, body: CanonicalBody) -> None:
        self.body = body
        self.definitions = Definitions.load()
        names = self._dominant_bones()
        arm, leg, head = (_starts(names, bones) for bones in (ARM_BONES, LEG_BONES, HEAD_BONES))
        left = np.array([name.endswith(".L") for name in names])
        faces = body.faces
        self._torso = edges_of(faces[(~(arm | _starts(names, FAR_BONES)))[faces].all(axis=1)])
        self._left_leg = edges_of(faces[(leg & left)[faces].any(axis=1)])
        self._left_arm = edges_of(faces[(arm & left)[faces].all(axis=1)])
        self._neck = edges_of(faces[np.isin(names, NECK_BONES)[faces].all(axis=1)])
        self._seam = np.unique(faces[arm[faces].any(axis=1) & (~arm)[faces].any(axis=1)]).astype(np.int32)
        self._midline = np.flatnonzero((np.abs(body.template[:, 0]) < MIDLINE_M) & ~head & ~arm)

    def measure(self, vertices: Floats, bone_heads: Floats, *, gender: float) -> dict[str, float]:
        """Wire name -> centimetres or kilograms of a body at rest; `gender` 0 male to 1 female picks the offsets."""
        reading = self.measure_with_derivatives(still(vertices), still(bone_heads), gender=gender)
        return {name: float(dual.value) for name, dual in reading.items()}

    def measure_with_derivatives(self, vertices: Moving, bone_heads: Moving, *, gender: float) -> dict[str, Dual]:
        """The same, with the derivative of each measurement by whatever moves the vertices."""
        check_shape(vertices.at, (self.body.vertex_count, 3), "vertices")
        check_shape(bone_heads.at, (len(self.body.bone_names), 3), "bone_heads")
        lengths = self.mesh_lengths(vertices, bone_heads, gender=gender)
        measured = {f"{name}_cm": length * 100 for name, length in lengths.items()}
        for name, offset in self.definitions.offset_cm.items():
            measured[name] = measured[name].plus(offset.at(gender))
        density = self.definitions.density_kg_m3.at(gender)
        return {**measured, "weight_kg": volume(vertices, self.body.faces) * density}

    def mesh_lengths(self, vertices: Moving, heads: Moving, *, gender: float) -> dict[str, Dual]:
        """Metres as read on the mesh, without definition offsets."""
        floor = _lowest(vertices, np.arange(len(vertices.at), dtype=np.int32))
        crown = vertices.coordinate(int(vertices.at[:, 2].argmax()), 2)
        stature = crown - floor
        crotch = self.crotch_level(vertices)
        navel = self.navel_level(vertices)
        natural = navel + stature * self.definitions.waist_natural_level.at(gender)
        return {
            "chest": self._chest(vertices, navel, stature),
            "waist": self._level_girth(vertices, self._torso, navel),
            "waist_natural": self._level_girth(vertices, self._torso, natural),
            "hip": self._hip(vertices, navel, crotch, stature),
            "inseam": crotch - floor,
            "shoulder": heads.coordinate(self.body.bone("upperarm01.L"), 0) * 2,
            "neck": self._bone_girth(
                vertices, heads, self._neck, ("neck01", "head"), NECK_AT, NECK_REACH * stature.value
            ),
            "upper_arm": self._bone_girth(
                vertices, heads, self._left_arm, ("upperarm01.L", "lowerarm01.L"), ARM_AT, ARM_REACH * stature.value
            ),
            "thigh": self._level_girth(vertices, self._left_leg, crotch - stature * (3 * ONE_CM)),
            "arm_length": self._bone(heads, "upperarm01.L", "lowerarm01.L")
            + self._bone(heads, "lowerarm01.L", "wrist.L"),
            "torso_length": heads.coordinate(self.body.bone("neck01"), 2) - crotch,
            "height": stature,
            "calf": self._level_girth(
                vertices,
                self._left_leg,
                floor + (heads.coordinate(self.body.bone("lowerleg01.L"), 2) - floor) * CALF_AT,
            ),
        }

    def crotch_level(self, vertices: Moving) -> Dual:
        """Lowest vertex of the trunk on the midline."""
        heights = vertices.at[self._midline, 2]
        lowest, highest = vertices.at[:, 2].min(), vertices.at[:, 2].max()
        trunk = self._midline[heights > lowest + CROTCH_ABOVE * (highest - lowest)]
        return _lowest(vertices, trunk.astype(np.int32))

    def navel_level(self, vertices: Moving) -> Dual:
        """Height of the navel: where the survey reads its waist."""
        return vertices.mean_coordinate(self.body.navel_vertices, self.body.navel_weights, 2)

    def armpit_level(self, vertices: Moving) -> Dual:
        """Lowest vertex of the seam between arm and torso."""
        return _lowest(vertices, self._seam)

    def _chest(self, vertices: Moving, navel: Dual, stature: Dual) -> Dual:
        armpit = self.armpit_level(vertices)
        start = navel + (armpit - navel) * CHEST_FROM
        return self._fullest(vertices, start, armpit - stature * ONE_CM, CHEST_PLANES)

    def _hip(self, vertices: Moving, navel: Dual, crotch: Dual, stature: Dual) -> Dual:
        end = crotch + (navel - crotch) * HIP_TO
        return self._fullest(vertices, crotch + stature * ONE_CM, end, HIP_PLANES)

    def _fullest(self, vertices: Moving, low: Dual, high: Dual, planes: int) -> Dual:
        """Largest horizontal girth of the torso among evenly spaced levels."""
        levels = [low + (high - low) * share for share in np.linspace(0, 1, planes)]
        sections = [cut(vertices.at, self._torso, Plane.level(level)) for level in levels]
        return girth_with_derivatives(max(sections, key=girth), vertices)

    def _level_girth(self, vertices: Moving, edges: Edges, level: Dual) -> Dual:
        return girth_with_derivatives(cut(vertices.at, edges, Plane.level(level)), vertices)

    def _bone_girth(
        self, vertices: Moving, heads: Moving, edges: Edges, bones: tuple[str, str], share: float, reach: float
    ) -> Dual:
        """Girth square to a bone, of what lies nearer to it than `reach` metres."""
        plane, centre = Plane.across(heads, self.body.bone(bones[0]), self.body.bone(bones[1]), share)
        section: Cut = cut(vertices.at, edges, plane).within(reach, centre)
        return girth_with_derivatives(section, vertices)

    def _bone(self, heads: Moving, start: str, end: str) -> Dual:
        return heads.distance(self.body.bone(start), self.body.bone(end))

    def _dominant_bones(self) -> list[str]:
        heaviest = self.body.skin_weights.argmax(axis=1)
        bones = np.take_along_axis(self.body.skin_bones, heaviest[:, None], axis=1)[:, 0]
        return [self.body.bone_names[bone] for bone in bones]


def volume(vertices: Moving, faces: Ints) -> Dual:
    """Enclosed volume by signed tetrahedra, m³, and its derivatives. The mesh must be closed."""
    x, y, z = np.ascontiguousarray(vertices.at.T)
    a, b, c = np.ascontiguousarray(faces.T.astype(np.intp))
    opposite_a = _cross(b, c, x, y, z)
    value = float(x[a] @ opposite_a[0] + y[a] @ opposite_a[1] + z[a] @ opposite_a[2]) / 6
    if not len(vertices.by):
        return Dual(value, np.zeros(0))
    push = np.zeros_like(vertices.at)
    areas = (opposite_a, _cross(c, a, x, y, z), _cross(a, b, x, y, z))
    for corner, area in zip((a, b, c), areas, strict=True):
        for axis in range(3):
            push[:, axis] += np.bincount(corner, weights=area[axis], minlength=len(push))
    return Dual(value, vertices.by.reshape(len(vertices.by), -1) @ push.reshape(-1) / 6)


def _cross(p: Edges, q: Edges, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
    """Coordinates of p × q for vertices p and q of each face."""
    return y[p] * z[q] - z[p] * y[q], z[p] * x[q] - x[p] * z[q], x[p] * y[q] - y[p] * x[q]


def _lowest(vertices: Moving, among: Ints) -> Dual:
    return vertices.coordinate(int(among[vertices.at[among, 2].argmin()]), 2)


def _starts(names: Iterable[str], prefixes: tuple[str, ...]) -> Bools:
    return np.array([name.startswith(prefixes) for name in names])
