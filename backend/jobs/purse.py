"""Whether one more attempt may be paid for. The answer is `operations.spending`'s; here is what the dispatcher asks."""

from datetime import datetime
from typing import Literal, Protocol

from backend.jobs.models import Job
from backend.provider_settings import ProviderSettings

BUDGET_EXCEEDED: Literal["budget_exceeded"] = "budget_exceeded"
"""`Job.hold` of what waits for money."""


class Purse(Protocol):
    async def look(self) -> None:
        """Learn what was spent; called before each round, and cheap."""
        ...

    def pays(self, job: Job, provider: ProviderSettings) -> bool:
        """True: yes, and it is reckoned with from now on."""
        ...

    def look_again_at(self) -> datetime:
        """When to ask for what was refused again."""
        ...
