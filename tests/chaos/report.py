"""What a run showed, and whether it is good: as a table for people, as a record for the tests."""

from collections import Counter

import msgspec

from tests.chaos.checks import Verdict
from tests.chaos.faults import GROUPS

EXTRA_PER_FAULT = 1.5
"""Attempts that one fault may cost."""
ASKED_AGAIN_AT_MOST = 200
"""One job in so many may have the bad luck of three faults in a row."""
FEW_ASKED_AGAIN = 3
"""In a short run one outage, which costs all that is under way an execution, is a large part of it."""


class Result(msgspec.Struct):
    """What one run showed."""

    seed: int
    jobs: int
    wall_s: float
    fired: Counter[str]
    never_fired: list[str]
    starts: dict[str, int]
    asked_again: int
    verdict: Verdict

    @property
    def is_good(self) -> bool:
        return not self.faults

    @property
    def faults(self) -> list[str]:
        found = list(self.verdict.faults)
        if self.never_fired:
            found.append(f"armed, but never fired: {', '.join(self.never_fired)}")
        if self.verdict.extra_attempts > EXTRA_PER_FAULT * self.fired.total():
            found.append(f"{self.verdict.extra_attempts} extra attempts for {self.fired.total()} faults")
        if self.asked_again > max(FEW_ASKED_AGAIN, self.jobs // ASKED_AGAIN_AT_MOST):
            found.append(f"{self.asked_again} jobs had to be asked for again")
        return found


def table(result: Result) -> str:
    verdict, fired = result.verdict, result.fired
    extra, faults = verdict.extra_attempts, fired.total()
    lines = [
        f"seed {result.seed}, {result.jobs} jobs, {result.wall_s:.1f} s, {result.jobs / result.wall_s:.1f} jobs/s",
        f"jobs      {spelled(verdict.jobs)}; effects {verdict.effects}",
        f"attempts  {sum(verdict.attempts.values())}: {spelled(verdict.attempts)}",
        f"again     {result.asked_again} given up after three executions and asked for again",
        f"extra     {extra} attempts for {faults} faults: {extra / max(1, faults):.2f}",
        f"costs     {verdict.costed} attempts reckoned, {verdict.unpriced} without a price",
        f"starts    {spelled(result.starts)}",
    ]
    for group, names in GROUPS.items():
        lines.append(f"{group} ({sum(fired[name] for name in names)})")
        lines.extend(f"  {fired[name]:5}  {name}" for name in names)
    lines.extend(f"BROKEN    {fault}" for fault in result.faults)
    lines.append("GOOD" if result.is_good else "NOT GOOD")
    return "\n".join(lines)


def spelled(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
