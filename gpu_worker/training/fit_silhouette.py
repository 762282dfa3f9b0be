"""Regenerate `silhouette_v1.npz`: draw pictures, look at them with MediaPipe, fit, cross-validate.

Run: python -m gpu_worker.training.fit_silhouette (hours on one core; resumable, says how far it is).
The same seeds give the same error within 0.1 cm.
"""

import argparse
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.archive import encode_npz
from gpu_worker.body.arrays import Floats
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import Facts
from gpu_worker.estimators.silhouette import (
    AREA_FEATURE,
    INPUT_LIMIT,
    MODEL_FILE,
    Regressor,
    inputs_of,
    known_count,
    with_constant,
)
from gpu_worker.estimators.silhouette_features import measure
from gpu_worker.photo import PhotoRefused
from gpu_worker.pose import Detection, Silhouette, check, cut_out
from gpu_worker.training.ansur import SurveySex
from gpu_worker.training.network import fit_network
from gpu_worker.training.people import People, Protocol
from gpu_worker.training.pictures import Shard, generate

BODIES = 3200
REPLICAS = 3
"""How often each picture is used, each time with other errors of the stated facts."""
FACTS_SEED = 2_202
FOLDS = 4

FOLD_NETWORKS, NETWORKS = 2, 4
"""How many networks are averaged in cross-validation and in the shipped file."""

RIDGE = 3.0

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
LEAST_RESIDUAL = 0.2
"""Added to absolute errors before their logarithm, cm or kg."""
LOOSE_QUANTILE = 0.97
NORMAL_80, NORMAL_95 = 1.2816, 1.9600
VARIANTS: dict[str, tuple[bool, bool]] = {
    "sex+weight": (True, True),
    "sex": (True, False),
    "any+weight": (False, True),
    "any": (False, False),
}
"""Set of answers -> sex known, weight known."""


@dataclass(frozen=True, eq=False)
class Examples:
    """n pictures: features (n, 78) for a stature of 1 cm; the rest as in `pictures.Shard`."""

    features: Floats
    truth: Floats
    person: Floats
    body: NDArray[np.int64]

    @classmethod
    def read(cls, shards: list[Path]) -> "Examples":
        parts = [_features_of(path) for path in shards]
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _features_of(path: Path) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    shard = Shard.load(path)
    rows, features = [], []
    for row in range(len(shard.body)):
        detection = shard.detection(row)
        silhouette = cut_out(detection.mask_probability)
        if silhouette is not None and _is_accepted(detection, silhouette):
            rows.append(row)
            features.append(measure(detection, silhouette))
    return np.array(features), shard.truth[rows], shard.person[rows], shard.body[rows]


def _is_accepted(detection: Detection, silhouette: Silhouette) -> bool:
    try:
        check(detection, silhouette)
    except PhotoRefused:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Table:
    """What a regressor is fitted on: n rows.

    is_survey : (n,) drawn as the survey has people, not flat in BMI
    """

    inputs: Floats
    area: Floats
    truth: Floats
    body: NDArray[np.int64]
    is_survey: NDArray[np.bool_]

    def rows(self, chosen: NDArray[np.bool_]) -> "Table":
        return Table(*(getattr(self, name)[chosen] for name in ("inputs", "area", "truth", "body", "is_survey")))


def tabulate(examples: Examples, variant: str, people: People) -> Table:
    """State facts for every picture, several times with other errors; half the people give their age."""
    rng = np.random.default_rng(FACTS_SEED)
    knows_sex, knows_weight = VARIANTS[variant]
    rows = []
    for replica in range(REPLICAS):
        protocol = PROTOCOLS[replica % len(PROTOCOLS)]
        for features, truth, (is_female, age, _) in zip(
            examples.features, examples.truth, examples.person, strict=True
        ):
            true_sex: SurveySex = "female" if is_female else "male"
            height, weight = dict(zip(MEASUREMENTS, truth, strict=True))["height_cm"], truth[-1]
            height_cm, weight_kg = people.state(rng, true_sex, height, weight, protocol)
            facts = Facts(
                height_cm,
                weight_kg if knows_weight else None,
                age if rng.random() < 0.5 else None,
                true_sex if knows_sex else "unspecified",
            )
            rows.append(inputs_of(facts, questionnaire.estimate(facts), features))
    return Table(
        inputs=np.array(rows),
        area=np.tile(examples.features[:, AREA_FEATURE], REPLICAS),
        truth=np.tile(examples.truth, (REPLICAS, 1)),
        body=np.tile(examples.body, REPLICAS),
        is_survey=np.tile(examples.person[:, 2] == 0, REPLICAS),
    )


def fit_mean(table: Table, variant: str, networks: int) -> Regressor:
    """Ridge, then networks on what it leaves; its spread is still to be fitted."""
    centre, scale = table.inputs.mean(axis=0), table.inputs.std(axis=0) + 1e-9
    z = np.clip((table.inputs - centre) / scale, -INPUT_LIMIT, INPUT_LIMIT)
    design = with_constant(z)
    penalty = RIDGE * np.eye(design.shape[1])
    penalty[-1, -1] = 0
    linear = np.linalg.solve(design.T @ design + penalty, design.T @ table.truth)
    residual = table.truth - design @ linear
    spread = residual.std(axis=0)
    layers = [fit_network(z, residual / spread, seed) for seed in range(networks)]
    width_line, width_sd, loose_from = _fit_width(table, variant)
    return Regressor(
        centre=centre,
        scale=scale,
        linear=linear,
        first=np.stack([layer.first for layer in layers]),
        second=np.stack([layer.second for layer in layers]),
        last=np.stack([layer.last * spread for layer in layers]),
        log_sd=np.zeros((4, len(MEASUREMENTS))),
        girth=np.array([0.0, 1.0]),
        correlation=np.eye(len(MEASUREMENTS)),
        width_line=width_line,
        width_sd=width_sd,
        loose_from=loose_from,
    )


def _fit_width(table: Table, variant: str) -> tuple[Floats, float, float]:
    """Expected log area of the silhouette given the answers; how far it scatters; where clothes are loose."""
    known = np.column_stack([table.inputs[:, : known_count(variant)], np.ones(len(table.inputs))])
    log_area = np.log(table.area)
    line = np.linalg.lstsq(known, log_area, rcond=None)[0]
    left = log_area - known @ line
    return line, float(left.std()), float(np.quantile(left / left.std(), LOOSE_QUANTILE))


def cross_validate(table: Table, variant: str) -> Floats:
    """(n, 13) held-out predictions; all pictures of one body are in one fold."""
    predicted = np.zeros_like(table.truth)
    for fold in range(FOLDS):
        is_held = table.body % FOLDS == fold
        predicted[is_held] = fit_mean(table.rows(~is_held), variant, FOLD_NETWORKS).mean(table.inputs[is_held])
    return predicted


def fit_spread(regressor: Regressor, table: Table, predicted: Floats) -> Regressor:
    """Standard deviations and correlation from held-out errors, scaled to cover 80 and 95 % of survey people."""
    ratio = predicted[:, MEASUREMENTS.index("waist_cm")] / predicted[:, MEASUREMENTS.index("height_cm")]
    girth = np.array([ratio.mean(), ratio.std()])
    shaped = _replace(regressor, girth=girth)
    error = predicted - table.truth
    terms = shaped.spread_terms(predicted, regressor.looseness(table.inputs, table.area))
    log_error = np.log(np.abs(error) + LEAST_RESIDUAL)
    log_sd = np.asarray(np.linalg.lstsq(terms, log_error, rcond=None)[0], np.float64)
    standardised = error / np.exp(terms @ log_sd)
    of_survey = np.abs(standardised[table.is_survey])
    factor = (np.quantile(of_survey, 0.80, axis=0) / NORMAL_80 + np.quantile(of_survey, 0.95, axis=0) / NORMAL_95) / 2
    log_sd[0] += np.log(factor)
    correlation = np.asarray(np.corrcoef(np.clip(standardised / factor, -4, 4).T), np.float64)
    return _replace(shaped, log_sd=log_sd, correlation=correlation)


def _replace(regressor: Regressor, **changes: Floats) -> Regressor:
    return Regressor(**{**vars(regressor), **changes})


def encode(regressors: dict[str, Regressor]) -> bytes:
    arrays: dict[str, NDArray[np.generic]] = {}
    for variant, regressor in regressors.items():
        for name, value in vars(regressor).items():
            kind = np.float16 if name in {"first", "second", "last"} else np.float32
            arrays[f"{variant}/{name}"] = np.asarray(value, kind)
    return encode_npz(arrays)


def report(table: Table, predicted: Floats, regressor: Regressor) -> str:
    error = (predicted - table.truth)[table.is_survey]
    sd = regressor.sd(predicted, regressor.looseness(table.inputs, table.area))[table.is_survey]
    cells = []
    for name in ("chest_cm", "waist_cm", "waist_natural_cm", "hip_cm", "inseam_cm", "neck_cm", "thigh_cm"):
        row = MEASUREMENTS.index(name)
        cover = [100 * np.mean(np.abs(error[:, row]) < k * sd[:, row]) for k in (NORMAL_80, NORMAL_95)]
        cells.append(f"{name} {np.abs(error[:, row]).mean():.2f} ({cover[0]:.0f}/{cover[1]:.0f} %)")
    return ", ".join(cells)


def fit_variant(examples: Examples, variant: str) -> tuple[Regressor, str]:
    """The regressor for one set of answers, and a line about its held-out error."""
    table = tabulate(examples, variant, People.load())
    predicted = cross_validate(table, variant)
    regressor = fit_spread(fit_mean(table, variant, NETWORKS), table, predicted)
    return regressor, report(table, predicted, regressor)


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw training pictures and fit the silhouette estimator.")
    parser.add_argument("--folder", type=Path, default=Path(".data/training"), help="where pictures are kept")
    parser.add_argument("--bodies", type=int, default=BODIES)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    arguments = parser.parse_args()
    shards = generate(arguments.folder, arguments.bodies, processes=arguments.processes)
    print("reading features", file=sys.stderr, flush=True)
    examples = Examples.read(shards)
    regressors = {}
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        jobs = [pool.apply_async(fit_variant, (examples, variant)) for variant in VARIANTS]
        for variant, job in zip(VARIANTS, jobs, strict=True):
            regressors[variant], line = job.get()
            print(f"{variant}, {len(examples.body)} pictures, held out: {line}", flush=True)
    content = encode(regressors)
    arguments.out.write_bytes(content)
    print(f"{arguments.out.name}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
