"""Measurements to one body: bounded, damped least squares with exact derivatives. Deterministic.

    minimise  sum_k ((m_k(x) - mean_k) / sigma_k)^2  +  .35^2 sum_j ((x_j - start_j) / spread_j)^2

over the 22 parameters of `family.PARAMETERS`, each kept inside its box.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.body.canonical import YOUNG, CanonicalBody, Shape
from gpu_worker.body.family import PARAMETERS, PHENOTYPES, ShapeFamily, shape_of
from gpu_worker.body.tape import WEIGHT_SPREAD, Tape
from gpu_worker.contract import Sex

GENDER_OF: Mapping[Sex, float] = {"male": 0.0, "female": 1.0, "unspecified": 0.5}

YOUNG_YEARS, OLD_YEARS = 25.0, 90.0
"""What MakeHuman's two adult age anchors stand for."""
DEFAULT_AGE_PHENOTYPE = 0.7

PRIOR_WEIGHT = 0.35
LOCAL_LIMIT = 0.9
"""Local changes stay short of the ends of their range, where single shapes look pulled."""
START_HEIGHT = {0.0: 0.36, 0.5: 0.38, 1.0: 0.40}
START_WEIGHT, START_MUSCLE, START_PROPORTIONS = 0.6, 0.4, 0.5

SD_SHARE, SD_FLOOR_CM = 0.6, 0.6
"""A target is held to .6 of its standard deviation: its errors are shared with the others', the body's are not."""
HEIGHT_SIGMA_CM = 0.2
WEIGHT_SIGMA_KG = 1.0
LIMB_SD_SHARE = 1.0
LIMBS = ("thigh_cm", "calf_cm", "upper_arm_cm", "arm_length_cm")
"""Held loosely: a tight limb turns shorts into balloon thighs."""
NATURAL_WAIST_SD_SHARE, NATURAL_WAIST_FLOOR_CM = 3.0, 5.0
"""The natural waist falls out of the solved body: its own definition is unchecked."""

MAX_STEPS = 15
ENOUGH_GAIN = 0.01
DAMPING_START, DAMPING_DOWN, DAMPING_UP, TRIES = 1e-2, 5.0, 6.0, 4


@dataclass(frozen=True, eq=False)
class Solution:
    """One body and how well it meets its targets.

    parameters    : (22,), in the order of `family.PARAMETERS`
    vertices      : (V, 3) metres, rest pose, z up; bone_heads : (B, 3)
    measurements  : wire name -> cm or kg, as the tape reads them on this body
    cost          : minimised sum; whole-body photos give .7 to 5, cropped or crossed legs 13 to 35
    evaluations   : bodies that were measured
    """

    shape: Shape
    parameters: Floats
    vertices: Floats
    bone_heads: Floats
    measurements: dict[str, float]
    cost: float
    evaluations: int


def age_phenotype(age: float | None) -> float:
    if age is None:
        return DEFAULT_AGE_PHENOTYPE
    share = (age - YOUNG_YEARS) / (OLD_YEARS - YOUNG_YEARS)
    return YOUNG + (1 - YOUNG) * min(max(share, 0.0), 1.0)


def sigma(name: str, mean: float, sd: float) -> float:
    """How closely a target is held, cm or kg."""
    if name == "height_cm":
        return HEIGHT_SIGMA_CM
    if name == "weight_kg":
        return max(WEIGHT_SIGMA_KG, WEIGHT_SPREAD * mean)
    if name == "waist_natural_cm":
        return max(NATURAL_WAIST_FLOOR_CM, NATURAL_WAIST_SD_SHARE * sd)
    return max(SD_FLOOR_CM, (LIMB_SD_SHARE if name in LIMBS else SD_SHARE) * sd)


@dataclass(frozen=True, eq=False)
class _State:
    """A parameter vector and what was found there."""

    x: Floats
    residual: Floats

    @property
    def cost(self) -> float:
        return float(self.residual @ self.residual)


class _Problem:
    """The residuals of one solve; targets first, then the prior."""

    def __init__(
        self,
        family: ShapeFamily,
        tape: Tape,
        mean: Mapping[str, float],
        sd: Mapping[str, float],
        start: Floats | None,
    ) -> None:
        self.family = family
        self.tape = tape
        self.names = sorted(mean)
        self.target = np.array([mean[name] for name in self.names])
        if not np.isfinite(self.target).all():
            raise ValueError(f"A target of {self.names} is NaN or infinite.")
        self.sigma = np.array([sigma(name, mean[name], sd.get(name, 0.0)) for name in self.names])
        free_locals = len(PARAMETERS) - len(PHENOTYPES)
        if start is None:
            start_height = START_HEIGHT[family.fixed.gender]
            start = np.array([start_height, START_WEIGHT, START_MUSCLE, START_PROPORTIONS] + [0.0] * free_locals)
        self.start = start
        self.spread = np.array([1.0, 0.35, 0.35, 0.3] + [0.35] * free_locals)
        self.low = np.array([0.0] * len(PHENOTYPES) + [-LOCAL_LIMIT] * free_locals)
        self.high = np.array([1.0] * len(PHENOTYPES) + [LOCAL_LIMIT] * free_locals)
        self.evaluations = 0

    def measure(self, x: Floats) -> dict[str, float]:
        return self.tape.measure(*self.family.bodies(x), gender=self.family.fixed.gender)

    def at(self, x: Floats) -> _State:
        self.evaluations += 1
        reading = self.measure(x)
        return _State(x, self._residual(x, np.array([reading[name] for name in self.names])))

    def _residual(self, x: Floats, reading: Floats) -> Floats:
        prior = PRIOR_WEIGHT * (x - self.start) / self.spread
        return np.concatenate([(reading - self.target) / self.sigma, prior])

    def jacobian(self, x: Floats) -> Floats:
        """(targets + 22, 22) derivatives of the residuals."""
        vertices, heads = self.family.moving(x)
        reading = self.tape.measure_with_derivatives(vertices, heads, gender=self.family.fixed.gender)
        measured = np.stack([reading[name].by for name in self.names]) / self.sigma[:, None]
        return np.concatenate([measured, np.diag(PRIOR_WEIGHT / self.spread)])


class Solver:
    """Finds the canonical body that meets a set of measurements."""

    def __init__(self, body: CanonicalBody, tape: Tape) -> None:
        self.body = body
        self.tape = tape

    def solve(self, mean: Mapping[str, float], sd: Mapping[str, float], sex: Sex, age: float | None) -> Solution:
        """The body nearest `mean` (wire names; what is missing stays free), each target held by its `sd`."""
        return self.solve_shape(mean, sd, Shape(gender=GENDER_OF[sex], age=age_phenotype(age)))

    def solve_shape(
        self, mean: Mapping[str, float], sd: Mapping[str, float], fixed: Shape, start: Floats | None = None
    ) -> Solution:
        """The same with the held phenotypes given; its free ones are overwritten. `start` (22,) centres the prior."""
        problem = _Problem(ShapeFamily(self.body, fixed), self.tape, mean, sd, start)
        best = _descend(problem)
        vertices, heads = problem.family.bodies(best.x)
        return Solution(
            shape=shape_of(best.x, fixed),
            parameters=best.x,
            vertices=vertices,
            bone_heads=heads,
            measurements=problem.measure(best.x),
            cost=best.cost,
            evaluations=problem.evaluations,
        )


def _descend(problem: _Problem) -> _State:
    """Levenberg's method inside the boxes; stops when a step gains less than 1 %."""
    state = problem.at(np.clip(problem.start, problem.low, problem.high))
    damping = DAMPING_START
    for _ in range(MAX_STEPS):
        J = problem.jacobian(state.x)
        for _ in range(TRIES):
            candidate = problem.at(_step(problem, state, J, damping))
            if candidate.cost < state.cost:
                break
            damping *= DAMPING_UP
        else:
            return state
        damping /= DAMPING_DOWN
        gain = (state.cost - candidate.cost) / state.cost
        state = candidate
        if gain < ENOUGH_GAIN:
            break
    return state


def _step(problem: _Problem, state: _State, J: Floats, damping: float) -> Floats:
    """A damped Gauss-Newton step; parameters that push against their box are held."""
    gradient = J.T @ state.residual
    at_low, at_high = state.x <= problem.low, state.x >= problem.high
    free = ~((at_low & (gradient > 0)) | (at_high & (gradient < 0)))
    normal = J[:, free].T @ J[:, free]
    step = np.zeros_like(state.x)
    step[free] = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-6), gradient[free])
    return np.clip(state.x + step, problem.low, problem.high)
