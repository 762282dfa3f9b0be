"""The natural waist of survey people, whom nobody measured there: a line through solved canonical bodies.

`waist_natural_v1.json` holds, for each sex, the regression of the natural waist of canonical bodies solved from
survey rows (`population.py` writes it) on measures the survey has.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.training.ansur import SurveySex

FILE = Path(__file__).with_name("waist_natural_v1.json")
PREDICTORS = ("chest_cm", "waist_cm", "hip_cm", "inseam_cm", "height_cm", "weight_kg")
UNCHECKED_DEFINITION_SD_CM = 2.0
"""The level of the natural waist on a mesh was never held against people; guess."""


@dataclass(frozen=True)
class WaistNatural:
    """natural waist = constant + coefficients · PREDICTORS, with an error of `sd_cm` between bodies."""

    constant_cm: float
    coefficients: tuple[float, ...]
    sd_cm: float
    bodies: int

    @classmethod
    def load(cls, sex: SurveySex, path: Path = FILE) -> "WaistNatural":
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))[sex]
        return cls(
            float(record["constant_cm"]),
            tuple(float(record["coefficients"][name]) for name in PREDICTORS),
            float(record["sd_cm"]),
            int(record["bodies"]),
        )

    @property
    def error_sd_cm(self) -> float:
        """Between bodies and by the unchecked definition together."""
        return float(np.hypot(self.sd_cm, UNCHECKED_DEFINITION_SD_CM))

    def predict(self, measured: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict (n,) centimetres from (n, 13) measurements."""
        chosen = measured[:, [MEASUREMENTS.index(name) for name in PREDICTORS]]
        line: NDArray[np.float64] = self.constant_cm + chosen @ np.array(self.coefficients)
        return line
