"""Photo and facts → measurements and a body: the stages in order, nothing else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from gpu_worker import photo as photos
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.solve import Solution, Solver
from gpu_worker.body.tape import Tape
from gpu_worker.contract import MEASUREMENTS, AvatarParams, AvatarResult, Quantity, Stage
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.port import PhotoEstimator
from gpu_worker.estimators.questionnaire import Estimate, Facts
from gpu_worker.estimators.silhouette import SilhouetteEstimator
from gpu_worker.fusion import fuse
from gpu_worker.glb import encode_avatar, encode_body_npz
from gpu_worker.photo import DecodedPhoto, PhotoRefused

MAX_PHOTO_COST = 15.0
"""Solve cost from which a photo's measurements fit no body. Of 550 good drawn photos 549 cost less than 4.4, the other
9.5; arms that hide the body cost 10 to 19. Most bad poses cost little: the gates of `pose.py` must find them."""


@dataclass(frozen=True, eq=False)
class AvatarFiles:
    """What one run gives; nothing of the photo is in it."""

    result: AvatarResult
    glb: bytes
    body_npz: bytes
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def flags(self) -> list[str]:
        return self.result.flags


class Pipeline:
    """Everything that is loaded once for a process; not for two threads at a time."""

    def __init__(self, body: CanonicalBody, photo_estimator: PhotoEstimator | None) -> None:
        self.body = body
        self._solver = Solver(body, Tape(body))
        self._photo_estimator = photo_estimator

    @classmethod
    def load(cls) -> Self:
        """Load the models; without MediaPipe (no build for this platform) photos are set aside and flagged."""
        try:
            silhouette = SilhouetteEstimator.load()
        except ImportError:
            silhouette = None
        return cls(CanonicalBody.load(), silhouette)

    def run_avatar(
        self,
        params: AvatarParams,
        photo: bytes | None,
        photo_side: bytes | None,
        on_stage: Callable[[Stage], None] = lambda _stage: None,
    ) -> AvatarFiles:
        """Run the stages, calling `on_stage` at the start of each; raises `PhotoRefused` or `FactRefused`."""
        timings_ms: dict[str, float] = {}
        facts = Facts(params.height_cm, params.weight_kg, params.age, params.sex, params.tape_cm)
        on_stage(Stage.CHECKING)
        with _timed(timings_ms, "decode"):
            questionnaire.check(facts)
            front = None if photo is None else photos.decode(photo)
            side, side_flags = _decode_side(photo_side)
        on_stage(Stage.MEASURING)
        with _timed(timings_ms, "estimate"):
            estimate = self._estimate(facts, front, side)
        on_stage(Stage.BUILDING)
        with _timed(timings_ms, "solve"):
            solution = self.solve(estimate, facts)
        with _timed(timings_ms, "glb"):
            glb = encode_avatar(self.body, solution.vertices, compress=True)
            body_npz = encode_body_npz(self.body, solution.parameters, solution.vertices, solution.measurements)
        return AvatarFiles(_result(estimate, side_flags), glb, body_npz, timings_ms)

    def _estimate(self, facts: Facts, front: DecodedPhoto | None, side: DecodedPhoto | None) -> Estimate:
        """All evidence in one."""
        if front is None:
            return questionnaire.estimate(facts)
        if self._photo_estimator is None:
            answered = questionnaire.estimate(facts)
            return replace(answered, flags=(*answered.flags, "silhouette_unavailable"))
        return combine(facts, self._photo_estimator.estimate(front, facts, side))

    def solve(self, estimate: Estimate, facts: Facts) -> Solution:
        """The body that meets the estimate; a photo that fits no body is refused."""
        mean = dict(zip(MEASUREMENTS, estimate.mean, strict=True))
        sd = dict(zip(MEASUREMENTS, _sd(estimate), strict=True))
        solution = self._solver.solve(mean, sd, facts.sex, facts.age)
        if "photo" in estimate.evidence and solution.cost > MAX_PHOTO_COST:
            raise PhotoRefused("photo_pose")
        return solution


def combine(facts: Facts, seen: Estimate) -> Estimate:
    """Facts and what was seen in a photo; a tape is independent of the rest and comes last, so that it counts once."""
    answered = questionnaire.estimate(replace(facts, tape_cm={}))
    return questionnaire.with_tape(fuse(answered, seen), facts.tape_cm)


def _decode_side(data: bytes | None) -> tuple[DecodedPhoto | None, list[str]]:
    """A side photo is extra: one that cannot be read is said in a flag, the front photo stands."""
    if data is None:
        return None, []
    try:
        return photos.decode(data), []
    except PhotoRefused:
        return None, ["photo_side_unreadable"]


def _sd(estimate: Estimate) -> list[float]:
    return [float(v) for v in np.sqrt(np.diag(np.array(estimate.covariance)))]


def _result(estimate: Estimate, side_flags: list[str]) -> AvatarResult:
    quantities = zip(MEASUREMENTS, estimate.mean, _sd(estimate), strict=True)
    return AvatarResult(
        measurements={name: Quantity(mean=mean, sd=sd) for name, mean, sd in quantities},
        covariance=[list(row) for row in estimate.covariance],
        evidence=list(estimate.evidence),
        estimator=estimate.estimator,
        flags=[*estimate.flags, *side_flags],
    )


@contextmanager
def _timed(timings_ms: dict[str, float], name: str) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    timings_ms[name] = (time.perf_counter() - start_s) * 1000
