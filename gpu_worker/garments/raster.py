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
CHUNK = 120_000
"""Candidate pixels handled at once."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A mesh to draw.

    vertices : (V, 3); faces : (F, 3); colours : (V, 3) RGB 0 to 255
    texture  : (V, 2) where `picture` (H, W, 3) is read, v downwards, or None
    normals  : (V, 3), or None for the mesh's own
    is_closed : the inside is never seen, so triangles that face away are left out
    """

    vertices: Floats
    faces: Ints
    colours: Floats
    texture: Floats | None = None
    picture: Picture | None = None
    normals: Floats | None = None
    is_closed: bool = False


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
    may_hide = np.array([mesh.is_closed for mesh in meshes])[owner]
    kept = ~may_hide | (_flat_area(pixels[faces]) < 0)
    faces, owner = faces[kept], owner[kept]
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
    Image.fromarray(picture).save(out, "PNG", compress_level=6)
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
    corners = pixels[faces] - 0.5
    limit = np.array(size_px) - 1
    low = np.clip(np.ceil(corners.min(axis=1)), 0, limit).astype(np.int32)
    high = np.clip(np.floor(corners.max(axis=1)), -1, limit).astype(np.int32)
    spans = np.maximum(high - low + 1, 0)
    count = spans.prod(axis=1)
    drawn = np.flatnonzero(count)
    low, spans, count, planes = low[drawn], spans[drawn], count[drawn], _planes(corners[drawn], depth[faces[drawn]])
    best = np.full(size_px[0] * size_px[1], np.inf)
    owner = np.full(len(best), -1, np.int64)
    ends = np.cumsum(count)
    slices = np.searchsorted(ends, np.arange(0, ends[-1] if len(ends) else 0, CHUNK), side="right")
    for first, last in zip(slices, [*slices[1:], len(drawn)], strict=True):
        row = np.repeat(np.arange(first, last), count[first:last])
        place = np.arange(len(row)) - np.repeat(
            ends[first:last] - count[first:last] - (ends[first] - count[first]), count[first:last]
        )
        x, y = low[row, 0] + place % spans[row, 0], low[row, 1] + place // spans[row, 0]
        second, third, nearness = (planes[row, k, 0] + planes[row, k, 1] * x + planes[row, k, 2] * y for k in range(3))
        hit = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
        pixel, away = y[hit] * size_px[0] + x[hit], 1 / nearness[hit]
        order = np.lexsort((away, pixel))
        pixel, first_of = np.unique(pixel[order], return_index=True)
        chosen = order[first_of]
        nearer = away[chosen] < best[pixel]
        best[pixel[nearer]] = away[chosen[nearer]]
        owner[pixel[nearer]] = row[hit[chosen[nearer]]]
    covered = np.flatnonzero(owner >= 0)
    mine = planes[owner[covered]]
    x, y = covered % size_px[0], covered // size_px[0]
    second, third = (mine[:, k, 0] + mine[:, k, 1] * x + mine[:, k, 2] * y for k in range(2))
    return _Hits(covered, drawn[owner[covered]], np.stack([1 - second - third, second, third], axis=1))


def _flat_area(corners: Floats) -> Floats:
    """(n,) twice the area in the picture; negative for triangles seen from outside, for y points down."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area: Floats = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    return area


def _planes(corners: Floats, depth: Floats) -> Floats:
    """(n, 3, 3) constant, x and y of the second and third corner's weights and of one over the distance.

    Triangles seen edge on have weights that no pixel passes.
    """
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = _flat_area(corners)
    is_thin = np.abs(area) < 1e-9
    area = np.where(is_thin, 1.0, area)
    second = np.stack([two[:, 1], -two[:, 0]], axis=1) / area[:, None]
    third = np.stack([-one[:, 1], one[:, 0]], axis=1) / area[:, None]
    origin = corners[:, 0]
    weights = np.stack([second, third], axis=1)
    constant = -(weights * origin[:, None]).sum(axis=2)
    constant[is_thin] = -1e9
    near = 1 / depth
    slopes = (near[:, 1] - near[:, 0])[:, None] * second + (near[:, 2] - near[:, 0])[:, None] * third
    base = near[:, 0] - (slopes * origin).sum(axis=1)
    rows = np.concatenate([weights, slopes[:, None]], axis=1)
    return np.concatenate([np.append(constant, base[:, None], axis=1)[:, :, None], rows], axis=2)


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
