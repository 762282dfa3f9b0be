"""Planes through a mesh and the length of a tape round the cut, with exact derivatives.

A tape bridges hollows, so a girth is the perimeter of the convex hull of the points where edges cross the plane.
By Cauchy's formula that perimeter is the integral of the hull's support function over all directions; summed over
`_DIRECTIONS` of them it is right to 3e-5 of itself, needs no hull, and its derivative is that of the touched points.

Convention: tangents come first. A quantity that depends on K parameters carries its K derivatives as (K, ...);
K = 0 is a plain reading at no extra cost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Edges, Floats, Ints

_DIRECTIONS = 360
_ANGLES = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_UP = np.array([0.0, 0.0, 1.0])
_HORIZONTAL = np.eye(3)[:2]
_OFF_AXIS = np.array([0.3, 0.9, 0.1])
"""Any direction not along a bone that is cut: it only fixes where on the plane the directions start."""


@dataclass(frozen=True)
class Dual:
    """A length with its derivatives by K parameters. `by` : (K,)."""

    value: float
    by: Floats

    def __add__(self, other: "Dual") -> "Dual":
        return Dual(self.value + other.value, self.by + other.by)

    def __sub__(self, other: "Dual") -> "Dual":
        return Dual(self.value - other.value, self.by - other.by)

    def __mul__(self, factor: float) -> "Dual":
        return Dual(self.value * factor, self.by * factor)

    def plus(self, constant: float) -> "Dual":
        return Dual(self.value + constant, self.by)


@dataclass(frozen=True)
class Moving:
    """Points with their derivatives. `at` : (N, 3) metres, `by` : (K, N, 3), single precision is enough."""

    at: Floats
    by: Floats | NDArray[np.float32]

    def coordinate(self, point: int, axis: int) -> Dual:
        return Dual(float(self.at[point, axis]), self.by[:, point, axis].astype(np.float64))

    def mean_coordinate(self, points: Ints, weights: Floats, axis: int) -> Dual:
        return Dual(float(weights @ self.at[points, axis]), self.by[:, points, axis] @ weights)

    def distance(self, one: int, other: int) -> Dual:
        line = self.at[other] - self.at[one]
        length = float(np.linalg.norm(line))
        return Dual(length, (self.by[:, other] - self.by[:, one]) @ line / length)


def still(points: Floats) -> Moving:
    """Points that depend on nothing: for a plain reading."""
    return Moving(points, np.zeros((0, *points.shape)))


@dataclass(frozen=True)
class Plane:
    """The points p with normal · p = offset. `normal` : (3,), a unit vector, `normal_by` : (K, 3)."""

    normal: Floats
    offset: Dual
    normal_by: Floats

    @classmethod
    def level(cls, height: Dual) -> "Plane":
        return cls(_UP, height, np.zeros((len(height.by), 3)))

    @classmethod
    def across(cls, heads: Moving, start: int, end: int, fraction: float) -> tuple["Plane", Floats]:
        """The plane square to the bone from head `start` to head `end`, and the point where it meets the bone."""
        line, line_by = heads.at[end] - heads.at[start], heads.by[:, end] - heads.by[:, start]
        length = np.linalg.norm(line)
        normal = line / length
        normal_by = (line_by - np.outer(line_by @ normal, normal)) / length
        point = heads.at[start] + fraction * line
        point_by = heads.by[:, start] + fraction * line_by
        return cls(normal, Dual(float(normal @ point), point_by @ normal + normal_by @ point), normal_by), point


@dataclass(frozen=True)
class Cut:
    """Where edges cross a plane. `points` : (C, 3), `edges` : (C, 2), `split` : (C,), 0 at the first end."""

    plane: Plane
    points: Floats
    edges: Edges
    split: Floats

    def within(self, reach: float, centre: Floats) -> "Cut":
        """The part of the cut nearer than `reach` to a point of the plane: the neck without the shoulders."""
        near = np.linalg.norm(self.points - centre, axis=1) < reach
        return Cut(self.plane, self.points[near], self.edges[near], self.split[near])


def cut(vertices: Floats, edges: Edges, plane: Plane) -> Cut:
    """Cross a set of edges (E, 2) with a plane. Fastest with edges stored column by column."""
    height = vertices[:, 2] if plane.normal is _UP else vertices @ plane.normal
    above = height - plane.offset.value
    side = above > 0
    crossed = edges[np.flatnonzero(side[edges[:, 0]] != side[edges[:, 1]])]
    first, second = above[crossed[:, 0]], above[crossed[:, 1]]
    split = first / (first - second)
    start = vertices[crossed[:, 0]]
    return Cut(plane, start + split[:, None] * (vertices[crossed[:, 1]] - start), crossed, split)


def girth(section: Cut) -> float:
    """Length of a tape round a cut, in the unit of its points; 0 where nothing is cut."""
    return _support(section)[2] if len(section.points) else 0.0


def girth_with_derivatives(section: Cut, vertices: Moving) -> Dual:
    """The same tape, and how it lengthens as the vertices and the plane move."""
    parameters = len(vertices.by)
    if parameters == 0 or not len(section.points):
        return Dual(girth(section), np.zeros(parameters))
    touched, directions, length = _support(section)
    pull = np.zeros_like(section.points)
    np.add.at(pull, touched, directions * (2 * np.pi / _DIRECTIONS))
    active = np.unique(touched)
    moved = _points_by(section, active, vertices)
    return Dual(length, np.einsum("kni,ni->k", moved, pull[active]))


def _support(section: Cut) -> tuple[Ints, Floats, float]:
    """Per direction the touched point (its index) and the direction (3,); and the perimeter."""
    normal = section.plane.normal
    if normal is _UP:
        basis = _HORIZONTAL
    else:
        one = np.cross(normal, _OFF_AXIS)
        one /= np.linalg.norm(one)
        basis = np.stack([one, np.cross(normal, one)])
    reach = (section.points @ basis.T) @ _CIRCLE
    touched = reach.argmax(axis=0)
    length = float(reach[touched, np.arange(_DIRECTIONS)].sum() * (2 * np.pi / _DIRECTIONS))
    return touched.astype(np.int32), _CIRCLE.T @ basis, length


def _points_by(section: Cut, active: Ints, vertices: Moving) -> Floats:
    """Derivatives (K, N, 3) of some points of a cut: their two vertices move, and so does the split between them."""
    plane, split = section.plane, section.split[active, None]
    ends = section.edges[active]
    start, end = vertices.at[ends[:, 0]], vertices.at[ends[:, 1]]
    start_by, end_by = vertices.by[:, ends[:, 0]], vertices.by[:, ends[:, 1]]
    point_by = (1 - split) * start_by + split * end_by
    above_by = point_by @ plane.normal + plane.normal_by @ section.points[active].T - plane.offset.by[:, None]
    slide: Floats = -above_by / ((end - start) @ plane.normal)
    moved: Floats = point_by + slide[:, :, None] * (end - start)
    return moved
