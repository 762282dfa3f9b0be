"""Betas from a photo, with stated height and weight → the most probable shape and its covariance. numpy only.

One photo fixes a shape only up to scale, and shrinks it towards the mean. So with the photo's betas b^, the precision P
of their error and l = log scale, this minimises by Gauss-Newton

    (b - b^)' P (b - b^) + (l / s_l)² + ((e^l h(b) - H) / s_H)² + ((ρ e^3l V(b) - W) / s_W)²

Stature h is linear in the betas while the same vertices are highest and lowest; volume V is exactly cubic.

Convention: metres, kilograms; the posterior's order is (betas, l).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.body.smpl import SmplModel

HEIGHT_SD_M: Final = 0.015
WEIGHT_SD_KG: Final = 2.0
"""Of what people state; guess within the published 1-2 cm and 1.5-2.5 kg."""
CLOTHES_KG: Final = 1.0
"""Weighed with them on; guess."""
LOG_SCALE_SD: Final = 0.02
DENSITY_KG_M3: Final = 985.0
DENSITY_SHARE_SD: Final = 0.03
"""How far true weight over this density times a model's volume spreads between people."""
MAX_BETA: Final = 3.0
MAX_DISAGREEMENT: Final = 29.6
"""99.9 % point of chi-square with ten degrees: beyond it photo, height and weight are not of one person."""

STEPS: Final = 12
HALVINGS: Final = 6
SMALL_STEP: Final = 1e-6
STATURE_BAND_M: Final = 0.06
"""Vertices of the mean body this near to crown or floor may become the highest or lowest."""


@dataclass(frozen=True, eq=False)
class ShapePosterior:
    """What photo, height and weight say together.

    betas, log_scale : the most probable shape
    covariance       : (11, 11)
    disagreement     : squared distance from the photo's betas in its own precision
    """

    betas: Floats
    log_scale: float
    covariance: Floats
    disagreement: float

    @property
    def scale(self) -> float:
        return float(np.exp(self.log_scale))


class ShapeSpace:
    """Stature and volume of a model's rest pose in closed form; built once."""

    def __init__(self, model: SmplModel) -> None:
        height = model.template[:, 1]
        self._top, self._top_by = _near(model, height > height.max() - STATURE_BAND_M)
        self._floor, self._floor_by = _near(model, height < height.min() + STATURE_BAND_M)
        self._cubic = _volume_tensor(model)

    def stature(self, betas: Floats) -> tuple[float, Floats]:
        """Metres, and its gradient."""
        tops, floors = self._top + self._top_by @ betas, self._floor + self._floor_by @ betas
        top, floor = tops.argmax(), floors.argmin()
        return float(tops[top] - floors[floor]), self._top_by[top] - self._floor_by[floor]

    def volume(self, betas: Floats) -> tuple[float, Floats]:
        """Cubic metres, and its gradient."""
        terms = np.concatenate([[1.0], betas])
        slope = self._cubic @ terms @ terms
        return float(slope @ terms), 3 * slope[1:]


def _near(model: SmplModel, chosen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[Floats, Floats]:
    return model.template[chosen, 1], np.ascontiguousarray(model.directions[chosen, 1])


def _volume_tensor(model: SmplModel) -> Floats:
    """Symmetric (11, 11, 11): V(b) = sum of T_ijk c_i c_j c_k with c = (1, b), over signed tetrahedra."""
    shapes = np.concatenate([model.template[None], np.moveaxis(model.directions, 2, 0)])
    a, b, c = (shapes[:, model.faces[:, corner]] for corner in range(3))
    count = len(shapes)
    tensor = np.zeros((count, count, count))
    for i in range(count):
        for j in range(count):
            tensor[:, i, j] = a.reshape(count, -1) @ np.cross(b[i], c[j]).reshape(-1) / 6
    return sum((tensor.transpose(order) for order in _ORDERS), np.zeros_like(tensor)) / len(_ORDERS)


_ORDERS: Final = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True, eq=False)
class Stated:
    """What is minimised, for one person."""

    space: ShapeSpace
    seen: Floats
    precision: Floats
    height_m: float
    weight_kg: float | None
    height_sd_m: float = HEIGHT_SD_M
    weight_sd_kg: float = WEIGHT_SD_KG
    log_scale_sd: float = LOG_SCALE_SD

    def residuals(self, at: Floats) -> tuple[list[float], list[Floats]]:
        """Of height and weight in their standard deviations, and their gradients by (betas, l)."""
        betas, scale = at[:-1], float(np.exp(at[-1]))
        stature, stature_by = self.space.stature(betas)
        values = [(self.height_m - scale * stature) / self.height_sd_m]
        gradients = [np.append(stature_by, stature) * scale / self.height_sd_m]
        if self.weight_kg is not None:
            volume, volume_by = self.space.volume(betas)
            mass = DENSITY_KG_M3 * scale**3
            sd_kg = float(np.hypot(self.weight_sd_kg, DENSITY_SHARE_SD * self.weight_kg))
            values.append((self.weight_kg - CLOTHES_KG - mass * volume) / sd_kg)
            gradients.append(np.append(volume_by, 3 * volume) * mass / sd_kg)
        return values, gradients

    def prior(self) -> Floats:
        """(11, 11) precision of what the photo says, scale included."""
        prior = np.zeros((len(self.seen) + 1, len(self.seen) + 1))
        prior[:-1, :-1] = self.precision
        prior[-1, -1] = self.log_scale_sd**-2
        return prior

    def cost(self, at: Floats) -> float:
        away = at - np.append(self.seen, 0.0)
        return float(away @ self.prior() @ away) + sum(value**2 for value in self.residuals(at)[0])


def fuse_stated(person: Stated) -> ShapePosterior:
    """Gauss-Newton; a step that would raise the cost is halved."""
    start = np.append(person.seen, 0.0)
    prior, at, cost = person.prior(), start, person.cost(start)
    for _ in range(STEPS):
        precision, downhill = prior.copy(), prior @ (start - at)
        for value, gradient in zip(*person.residuals(at), strict=True):
            precision += np.outer(gradient, gradient)
            downhill += gradient * value
        step = np.linalg.solve(precision, downhill)
        for _ in range(HALVINGS):
            if person.cost(at + step) <= cost:
                break
            step = step / 2
        at = at + step
        cost = person.cost(at)
        if np.linalg.norm(step) < SMALL_STEP:
            break
    away = at[:-1] - person.seen
    return ShapePosterior(
        betas=np.clip(at[:-1], -MAX_BETA, MAX_BETA),
        log_scale=float(at[-1]),
        covariance=_inverse(precision),
        disagreement=float(away @ person.precision @ away),
    )


def _inverse(precision: Floats) -> Floats:
    inverse = np.linalg.inv(precision)
    symmetric: Floats = (inverse + inverse.T) / 2
    return symmetric
