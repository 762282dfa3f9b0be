"""The bodies a solve may choose from: gender, age, cup size and firmness held, the rest free.

Vertices are linear in the products of hat weights, and those are piecewise linear in each phenotype, so the derivative
of every vertex by every free parameter is exact and costs about as much as the vertices themselves.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.body.canonical import NEGLIGIBLE, CanonicalBody, Shape, hats
from gpu_worker.body.section import Moving

PHENOTYPES = ("height", "weight", "muscle", "proportions")
LOCAL_CHANGES = (
    "measure-bust-circ-incr",
    "measure-underbust-circ-incr",
    "measure-waist-circ-incr",
    "measure-hips-circ-incr",
    "measure-thigh-circ-incr",
    "measure-calf-circ-incr",
    "measure-neck-circ-incr",
    "measure-upperarm-circ-incr",
    "measure-shoulder-dist-incr",
    "measure-upperleg-height-incr",
    "measure-lowerleg-height-incr",
    "measure-napetowaist-dist-incr",
    "measure-upperarm-length-incr",
    "measure-lowerarm-length-incr",
    "torso-scale-depth-incr",
    "hip-scale-depth-incr",
    "torso-scale-horiz-incr",
    "hip-scale-horiz-incr",
)
PARAMETERS = (*PHENOTYPES, *LOCAL_CHANGES)
"""The 22 unknowns of a solve, in the order of every parameter vector x."""

_FREE_ANCHORS = ("muscle", "weight", "height", "proportions")
_Rows = NDArray[np.float32]


def shape_of(parameters: Floats, fixed: Shape) -> Shape:
    """The shape that a parameter vector (22,) stands for; `fixed` gives the phenotypes that are held."""
    amounts = [float(x) for x in parameters]
    local = dict(zip(LOCAL_CHANGES, amounts[len(PHENOTYPES) :], strict=True))
    height, weight, muscle, proportions = amounts[: len(PHENOTYPES)]
    return replace(
        fixed,
        height=height,
        weight=weight,
        muscle=muscle,
        proportions=proportions,
        local={**fixed.local, **local},
    )


class ShapeFamily:
    """Bodies by parameter vector, with derivatives. Vertices and bone heads travel as one row of 3 (V + B) numbers."""

    def __init__(self, body: CanonicalBody, fixed: Shape) -> None:
        self.body = body
        self.fixed = fixed
        free = np.array([anchor.endswith(_FREE_ANCHORS) for anchor in body.anchors])
        weight_of = hats(fixed)
        held = np.array(
            [1.0 if is_free else weight_of.get(name, 1.0) for name, is_free in zip(body.anchors, free, strict=True)]
        )
        amount = np.where(body.phenotype_mask, held, 1.0).prod(axis=1)
        self._masks, group_of = np.unique(body.phenotype_mask & free, axis=0, return_inverse=True)
        self._rows = self._collapse(amount, group_of.reshape(-1), len(self._masks))
        self._template = np.concatenate([body.template.reshape(-1), body.template_heads.reshape(-1)]).astype(np.float64)
        for name, change in fixed.local.items():
            row = body.local_row(name, positive=change > 0)
            self._template += abs(change) * self._row(body.local_shapes[row], body.local_heads[row])
        self._increase = self._local_rows(positive=True)
        self._decrease = self._local_rows(positive=False)

    def _collapse(self, amount: Floats, group_of: NDArray[np.intp], groups: int) -> _Rows:
        """Sum the shapes that differ only in held phenotypes: 328 rows become 46."""
        body = self.body
        rows = np.zeros((groups, 3 * (body.vertex_count + len(body.bone_names))), np.float32)
        for k in np.flatnonzero(np.abs(amount) >= NEGLIGIBLE):
            rows[group_of[k]] += np.float32(amount[k]) * self._row(body.phenotype_shapes[k], body.phenotype_heads[k])
        return rows

    def _local_rows(self, *, positive: bool) -> _Rows:
        chosen = [self.body.local_row(name, positive=positive) for name in LOCAL_CHANGES]
        return np.stack([self._row(self.body.local_shapes[k], self.body.local_heads[k]) for k in chosen])

    def _row(self, shape: NDArray[np.int16], heads: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([shape.reshape(-1) * np.float32(self.body.step_m), heads.reshape(-1)])

    def bodies(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Vertices (V, 3) and bone heads (B, 3), metres."""
        anchors, _ = self._anchor_weights(parameters)
        coefficient = np.where(self._masks, anchors, 1.0).prod(axis=1)
        local = parameters[len(PHENOTYPES) :]
        row = self._template + _combine(coefficient, self._rows)
        row += _combine(np.maximum(local, 0), self._increase) + _combine(np.maximum(-local, 0), self._decrease)
        points = row.reshape(-1, 3)
        return points[: self.body.vertex_count], points[self.body.vertex_count :]

    def tangents(self, parameters: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Derivatives (22, V, 3) and (22, B, 3). At the kink of a local change (zero) the mean of both sides."""
        anchors, slopes = self._anchor_weights(parameters)
        by = np.zeros((len(PARAMETERS), self._rows.shape[1]), np.float32)
        for j, slope in enumerate(slopes):
            varied = self._masks & (slope != 0)
            others = np.where(self._masks & ~varied, anchors, 1.0).prod(axis=1)
            by[j] = _combine(others * np.where(varied, slope, 0.0).sum(axis=1), self._rows)
        for j, change in enumerate(parameters[len(PHENOTYPES) :]):
            up = 1.0 if change > 0 else 0.5 if change == 0 else 0.0
            by[len(PHENOTYPES) + j] = np.float32(up) * self._increase[j] - np.float32(1 - up) * self._decrease[j]
        points = by.reshape(len(PARAMETERS), -1, 3)
        return points[:, : self.body.vertex_count], points[:, self.body.vertex_count :]

    def moving(self, parameters: Floats) -> tuple[Moving, Moving]:
        """Vertices and bone heads with their derivatives by the 22 parameters."""
        vertices, heads = self.bodies(parameters)
        vertices_by, heads_by = self.tangents(parameters)
        return Moving(vertices, vertices_by), Moving(heads, heads_by)

    def _anchor_weights(self, parameters: Floats) -> tuple[Floats, list[Floats]]:
        """(A,) hat weights, and for each free phenotype the slope of every anchor's weight by it."""
        shape = shape_of(parameters, self.fixed)
        weight_of = hats(shape)
        weights = np.array([weight_of.get(anchor, 1.0) for anchor in self.body.anchors])
        slopes = []
        for name in PHENOTYPES:
            low, high = _linear_piece(getattr(shape, name), three_anchors=name in {"muscle", "weight"})
            below, above = (hats(_with_phenotype(shape, name, end)) for end in (low, high))
            slopes.append(np.array([(above.get(a, 1.0) - below.get(a, 1.0)) / (high - low) for a in self.body.anchors]))
        return weights, slopes


def _with_phenotype(shape: Shape, name: str, value: float) -> Shape:
    change: dict[str, Any] = {name: value}
    return replace(shape, **change)


def _linear_piece(value: float, *, three_anchors: bool) -> tuple[float, float]:
    """Ends of the stretch of [0, 1] round `value` on which hat weights are linear."""
    if not three_anchors:
        return 0.0, 1.0
    return (0.0, 0.5) if value < 0.5 else (0.5, 1.0)


def _combine(amounts: Floats, rows: _Rows) -> NDArray[np.float32]:
    combined: NDArray[np.float32] = amounts.astype(np.float32) @ rows
    return combined
