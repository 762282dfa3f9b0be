"""HMR2 behind the estimators' interface: one person in a photo, and facts → measurements with their covariance.

The network's betas and what was stated give a posterior over SMPL shapes (`hmr2_shape`); the canonical tape reads it
(`gpu_worker/body/smpl_canonical.py`), and its derivatives carry the covariance over. The network's pose judges the
photo. Of SMPL nothing leaves: no beta, no vertex, no rotation.

Standard deviations are no smaller than what published errors allow (`SD_FLOOR`); on people they are not calibrated.
"""

import time
from typing import Final, Protocol

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.body.smpl import JOINT_NAMES, SmplModel
from gpu_worker.body.smpl_canonical import CanonicalTape
from gpu_worker.estimators.hmr2 import Prediction
from gpu_worker.estimators.hmr2_crop import Crop, crop, translation_in_photo
from gpu_worker.estimators.hmr2_shape import (
    CLOTHES_KG,
    DENSITY_KG_M3,
    DENSITY_SHARE_SD,
    MAX_BETA,
    MAX_DISAGREEMENT,
    ShapePosterior,
    ShapeSpace,
    Stated,
    fuse_stated,
)
from gpu_worker.estimators.port import NotMeasurable
from gpu_worker.estimators.questionnaire import MEASUREMENTS, Estimate, Facts, check
from gpu_worker.photo import DecodedPhoto
from gpu_worker.pose import (
    ANKLES,
    ELBOWS,
    HIPS,
    KNEES,
    SHOULDERS,
    WRISTS,
    Detection,
    PoseDetector,
    Silhouette,
    read_person,
)

ESTIMATOR: Final = "hmr2_v1"
ADULT_AGE: Final = 18.0
"""SMPL's shapes are adults'."""

SD_FLOOR: Final = {
    "chest_cm": 10.0, "waist_cm": 9.5, "waist_natural_cm": 9.5, "hip_cm": 10.0, "inseam_cm": 3.0, "shoulder_cm": 3.0,
    "neck_cm": 3.5, "upper_arm_cm": 4.0, "thigh_cm": 6.0, "arm_length_cm": 3.0, "torso_length_cm": 3.0,
    "height_cm": 1.5, "weight_kg": 12.0,
}  # fmt: skip
"""From photo and height: published errors of the family on HBW, as standard deviations; the lesser ones guess."""
SD_FLOOR_WITH_WEIGHT: Final = {
    "chest_cm": 2.5, "waist_cm": 2.5, "waist_natural_cm": 2.5, "hip_cm": 2.0, "inseam_cm": 1.5, "shoulder_cm": 1.5,
    "neck_cm": 1.5, "upper_arm_cm": 1.5, "thigh_cm": 2.0, "arm_length_cm": 1.5, "torso_length_cm": 1.5,
    "height_cm": 1.5, "weight_kg": 2.0,
}  # fmt: skip
"""With stated weight too: what guided capture reaches on BodyM, and something for the definitions."""
DEFINITION_SD: Final = {
    "chest_cm": 2.0, "waist_cm": 1.0, "waist_natural_cm": 1.0, "hip_cm": 1.0, "inseam_cm": 1.5, "shoulder_cm": 2.5,
    "neck_cm": 1.5, "upper_arm_cm": 1.5, "thigh_cm": 1.0, "arm_length_cm": 2.0, "torso_length_cm": 2.0,
    "height_cm": 0.5, "weight_kg": 0.0,
}  # fmt: skip
"""Raised arms and other landmarks than the canonical body's; guess until the two are calibrated."""
UNKNOWN_SD: Final = 1000.0
"""Of a measurement whose plane missed the body."""
DOUBT_SD_FACTOR: Final = 2.0
"""For a photo whose pose says that it is poor, or whose shape contradicts what was stated."""

DERIVATIVE_STEP: Final = 0.1
"""In betas; the tape's searches make it slightly uneven, so not smaller."""
MIN_VISIBILITY: Final = 0.5
"""Of a landmark that widens the box: MediaPipe guesses the others."""
MAX_BEND_DEGREES: Final = 60.0
"""Of hips and knees; beyond it the person sits or crouches."""
MAX_REPROJECTION: Final = 0.08
"""Mean distance of the network's joints from MediaPipe's, as a share of the person's height in pixels; guess."""
SEEN_JOINTS: Final = {
    "shoulder": SHOULDERS,
    "elbow": ELBOWS,
    "wrist": WRISTS,
    "hip": HIPS,
    "knee": KNEES,
    "ankle": ANKLES,
}
GENDER: Final = {"male": 0.0, "female": 1.0, "unspecified": 0.5}


class ShapeNetwork(Protocol):
    """A crop in, SMPL out; on whatever device."""

    def predict(self, seen: Crop, /) -> Prediction: ...


class Hmr2Estimator:
    """A `PhotoEstimator`; one for each process and thread. `timings_ms` is of the last photo."""

    def __init__(self, network: ShapeNetwork, model: SmplModel, detector: PoseDetector | None = None) -> None:
        self.timings_ms: dict[str, float] = {}
        self._network = network
        self._model = model
        self._detector = detector
        self._space = ShapeSpace(model)
        self._tape = CanonicalTape(model)
        self._photo_precision = np.eye(model.directions.shape[2])  # until a validation set gives the betas' errors

    def estimate(self, photo: DecodedPhoto, facts: Facts, side: DecodedPhoto | None = None, /) -> Estimate:
        """Find the person and measure. A side photo is not used."""
        if self._detector is None:
            self._detector = PoseDetector()
        estimate = self.measure(photo, *read_person(self._detector, photo.rgb), facts)
        if side is None:
            return estimate
        flags = (*estimate.flags, "photo_side_unused")
        return Estimate(estimate.mean, estimate.covariance, estimate.evidence, flags, estimate.estimator)

    def measure(self, photo: DecodedPhoto, detection: Detection, silhouette: Silhouette, facts: Facts) -> Estimate:
        """The same for a person already found; raises `NotMeasurable` and `FactRefused`."""
        check(facts)
        if facts.age is not None and facts.age < ADULT_AGE:
            raise NotMeasurable("The shape model knows adults only.")
        clock = _Clock(self.timings_ms)
        seen = crop(photo.rgb, person_box(detection, silhouette))
        clock.lap("crop")
        found = self._network.predict(seen)
        clock.lap("network")
        flags = self._judge(found, seen, detection, silhouette)
        clock.lap("pose")
        estimate = self.of_betas(found.betas, facts, flags)
        clock.lap("measure")
        return estimate

    def of_betas(self, betas: Floats, facts: Facts, flags: tuple[str, ...] = ()) -> Estimate:
        """Betas of a photo and facts → the estimate; each flag given widens it."""
        outside = np.abs(betas).max() > MAX_BETA
        person = Stated(
            self._space,
            np.clip(betas, -MAX_BETA, MAX_BETA),
            self._photo_precision,
            facts.height_cm / 100,
            facts.weight_kg,
        )
        shape = fuse_stated(person)
        flags = (*flags, *(["extrapolated"] if outside else []))
        if shape.disagreement > MAX_DISAGREEMENT:
            flags = (*flags, "photo_disagrees")
        mean, slope = self._measured(shape, GENDER[facts.sex])
        spread = slope @ shape.covariance @ slope.T
        covariance = with_floors(mean, spread, facts, DOUBT_SD_FACTOR if flags else 1.0)
        known = ["height"] + ["weight"] * (facts.weight_kg is not None) + ["sex"] * (facts.sex != "unspecified")
        return Estimate(
            mean=tuple(np.where(np.isfinite(mean), mean, 0.0).tolist()),
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            evidence=(*known, "photo"),
            flags=flags,
            estimator=ESTIMATOR,
        )

    def _measured(self, shape: ShapePosterior, gender: float) -> tuple[Floats, Floats]:
        """(13,) measurements and their (13, 11) derivatives by betas and log scale."""
        names = MEASUREMENTS[:-1]
        read, slopes = self._tape.measure_with_derivatives(
            shape.betas, scale=shape.scale, gender=gender, step=DERIVATIVE_STEP
        )
        volume, volume_by = self._space.volume(shape.betas)
        mass = DENSITY_KG_M3 * shape.scale**3
        body = np.array([read[name] for name in names])
        by_betas = np.stack([slopes[name] for name in names])
        slope = np.zeros((len(MEASUREMENTS), len(shape.betas) + 1))
        slope[:-1] = np.column_stack([by_betas, body])
        slope[-1] = mass * np.append(volume_by, 3 * volume)
        return np.append(body, mass * volume + CLOTHES_KG), slope

    def _judge(self, found: Prediction, seen: Crop, detection: Detection, silhouette: Silhouette) -> tuple[str, ...]:
        """What the network's pose says against the photo."""
        flags = []
        if max(_bend(found.rotations[JOINT_NAMES.index(name)]) for name in BENT) > MAX_BEND_DEGREES:
            flags.append("photo_bent")
        joints = self._model.posed_joints(np.clip(found.betas, -MAX_BETA, MAX_BETA), found.rotations)
        height_px, width_px = silhouette.mask.shape
        shift, focal_px = translation_in_photo(found.camera, seen, width_px, height_px)
        placed = joints + shift
        pixels = focal_px * placed[:, :2] / placed[:, 2:] + np.array([width_px, height_px]) / 2
        away = [
            np.linalg.norm(pixels[JOINT_NAMES.index(f"{side}_{name}")] - detection.landmarks[number, :2])
            for name, pair in SEEN_JOINTS.items()
            for side, number in zip(("left", "right"), pair, strict=True)
        ]
        if not np.mean(away) <= MAX_REPROJECTION * silhouette.height_px:
            flags.append("photo_pose_uncertain")
        return tuple(flags)


BENT: Final = ("left_hip", "right_hip", "left_knee", "right_knee")


def person_box(detection: Detection, silhouette: Silhouette) -> Floats:
    """Tight box (x1, y1, x2, y2) in pixels: the mask, and the landmarks that are surely seen."""
    columns = np.flatnonzero(silhouette.mask.any(axis=0))
    height, width = silhouette.mask.shape
    surely = detection.landmarks[detection.landmarks[:, 2] > MIN_VISIBILITY, :2].astype(np.float64)
    corners = np.array([[columns[0], silhouette.top], [columns[-1] + 1, silhouette.bottom + 1]], np.float64)
    points = np.clip(np.concatenate([corners, surely]), 0, [width, height])
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _bend(rotation: Floats) -> float:
    """Degrees of a rotation."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def with_floors(mean: Floats, spread: Floats, facts: Facts, doubt: float) -> Floats:
    """The tape's definitions added, every standard deviation at least its floor; correlations are kept."""
    floors = SD_FLOOR if facts.weight_kg is None else SD_FLOOR_WITH_WEIGHT
    extra = np.array([DEFINITION_SD[name] for name in MEASUREMENTS])
    if facts.weight_kg is not None:
        extra[-1] = DENSITY_SHARE_SD * facts.weight_kg
    missed = ~np.isfinite(mean) | ~np.isfinite(np.diag(spread))
    spread = np.where(missed[:, None] | missed, 0.0, spread) + np.diag(extra**2)
    sd = np.sqrt(np.maximum(np.diag(spread), 1e-12))
    wanted = np.maximum(sd, [floors[name] for name in MEASUREMENTS]) * doubt
    wanted[missed] = UNKNOWN_SD
    covariance: Floats = spread / np.outer(sd, sd)
    np.fill_diagonal(covariance, 1.0)
    return covariance * np.outer(wanted, wanted)


class _Clock:
    def __init__(self, timings_ms: dict[str, float]) -> None:
        self._timings_ms, self._last_s = timings_ms, time.perf_counter()

    def lap(self, name: str) -> None:
        now_s = time.perf_counter()
        self._timings_ms[name] = (now_s - self._last_s) * 1000
        self._last_s = now_s
