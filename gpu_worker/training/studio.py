"""A small renderer for pictures of products: textured triangles, a key light with its shadow, light from all round.

Convention: world in metres, z up; the person faces -y. Colours are linear light until the picture is done; pictures are
(H, W, 3) uint8 RGB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.training.render import Camera

Picture = NDArray[np.uint8]

KEY_LIGHT, KEY_STRENGTH = np.array([0.45, -0.72, 0.62]), 0.62
SKY, FLOOR = 0.52, 0.30
"""Light from above and from below, where nothing hides it."""
SHADOW_PX, SHADOW_BIAS_M = 900, 0.006
AMBIENT_LIGHTS, AMBIENT_PX, AMBIENT_BIAS_M = 24, 320, 0.010
BACKGROUND = np.array([0.90, 0.90, 0.905])
GRAZE = 0.25
"""How much light wraps round an edge: cloth is not a mirror of its angle."""
TAPS = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1.6, 1.6], [-1.6, 1.6], [1.6, -1.6], [-1.6, -1.6]])


@dataclass(frozen=True, eq=False)
class Model:
    """Something to photograph.

    vertices, normals : (V, 3)
    faces             : (F, 3) counter-clockwise from outside
    colours           : (V, 3) linear, multiplied with the texture
    uv, texture       : (V, 2) from 0 to 1, and (h, w, 3) linear; v downwards as in glTF; or None
    weave_uv, weave   : (V, 2) in tiles, and (h, w, 3) unit normals of one tile; or None
    """

    vertices: Floats
    normals: Floats
    faces: Ints
    colours: Floats
    uv: Floats | None = None
    texture: Floats | None = None
    weave_uv: Floats | None = None
    weave: Floats | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """What each pixel sees. face : (P,) or -1; weights : (P, 3) of its corners; depth : (P,)."""

    face: Ints
    weights: Floats
    depth: Floats


def photograph(models: list[Model], camera: Camera, size_px: tuple[int, int]) -> Picture:
    """Size : width, height."""
    width, height = size_px
    scene = _Scene(models, camera)
    sight = camera.see(scene.vertices)
    seen = rasterise(camera.project(sight), sight[:, 2], scene.faces, width, height)
    shown = np.flatnonzero(seen.face >= 0)
    light = np.tile(BACKGROUND, (width * height, 1))
    eye = _turned(np.array([0.0, -1.0, 0.0]), camera)
    light[shown] = scene.shade(seen.face[shown], seen.weights[shown], eye)
    picture: Picture = np.round(_screen(light) * 255).astype(np.uint8).reshape(height, width, 3)
    return picture


def rasterise(screen: Floats, depth: Floats, faces: Ints, width: int, height: int) -> Seen:
    """Nearest triangle at each pixel's middle. screen : (V, 2) x right, y down; depth grows away from the eye."""
    corners = screen[faces]
    low = np.maximum(np.ceil(corners.min(axis=1) - 0.5), 0).astype(np.intp)
    high = np.minimum(np.floor(corners.max(axis=1) - 0.5), [width - 1, height - 1]).astype(np.intp)
    span = np.maximum(high - low + 1, 0)
    count = span.prod(axis=1)
    face = np.repeat(np.arange(len(faces)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    x = low[face, 0] + place % np.maximum(span[face, 0], 1)
    y = low[face, 1] + place // np.maximum(span[face, 0], 1)
    weights, inside = _barycentric(corners, face, np.stack([x, y], axis=1) + 0.5)
    face, x, y, weights = face[inside], x[inside], y[inside], weights[inside]
    away = (depth[faces[face]] * weights).sum(axis=1)
    order = np.argsort(-away, kind="stable")
    pixel = (y * width + x)[order]
    winner = np.full(width * height, -1, np.intp)
    winner[pixel] = order
    found = winner >= 0
    seen = Seen(np.full(width * height, -1, np.int32), np.zeros((width * height, 3)), np.full(width * height, np.inf))
    seen.face[found] = face[winner[found]]
    seen.weights[found] = weights[winner[found]]
    seen.depth[found] = away[winner[found]]
    return seen


def _barycentric(corners: Floats, face: NDArray[np.intp], points: Floats) -> tuple[Floats, Bools]:
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    area = np.where(np.abs(area) < 1e-12, np.inf, area)
    rel = points - corners[face, 0]
    second = (rel[:, 0] * two[face, 1] - rel[:, 1] * two[face, 0]) / area[face]
    third = (one[face, 0] * rel[:, 1] - one[face, 1] * rel[:, 0]) / area[face]
    weights = np.stack([1 - second - third, second, third], axis=1)
    return weights, (weights >= -1e-9).all(axis=1) & np.isfinite(area[face])


class _Scene:
    """All models together, with the light that falls on them."""

    def __init__(self, models: list[Model], camera: Camera) -> None:
        self.models = models
        starts = np.cumsum([0, *(len(model.vertices) for model in models)])
        self.vertices = np.concatenate([model.vertices for model in models])
        self.normals = np.concatenate([model.normals for model in models])
        self.colours = np.concatenate([model.colours for model in models])
        self.faces = np.concatenate([model.faces + start for model, start in zip(models, starts[:-1], strict=True)])
        self.first_faces = np.cumsum([0, *(len(model.faces) for model in models)])
        self.starts = starts
        self.key_light = _unit(_turned(KEY_LIGHT, camera))
        self.key = _Shadow(self.vertices, self.faces, self.key_light, SHADOW_PX, SHADOW_BIAS_M)
        self.open = self._openness()

    def _openness(self) -> Floats:
        """(V,) share of the light from all round that reaches each vertex."""
        total, weight = np.zeros(len(self.vertices)), np.zeros(len(self.vertices))
        for direction in _all_round(AMBIENT_LIGHTS):
            shadow = _Shadow(self.vertices, self.faces, direction, AMBIENT_PX, AMBIENT_BIAS_M)
            facing = np.maximum(self.normals @ direction + GRAZE, 0)
            total += facing * shadow.lit(self.vertices + self.normals * AMBIENT_BIAS_M)
            weight += facing
        return total / np.maximum(weight, 1e-9)

    def shade(self, face: Ints, weights: Floats, eye: Floats) -> Floats:
        """(n, 3) light from each point."""
        corners = self.faces[face]

        def at(values: Floats) -> Floats:
            mixed: Floats = np.einsum("nc,nc...->n...", weights, values[corners])
            return mixed

        normal, where = at(self.normals), at(self.vertices)
        colour = at(self.colours)
        for number, model in enumerate(self.models):
            mine = (face >= self.first_faces[number]) & (face < self.first_faces[number + 1])
            local = self.faces[face[mine]] - self.starts[number]
            if model.texture is not None and model.uv is not None:
                colour[mine] *= _sampled(model.texture, np.einsum("nc,ncd->nd", weights[mine], model.uv[local]))
            if model.weave is not None and model.weave_uv is not None:
                tilt = _sampled(model.weave, np.einsum("nc,ncd->nd", weights[mine], model.weave_uv[local]))
                normal[mine] = _bent(normal[mine], tilt, model.vertices[local], model.weave_uv[local])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        lit = self.key.lit(where + normal * SHADOW_BIAS_M)
        normal = np.where((normal @ eye < -0.2)[:, None], -normal, normal)
        key = np.maximum((normal @ self.key_light + GRAZE) / (1 + GRAZE), 0) * lit * KEY_STRENGTH
        around = (FLOOR + (SKY - FLOOR) * (normal[:, 2] + 1) / 2) * at(self.open) ** 1.3
        light: Floats = colour * (key + around)[:, None]
        return light


class _Shadow:
    """Depth of the scene as a far light sees it."""

    def __init__(self, vertices: Floats, faces: Ints, direction: Floats, size_px: int, bias_m: float) -> None:
        back = _unit(direction)
        side = _unit(np.cross(back, [0.0, 0.0, 1.0] if abs(back[2]) < 0.95 else [1.0, 0.0, 0.0]))
        self._axes = np.stack([side, np.cross(side, back), -back])
        flat = vertices @ self._axes.T
        self._low = flat[:, :2].min(axis=0)
        self._scale = (size_px - 3) / np.ptp(flat[:, :2], axis=0).max()
        self._size, self._bias = size_px, bias_m
        seen = rasterise(self._pixels(flat), flat[:, 2], faces, size_px, size_px)
        self._depth = seen.depth.reshape(size_px, size_px)

    def _pixels(self, flat: Floats) -> Floats:
        pixels: Floats = (flat[:, :2] - self._low) * self._scale + 1
        return pixels

    def lit(self, points: Floats) -> Floats:
        """(n,) share of the light that arrives, soft at the edge of a shadow."""
        flat = points @ self._axes.T
        pixels = self._pixels(flat)
        total = np.zeros(len(points))
        for tap in TAPS:
            x, y = np.clip((pixels + tap).astype(np.intp), 0, self._size - 1).T
            total += self._depth[y, x] > flat[:, 2] - self._bias
        return total / len(TAPS)


def _sampled(texture: Floats, uv: Floats) -> Floats:
    """Bilinear, repeated."""
    height, width = texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right, down = (x - left)[:, None], (y - top)[:, None]

    def texel(row: NDArray[np.intp], column: NDArray[np.intp]) -> Floats:
        found: Floats = texture[row % height, column % width]
        return found

    upper = texel(top, left) * (1 - right) + texel(top, left + 1) * right
    lower = texel(top + 1, left) * (1 - right) + texel(top + 1, left + 1) * right
    mixed: Floats = upper * (1 - down) + lower * down
    return mixed


def _bent(normal: Floats, tilt: Floats, point: Floats, uv: Floats) -> Floats:
    """Normals (n, 3) turned as the weave says, in the frame that points and coordinates (n, 3 corners, ...) span."""
    edge, step = point[:, 1:] - point[:, :1], uv[:, 1:] - uv[:, :1]
    turn = step[:, 0, 0] * step[:, 1, 1] - step[:, 0, 1] * step[:, 1, 0]
    turn = np.where(np.abs(turn) < 1e-12, 1e-12, turn)[:, None]
    along = (edge[:, 0] * step[:, 1, 1:] - edge[:, 1] * step[:, 0, 1:]) / turn
    along -= normal * (along * normal).sum(axis=1, keepdims=True)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.cross(normal, along)
    bent: Floats = along * tilt[:, :1] + across * tilt[:, 1:2] + normal * tilt[:, 2:]
    return bent


def _all_round(count: int) -> Floats:
    """(count, 3) directions spread over the sphere's upper four fifths."""
    step = np.arange(count) + 0.5
    height = 1 - 1.6 * step / count
    turn = np.pi * (1 + 5**0.5) * step
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _turned(direction: Floats, camera: Camera) -> Floats:
    """A direction before the lens (x right, y away, z up) in the person's world."""
    cos, sin = np.cos(camera.yaw), np.sin(camera.yaw)
    x, y, z = direction
    return np.array([cos * x + sin * y, -sin * x + cos * y, z])


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit


def _screen(light: Floats) -> Floats:
    """Linear light to what a screen shows."""
    light = np.clip(light, 0, 1)
    shown: Floats = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return shown
