"""Two estimates that share evidence → one that claims no more than both together know.

The photo's estimate rests on the same stated height and weight as the questionnaire's, so their precisions must never
be added. Covariance intersection is right whatever their errors have in common (Julier and Uhlmann, 1997).
"""

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.estimators.questionnaire import MEASUREMENTS, Estimate

POPULATION_SD = dict(
    zip(MEASUREMENTS, (9.1, 11.2, 11.2, 8.0, 5.5, 2.9, 3.9, 3.6, 6.0, 3.6, 3.9, 8.9, 15.0), strict=True)
)
"""Spread of each measurement among adults, cm or kg: what makes variances comparable. Rounded from ANSUR II."""

SHARES = np.linspace(0.0, 1.0, 41)


def fuse(questionnaire: Estimate, silhouette: Estimate) -> Estimate:
    """Λ = ω Λ_q + (1 - ω) Λ_s, ω in [0, 1] minimising the trace of the scaled covariance."""
    scale = np.array([POPULATION_SD[name] for name in MEASUREMENTS])
    precisions = [_inverse(np.array(e.covariance) / np.outer(scale, scale)) for e in (questionnaire, silhouette)]
    means = [np.array(e.mean) / scale for e in (questionnaire, silhouette)]
    covariances = [_inverse(share * precisions[0] + (1 - share) * precisions[1]) for share in SHARES]
    best = int(np.argmin([np.trace(covariance) for covariance in covariances]))
    weighted = SHARES[best] * precisions[0] @ means[0] + (1 - SHARES[best]) * precisions[1] @ means[1]
    covariance = covariances[best] * np.outer(scale, scale)
    return Estimate(
        mean=tuple((covariances[best] @ weighted * scale).tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
        evidence=(*questionnaire.evidence, *(e for e in silhouette.evidence if e not in questionnaire.evidence)),
        flags=(*questionnaire.flags, *(f for f in silhouette.flags if f not in questionnaire.flags)),
        estimator=f"{questionnaire.estimator}+{silhouette.estimator}",
    )


def _inverse(matrix: Floats) -> Floats:
    inverse = np.linalg.inv(matrix)
    symmetric: Floats = (inverse + inverse.T) / 2
    return symmetric
