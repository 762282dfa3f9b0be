"""A small renderer for pictures of dressed bodies: depth buffer, smooth normals, textures, two lamps, on the CPU.

Convention: world in metres, z up; the body faces -y and the camera stands at y = -`DISTANCE_M`. `yaw` turns the body,
positive towards its left. Pictures are (H, W, 3) uint8 RGB; pixels have x to the right and y down.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.pattern import vertex_normals

Picture = NDArray[np.uint8]

DISTANCE_M = 4.0
BACKGROUND = 243
FINE = 2
"""Pictures are drawn this much larger and averaged down."""
KEY_LIGHT, FILL_LIGHT = np.array([0.35, -0.75, 0.55]), np.array([-0.70, -0.50, 0.10])
AMBIENT, KEY_STRENGTH, FILL_STRENGTH = 0.40, 0.52, 0.20
"""A lamp high on the right of the camera and a weaker one on the left; chosen by eye."""
LINING = 0.72
"""Brightness of the inside of cloth."""
CHUNK = 2_000_000
"""Candidate pixels handled at once."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A mesh to draw.

    vertices : (V, 3); faces : (F, 3); colours : (V, 3) RGB 0 to 255
    texture  : (V, 2) where `picture` (H, W, 3) is read, v downwards, or None
    """

    vertices: Floats
    faces: Ints
    colours: Floats
    texture: Floats | None = None
    picture: Picture | None = None
    normals: Floats | None = None


@dataclass(frozen=True, eq=False)
class _Hits:
    """The nearest triangle of each covered pixel. pixel, face : (P,); share : (P, 3) weights of its corners."""

    pixel: NDArray[np.int64]
    face: NDArray[np.int64]
    share: Floats


def draw(
    meshes: Sequence[Shown], size_px: tuple[int, int], *, yaw: float, low_m: float, high_m: float, fill: float = 0.92
) -> Picture:
    """One view in which `low_m` to `high_m` take `fill` of the height.

    size_px : width, height
    """
    width, height = size_px[0] * FINE, size_px[1] * FINE
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)])
    owner = np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes])
    pixels, depth = _projected(vertices, (width, height), yaw, low_m, high_m, fill)
    hits = _nearest(pixels, depth, faces, (width, height))
    image = np.full((height * width, 3), float(BACKGROUND))
    normals = np.concatenate([_normals(mesh) for mesh in meshes])
    light, is_inside = _lit(vertices, normals, faces, hits, yaw)
    for row, mesh in enumerate(meshes):
        mine = np.flatnonzero(owner[hits.face] == row)
        local = faces[hits.face[mine]] - starts[row]
        colour = _colours(mesh, local, hits.share[mine])
        image[hits.pixel[mine]] = colour * (light[mine] * np.where(is_inside[mine], LINING, 1.0))[:, None]
    fine = np.clip(image, 0, 255).reshape(size_px[1], FINE, size_px[0], FINE, 3)
    small: Picture = np.round(fine.mean(axis=(1, 3))).astype(np.uint8)
    return small


def encode_png(picture: Picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    return out.getvalue()


def _turn(yaw: float) -> Floats:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _projected(
    vertices: Floats, size_px: tuple[int, int], yaw: float, low_m: float, high_m: float, fill: float
) -> tuple[Floats, Floats]:
    """Pixels (V, 2) and distance from the lens (V,)."""
    seen = vertices @ _turn(yaw).T
    away = seen[:, 1] + DISTANCE_M
    focal_px = fill * size_px[1] * DISTANCE_M / (high_m - low_m)
    x = size_px[0] / 2 + focal_px * seen[:, 0] / away
    y = size_px[1] / 2 - focal_px * (seen[:, 2] - (low_m + high_m) / 2) / away
    return np.stack([x, y], axis=1), away


def _nearest(pixels: Floats, depth: Floats, faces: Ints, size_px: tuple[int, int]) -> _Hits:
    """Depth test of every pixel centre in every triangle's box, a slice of the triangles at a time."""
    corners = pixels[faces]
    limit = np.array(size_px) - 1
    low = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, limit).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1) - 0.5), -1, limit).astype(np.int64)
    spans = np.maximum(high - low + 1, 0)
    count = spans.prod(axis=1)
    best = np.full(size_px[0] * size_px[1], np.inf)
    owner = np.full(len(best), -1, np.int64)
    shares = np.zeros((len(best), 3))
    slices = np.searchsorted(np.cumsum(count), np.arange(CHUNK, count.sum() + CHUNK, CHUNK)) + 1
    for first, last in zip([0, *slices[:-1]], slices, strict=True):
        rows = np.arange(first, min(last, len(faces)))
        face = np.repeat(rows, count[rows])
        place = np.arange(len(face)) - np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
        x = low[face, 0] + place % np.maximum(spans[face, 0], 1)
        y = low[face, 1] + place // np.maximum(spans[face, 0], 1)
        share = _weights(corners[face], np.stack([x, y], axis=1) + 0.5)
        hit = np.flatnonzero((share >= -1e-9).all(axis=1))
        away = 1 / (share[hit] / depth[faces[face[hit]]]).sum(axis=1)
        pixel = y[hit] * size_px[0] + x[hit]
        order = np.lexsort((away, pixel))
        pixel, first_of = np.unique(pixel[order], return_index=True)
        chosen = order[first_of]
        nearer = away[chosen] < best[pixel]
        pixel, chosen = pixel[nearer], chosen[nearer]
        best[pixel], owner[pixel], shares[pixel] = away[chosen], face[hit[chosen]], share[hit[chosen]]
    covered = np.flatnonzero(owner >= 0)
    return _Hits(covered, owner[covered], shares[covered])


def _weights(corners: Floats, points: Floats) -> Floats:
    """(n, 3) barycentric weights; negative outside, and for triangles seen edge on."""
    one, two, rel = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    safe = np.where(np.abs(area) < 1e-9, np.inf, area)
    second = (rel[:, 0] * two[:, 1] - rel[:, 1] * two[:, 0]) / safe
    third = (one[:, 0] * rel[:, 1] - one[:, 1] * rel[:, 0]) / safe
    first = np.where(np.isinf(safe), -1.0, 1 - second - third)
    return np.stack([first, second, third], axis=1)


def _normals(mesh: Shown) -> Floats:
    return vertex_normals(mesh.vertices, mesh.faces) if mesh.normals is None else mesh.normals


def _lit(vertices: Floats, normals: Floats, faces: Ints, hits: _Hits, yaw: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Light (P,) of each pixel and whether the inside of its triangle is seen."""
    normal = (normals[faces[hits.face]] * hits.share[:, :, None]).sum(axis=1)
    corners = vertices[faces[hits.face]]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    eye = np.array([0.0, -DISTANCE_M, float(vertices[:, 2].mean())]) @ _turn(yaw)
    is_inside = np.asarray((flat * (eye - corners[:, 0])).sum(axis=1) < 0)
    normal = np.where(is_inside[:, None], -normal, normal) @ _turn(yaw).T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = np.full(len(normal), AMBIENT)
    for lamp, strength in ((KEY_LIGHT, KEY_STRENGTH), (FILL_LIGHT, FILL_STRENGTH)):
        light += strength * np.clip(normal @ (lamp / np.linalg.norm(lamp)), 0.0, None)
    return light, is_inside


def _colours(mesh: Shown, corners: Ints, share: Floats) -> Floats:
    """(P, 3) colour of pixels by the weights of their corners, times the texture."""
    colour: Floats = (mesh.colours[corners] * share[:, :, None]).sum(axis=1)
    if mesh.texture is None or mesh.picture is None:
        return colour
    place = (mesh.texture[corners] * share[:, :, None]).sum(axis=1) % 1.0
    height, width = mesh.picture.shape[:2]
    texel = mesh.picture[(place[:, 1] * height).astype(np.intp) % height, (place[:, 0] * width).astype(np.intp) % width]
    tinted: Floats = colour * texel / 255.0
    return tinted
