"""One front photo and the stated facts → thirteen measurements with the covariance of their error.

A ridge regression corrected by small networks, on silhouette features, the facts, and what the questionnaire makes of
the facts; so it holds all that the questionnaire knows. One regressor for each set of answers.

Fitted by `gpu_worker.training.fit_silhouette` on synthetic people in simulated clothes, seen through the real
MediaPipe. What it does on photographs of people with tape-measured truth is unknown.

A side photo is not used yet: no clothed side views were trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import MEASUREMENTS, Estimate, Facts
from gpu_worker.estimators.silhouette_features import measure, scaled
from gpu_worker.photo import DecodedPhoto
from gpu_worker.pose import Detection, PoseDetector, Silhouette, is_side_view, read_person

T = TypeVar("T", np.float32, np.float64)

MODEL_FILE = Path(__file__).with_name("silhouette_v1.npz")
ESTIMATOR = "silhouette_v1"

WAIST = MEASUREMENTS.index("waist_cm")
HEIGHT = MEASUREMENTS.index("height_cm")

AREA_FEATURE = 43
"""Row of the silhouette's area among the features."""

INPUT_LIMIT = 4.0
"""Standardised inputs are clipped here: nothing further out was trained."""

PHOTO_SD_FLOOR_CM = {"chest_cm": 2.0, "waist_cm": 2.0, "hip_cm": 1.8}
"""No photo is trusted more, until photographs of people with tape-measured truth exist; guess."""

LOOSE_CLOTHING_SD_FACTOR = 1.25
"""How much wider the answer is when somebody looks much wider than their weight explains; guess."""


@dataclass(frozen=True, eq=False)
class Layers:
    """One network, or several with a leading axis: weights with the constants in the last row.

    first : (d + 1, w), second : (w + 1, w), last : (w + 1, 13)
    """

    first: Floats
    second: Floats
    last: Floats

    def __call__(self, z: Floats) -> Floats:
        """(..., n, 13) from standardised inputs (n, d)."""
        hidden = _swish(with_constant(z) @ self.first)
        output: Floats = with_constant(_swish(with_constant(hidden) @ self.second)) @ self.last
        return output


def with_constant(rows: NDArray[T]) -> NDArray[T]:
    """A column of ones after the last."""
    return np.concatenate([rows, np.ones((*rows.shape[:-1], 1), rows.dtype)], axis=-1)


def _swish(x: Floats) -> Floats:
    activated: Floats = x / (1 + np.exp(-x))
    return activated


@dataclass(frozen=True, eq=False)
class Regressor:
    """The fitted numbers for one set of answers; d inputs.

    centre, scale       : (d,) of the inputs
    linear              : (d + 1, 13) ridge coefficients, the constant last
    first, second, last : (k, …) the layers of k networks, whose mean is added
    log_sd              : (4, 13) of `spread_terms`
    girth               : (2,) centre and scale of predicted waist over height
    correlation         : (13, 13) of errors
    width_line          : (k + 1,) expected log silhouette area from the leading inputs; width_sd about it
    loose_from          : standardised width from which clothes are called loose
    """

    centre: Floats
    scale: Floats
    linear: Floats
    first: Floats
    second: Floats
    last: Floats
    log_sd: Floats
    girth: Floats
    correlation: Floats
    width_line: Floats
    width_sd: float
    loose_from: float

    def mean(self, inputs: Floats) -> Floats:
        """(n, 13) measurements of (n, d) inputs."""
        z = self.standardised(inputs)
        corrections = Layers(self.first, self.second, self.last)(z)
        mean: Floats = with_constant(z) @ self.linear + corrections.mean(axis=0)
        return mean

    def standardised(self, inputs: Floats) -> Floats:
        return np.clip((inputs - self.centre) / self.scale, -INPUT_LIMIT, INPUT_LIMIT)

    def sd(self, mean: Floats, looseness: Floats) -> Floats:
        """(n, 13) standard deviations, before floors."""
        return np.exp(self.spread_terms(mean, looseness) @ self.log_sd)

    def spread_terms(self, mean: Floats, looseness: Floats) -> Floats:
        """(n, 4) what the error grows with: girth, and looking wider than the answers explain."""
        girth = (mean[:, WAIST] / mean[:, HEIGHT] - self.girth[0]) / self.girth[1]
        girth = np.clip(girth, -3, 3)
        return np.column_stack([np.ones(len(mean)), girth, girth**2, np.clip(looseness, -3, 3)])

    def looseness(self, inputs: Floats, area: Floats) -> Floats:
        """(n,) how much wider the silhouette is than the answers explain, in standard deviations."""
        known = inputs[:, : len(self.width_line) - 1]
        expected = known @ self.width_line[:-1] + self.width_line[-1]
        wider: Floats = (np.log(np.maximum(area, 1e-9)) - expected) / self.width_sd
        return wider


def variant_name(facts: Facts) -> str:
    """Each set of answers has its own regressor; nothing missing is filled in with an average."""
    sex = "sex" if facts.sex != "unspecified" else "any"
    return f"{sex}+weight" if facts.weight_kg is not None else sex


def inputs_of(facts: Facts, answered: Estimate, features: Floats) -> Floats:
    """(d,) what the regressor sees: answers first (see `Regressor.width_line`), then the questionnaire, then the photo.

    answered : the questionnaire's estimate from the same facts without tape
    features : (78,) for a stature of 1 cm
    """
    known = [facts.height_cm]
    if facts.weight_kg is not None:
        known += [facts.weight_kg, questionnaire.bmi(facts.height_cm, facts.weight_kg), np.cbrt(facts.weight_kg)]
    if facts.sex != "unspecified":
        known.append(float(facts.sex == "female"))
    return np.concatenate([known, answered.mean, scaled(features, facts.height_cm)])


def known_count(variant: str) -> int:
    """How many of the inputs are the answers themselves."""
    return 1 + 3 * variant.endswith("weight") + variant.startswith("sex")


class SilhouetteModel:
    """The regressors of all sets of answers."""

    def __init__(self, regressors: Mapping[str, Regressor]) -> None:
        self.regressors = regressors

    @classmethod
    def load(cls, path: Path = MODEL_FILE) -> Self:
        fields: dict[str, dict[str, Any]] = {}
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                variant, _, name = key.partition("/")
                array = archive[key].astype(np.float64)
                fields.setdefault(variant, {})[name] = array if array.ndim else float(array)
        return cls({variant: Regressor(**values) for variant, values in fields.items()})

    def predict(self, facts: Facts, features: Floats) -> Estimate:
        """Measurements from (78,) features of a front photo, for a stature of 1 cm; tape values are not used."""
        answered = questionnaire.estimate(Facts(facts.height_cm, facts.weight_kg, facts.age, facts.sex))
        regressor = self.regressors[variant_name(facts)]
        inputs = inputs_of(facts, answered, features)[None]
        mean = regressor.mean(inputs)
        looseness = regressor.looseness(inputs, features[AREA_FEATURE, None])
        sd = regressor.sd(mean, looseness)[0]
        flags = list(answered.flags)
        if looseness[0] > regressor.loose_from:
            flags.append("loose_clothing")
            sd *= LOOSE_CLOTHING_SD_FACTOR
        if "extrapolated" in flags:
            sd *= questionnaire.EXTRAPOLATION_SD_FACTOR
        for name, floor_cm in PHOTO_SD_FLOOR_CM.items():
            row = MEASUREMENTS.index(name)
            sd[row] = max(sd[row], floor_cm)
        covariance = regressor.correlation * np.outer(sd, sd)
        return Estimate(
            mean=tuple(mean[0].tolist()),
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            evidence=(*answered.evidence, "photo"),
            flags=tuple(flags),
            estimator=ESTIMATOR,
        )


class SilhouetteEstimator:
    """Photo → estimate; one for each process and thread."""

    def __init__(self, detector: PoseDetector, model: SilhouetteModel) -> None:
        self._detector = detector
        self._model = model

    @classmethod
    def load(cls) -> Self:
        return cls(PoseDetector(), SilhouetteModel.load())

    def estimate(self, photo: DecodedPhoto, facts: Facts, side: DecodedPhoto | None = None) -> Estimate:
        """Raises `PhotoRefused` for a front photo that cannot be used, `FactRefused` for a fact."""
        detection, silhouette = self.find(photo)
        return self.measure(detection, silhouette, facts, side)

    def find(self, photo: DecodedPhoto) -> tuple[Detection, Silhouette]:
        """The one person of a front photo; raises `PhotoRefused`."""
        return read_person(self._detector, photo.rgb)

    def measure(
        self, detection: Detection, silhouette: Silhouette, facts: Facts, side: DecodedPhoto | None = None
    ) -> Estimate:
        """The same for a person already found."""
        estimate = self._model.predict(facts, measure(detection, silhouette))
        if side is None:
            return estimate
        flag = "photo_side_unused" if is_side_view(self._detector.detect(side.rgb)) else "photo_side_pose"
        return Estimate(
            estimate.mean, estimate.covariance, estimate.evidence, (*estimate.flags, flag), estimate.estimator
        )
