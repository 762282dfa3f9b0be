"""Fit what the tape adds to its mesh readings: published definition minus mesh, on bodies solved from survey rows.

Run: ANSUR_DIR=folder python -m gpu_worker.training.fit_tape_definitions [--rows 150]. Writes `tape_v1.json`,
aggregates only. Bodies are solved on the eight measures whose definition is the mesh's own; what is compared is free.
Also prints how the navel's level and the mesh's density agree with the survey.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.section import still
from gpu_worker.body.solve import Solver
from gpu_worker.body.tape import DEFINITIONS, Tape, volume
from gpu_worker.training import ansur

MATCHED = {
    "height_cm": "stature",
    "chest_cm": "chestcircumference",
    "waist_cm": "waistcircumference",
    "hip_cm": "buttockcircumference",
    "inseam_cm": "crotchheight",
    "thigh_cm": "thighcircumference",
    "neck_cm": "neckcircumference",
    "calf_cm": "calfcircumference",
}
OFFSET_NAMES = ("upper_arm_cm", "shoulder_cm", "arm_length_cm", "torso_length_cm")
SEED = 11

Row = dict[str, str]
Differences = dict[str, NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=150, help="survey rows per sex")
    rows = parser.parse_args().rows
    folder = ansur.folder_from_environment()
    body = CanonicalBody.load()
    solver = Solver(body, Tape(body))
    fitted = {sex: compare(solver, folder, sex, rows) for sex in ansur.SURVEY_SEXES}
    record = {
        "source": f"ANSUR II against the mesh, mean over {rows} solved survey rows per sex",
        "offset_cm": {name: _mean(fitted, name, 2) for name in OFFSET_NAMES},
        "waist_natural_level": _mean(fitted, "waist_natural_level", 4),
        "density_kg_m3": _mean(fitted, "density_kg_m3", 0),
    }
    DEFINITIONS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for sex, differences in fitted.items():
        for name, values in differences.items():
            print(f"{sex:7} {name:22} {np.mean(values):9.3f} sd {np.std(values):7.3f}")


def _mean(fitted: dict[ansur.SurveySex, Differences], name: str, digits: int) -> dict[str, float]:
    return {sex: round(float(np.mean(fitted[sex][name])), digits) for sex in ("male", "female")}


def compare(solver: Solver, folder: Path, sex: ansur.SurveySex, rows: int) -> Differences:
    """Survey minus mesh, (rows,) by name."""
    with (folder / ansur.FILES[sex]).open(encoding="latin-1", newline="") as file:
        records = list(csv.DictReader(file))
    chosen = np.random.default_rng(SEED).choice(len(records), rows, replace=False)
    found = [_differences(solver, records[k], sex) for k in chosen]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def _differences(solver: Solver, row: Row, sex: ansur.SurveySex) -> dict[str, float]:
    def cm(column: str) -> float:
        return float(row[column]) / ansur.UNITS_PER_CM_OR_KG

    targets = {name: cm(column) for name, column in MATCHED.items()}
    solution = solver.solve(targets, {}, sex, None)
    vertices, heads = still(solution.vertices), still(solution.bone_heads)
    gender = solution.shape.gender
    mesh = {name: 100 * dual.value for name, dual in solver.tape.mesh_lengths(vertices, heads, gender=gender).items()}
    navel_cm = 100 * (solver.tape.navel_level(vertices).value - float(solution.vertices[:, 2].min()))
    rib_to_iliac_cm = (cm("tenthribheight") + cm("iliocristaleheight")) / 2
    return {
        "upper_arm_cm": cm("bicepscircumferenceflexed") - mesh["upper_arm"],
        "shoulder_cm": cm("biacromialbreadth") - mesh["shoulder"],
        "arm_length_cm": cm("sleeveoutseam") - mesh["arm_length"],
        "torso_length_cm": cm("cervicaleheight") - cm("crotchheight") - mesh["torso_length"],
        "waist_natural_level": (rib_to_iliac_cm - cm("waistheightomphalion")) / cm("stature"),
        "density_kg_m3": cm("weightkg") / volume(vertices, solver.body.faces).value,
        "navel_too_high_cm": navel_cm - cm("waistheightomphalion"),
        "worst_miss_cm": max(abs(solution.measurements[name] - value) for name, value in targets.items()),
        "cost": solution.cost,
    }


if __name__ == "__main__":
    main()
