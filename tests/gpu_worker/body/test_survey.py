"""Bodies against people: rows of the ANSUR II survey, where its folder is named by ANSUR_DIR."""

import os
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.body.solve import Solver
from gpu_worker.training import ansur
from gpu_worker.training.fit_tape_definitions import OFFSET_NAMES, compare

ROWS = 16

if not os.environ.get("ANSUR_DIR"):
    pytest.skip(ansur.WHERE, allow_module_level=True)


@pytest.mark.parametrize("sex", ansur.SURVEY_SEXES)
def test_survey_people_are_reached_and_their_navel_is_found(solver: Solver, sex: ansur.SurveySex) -> None:
    found = compare(solver, Path(os.environ["ANSUR_DIR"]), sex, ROWS)
    definitions = solver.tape.definitions
    assert np.median(found["worst_miss_cm"]) < 0.2
    assert abs(found["navel_too_high_cm"].mean()) < 1.2  # sd 1.8 of sixteen people
    assert found["density_kg_m3"].mean() == pytest.approx(getattr(definitions.density_kg_m3, sex), rel=0.03)
    for name in OFFSET_NAMES:
        offset = getattr(definitions.offset_cm[name], sex)
        assert found[name].mean() == pytest.approx(offset, abs=3 * found[name].std() / np.sqrt(ROWS))
