"""Synthetic people with bodies: drawn to follow the survey's measurements, each solved to a canonical body.

The draw needs no survey: `population_v1.json` is enough. About 0.15 s a body on one core.

People of the same measurements differ in shape: the solve starts, and is held, at random phenotypes and local changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.canonical import YOUNG, CanonicalBody, Shape
from gpu_worker.body.family import LOCAL_CHANGES, PHENOTYPES
from gpu_worker.body.solve import GENDER_OF, START_HEIGHT, Solver, age_phenotype
from gpu_worker.body.tape import WEIGHT_SPREAD, Tape
from gpu_worker.training.ansur import SurveySex
from gpu_worker.training.people import Measured, Mode, People, Protocol

Array = NDArray[np.float64]

FREE_START = {"weight": (0.6, 0.15), "muscle": (0.4, 0.2), "proportions": (0.5, 0.2)}
"""Mean and sd of where the solve starts."""
LOCAL_SD, LOCAL_LIMIT = 0.2, 0.8
AGE_SD = 0.05
SOFT_RANGE = (0.1, 0.9)
"""Of cup size and firmness, drawn flat."""


@dataclass(frozen=True)
class Person:
    """A synthetic person.

    height_cm, weight_kg : what a stadiometer and scales say; the body's own weight (its volume times an effective
        density) differs by about 3 %, as it does for real people. State from these.
    age                  : years
    shape                : the body; its tape is the truth of every other measurement
    """

    sex: SurveySex
    age: float
    height_cm: float
    weight_kg: float
    shape: Shape


class Population:
    """Draws people with bodies."""

    def __init__(self, people: People, solver: Solver) -> None:
        self.people = people
        self.solver = solver

    @classmethod
    def load(cls) -> "Population":
        body = CanonicalBody.load()
        return cls(People.load(), Solver(body, Tape(body)))

    def sample(self, rng: np.random.Generator, n: int, mode: Mode = "flat") -> Iterator[Person]:
        for _ in range(n):
            yield self.embody(rng, self.people.draw(rng, mode))

    def embody(self, rng: np.random.Generator, measured: Measured) -> Person:
        """A body of these measurements, its shape random where they leave it free."""
        fixed = random_held(rng, measured, self.solver.body.local_names)
        weight_kg = measured.values["weight_kg"]
        targets = measured.values | {"weight_kg": weight_kg * rng.normal(1, WEIGHT_SPREAD)}
        solution = self.solver.solve_shape(targets, {}, fixed, random_start(rng, measured.sex))
        return Person(measured.sex, measured.age, measured.values["height_cm"], weight_kg, solution.shape)


def sample(rng: np.random.Generator, n: int, mode: Mode = "flat") -> Iterator[Person]:
    """Draw `n` people from the committed model, flat in BMI or as the survey has them."""
    return _shipped().sample(rng, n, mode)


def state(
    rng: np.random.Generator, sex: SurveySex, height_cm: float, weight_kg: float, protocol: Protocol = "A"
) -> tuple[float, float]:
    """Stated height (cm) and weight (kg): see `people.People.state`."""
    return _shipped().people.state(rng, sex, height_cm, weight_kg, protocol)


@cache
def _shipped() -> Population:
    """Read once, when first asked."""
    return Population.load()


def random_held(rng: np.random.Generator, measured: Measured, local_names: tuple[str, ...]) -> Shape:
    """What the solve does not touch: gender, age, softness, and the local changes that are not its unknowns."""
    age = float(np.clip(age_phenotype(measured.age) + rng.normal(0, AGE_SD), YOUNG, 1.0))
    held_locals = [name for name in local_names if name not in LOCAL_CHANGES]
    amounts = _random_locals(rng, len(held_locals))
    return Shape(
        gender=GENDER_OF[measured.sex],
        age=age,
        cupsize=float(rng.uniform(*SOFT_RANGE)),
        firmness=float(rng.uniform(*SOFT_RANGE)),
        local=dict(zip(held_locals, amounts.tolist(), strict=True)),
    )


def random_start(rng: np.random.Generator, sex: SurveySex) -> Array:
    """(22,) parameters round which the solve stays where the targets allow."""
    drawn = {name: rng.normal(mean, sd) for name, (mean, sd) in FREE_START.items()}
    drawn["height"] = START_HEIGHT[GENDER_OF[sex]]
    phenotypes = [float(np.clip(drawn[name], 0.0, 1.0)) for name in PHENOTYPES]
    return np.concatenate([phenotypes, _random_locals(rng, len(LOCAL_CHANGES))])


def _random_locals(rng: np.random.Generator, n: int) -> Array:
    return np.clip(rng.normal(0, LOCAL_SD, n), -LOCAL_LIMIT, LOCAL_LIMIT)
