"""What a feature gives for its kind of work. `create_app` spells out the whole list."""

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from backend.jobs.models import Job
from backend.jobs.work import Outcome
from gpu_worker.contract import Manifest


class Outcomes(Protocol):
    def is_sound(self, manifest: Manifest) -> bool:
        """Whether the result can be true; else the attempt counts as without artefact."""
        ...

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        """The one effect of the job, in the transaction that ends it."""
        ...


class NoOutcome:
    """Of work that is nothing but a proof that it can be done."""

    def is_sound(self, manifest: Manifest) -> bool:  # noqa: ARG002  there is no result
        return True

    async def finish(self, session: AsyncSession, job: Job, outcome: Outcome) -> None:
        pass


OutcomesByKind = Mapping[str, Outcomes]
