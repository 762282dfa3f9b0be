"""The public survey ANSUR II (2012) as arrays. Used offline only; no row of it is ever committed.

US soldiers of 17–58 years: 4,082 men and 1,986 women. Public release, distribution unlimited.
"""

import csv
import hashlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpu_worker.contract import MEASUREMENTS

SurveySex = Literal["female", "male"]
SURVEY_SEXES: tuple[SurveySex, ...] = ("female", "male")
FILES = {"female": "ANSUR_II_FEMALE_Public.csv", "male": "ANSUR_II_MALE_Public.csv"}

WHERE = (
    "Set ANSUR_DIR to the folder holding ANSUR_II_FEMALE_Public.csv and ANSUR_II_MALE_Public.csv, the public tables of "
    "the 2012 US Army Anthropometric Survey (ANSUR II), to be had from the Open Design Lab at Penn State."
)

COLUMNS = {
    "chest_cm": "chestcircumference",
    "waist_cm": "waistcircumference",
    "hip_cm": "buttockcircumference",
    "inseam_cm": "crotchheight",
    "shoulder_cm": "biacromialbreadth",
    "neck_cm": "neckcircumference",
    "upper_arm_cm": "bicepscircumferenceflexed",
    "thigh_cm": "thighcircumference",
    "arm_length_cm": "sleeveoutseam",
    "height_cm": "stature",
    "weight_kg": "weightkg",
    "calf_cm": "calfcircumference",
    "cervicale_cm": "cervicaleheight",
}
UNITS_PER_CM_OR_KG = 10.0
"""Lengths are millimetres, `weightkg` is kilograms times ten."""

CM_PER_INCH = 2.54
KG_PER_POUND = 0.45359237
LARGEST_HEIGHT_SLIP_CM = 12.0
LARGEST_WEIGHT_SLIP_KG = 20.0
"""Self-reports further off than this are typing errors (20 men, 17 women). Needs the truth, so only for fitting."""


@dataclass(frozen=True)
class Survey:
    """One sex of the survey, cleaned of implausible self-reports; n rows, centimetres and kilograms.

    measured         : (n, 13) in the order of MEASUREMENTS; `waist_natural_cm` is nan, the survey has none
    calf_cm          : (n,) calf girth, which the solver may use
    stated_height_cm : (n,) whole inches as stated
    stated_weight_kg : (n,) whole pounds as stated
    age              : (n,) years
    """

    sex: SurveySex
    measured: NDArray[np.float64]
    calf_cm: NDArray[np.float64]
    stated_height_cm: NDArray[np.float64]
    stated_weight_kg: NDArray[np.float64]
    age: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        return self.measured[:, MEASUREMENTS.index(name)]

    def as_measured(self) -> "Survey":
        """The same people, stating exactly what was measured."""
        return replace(self, stated_height_cm=self.column("height_cm"), stated_weight_kg=self.column("weight_kg"))

    def __len__(self) -> int:
        return len(self.age)

    def rows(self, chosen: NDArray[np.int64]) -> "Survey":
        return Survey(
            self.sex,
            self.measured[chosen],
            self.calf_cm[chosen],
            self.stated_height_cm[chosen],
            self.stated_weight_kg[chosen],
            self.age[chosen],
        )


def folder_from_environment() -> Path:
    """The survey's folder, or the end of the program with one sentence saying where to get it."""
    folder = Path(os.environ.get("ANSUR_DIR", ""))
    if not os.environ.get("ANSUR_DIR") or not all((folder / name).is_file() for name in FILES.values()):
        print(WHERE, file=sys.stderr)
        raise SystemExit(2)
    return folder


def load(folder: Path) -> dict[SurveySex, Survey]:
    return {sex: _load_sex(folder / FILES[sex], sex) for sex in SURVEY_SEXES}


def digest(folder: Path) -> str:
    """SHA-256 over both files, in the order of `SURVEY_SEXES`."""
    return hashlib.sha256(b"".join((folder / FILES[sex]).read_bytes() for sex in SURVEY_SEXES)).hexdigest()


def _load_sex(path: Path, sex: SurveySex) -> Survey:
    with path.open(encoding="latin-1", newline="") as file:
        records = list(csv.DictReader(file))

    def numbers(column: str) -> NDArray[np.float64]:
        return np.array([float(record[column]) for record in records])

    body = {name: numbers(column) / UNITS_PER_CM_OR_KG for name, column in COLUMNS.items()}
    body["torso_length_cm"] = body["cervicale_cm"] - body["inseam_cm"]
    body["waist_natural_cm"] = np.full(len(records), np.nan)
    everyone = Survey(
        sex,
        np.stack([body[name] for name in MEASUREMENTS], axis=1),
        body["calf_cm"],
        numbers("Heightin") * CM_PER_INCH,
        numbers("Weightlbs") * KG_PER_POUND,
        numbers("Age"),
    )
    height_slip_cm = np.abs(everyone.stated_height_cm - body["height_cm"])
    weight_slip_kg = np.abs(everyone.stated_weight_kg - body["weight_kg"])
    is_plausible = (height_slip_cm < LARGEST_HEIGHT_SLIP_CM) & (weight_slip_kg < LARGEST_WEIGHT_SLIP_KG)
    return everyone.rows(np.flatnonzero(is_plausible))
