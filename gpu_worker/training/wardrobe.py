"""Simulated clothes for training pictures: close-fitting parts follow the skin, hanging parts are tubes about it.

A tube is a stack of rings: the convex hull of the body at a level, plus the garment's ease, and never much narrower
than the ring above it, because cloth bridges hollows instead of following them (a shirt hides the waist).

Convention: metres, z up, feet at z = 0, facing -y, in the pose that will be drawn. Colours are RGB, 0 to 255.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.training.render import Mesh, join, normals

Bottom = Literal["trousers", "skirt"]

RING_POINTS = 40
LEVEL_STEP_M = 0.035
SEAM_OVERLAP_M = 0.012
"""How far a tube reaches over the skin that is left away beneath it."""

LAYER_GAP_M = 0.004
WRINKLE_SHARE = 0.18
"""Depth of wrinkles as a share of the garment's ease."""

SHOULDER_EASE_LIMIT_M = 0.008
SLEEVE_EASE_LIMIT_M = 0.035
"""Cloth lies on the shoulders whatever its size, and hangs off the arms only so far."""

SHOE_EASE_M = 0.007
MIDDLE_M = 0.012
"""Half width of the strip of trunk vertices among which the crotch is the lowest."""

HEAD_TOP_SHARE = 0.25
"""The hairline, from the crown, as a share of the head's height."""


@dataclass(frozen=True)
class Outfit:
    """What somebody wears; lengths in metres.

    top_ease, bottom_ease   : between skin and cloth
    top_taper, bottom_taper : how much narrower a hanging ring may get for each metre downwards (negative flares out)
    top_hem, bottom_hem     : levels, as shares of the way from the crotch to the navel (top), to the floor (bottom, 1)
    sleeves                 : 0 none, 1 to the elbow, 2 to the wrist
    crotch_drop             : how far trousers join below the body's crotch
    hair, sole              : added height
    hair_length             : how far hair hangs below the chin; 0 for short hair
    is_hanging              : False draws everything close to the skin (people who do not stand)
    """

    top_ease: float = 0.01
    bottom_ease: float = 0.01
    top_taper: float = 0.2
    bottom_taper: float = 0.1
    top_hem: float = 0.1
    bottom_hem: float = 0.93
    bottom: Bottom = "trousers"
    sleeves: int = 1
    crotch_drop: float = 0.02
    hair: float = 0.015
    sole: float = 0.02
    hair_length: float = 0.0
    is_hanging: bool = True
    skin_colour: tuple[float, float, float] = (198.0, 150.0, 124.0)
    top_colour: tuple[float, float, float] = (70.0, 90.0, 140.0)
    bottom_colour: tuple[float, float, float] = (50.0, 55.0, 70.0)
    shoe_colour: tuple[float, float, float] = (40.0, 40.0, 40.0)
    hair_colour: tuple[float, float, float] = (50.0, 38.0, 30.0)


@dataclass(frozen=True, eq=False)
class Regions:
    """Which vertices of the canonical body belong to which part, by the bone that moves them most.

    soft : part -> (V,) membership from 0 to 1 with a soft border
    """

    trunk: Bools
    leg: Bools
    foot: Bools
    head: Bools
    soft: dict[str, Floats]
    body_edges: Ints
    left_edges: Ints
    right_edges: Ints
    armpit: Ints
    crotch: int
    navel: Ints

    @classmethod
    def of(cls, body: CanonicalBody) -> "Regions":
        strongest = np.take_along_axis(body.skin_bones.astype(int), body.skin_weights.argmax(1)[:, None], 1)[:, 0]
        name = np.array(body.bone_names)[strongest]

        def moved_by(*prefixes: str) -> Bools:
            return np.array([n.startswith(prefixes) for n in name])

        trunk = moved_by("root", "pelvis", "spine", "clavicle", "shoulder01")
        arm = moved_by("shoulder01", "upperarm", "lowerarm", "wrist", "finger", "metacarpal")
        leg = moved_by("upperleg", "lowerleg")
        foot = moved_by("foot", "toe")
        head = moved_by("head", "eye")
        left = np.array([n.endswith(".L") for n in name])
        parts = {
            "trunk": trunk,
            "leg": leg,
            "foot": foot,
            "upper_arm": moved_by("upperarm"),
            "lower_arm": moved_by("lowerarm"),
            "scalp": _scalp(body, head),
        }
        faces = body.faces
        middle = np.flatnonzero((np.abs(body.template[:, 0]) < MIDDLE_M) & trunk)
        return cls(
            trunk=trunk,
            leg=leg,
            foot=foot,
            head=head,
            soft={part: _soft(member, faces) for part, member in parts.items()},
            body_edges=_edges(faces[(~arm[faces]).all(1)]),
            left_edges=_edges(faces[((leg | foot) & left)[faces].all(1)]),
            right_edges=_edges(faces[((leg | foot) & ~left)[faces].all(1)]),
            armpit=np.unique(faces[arm[faces].any(1) & ~arm[faces].all(1)]).astype(np.int32),
            crotch=int(middle[body.template[middle, 2].argmin()]),
            navel=body.navel_vertices,
        )


def _scalp(body: CanonicalBody, head: Bools) -> Bools:
    """Head vertices under hair: the crown, and the back down to the neck."""
    low, high = body.template[head, 2].min(), body.template[head, 2].max()
    from_crown = (high - body.template[:, 2]) / (high - low)
    front, back = body.template[head, 1].min(), body.template[head, 1].max()
    is_back = body.template[:, 1] > front + 0.62 * (back - front)
    scalp: Bools = head & ((from_crown < HEAD_TOP_SHARE) | (is_back & (from_crown < 0.75)))
    return scalp


def _edges(faces: Ints) -> Ints:
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0).astype(np.int32)


def dress(body: CanonicalBody, regions: Regions, posed: Floats, outfit: Outfit, rng: np.random.Generator) -> Mesh:
    """The posed body in its clothes, as one coloured mesh standing on the floor."""
    close, colours = _close_fitting(body, regions, posed, outfit)
    meshes = [Mesh(close, _visible_faces(body, regions, posed, outfit), colours)]
    if outfit.is_hanging:
        meshes += _hanging(regions, posed, outfit, rng)
    if outfit.hair_length > 0:
        meshes.append(_long_hair(regions, posed, outfit))
    dressed = join(meshes)
    return Mesh(dressed.vertices - [0.0, 0.0, dressed.vertices[:, 2].min()], dressed.faces, dressed.colours)


def _soft(part: Bools, faces: Ints) -> Floats:
    """A part's membership, blurred over three rings of neighbours so that cloth ends without a step."""
    weight = part.astype(np.float64)
    corners = faces.reshape(-1)
    degree = np.maximum(np.bincount(corners, minlength=len(part)), 1)
    for _ in range(3):
        weight = np.bincount(corners, np.repeat(weight[faces].mean(axis=1), 3), len(part)) / degree
    return weight


def _close_fitting(body: CanonicalBody, regions: Regions, posed: Floats, outfit: Outfit) -> tuple[Floats, Floats]:
    """Vertices moved out by cloth, hair and shoes that follow the skin, and their colours."""
    colours = np.tile(np.array(outfit.skin_colour), (len(posed), 1))
    offset = np.zeros(len(posed))
    shoulder_ease = min(outfit.top_ease, SHOULDER_EASE_LIMIT_M) if outfit.is_hanging else outfit.top_ease
    sleeve_ease = min(outfit.top_ease + 0.003, SLEEVE_EASE_LIMIT_M)
    covered_leg = _levels(regions, posed).leg_share(posed[:, 2]) <= outfit.bottom_hem
    worn = [
        (regions.soft["leg"] * covered_leg, outfit.bottom_ease, outfit.bottom_colour),
        (regions.soft["trunk"], shoulder_ease, outfit.top_colour),
        (regions.soft["upper_arm"] * (outfit.sleeves >= 1), sleeve_ease, outfit.top_colour),
        (regions.soft["lower_arm"] * (outfit.sleeves >= 2), min(sleeve_ease, 0.02), outfit.top_colour),
        (regions.soft["foot"] * (outfit.sole > 0), SHOE_EASE_M, outfit.shoe_colour),
        (regions.soft["scalp"], outfit.hair, outfit.hair_colour),
    ]
    for weight, ease, colour in worn:
        offset = np.maximum(offset, weight * ease)
        colours[weight > 0.5] = colour
    moved = posed + normals(posed, body.faces) * offset[:, None]
    if outfit.sole > 0:
        moved[regions.foot & (posed[:, 2] < 0.05), 2] -= outfit.sole
    return moved, colours


@dataclass(frozen=True)
class _Levels:
    """Heights of the posed body, metres."""

    armpit: float
    navel: float
    crotch: float

    def hem(self, share: float) -> float:
        """Level of a top's hem: 0 at the crotch, 1 at the navel."""
        return self.crotch + share * (self.navel - self.crotch)

    def leg_share(self, z: Floats) -> Floats:
        return (self.crotch - z) / self.crotch


def _levels(regions: Regions, posed: Floats) -> _Levels:
    return _Levels(
        armpit=float(np.quantile(posed[regions.armpit, 2], 0.05)),
        navel=float(posed[regions.navel, 2].mean()),
        crotch=float(posed[regions.crotch, 2]),
    )


def _visible_faces(body: CanonicalBody, regions: Regions, posed: Floats, outfit: Outfit) -> Ints:
    """Faces of the body that no tube hides."""
    if not outfit.is_hanging:
        return body.faces
    levels = _levels(regions, posed)
    bottom_end = min(levels.crotch * (1 - outfit.bottom_hem), levels.hem(outfit.top_hem))
    z = posed[:, 2]
    under_tube = z < levels.armpit - SEAM_OVERLAP_M
    under_tube &= z > bottom_end + SEAM_OVERLAP_M
    hidden = under_tube & (regions.trunk | regions.leg)
    return body.faces[~hidden[body.faces].all(axis=1)]


def _hanging(regions: Regions, posed: Floats, outfit: Outfit, rng: np.random.Generator) -> list[Mesh]:
    """Tubes of the top and the bottom."""
    levels = _levels(regions, posed)
    hem = levels.hem(outfit.top_hem)
    bottom_end = levels.crotch * (1 - outfit.bottom_hem)
    is_dress = hem < bottom_end
    outer_ease = max(outfit.top_ease, outfit.bottom_ease + LAYER_GAP_M) if outfit.bottom_ease < 0.02 else None
    top_ease = outfit.top_ease if is_dress or outer_ease is None else outer_ease
    meshes = [_tube(posed, regions.body_edges, levels.armpit, hem, top_ease, outfit.top_taper, outfit.top_colour, rng)]
    if is_dress:
        return meshes
    waistband = hem + SEAM_OVERLAP_M
    if outfit.bottom == "skirt":
        span = (waistband, bottom_end)
        return [*meshes, _bottom_tube(posed, regions.body_edges, span, outfit, rng)]
    fork = levels.crotch - outfit.crotch_drop
    if waistband > fork:
        meshes.append(_bottom_tube(posed, regions.body_edges, (waistband, fork), outfit, rng))
    legs = (fork + SEAM_OVERLAP_M, bottom_end)
    return meshes + [
        _bottom_tube(posed, edges, legs, outfit, rng) for edges in (regions.left_edges, regions.right_edges)
    ]


def _bottom_tube(
    posed: Floats, edges: Ints, span: tuple[float, float], outfit: Outfit, rng: np.random.Generator
) -> Mesh:
    return _tube(posed, edges, span[0], span[1], outfit.bottom_ease, outfit.bottom_taper, outfit.bottom_colour, rng)


def _tube(
    posed: Floats,
    edges: Ints,
    top: float,
    end: float,
    ease: float,
    taper: float,
    colour: tuple[float, float, float],
    rng: np.random.Generator,
) -> Mesh:
    """Rings from level `top` down to level `end` about what `edges` cut there."""
    count = max(2, int(np.ceil((top - end) / LEVEL_STEP_M)) + 1)
    heights = np.linspace(top, end, count)
    angles = np.linspace(0.0, 2 * np.pi, RING_POINTS, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    wrinkles = _wrinkles(count, rng) * ease * WRINKLE_SHARE
    rings: list[Floats] = []
    radii = np.zeros(RING_POINTS)
    for height, wrinkle in zip(heights, wrinkles, strict=True):
        points = _section(posed, edges, height)
        if len(points) < 3:
            continue
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
        step = taper * (heights[0] - heights[1])
        radii = np.maximum(_hull_radii(points, centre, directions) + ease, radii - step)
        ring = centre + directions * (radii + wrinkle)[:, None]
        rings.append(np.column_stack([ring, np.full(RING_POINTS, height)]))
    return Mesh(np.concatenate(rings), _strip(len(rings)), np.tile(np.array(colour), (len(rings) * RING_POINTS, 1)))


def _section(points: Floats, edges: Ints, height: float) -> Floats:
    """(n, 2) where the edges cross the level."""
    above = points[:, 2] - height
    start, end = above[edges[:, 0]], above[edges[:, 1]]
    crossing = start * end < 0
    share = (start[crossing] / (start[crossing] - end[crossing]))[:, None]
    a, b = points[edges[crossing, 0], :2], points[edges[crossing, 1], :2]
    return a + share * (b - a)


def _hull_radii(points: Floats, centre: Floats, directions: Floats) -> Floats:
    """Distance from `centre` to the convex hull of `points` along each direction."""
    hull = cv2.convexHull((points - centre).astype(np.float32))[:, 0].astype(np.float64)
    along = np.roll(hull, -1, axis=0) - hull
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)
    outward *= np.sign((outward * hull).sum(axis=1, keepdims=True))
    reach = (outward * hull).sum(axis=1)
    facing = directions @ outward.T
    distance: Floats = np.where(facing > 1e-9, reach / np.maximum(facing, 1e-9), np.inf).min(axis=1)
    return distance


def _wrinkles(count: int, rng: np.random.Generator) -> Floats:
    """(count, RING_POINTS) smooth noise of unit size that closes around the ring."""
    coarse = rng.normal(size=(max(2, count // 3), RING_POINTS // 4)).astype(np.float32)
    wrapped = np.hstack([coarse[:, -2:], coarse, coarse[:, :2]])
    fine = cv2.resize(wrapped, (wrapped.shape[1] * 4, count), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine[:, 8 : 8 + RING_POINTS], np.float64)


def _strip(rings: int) -> Ints:
    """Triangles between successive rings, wound so that they face outwards when rings go downwards."""
    level, point = np.meshgrid(np.arange(rings - 1), np.arange(RING_POINTS), indexing="ij")
    upper = (level * RING_POINTS + point).ravel()
    upper_next = (level * RING_POINTS + (point + 1) % RING_POINTS).ravel()
    lower, lower_next = upper + RING_POINTS, upper_next + RING_POINTS
    faces = np.concatenate([np.stack([upper, lower, upper_next], 1), np.stack([upper_next, lower, lower_next], 1)])
    return faces.astype(np.int32)


def _long_hair(regions: Regions, posed: Floats, outfit: Outfit) -> Mesh:
    """Hair behind the face, from the crown down past the chin."""
    head = posed[regions.head]
    low, high = head[:, 2].min(), head[:, 2].max()
    half_width = (head[:, 0].max() - head[:, 0].min()) / 2
    centre = np.array([head[:, 0].mean(), head[:, 1].max() - 0.06])
    heights = np.linspace(high + outfit.hair, low - outfit.hair_length, 14)
    angles = np.linspace(0.0, 2 * np.pi, RING_POINTS, endpoint=False)
    rings = []
    for height in heights:
        dome = np.sqrt(np.clip(1 - ((height - high + 0.09) / (0.09 + outfit.hair)) ** 2, 0.02, 1.0))
        swell = dome if height > high - 0.09 else 1.0
        width = (half_width + outfit.hair + 0.005) * swell
        depth = 0.075 * swell
        rings.append(
            np.column_stack(
                [
                    centre[0] + width * np.cos(angles),
                    centre[1] + depth * np.sin(angles),
                    np.full(RING_POINTS, height),
                ]
            )
        )
    return Mesh(np.concatenate(rings), _strip(len(rings)), np.tile(np.array(outfit.hair_colour), (14 * RING_POINTS, 1)))
