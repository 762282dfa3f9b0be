"""A small painter's renderer for training pictures: lit triangles, far to near, on the CPU.

Convention: world in metres, z up; the person faces -y and the camera stands at y = -distance, looking along +y.
Pictures are (H, W, 3) uint8 RGB; pixels have x to the right and y down.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats, Ints

Picture = NDArray[np.uint8]

SUBPIXEL_BITS = 4
"""Fractional bits of the corner coordinates that cv2 is given: sixteenths of a pixel."""

KEY_LIGHT = np.array([0.35, -0.75, 0.55])
FILL_LIGHT = np.array([-0.70, -0.50, 0.10])
AMBIENT = 0.34
KEY_STRENGTH = 0.58
FILL_STRENGTH = 0.22
"""A lamp high on the right of the camera and a weaker one on the left; chosen by eye."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with one colour for each vertex, counter-clockwise from outside.

    vertices : (V, 3) metres
    faces    : (F, 3) rows of `vertices`
    colours  : (V, 3) RGB, 0 to 255
    """

    vertices: Floats
    faces: Ints
    colours: Floats


@dataclass(frozen=True)
class Camera:
    """A pinhole camera before a person whose feet stand at the origin.

    height_m, pitch, roll, yaw : of the lens above the floor; downwards, clockwise, and of the person, radians
    centre_px                  : where the optical axis meets the picture
    """

    focal_px: float
    distance_m: float
    height_m: float
    centre_px: tuple[float, float]
    pitch: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0

    def see(self, points: Floats) -> Floats:
        """(n, 3) world points in the camera's frame: x right, y up, z away from the lens; metres."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        x = cos * points[:, 0] - sin * points[:, 1]
        away = sin * points[:, 0] + cos * points[:, 1] + self.distance_m
        up = points[:, 2] - self.height_m
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        up, away = cos * up + sin * away, cos * away - sin * up
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.stack([cos * x - sin * up, sin * x + cos * up, away], axis=1)

    def project(self, seen: Floats) -> Floats:
        """(n, 2) pixels of points in the camera's frame."""
        scale = self.focal_px / seen[:, 2]
        return np.stack([self.centre_px[0] + scale * seen[:, 0], self.centre_px[1] - scale * seen[:, 1]], axis=1)


def frame_person(
    size_px: tuple[int, int],
    top_m: float,
    fill: float,
    *,
    distance_m: float,
    height_m: float,
    pitch: float = 0.0,
    roll: float = 0.0,
    yaw: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Camera:
    """Aim so that a person from the floor to `top_m` fills `fill` of the picture's height.

    size_px : width, height
    shift   : of the person from the middle, as a share of width and height
    """
    width, height = size_px
    camera = Camera(fill * height * distance_m / top_m, distance_m, height_m, (0.0, 0.0), pitch, roll, yaw)
    ends = camera.project(camera.see(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, top_m]])))
    middle = ends.mean(axis=0)
    centre = (width * (0.5 + shift[0]) - middle[0], height * (0.5 + shift[1]) - middle[1])
    return Camera(camera.focal_px, distance_m, height_m, centre, pitch, roll, yaw)


def normals(vertices: Floats, faces: Ints) -> Floats:
    """(V, 3) unit normals, each the area-weighted mean of its triangles'."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            summed[:, axis] += np.bincount(faces[:, corner], face_normals[:, axis], len(vertices))
    unit: Floats = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
    return unit


def shade(mesh: Mesh, light_yaw: float = 0.0) -> Floats:
    """(F, 3) lit colour of every triangle; `light_yaw` turns both lamps about the person, radians."""
    cos, sin = np.cos(light_yaw), np.sin(light_yaw)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    normal = normals(mesh.vertices, mesh.faces)
    light = np.full(len(normal), AMBIENT)
    for lamp, strength in ((KEY_LIGHT, KEY_STRENGTH), (FILL_LIGHT, FILL_STRENGTH)):
        light += strength * np.clip(normal @ (turn @ (lamp / np.linalg.norm(lamp))), 0.0, None)
    lit: Floats = (light[:, None] * mesh.colours)[mesh.faces].mean(axis=1)
    return np.clip(lit, 0.0, 255.0)


def join(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)]).astype(np.int32),
        np.concatenate([mesh.colours for mesh in meshes]),
    )


def paint(picture: Picture, mesh: Mesh, camera: Camera, light_yaw: float = 0.0) -> Floats:
    """Draw `mesh` onto `picture` in place; returns its corners in pixels, (V, 2)."""
    seen = camera.see(mesh.vertices)
    pixels = camera.project(seen)
    corners = seen[mesh.faces]
    inward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # the camera's frame is left-handed (x right, y up, z away): the product points inward
    visible = np.flatnonzero((inward * corners[:, 0]).sum(axis=1) > 0)
    order = visible[np.argsort(-corners[visible, :, 2].mean(axis=1), kind="stable")]
    colours = shade(mesh, light_yaw)[order].tolist()
    triangles = np.round(pixels[mesh.faces[order]] * (1 << SUBPIXEL_BITS)).astype(np.int32)
    for triangle, colour in zip(triangles, colours, strict=True):
        cv2.fillConvexPoly(picture, triangle, colour, cv2.LINE_8, SUBPIXEL_BITS)
    return pixels
