"""Pictures of clothed people for training, for the accuracy table, for tests and for the demo.

`python -m gpu_worker.training.scenes --out FILE.jpg --seed 7 --sex male --height-cm 178 --weight-kg 74`
draws one person. Nothing here is a photograph.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.body.canonical import CanonicalBody, Shape
from gpu_worker.body.solve import Solver
from gpu_worker.body.tape import Tape
from gpu_worker.contract import MEASUREMENTS, Sex
from gpu_worker.estimators.questionnaire import Facts, estimate
from gpu_worker.training.render import Camera, Picture, frame_person, paint
from gpu_worker.training.wardrobe import Outfit, Regions, dress

SKINS = ((224, 178, 150), (240, 200, 175), (198, 150, 124), (150, 105, 80), (100, 70, 52))
HAIRS = ((25, 20, 18), (60, 42, 30), (110, 80, 50), (170, 140, 95), (120, 118, 115))
JPEG_QUALITY = (60, 96)

TIGHT_SHARE, REGULAR_SHARE = 0.3, 0.5
"""How many clothes are tight and ordinary; the rest is loose. Guess, as are all distributions here."""


@dataclass(frozen=True)
class Stance:
    """How somebody stands before the camera; degrees.

    arm_down, elbow : per side (left, right); arm_down from the rest pose, in which arms hang about 45° out
    leg_close       : both legs towards each other from the rest pose
    turn            : about the vertical: 0 faces the camera, 90 shows a side
    extra           : further bone rotations, (3, 3) each
    """

    arm_down: tuple[float, float] = (15.0, 15.0)
    arm_forward: tuple[float, float] = (0.0, 0.0)
    elbow: tuple[float, float] = (10.0, 10.0)
    leg_close: float = 3.0
    lean: float = 0.0
    turn: float = 0.0
    extra: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Shot:
    """Where the camera is and how the picture is taken; see `frame_person`."""

    size_px: tuple[int, int] = (540, 720)
    fill: float = 0.8
    distance_m: float = 3.0
    camera_height_m: float = 1.2
    pitch: float = 0.0
    roll: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)


def turn_x(degrees: float) -> Floats:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def turn_y(degrees: float) -> Floats:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])


def turn_z(degrees: float) -> Floats:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def sample_stance(rng: np.random.Generator) -> Stance:
    """Upright, facing the camera, arms 8° to 50° out, feet together or apart."""
    arm, forward = rng.uniform(-4, 34), rng.normal(0, 5)
    return Stance(
        arm_down=(arm + rng.normal(0, 3), arm + rng.normal(0, 3)),
        arm_forward=(forward + rng.normal(0, 3), forward + rng.normal(0, 3)),
        elbow=(abs(rng.normal(6, 8)), abs(rng.normal(6, 8))),
        leg_close=rng.uniform(-1.0, 8.0),
        lean=rng.normal(0, 1.5),
        turn=rng.normal(0, 5),
    )


def sample_side_stance(rng: np.random.Generator) -> Stance:
    """One side to the camera, arms hanging."""
    front = sample_stance(rng)
    down, swing = rng.uniform(28, 36), rng.normal(0, 8)
    side = 90.0 if rng.random() < 0.5 else -90.0
    return replace(front, arm_down=(down, down), arm_forward=(swing, swing), turn=side + rng.normal(0, 6))


def _ease(rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < TIGHT_SHARE:
        return rng.uniform(0.0, 0.004)
    if kind < TIGHT_SHARE + REGULAR_SHARE:
        return rng.uniform(0.004, 0.018)
    return rng.uniform(0.018, 0.04)


def _taper(ease: float, rng: np.random.Generator) -> float:
    """Tight cloth follows the body, loose cloth hangs."""
    if ease < 0.004:
        return rng.uniform(0.4, 2.0)
    if ease < 0.018:
        return rng.uniform(0.08, 0.7)
    return rng.uniform(0.0, 0.3)


def _tint(colour: tuple[int, int, int], rng: np.random.Generator) -> tuple[float, float, float]:
    r, g, b = np.clip(np.array(colour) * rng.uniform(0.85, 1.15) + rng.normal(0, 4, 3), 5, 250)
    return float(r), float(g), float(b)


def _cloth_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    grey = rng.uniform(15, 240)
    r, g, b = np.clip(grey + rng.normal(0, 32, 3), 8, 248)
    return float(r), float(g), float(b)


def sample_outfit(rng: np.random.Generator, *, womens: bool) -> Outfit:
    """Everyday clothes of any looseness; skirts, dresses and long hair more often for women."""
    top_ease, bottom_ease = _ease(rng), _ease(rng)
    is_skirt = rng.random() < (0.18 if womens else 0.02)
    is_long = rng.random() < 0.7
    sleeves = int(rng.choice(3, p=(0.2, 0.45, 0.35)))
    top_taper, bottom_taper = _taper(top_ease, rng), _taper(bottom_ease, rng)
    top_hem = rng.uniform(-0.15, 0.85)
    bottom_hem = rng.uniform(0.86, 0.95) if is_long else rng.uniform(0.2, 0.5)
    if is_skirt:
        bottom_hem, bottom_taper = rng.uniform(0.25, 0.75), rng.uniform(-0.25, 0.2)
        if rng.random() < 0.5:  # a dress
            top_hem, bottom_hem, top_taper = rng.uniform(-1.6, -0.5), 0.02, rng.uniform(-0.1, 0.4)
    return Outfit(
        top_ease=top_ease,
        bottom_ease=bottom_ease,
        top_taper=top_taper,
        bottom_taper=bottom_taper,
        top_hem=top_hem,
        bottom_hem=bottom_hem,
        bottom="skirt" if is_skirt else "trousers",
        sleeves=sleeves,
        crotch_drop=bottom_ease + (rng.uniform(0.0, 0.04) if rng.random() < 0.75 else 0.0),
        hair=rng.uniform(0.0, 0.03) if rng.random() < 0.8 else 0.0,
        sole=rng.uniform(0.01, 0.035) if rng.random() < 0.75 else 0.0,
        hair_length=rng.uniform(-0.02, 0.18) if rng.random() < (0.55 if womens else 0.04) else 0.0,
        skin_colour=_tint(SKINS[rng.integers(len(SKINS))], rng),
        top_colour=_cloth_colour(rng),
        bottom_colour=_cloth_colour(rng),
        shoe_colour=_cloth_colour(rng),
        hair_colour=_tint(HAIRS[rng.integers(len(HAIRS))], rng),
    )


def sample_shot(rng: np.random.Generator) -> Shot:
    """A phone or tripod two to four metres away; the person is 460 to 660 pixels tall."""
    size = ((405, 720), (540, 720))[rng.integers(2)]
    fill = rng.uniform(0.65, 0.90)
    slack = 0.5 * (0.97 - fill)
    return Shot(
        size_px=size,
        fill=fill,
        distance_m=rng.uniform(2.2, 4.0),
        camera_height_m=rng.uniform(0.8, 1.5),
        pitch=np.deg2rad(rng.normal(0, 2.0)),
        roll=np.deg2rad(rng.normal(0, 1.0)),
        shift=(rng.normal(0, 0.03), rng.uniform(-slack, slack) * 0.8),
    )


def pose_body(body: CanonicalBody, shape: Shape, stance: Stance) -> Floats:
    """(V, 3) vertices in the stance, feet at z = 0, metres."""
    vertices, heads = body.rest(shape)
    rotations: dict[str, Floats] = {"spine05": turn_x(stance.lean)}
    for index, (side, sign) in enumerate((("L", 1), ("R", -1))):
        rotations[f"upperarm01.{side}"] = turn_x(-stance.arm_forward[index]) @ turn_y(sign * stance.arm_down[index])
        rotations[f"lowerarm01.{side}"] = turn_x(-stance.elbow[index])
        rotations[f"upperleg01.{side}"] = turn_y(sign * stance.leg_close)
    rotations.update(stance.extra)
    posed, _ = body.pose(vertices, heads, rotations)
    posed = posed @ turn_z(stance.turn).T
    depth = (posed[:, 1].min() + posed[:, 1].max()) / 2
    stood: Floats = posed - [0.0, depth, posed[:, 2].min()]
    return stood


def _muted(rng: np.random.Generator) -> Floats:
    """(3,) an ordinary colour of a room: mostly grey, bright more often than dark."""
    grey = 240 - abs(rng.normal(0, 75))
    return np.clip(grey + rng.normal(0, 16, 3), 15, 250)


def background(size_px: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A wall, a floor and a few things in a room."""
    width, height = size_px
    wall = _muted(rng)
    picture = np.tile(wall, (height, width, 1)) * np.linspace(1.0, rng.uniform(0.8, 1.15), height)[:, None, None]
    floor_row = int(height * rng.uniform(0.68, 0.88))
    picture[floor_row:] = _muted(rng)
    if rng.random() < 0.5:
        cv2.line(picture, (0, floor_row), (width, floor_row), _muted(rng).tolist(), int(rng.integers(1, 9)))
    for _ in range(rng.integers(0, 6)):
        _furnish(picture, floor_row, rng)
    uneven = rng.normal(0, 9, (9, 6, 1)) + rng.normal(0, 3, (9, 6, 3))
    picture += cv2.resize(uneven, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _furnish(picture: Floats, floor_row: int, rng: np.random.Generator) -> None:
    """One door, frame, shelf or plant, drawn in place."""
    height, width = picture.shape[:2]
    colour = _muted(rng).tolist()
    x, w = int(rng.uniform(-0.1, 1.0) * width), int(rng.uniform(0.08, 0.4) * width)
    kind = rng.integers(4)
    if kind == 0:
        cv2.rectangle(picture, (x, int(0.1 * height)), (x + w, floor_row), colour, -1)
    elif kind == 1:
        y = int(rng.uniform(0.05, 0.5) * height)
        cv2.rectangle(picture, (x, y), (x + w, y + w), colour, int(rng.choice((-1, 3, 6))))
    elif kind == 2:
        y = int(rng.uniform(0.5, 0.8) * height)
        cv2.rectangle(picture, (x, y), (x + w, floor_row + 10), colour, -1)
    else:
        for _ in range(12):
            at = (x + int(rng.normal(0, 20)), floor_row - int(abs(rng.normal(60, 40))))
            axes = (int(rng.uniform(6, 22)), int(rng.uniform(4, 10)))
            turn = rng.uniform(0, 180)
            leaf = (np.array(colour) * rng.uniform(0.6, 1)).tolist()
            cv2.ellipse(picture, at, axes, turn, 0, 360, leaf, -1)


def _shadow(picture: Picture, camera: Camera, rng: np.random.Generator) -> None:
    """A soft dark patch on the floor about the feet."""
    at = camera.project(camera.see(np.array([[rng.normal(0, 0.1), 0.0, 0.0]])))[0]
    dark = np.zeros(picture.shape[:2], np.float32)
    reach = camera.focal_px / camera.distance_m
    axes = (int(reach * rng.uniform(0.25, 0.5)), int(reach * rng.uniform(0.04, 0.12)))
    cv2.ellipse(dark, (int(at[0]), int(at[1])), axes, rng.normal(0, 8), 0, 360, rng.uniform(0.0, 0.5), -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 7)
    picture[:] = (picture * (1 - dark[..., None])).astype(np.uint8)


def take(picture: Picture, rng: np.random.Generator) -> Picture:
    """What a phone does to a picture: blur, tone, noise, JPEG."""
    blurred = cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.5, 1.0)).astype(np.float64)
    toned = 255 * (blurred / 255) ** rng.uniform(0.8, 1.25) * rng.uniform(0.95, 1.05, 3)
    noisy = np.clip(toned + rng.normal(0, rng.uniform(1, 4), toned.shape), 0, 255).astype(np.uint8)
    jpeg = np.frombuffer(encode_jpeg(noisy, quality=int(rng.integers(*JPEG_QUALITY))), np.uint8)
    return np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]).astype(np.uint8, copy=False)


def encode_jpeg(picture: Picture, *, quality: int = 90) -> bytes:
    """Encode (H, W, 3) RGB."""
    is_encoded, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_encoded:
        raise RuntimeError("cv2 could not encode a picture.")
    return jpeg.tobytes()


class Studio:
    """Draws people; holds what is computed once for the canonical body."""

    def __init__(self, body: CanonicalBody) -> None:
        self.body = body
        self._regions = Regions.of(body)

    def picture(self, shape: Shape, stance: Stance, outfit: Outfit, shot: Shot, rng: np.random.Generator) -> Picture:
        """(H, W, 3) RGB of one person in a room."""
        canvas = background(shot.size_px, rng)
        self.draw(canvas, shape, stance, outfit, shot, rng)
        return take(canvas, rng)

    def draw(
        self, canvas: Picture, shape: Shape, stance: Stance, outfit: Outfit, shot: Shot, rng: np.random.Generator
    ) -> Floats:
        """Draw a person onto `canvas` in place; returns the corners of the mesh in pixels."""
        mesh = dress(self.body, self._regions, pose_body(self.body, shape, stance), outfit, rng)
        camera = frame_person(
            shot.size_px,
            float(mesh.vertices[:, 2].max()),
            shot.fill,
            distance_m=shot.distance_m,
            height_m=shot.camera_height_m,
            pitch=shot.pitch,
            roll=shot.roll,
            shift=shot.shift,
        )
        _shadow(canvas, camera, rng)
        return paint(canvas, mesh, camera, light_yaw=rng.uniform(-0.8, 0.8))

    def everyday(self, shape: Shape, rng: np.random.Generator, *, side: bool = False) -> Picture:
        """Somebody standing as asked, in clothes of any kind."""
        stance = sample_side_stance(rng) if side else sample_stance(rng)
        outfit = sample_outfit(rng, womens=shape.gender > 0.5)
        return self.picture(shape, stance, outfit, sample_shot(rng), rng)


def likely_shape(body: CanonicalBody, height_cm: float, weight_kg: float, sex: Sex) -> Shape:
    """The most likely body of somebody with these answers."""
    answered = estimate(Facts(height_cm, weight_kg, sex=sex))
    mean = dict(zip(MEASUREMENTS, answered.mean, strict=True)) | {"height_cm": height_cm, "weight_kg": weight_kg}
    return Solver(body, Tape(body)).solve(mean, {}, sex, None).shape


def render_person(
    *, height_cm: float = 178.0, weight_kg: float = 74.0, sex: Sex = "male", seed: int = 7, side: bool = False
) -> Picture:
    """(1280, 960, 3) RGB: a picture as a shopper is asked to take it, for the demo and for tests."""
    body = CanonicalBody.load()
    rng = np.random.default_rng(seed)
    stance = replace(sample_side_stance(rng) if side else Stance(arm_down=(20.0, 20.0)), lean=0.0)
    outfit = replace(sample_outfit(rng, womens=sex == "female"), top_ease=0.008, bottom_ease=0.008, crotch_drop=0.01)
    shape = likely_shape(body, height_cm, weight_kg, sex)
    return Studio(body).picture(shape, stance, outfit, Shot(size_px=(960, 1280)), rng)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw one clothed person as a JPEG.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sex", choices=("female", "male"), default="male")
    parser.add_argument("--height-cm", type=float, default=178.0)
    parser.add_argument("--weight-kg", type=float, default=74.0)
    parser.add_argument("--side", action="store_true", help="one side to the camera")
    arguments = parser.parse_args(argv)
    picture = render_person(
        height_cm=arguments.height_cm,
        weight_kg=arguments.weight_kg,
        sex=arguments.sex,
        seed=arguments.seed,
        side=arguments.side,
    )
    arguments.out.write_bytes(encode_jpeg(picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
