"""Of a list of values, the one below which a share of them lies. Pure."""

from collections.abc import Sequence
from math import ceil


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of them does not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None
