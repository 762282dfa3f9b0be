"""What compute may cost in one UTC day, in all and for each brand. Pure."""

from typing import Literal
from uuid import UUID

import msgspec

WARNED_AT = 0.8
MICROUSD = 1_000_000

BudgetState = Literal["ok", "warning", "exceeded"]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As written in DAILY_BUDGET, in dollars; what is left out has no limit."""

    usd: float | None = None
    """Of all brands together."""
    usd_of_each_brand: float | None = None
    usd_of_brand: dict[UUID, float] = {}
    """Of these brands in place of the one above."""

    @property
    def is_limited(self) -> bool:
        return self.usd is not None or self.usd_of_each_brand is not None or bool(self.usd_of_brand)

    @property
    def total_microusd(self) -> int | None:
        return _microusd(self.usd)

    def of_brand_microusd(self, brand_id: UUID) -> int | None:
        return _microusd(self.usd_of_brand.get(brand_id, self.usd_of_each_brand))


class Standing(msgspec.Struct, frozen=True):
    """How far one budget is used up today. `brand_id` None: that of all brands."""

    brand_id: UUID | None
    spent_microusd: int
    limit_microusd: int

    @property
    def state(self) -> BudgetState:
        if self.spent_microusd >= self.limit_microusd:
            return "exceeded"
        return "warning" if self.spent_microusd >= WARNED_AT * self.limit_microusd else "ok"


def read_budget(text: str) -> Budget:
    """Raises `ValueError` with a sentence."""
    if not text:
        return Budget()
    try:
        budget = msgspec.json.decode(text, type=Budget)
    except msgspec.DecodeError as error:
        raise ValueError(f"DAILY_BUDGET is not a JSON object of limits in dollars: {error}.") from error
    if any(usd < 0 for usd in (budget.usd or 0, budget.usd_of_each_brand or 0, *budget.usd_of_brand.values())):
        raise ValueError("DAILY_BUDGET: a limit must not be negative.")
    return budget


def standings(budget: Budget, spent_microusd: dict[UUID, int]) -> list[Standing]:
    """Of every budget that something was spent of or that is not zero: all brands together first."""
    found = []
    if budget.total_microusd is not None:
        found.append(Standing(None, sum(spent_microusd.values()), budget.total_microusd))
    for brand_id, spent in spent_microusd.items():
        limit = budget.of_brand_microusd(brand_id)
        if limit is not None:
            found.append(Standing(brand_id, spent, limit))
    return found


def _microusd(usd: float | None) -> int | None:
    return None if usd is None else round(usd * MICROUSD)
