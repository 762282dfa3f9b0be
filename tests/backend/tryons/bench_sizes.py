"""`python -m tests.backend.tryons.bench_sizes`: whether stated size probabilities come true, on simulated shoppers.

The shoppers are the held-out people of `bench_accuracy`: a body each, what they say of themselves with the errors that
people make, and what the product saw in one photo of them. Each is judged in the demo's garments and in two charts with
other steps, from three kinds of evidence, by the product's own estimators and arithmetic. The right size is the one the
same rules choose for the true body; so this measures uncertainty, not taste, ease bands or cloth.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np

from backend.demo.sample import GARMENTS
from backend.garments.categories import USUAL_STRETCH, USUAL_WAIST, Category
from backend.garments.chart_rules import check_chart
from backend.tryons.sizing import Body, CostLine, Judgement, Wear, body_row, cost, judge
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import Estimate, Facts
from gpu_worker.estimators.silhouette import SilhouetteModel
from gpu_worker.pipeline import combine
from gpu_worker.training.bench_accuracy import PROMISED, Seen, look, state

TAPE_SEED = 20261203
TAPED = {"chest_cm": 1.5, "waist_cm": 2.0, "hip_cm": 1.5}
"""Own tape: standard deviation of its error, as `sizing` expects it."""
MOST_MISCALIBRATED = 0.03
LEAST_IN_BIN = 300
BINS = 10
SD_EDGES = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 99.0)
KNOWN_CM = 1e-4
NONE = "none"


def wardrobe() -> dict[str, Wear]:
    """The demo's three, and a t-shirt in small and in large steps."""
    garments = {garment["name"]: (garment["category"], garment["size_chart"]["sizes"]) for garment in GARMENTS}
    for step in (4, 9):
        sizes = {f"{90 + step * n}": {"chest": 90.0 + step * n} for n in range(52 // step)}
        garments[f"T-shirt, steps of {step} cm"] = ("t-shirt", sizes)
    return {name: _wear(cast("Category", category), sizes) for name, (category, sizes) in garments.items()}


def _wear(category: Category, sizes: dict[str, dict[str, float]]) -> Wear:
    chart = check_chart(category, "cm", "garment", sizes)
    return Wear(category, USUAL_STRETCH[category], "garment", USUAL_WAIST[category], chart.girths_cm())


def taped(facts: Facts, truth: Sequence[float], rng: np.random.Generator) -> Facts:
    """The same answers, and a tape held by oneself."""
    read = {name: float(truth[MEASUREMENTS.index(name)] + rng.normal(0, sd)) for name, sd in TAPED.items()}
    return replace(facts, tape_cm=read)


def evidence(seen: Seen, people: int) -> Iterator[tuple[str, int, Estimate]]:
    """Every kind of evidence of every person whose photo was taken in."""
    model, rng = SilhouetteModel.load(), np.random.default_rng(TAPE_SEED)
    stated = state(seen, PROMISED)
    taken = [number for number in range(len(stated)) if not str(seen.refusal[number]).strip()][:people]
    for number in taken:
        facts = stated[number]
        yield "three answers", number, questionnaire.estimate(facts)
        yield "and a photo", number, combine(facts, model.predict(facts, seen.features[number]))
        own = taped(facts, seen.truth[number].tolist(), rng)
        yield "and a tape (chest, waist, hip)", number, questionnaire.estimate(own)


@dataclass
class Tally:
    """What was said and what came true."""

    said: list[float] = field(default_factory=list)
    came: list[bool] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)
    """Whether the likeliest size is the right one, where there is one."""
    without_size: int = 0
    confidence: dict[str, list[tuple[float, bool]]] = field(default_factory=lambda: defaultdict(list))
    by_sd: dict[int, list[bool]] = field(default_factory=lambda: defaultdict(list))
    rivals: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))

    def add(self, judged: Judgement, right: str, sd_cm: float, rivals: dict[str, str]) -> None:
        for name, share in [*((size.size, size.probability) for size in judged.sizes), (NONE, judged.none_probability)]:
            self.said.append(share)
            self.came.append(name == right)
        named = {"none_fits": (NONE,), "unsure": (_top(judged),)}.get(judged.decision, judged.named)
        self.confidence[judged.decision].append((judged.confidence, right in named))
        if right == NONE:
            self.without_size += 1
            return
        self.hits.append(_top(judged) == right)
        self.by_sd[int(np.searchsorted(SD_EDGES, sd_cm, side="right")) - 1].append(self.hits[-1])
        for name, size in ({"likeliest size (the product's)": _top(judged)} | rivals if rivals else {}).items():
            self.rivals[name].append(size == right)


def _top(judged: Judgement) -> str:
    return max(judged.sizes, key=lambda size: size.probability).size


def right_size(wear: Wear, truth: Sequence[float]) -> str:
    """By the same rules, were the body known."""
    covariance = [[KNOWN_CM**2 if i == j else 0.0 for j in range(len(truth))] for i in range(len(truth))]
    judged = judge(Body(list(truth), covariance), wear)
    return NONE if judged.none_probability > 0.5 else _top(judged)


def rival_choices(wear: Wear, estimate: Estimate) -> dict[str, str]:
    """What could be recommended in place of the likeliest size."""
    lines = {girth: CostLine.of(wear.band(girth)) for girth in wear.judged}
    rows = {girth: body_row(girth, wear.waist_at) for girth in wear.judged}
    rng = np.random.default_rng(TAPE_SEED)
    draws = rng.multivariate_normal(estimate.mean, estimate.covariance, 200, method="cholesky")

    def expected(size: str) -> float:
        chart = wear.girths_cm[size]
        return float(np.mean([sum(cost(chart[g] - body[rows[g]], lines[g]) for g in lines) for body in draws]))

    def at_mean(size: str) -> float:
        chart = wear.girths_cm[size]
        return sum(cost(chart[girth] - estimate.mean[rows[girth]], lines[girth]) for girth in lines)

    sizes = wear.girths_cm
    return {"least cost on the mean body": min(sizes, key=at_mean), "least expected cost": min(sizes, key=expected)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--bodies", type=int, default=1000, help="held-out people that were drawn")
    parser.add_argument(
        "--folder", type=Path, default=Path(".data/bench"), help="where bench_accuracy keeps what it saw"
    )
    options = parser.parse_args()
    seen = look(options.folder, options.bodies)
    clothes = wardrobe()
    rights: dict[tuple[str, int], str] = {}
    overall = Tally()
    by_evidence: dict[str, Tally] = defaultdict(Tally)
    for done, (kind, number, estimate) in enumerate(evidence(seen, options.people)):
        body = Body(estimate.mean, estimate.covariance)
        sd_cm = estimate.covariance[0][0] ** 0.5
        for name, wear in clothes.items():
            if (name, number) not in rights:
                rights[name, number] = right_size(wear, seen.truth[number].tolist())
            judged, right = judge(body, wear), rights[name, number]
            rivals = rival_choices(wear, estimate) if number % 5 == 0 else {}
            for tally in (overall, by_evidence[kind]):
                tally.add(judged, right, sd_cm, rivals)
        if done % 60 == 0:
            sys.stderr.write(f"{done} of {3 * options.people}\n")
    worst = report(overall, by_evidence)
    sys.exit(int(worst > MOST_MISCALIBRATED))


def report(overall: Tally, by_evidence: dict[str, Tally]) -> float:
    """Print every table; returns the largest gap of a bin with enough in it."""
    say("\nstated probability of a size (or that none fits) and how often it was right")
    say(f"{'stated':>12} {'n':>8} {'mean said':>10} {'came true':>10} {'gap':>7}")
    gaps = []
    for low, n, said, came in reliability(overall.said, overall.came):
        say(f"{low:>6.0%}-{low + 1 / BINS:>4.0%} {n:>8} {said:>10.1%} {came:>10.1%} {came - said:>+7.1%}")
        if n >= LEAST_IN_BIN:
            gaps.append(abs(came - said))
    brier = np.mean((np.array(overall.said) - np.array(overall.came)) ** 2)
    say(f"all {len(overall.said)} statements: Brier {brier:.4f}, largest gap {max(gaps):.1%}")
    say("\nwhat was said, by decision: confidence and how often it was right")
    for decision, pairs in overall.confidence.items():
        confidence, right = (np.mean([pair[place] for pair in pairs]) for place in (0, 1))
        say(f"{decision:>12} {len(pairs):>7} said {confidence:.1%} right {right:.1%}")
    say("\nlikeliest size is the right one, where a size fits, by evidence and by the posterior's sd at the chest (cm)")
    say(f"no size fits: {overall.without_size} of {overall.without_size + len(overall.hits)}")
    for kind, tally in by_evidence.items():
        named = [hit for _, hit in tally.confidence["one"]]
        share = len(named) / (len(tally.hits) + tally.without_size)
        told = f"one size named for {share:.0%}, right {np.mean(named):.1%}"
        say(f"{kind:<34} {np.mean(tally.hits):.1%} of {len(tally.hits)}; {told}")
    for place, hits in sorted(overall.by_sd.items()):
        say(f"sd {SD_EDGES[place]:.1f}-{SD_EDGES[place + 1]:.1f}: {np.mean(hits):.1%} of {len(hits)}")
    say("\nother ways to choose, on every fifth person")
    for name, hits in overall.rivals.items():
        say(f"{name:<34} {np.mean(hits):.1%} of {len(hits)}")
    return max(gaps)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def reliability(said: Sequence[float], came: Sequence[bool]) -> Iterator[tuple[float, int, float, float]]:
    """Lower edge, count, mean stated and observed share, for every tenth that has any."""
    stated, hit = np.array(said), np.array(came)
    places = np.minimum((stated * BINS).astype(int), BINS - 1)
    for place in range(BINS):
        inside = places == place
        if inside.any():
            yield place / BINS, int(inside.sum()), float(stated[inside].mean()), float(hit[inside].mean())


if __name__ == "__main__":
    main()
