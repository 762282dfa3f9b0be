"""Two estimates that share evidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.body.arrays import Floats
from gpu_worker.estimators.questionnaire import MEASUREMENTS, Estimate, Facts, estimate
from gpu_worker.fusion import POPULATION_SD, fuse

ANSWERED = estimate(Facts(170, 68, 30, "female"))
SCALE = np.array([POPULATION_SD[name] for name in MEASUREMENTS])


def seen(mean: Floats, covariance: Floats) -> Estimate:
    return Estimate(
        tuple(mean.tolist()),
        tuple(map(tuple, covariance.tolist())),
        ("height", "photo"),
        ("loose_clothing",),
        "silhouette_v1",
    )


def random_estimate(seed: int) -> Estimate:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(13, 13))
    covariance = (mixing @ mixing.T / 13 + 0.05 * np.eye(13)) * np.outer(SCALE, SCALE) * rng.uniform(0.01, 0.5)
    return seen(np.array(ANSWERED.mean) + rng.normal(size=13), covariance)


def trace(e: Estimate) -> float:
    return float(np.sum(np.diag(np.array(e.covariance)) / SCALE**2))


@given(st.integers(0, 10_000))
def test_fusing_is_never_worse_than_the_better_source(seed: int) -> None:
    other = random_estimate(seed)
    fused = fuse(ANSWERED, other)
    assert trace(fused) <= min(trace(ANSWERED), trace(other)) * (1 + 1e-9)
    assert (np.linalg.eigvalsh(np.array(fused.covariance)) > 0).all()


def test_the_same_evidence_twice_is_worth_as_much_as_once() -> None:
    fused = fuse(ANSWERED, seen(np.array(ANSWERED.mean), np.array(ANSWERED.covariance)))
    assert np.array(fused.covariance) == pytest.approx(np.array(ANSWERED.covariance))
    assert fused.mean == pytest.approx(ANSWERED.mean)


def test_a_source_that_knows_much_more_is_followed() -> None:
    better = seen(np.array(ANSWERED.mean) + 3, np.array(ANSWERED.covariance) / 100)
    assert fuse(ANSWERED, better).mean == pytest.approx(better.mean)
    assert fuse(ANSWERED, seen(np.array(ANSWERED.mean) + 3, np.array(ANSWERED.covariance) * 100)).mean == pytest.approx(
        ANSWERED.mean
    )


def test_evidence_and_flags_are_joined_once_each() -> None:
    fused = fuse(ANSWERED, random_estimate(1))
    assert fused.evidence == (*ANSWERED.evidence, "photo")
    assert fused.flags.count("loose_clothing") == 1
    assert fused.estimator == f"{ANSWERED.estimator}+silhouette_v1"
