"""How wrong a photo's measurements are: held-out synthetic people in simulated clothes, through the product's own path.

Run: python -m gpu_worker.training.bench_accuracy (a quarter of an hour on one core; a rerun takes minutes, because
what MediaPipe saw is kept). Ends with 1 when a promised number is lost.

The bodies and clothes come from our own generator. Not measured: real photographs against a tape, other populations
than the survey's soldiers, pregnancy, disability, lens distortion, real garments, test and retest.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import gpu_worker
from gpu_worker.body.arrays import Bools, Floats
from gpu_worker.contract import MEASUREMENTS, Sex
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import Estimate, Facts
from gpu_worker.estimators.silhouette import SilhouetteModel
from gpu_worker.estimators.silhouette_features import COUNT, measure
from gpu_worker.photo import PhotoRefused, decode
from gpu_worker.pipeline import Pipeline, combine
from gpu_worker.pose import PoseDetector, read_person
from gpu_worker.training.people import People, Protocol
from gpu_worker.training.pictures import truth_of
from gpu_worker.training.population import Population
from gpu_worker.training.scenes import Studio, encode_jpeg

HELD_OUT_SEED = 9_909
STATED_SEED = 9_910
"""Neither is used in training."""
BODIES = 1000
MESHES = 150
PEOPLE_PER_FILE = 20

GIRTHS = ("chest_cm", "waist_cm", "hip_cm")
MOST_MAE_CM = {"chest_cm": 3.2, "waist_cm": 3.3, "hip_cm": 2.8}
COVERAGE_BANDS = {80: (76.0, 84.0), 95: (93.0, 97.0)}
LEAST_ACCEPTED_PERCENT = 98.0
SD_FACTORS = {80: 1.2816, 95: 1.96}
BMI_BANDS = ((0.0, 18.5), (18.5, 25.0), (25.0, 30.0), (30.0, 35.0), (35.0, 99.0))

DRAWN_BY = (
    "training/render.py",
    "training/wardrobe.py",
    "training/scenes.py",
    "training/population.py",
    "training/people.py",
    "training/population_v1.json",
    "body/body_v1.npz",
    "estimators/silhouette_features.py",
    "photo.py",
    "pose.py",
)
"""What was seen is kept only as long as none of these files changes."""


@dataclass(frozen=True, eq=False)
class Seen:
    """n held-out people and what the product saw in one photo of each.

    features : (n, 78), nan where the photo was refused; refusal : its code or ""
    truth    : (n, 13); is_female, age : (n,)
    """

    features: Floats
    refusal: NDArray[np.str_]
    truth: Floats
    is_female: Bools
    age: Floats

    @property
    def bmi(self) -> Floats:
        height = self.truth[:, MEASUREMENTS.index("height_cm")] / 100
        ratio: Floats = self.truth[:, MEASUREMENTS.index("weight_kg")] / height**2
        return ratio


@dataclass(frozen=True)
class Inputs:
    """What an estimator is given; errors of stated facts follow `protocol`."""

    name: str
    has_photo: bool = True
    has_weight: bool = True
    has_sex: bool = True
    has_age: bool = False
    protocol: Protocol = "A"


PROMISED = Inputs("photo, height, weight, sex")
ALL_INPUTS = (
    PROMISED,
    Inputs("photo, height, weight, sex (P)", protocol="P"),
    Inputs("photo, height, weight, age, sex", has_age=True),
    Inputs("photo, height, weight", has_sex=False),
    Inputs("photo, height, sex", has_weight=False),
    Inputs("photo, height", has_weight=False, has_sex=False),
    Inputs("height, weight, sex", has_photo=False),
    Inputs("height, weight, age, sex", has_photo=False, has_age=True),
)


@dataclass(frozen=True, eq=False)
class Errors:
    """Estimate minus truth and stated standard deviations, (n, 13)."""

    error: Floats
    sd: Floats

    def rows(self, chosen: Bools) -> "Errors":
        return Errors(self.error[chosen], self.sd[chosen])

    def summary(self, name: str) -> dict[str, float]:
        row = MEASUREMENTS.index(name)
        error, sd = self.error[:, row], self.sd[:, row]
        size = np.abs(error)
        covered = {f"cover{p}": float(100 * np.mean(size < k * sd)) for p, k in SD_FACTORS.items()}
        return {
            "mae": float(size.mean()),
            "se": float(size.std() / np.sqrt(len(size))),
            "bias": float(error.mean()),
            "p90": float(np.quantile(size, 0.9)),
            **covered,
        }


# --- seeing ----------------------------------------------------------------------------------------------------------


def look(folder: Path, bodies: int) -> Seen:
    """Draw, photograph and look at every held-out person; resumes where it stopped."""
    kept = folder / _digest()
    kept.mkdir(parents=True, exist_ok=True)
    paths = [kept / f"people_{number:04d}.npz" for number in range(-(-bodies // PEOPLE_PER_FILE))]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    started = time.monotonic()
    studio: _PhotoStudio | None = None
    for count, number in enumerate(missing, start=1):
        studio = studio or _PhotoStudio()
        studio.write(number, paths[number])
        left_s = (time.monotonic() - started) / count * (len(missing) - count)
        print(f"pictures: {count}/{len(missing)} files, {left_s / 60:.1f} min left", file=sys.stderr, flush=True)
    parts = [dict(np.load(path, allow_pickle=False)) for path in paths]
    return Seen(**{name: np.concatenate([part[name] for part in parts])[:bodies] for name in parts[0]})


def _digest() -> str:
    root = Path(gpu_worker.__file__).parent
    content = b"".join((root / name).read_bytes() for name in DRAWN_BY)
    return hashlib.sha256(content).hexdigest()[:16]


class _PhotoStudio:
    """Draws held-out people and looks at them as the product does: JPEG bytes → decode → MediaPipe → gates."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self.population = Population.load()
        self.studio = Studio(self.population.solver.body)
        self.detector = PoseDetector()

    def write(self, number: int, path: Path) -> None:
        rows = [self._person(number * PEOPLE_PER_FILE + index) for index in range(PEOPLE_PER_FILE)]
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            columns: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            np.savez(file, **columns)
        unfinished.replace(path)

    def _person(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng((HELD_OUT_SEED, number))
        (person,) = self.population.sample(rng, 1, "ansur")
        jpeg = encode_jpeg(self.studio.everyday(person.shape, rng))
        features, refusal = np.full(COUNT, np.nan), ""
        try:
            features = measure(*read_person(self.detector, decode(jpeg).rgb))
        except PhotoRefused as refused:
            refusal = refused.code
        return {
            "features": features,
            "refusal": refusal.ljust(24),
            "truth": truth_of(self.population.solver.tape, person),
            "is_female": person.sex == "female",
            "age": person.age,
        }


# --- estimating ------------------------------------------------------------------------------------------------------


def state(seen: Seen, inputs: Inputs) -> list[Facts]:
    """What everybody says, with the usual errors; the same for every set of inputs of one protocol."""
    people = People.load()
    rng = np.random.default_rng(STATED_SEED)
    stated = []
    for truth, is_female, age in zip(seen.truth, seen.is_female, seen.age, strict=True):
        sex: Sex = "female" if is_female else "male"
        height = truth[MEASUREMENTS.index("height_cm")]
        weight = truth[MEASUREMENTS.index("weight_kg")]
        height_cm, weight_kg = people.state(rng, "female" if is_female else "male", height, weight, inputs.protocol)
        stated.append(
            Facts(
                height_cm,
                weight_kg if inputs.has_weight else None,
                float(age) if inputs.has_age else None,
                sex if inputs.has_sex else "unspecified",
            )
        )
    return stated


def estimate_all(seen: Seen, inputs: Inputs, model: SilhouetteModel) -> list[Estimate]:
    """As `Pipeline.run_avatar` estimates."""
    estimates = []
    for facts, features in zip(state(seen, inputs), seen.features, strict=True):
        if inputs.has_photo:
            estimates.append(combine(facts, model.predict(facts, features)))
        else:
            estimates.append(questionnaire.estimate(facts))
    return estimates


def errors_of(estimates: list[Estimate], truth: Floats) -> Errors:
    mean = np.array([estimate.mean for estimate in estimates])
    sd = np.array([np.sqrt(np.diag(np.array(estimate.covariance))) for estimate in estimates])
    return Errors(mean - truth, sd)


def measure_all(seen: Seen) -> tuple[dict[str, Errors], list[Estimate]]:
    """Errors of every set of inputs and of the median person; and the estimates that promises are made for."""
    model = SilhouetteModel.load()
    estimates = {inputs.name: estimate_all(seen, inputs, model) for inputs in ALL_INPUTS}
    results = {name: errors_of(each, seen.truth) for name, each in estimates.items()}
    of_sex = [np.median(seen.truth[chosen], axis=0) for chosen in (seen.is_female, ~seen.is_female)]
    middle = np.where(seen.is_female[:, None], *of_sex)
    results["median person"] = Errors(middle - seen.truth, np.tile(seen.truth.std(axis=0), (len(middle), 1)))
    return results, estimates[PROMISED.name]


def mesh_errors(seen: Seen, estimates: list[Estimate], count: int) -> tuple[Errors, Floats]:
    """The tape of the final mesh against truth, for the first `count` people; and what the solves cost."""
    pipeline = Pipeline.load()
    facts = state(seen, PROMISED)[:count]
    read, costs = [], []
    for person, estimate in zip(facts, estimates[:count], strict=True):
        solution = pipeline.solve(estimate, person)
        read.append([solution.measurements[name] for name in MEASUREMENTS])
        costs.append(solution.cost)
    sd = errors_of(estimates[:count], seen.truth[:count]).sd
    return Errors(np.array(read) - seen.truth[:count], sd), np.array(costs)


# --- telling ---------------------------------------------------------------------------------------------------------


COLUMNS = "bias   p90  80/95 %"


def table_row(name: str, errors: Errors) -> str:
    cells = []
    for girth in GIRTHS:
        s = errors.summary(girth)
        cells.append(
            f"{s['mae']:5.2f} ±{s['se']:.2f} {s['bias']:+5.2f} {s['p90']:5.1f} {s['cover80']:4.0f}/{s['cover95']:.0f}"
        )
    return f"{name:36s} {len(errors.error):5d}  " + "   ".join(cells)


def groups_of(seen: Seen) -> dict[str, Bools]:
    groups: dict[str, Bools] = {"women": seen.is_female, "men": ~seen.is_female}
    for low, high in BMI_BANDS:
        groups[f"BMI {low:g}–{high:g}"] = (seen.bmi >= low) & (seen.bmi < high)
    return {name: chosen for name, chosen in groups.items() if chosen.sum() > 1}


def lost_promises(promised: Errors, accepted_percent: float) -> list[str]:
    lost = []
    for girth in GIRTHS:
        summary = promised.summary(girth)
        if summary["mae"] > MOST_MAE_CM[girth]:
            lost.append(f"{girth}: mean error {summary['mae']:.2f} cm, promised {MOST_MAE_CM[girth]}")
        for percent, (low, high) in COVERAGE_BANDS.items():
            covered = summary[f"cover{percent}"]
            if not low <= covered <= high:
                lost.append(f"{girth}: {percent} % intervals cover {covered:.1f} %, promised {low:g} to {high:g}")
    if accepted_percent < LEAST_ACCEPTED_PERCENT:
        lost.append(f"{accepted_percent:.1f} % of good photos accepted, promised {LEAST_ACCEPTED_PERCENT}")
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description="Accuracy of photo measurements on held-out synthetic people.")
    parser.add_argument("--bodies", type=int, default=BODIES)
    parser.add_argument("--meshes", type=int, default=MESHES, help="of how many people the final mesh is measured too")
    parser.add_argument("--folder", type=Path, default=Path(".data/bench"), help="what was seen is kept here")
    arguments = parser.parse_args()
    everybody = look(arguments.folder, arguments.bodies)
    is_accepted = np.char.strip(everybody.refusal) == ""
    accepted_percent = float(100 * is_accepted.mean())
    seen = Seen(**{name: array[is_accepted] for name, array in vars(everybody).items()})
    refused = Counter(np.char.strip(everybody.refusal[~is_accepted]).tolist())
    print(__doc__.partition("\n\n")[2].partition("\n\n")[2])
    print(f"{accepted_percent:.1f} % of {len(is_accepted)} photos accepted; refused: {dict(refused)}\n")
    print(f"{'cm':36s} {'n':>5s}  " + "   ".join(f"{girth[:-3]:11s}{COLUMNS}" for girth in GIRTHS))

    results, promised_estimates = measure_all(seen)
    for name, errors in results.items():
        print(table_row(name, errors))
    print(f"\n{PROMISED.name}, by group")
    for name, chosen in groups_of(seen).items():
        print(table_row(name, results[PROMISED.name].rows(chosen)))
    if arguments.meshes:
        meshes, costs = mesh_errors(seen, promised_estimates, arguments.meshes)
        results["tape of the final mesh"] = meshes
        print("\n" + table_row("tape of the final mesh", meshes))
        print(f"solve cost: median {np.median(costs):.1f}, 95 % {np.quantile(costs, 0.95):.1f}, most {costs.max():.1f}")
    report = {
        n: {m: {k: round(v, 3) for k, v in e.summary(m).items()} for m in MEASUREMENTS} for n, e in results.items()
    }
    (arguments.folder / "accuracy.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    lost = lost_promises(results[PROMISED.name], accepted_percent)
    print("\n" + ("\n".join(f"LOST {line}" for line in lost) if lost else "Every promise is kept."))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
