"""What a garment needs to know of one body, computed once and shared by all its garments and sizes.

Everything follows from the vertices alone, so that a body kept in half precision serves as well as a fresh one.

Convention: metres, z up, facing -y, x > 0 the wearer's left; rest pose.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpu_worker.body.arrays import Bools, Edges, Floats, Ints, check_shape
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.section import still
from gpu_worker.body.tape import Definitions, Tape, edges_of
from gpu_worker.garments.support import CIRCLE, DIRECTIONS, at, girth, section_supports

LEVEL_STEP_M = 0.01
SAGITTAL_REACH_M, SAGITTAL_PLANES = 0.26, 53
ARM_PLANES = 48
LEG_PLANES = 90
ARM, FOREARM, HAND = ("upperarm", "shoulder01"), ("lowerarm",), ("wrist", "finger", "metacarpal")
LEG, FOOT = ("upperleg", "lowerleg", "foot", "toe"), ("foot", "toe")
FACE = ("eye", "jaw", "tongue", "levator", "oculi", "orbicularis", "oris", "risorius", "special", "temporalis")
HEAD = ("head", "neck02", "neck03", *FACE)
FOOT_M = 0.07
"""Height of the foot, below which a leg has no section."""
ARM_REACH_M = 0.14
"""What lies further from the arm's axis is the trunk."""
ELBOW_BLEND = 0.06
"""Half the stretch, along the arm, over which section planes turn from the upper to the lower arm."""


def share_of(body: CanonicalBody, prefixes: tuple[str, ...], side: str = "") -> Floats:
    """(V,) skinning weight on the bones of these names."""
    chosen = np.array([name.startswith(prefixes) and name.endswith(side) for name in body.bone_names])
    total: Floats = (body.skin_weights * chosen[body.skin_bones]).sum(axis=1).astype(np.float64)
    return total


@dataclass(frozen=True, eq=False)
class Regions:
    """Which edges and vertices of the canonical topology belong to what; the same for every body."""

    faces: Ints
    torso: Edges
    yoke: Edges
    arms: dict[str, Edges]
    legs: dict[str, Edges]
    joints: dict[str, Ints]
    """Vertices whose mean lies in the joint between two bones."""
    armpit: Ints
    hidden: Bools
    """(F,) eyes, mouth, fingers and toes: cloth never meets them."""

    @classmethod
    def of(cls, body: CanonicalBody) -> "Regions":
        arm = share_of(body, (*ARM, *FOREARM, *HAND))
        shoulder = share_of(body, ("upperarm01",))
        head, leg = share_of(body, HEAD), share_of(body, LEG)
        faces = body.faces
        far = (share_of(body, (*FOREARM, *HAND)) > 0.3) | (head > 0.6) | (leg > 0.5)
        return cls(
            faces=faces,
            torso=edges_of(faces[((arm < 0.5) & (head < 0.5))[faces].all(axis=1)]),
            yoke=edges_of(faces[(~far)[faces].all(axis=1)]),
            arms={
                side: edges_of(faces[(share_of(body, ("upperarm", *FOREARM, *HAND), side) > 0.3)[faces].all(axis=1)])
                for side in (".L", ".R")
            },
            legs={side: edges_of(faces[(share_of(body, LEG, side) > 0.5)[faces].all(axis=1)]) for side in (".L", ".R")},
            joints=_joints(body),
            armpit=np.flatnonzero((shoulder > 0.2) & (shoulder < 0.6)).astype(np.int32),
            hidden=np.asarray((share_of(body, ("finger", "toe", "eye", "tongue")) > 0.5)[faces].any(axis=1)),
        )


def _joints(body: CanonicalBody) -> dict[str, Ints]:
    ends = {
        "shoulder": (("shoulder01",), ("upperarm01",)),
        "elbow": (("upperarm02",), ("lowerarm01",)),
        "wrist": (("lowerarm02",), ("wrist",)),
        "knee": (("upperleg02",), ("lowerleg01",)),
        "ankle": (("lowerleg02",), ("foot",)),
    }
    found = {}
    for name, (upper, lower) in ends.items():
        for side in (".L", ".R"):
            both = np.minimum(share_of(body, upper, side), share_of(body, lower, side))
            found[name + side] = np.flatnonzero(both > 0.25).astype(np.int32)
    return found


@dataclass(frozen=True, eq=False)
class Tube:
    """Sections of one limb along its axis.

    origin, normal : (L, 3) where each section's plane stands
    first, second  : (L, 3) its axes
    support        : (L, D) about `origin`
    along          : (L,) distance from the limb's start
    """

    along: Floats
    origin: Floats
    normal: Floats
    first: Floats
    second: Floats
    support: Floats

    @property
    def axes(self) -> Floats:
        """(3, 3) where the limb begins: its sections' axes and, third, its own, as columns."""
        return np.stack([self.first[0], self.second[0], self.normal[0]], axis=1)


class BodyTables:
    """Sections and landmarks of one body."""

    def __init__(self, body: CanonicalBody, regions: Regions, tape: Tape, vertices: Floats) -> None:
        check_shape(vertices, (body.vertex_count, 3), "vertices")
        self.vertices = vertices
        self.regions = regions
        self.floor = float(vertices[:, 2].min())
        self.stature = float(np.ptp(vertices[:, 2]))
        moving = still(vertices)
        self.crotch = tape.crotch_level(moving).value
        self.navel = tape.navel_level(moving).value
        self.waist = self.navel + self.stature * Definitions.load().waist_natural_level.at(0.5)
        self.armpit = tape.armpit_level(moving).value
        self.joint = {name: vertices[rows].mean(axis=0) for name, rows in regions.joints.items()}
        top = self.joint["shoulder.L"][2] + 0.1
        self.levels = np.arange(self.floor + 0.03, top, LEVEL_STEP_M)
        self.torso, _ = section_supports(vertices[:, 2], vertices[:, :2], regions.torso, self.levels)
        self.torso_girth = girth(self.torso)
        self.hip = self._fullest(self.crotch + 0.01, self.crotch + 0.62 * (self.navel - self.crotch))

    def _fullest(self, low: float, high: float) -> float:
        rows = np.flatnonzero((self.levels >= low) & (self.levels <= high))
        return float(self.levels[rows[self.torso_girth[rows].argmax()]])

    def torso_at(self, heights: Floats) -> Floats:
        """(n, D) supports of trunk and legs together."""
        return at(self.levels, self.torso, heights)

    def girth_at(self, heights: Floats) -> Floats:
        """(n,) girths of the trunk, below the crotch of both legs together."""
        return np.interp(heights, self.levels, self.torso_girth)

    @cached_property
    def sagittal(self) -> tuple[Floats, Floats]:
        """Planes x (S,) and supports (S, D) in (y, z) about `yoke_origin`, of what lies above the armpit."""
        planes = np.linspace(-SAGITTAL_REACH_M, SAGITTAL_REACH_M, SAGITTAL_PLANES)
        low = self.armpit - 0.05
        neck = self.joint["shoulder.L"][2]
        points = self.vertices
        edges = self.regions.yoke[(points[self.regions.yoke, 2] > low).all(axis=1)]
        collar = neck + 0.10 + 0.55 * np.maximum(points[:, 1] - self.joint["shoulder.L"][1] + 0.02, -0.15)
        edges = edges[(points[edges, 2] < collar[edges]).all(axis=1)]
        across = points[:, 1:] - self.yoke_origin
        support, _ = section_supports(points[:, 0], across, edges, planes)
        return planes, support

    @cached_property
    def yoke_origin(self) -> Floats:
        """(2,) y and z about which the yoke's profiles are seen, between armpit and shoulder joint."""
        joint = (self.joint["shoulder.L"] + self.joint["shoulder.R"]) / 2
        return np.array([joint[1], 0.35 * self.armpit + 0.65 * joint[2]])

    @cached_property
    def arms(self) -> dict[str, Tube]:
        return {side: self._arm(side) for side in (".L", ".R")}

    def _arm(self, side: str) -> Tube:
        shoulder, elbow, wrist = (self.joint[name + side] for name in ("shoulder", "elbow", "wrist"))
        upper, lower = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow)
        along = np.linspace(0.0, upper + lower, ARM_PLANES)
        turn = _ease((along - upper) / (ELBOW_BLEND * 2) + 0.5)[:, None]
        normal = (elbow - shoulder) / upper * (1 - turn) + (wrist - elbow) / lower * turn
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        step = along[1] - along[0]
        path = shoulder + np.concatenate([np.zeros((1, 3)), np.cumsum((normal[1:] + normal[:-1]) / 2 * step, axis=0)])
        return self._tube(self.regions.arms[side], along, path, normal)

    def _tube(self, edges: Edges, along: Floats, origin: Floats, normal: Floats) -> Tube:
        """Axes: the second points up as far as the plane allows, the first is square to it."""
        up = np.array([0.0, 0.0, 1.0])
        second = up - normal * (normal @ up)[:, None]
        second /= np.linalg.norm(second, axis=1, keepdims=True)
        first = np.cross(second, normal)
        used, place = np.unique(edges, return_inverse=True)
        place = place.reshape(edges.shape)
        points = self.vertices[used]
        height = points @ normal.T - (origin * normal).sum(axis=1)
        rows = np.zeros((len(along), DIRECTIONS))
        for level in range(len(along)):
            rows[level] = _section(points, place, height[:, level], origin[level], first[level], second[level])
        return Tube(along, origin, normal, first, second, _filled(rows))

    @cached_property
    def legs(self) -> dict[str, tuple[Floats, Floats]]:
        """Levels (L,) upwards and supports (L, D) about the world's axis, of each leg below the crotch."""
        levels = np.linspace(self.floor + FOOT_M, self.crotch - 0.004, LEG_PLANES)
        points = self.vertices
        return {
            side: (levels, section_supports(points[:, 2], points[:, :2], edges, levels)[0])
            for side, edges in self.regions.legs.items()
        }

    @cached_property
    def arm_inner(self) -> tuple[Floats, Floats]:
        """Levels (L,) upwards and how far from the middle (L,) the arms begin there; infinite where there are none."""
        levels = self.levels
        planes = np.full(len(levels), np.inf)
        for side, sign in ((".L", 1.0), (".R", -1.0)):
            points = self.vertices * np.array([sign, 1.0, 1.0])
            support, cut = section_supports(points[:, 2], points[:, :2], self.regions.arms[side], levels)
            inner = np.where(cut, -support[:, DIRECTIONS // 2], np.inf)
            planes = np.minimum(planes, inner)
        return levels, planes


def _section(points: Floats, edges: Edges, height: Floats, origin: Floats, first: Floats, second: Floats) -> Floats:
    """(D,) support of one section; zeros when the plane cuts nothing."""
    low, high = height[edges[:, 0]], height[edges[:, 1]]
    crossing = (low > 0) != (high > 0)
    if not crossing.any():
        return np.zeros(DIRECTIONS)
    pair, low, high = edges[crossing], low[crossing], high[crossing]
    share = (low / (low - high))[:, None]
    cut = points[pair[:, 0]] * (1 - share) + points[pair[:, 1]] * share - origin
    flat = np.stack([cut @ first, cut @ second], axis=1)
    near = np.linalg.norm(flat, axis=1) < ARM_REACH_M
    if not near.any():
        return np.zeros(DIRECTIONS)
    support: Floats = (flat[near] @ CIRCLE).max(axis=0)
    return support


def _filled(rows: Floats) -> Floats:
    cut = np.flatnonzero(rows.any(axis=1))
    nearest = cut[np.abs(np.arange(len(rows))[:, None] - cut).argmin(axis=1)]
    filled: Floats = rows[nearest]
    return filled


def _ease(x: Floats) -> Floats:
    share = np.clip(x, 0.0, 1.0)
    return share * share * (3 - 2 * share)
