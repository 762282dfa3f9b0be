"""The bench must be able to fail: what it calls lost."""

import numpy as np
import pytest

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.training.bench_questionnaire import MOST_MAE_CM, Errors, judge

PEOPLE = 4000
NAME = "height, weight, age, sex"


def errors(mae_cm: float, sd_factor: float = 1.0) -> Errors:
    """Normal errors of a given mean size, whose stated sd is `sd_factor` times the true one."""
    true_sd = mae_cm / np.sqrt(2 / np.pi)
    drawn = np.random.default_rng(3).normal(0, true_sd, (PEOPLE, len(MEASUREMENTS)))
    return Errors(drawn, np.full(drawn.shape, true_sd * sd_factor), np.full(PEOPLE, 24.0))


def test_honest_and_small_errors_lose_nothing() -> None:
    assert judge(NAME, "male", errors(2.3)) == []


@pytest.mark.parametrize("sd_factor", [0.85, 1.25])
def test_intervals_too_narrow_or_too_wide_are_lost(sd_factor: float) -> None:
    lost = judge(NAME, "male", errors(2.3, sd_factor))
    assert len(lost) >= 3
    assert all("interval covers" in line for line in lost)


def test_errors_beyond_the_promise_are_lost() -> None:
    lost = judge(NAME, "male", errors(max(MOST_MAE_CM[NAME, "male"]) + 0.2))
    assert [line.split(": ")[1].split()[0] for line in lost] == ["chest_cm", "waist_cm", "hip_cm"]
