"""What every estimator that looks at photos is to the pipeline. The adapter point for other body models.

Whoever implements it turns pixels and facts into the thirteen canonical measurements (`gpu_worker/body/tape.py` says
what each is) with the covariance of their error against those definitions, and lets nothing else about the person out.
`tests/hmr2/estimator_promise.py` is the test that any of them must pass; docs/hmr2.md tells how to add one.
"""

from typing import Protocol

from gpu_worker.estimators.questionnaire import Estimate, Facts
from gpu_worker.photo import DecodedPhoto


class NotMeasurable(Exception):
    """An estimator has nothing to say about this person; the others stand. The text is one sentence."""


class PhotoEstimator(Protocol):
    """One for each process and thread."""

    def estimate(self, photo: DecodedPhoto, facts: Facts, side: DecodedPhoto | None = None, /) -> Estimate:
        """Thirteen means and their covariance; `evidence` says what was used, so that nothing is counted twice.

        Raises `PhotoRefused` for a photo that nobody could measure, `FactRefused` for a fact. `facts.tape_cm` is not
        used here: a tape is independent and joins last. A measurement that could not be taken has a very large
        variance, never a guess.
        """
