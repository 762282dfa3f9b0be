"""The arithmetic of a size: against hand-made cases, and against plain Monte Carlo."""

import random
from statistics import NormalDist
from typing import Any

import pytest

from backend.garments.bands import BODY_BANDS, band
from backend.garments.categories import Category, Stretch
from backend.tryons.fit_words import chance, describe
from backend.tryons.sizing import (
    POINTS,
    Body,
    CostLine,
    Wear,
    cost,
    decide_by_shares,
    judge,
    normal_points,
    verdict,
)
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators.questionnaire import Facts, estimate

GIRTHS = {"chest": 98.0, "waist_natural": 82.0, "waist": 85.0, "hip": 97.0, "thigh": 57.0, "upper_arm": 32.0}
TEE = {"S": {"chest": 96.0}, "M": {"chest": 102.0}, "L": {"chest": 108.0}, "XL": {"chest": 116.0}}


def body(sd: float = 2.0, correlation: float = 0.5, **girths: float) -> Body:
    known = {f"{name}_cm": value for name, value in (GIRTHS | girths).items()}
    mean = [known.get(name, 60.0) for name in MEASUREMENTS]
    covariance = [[sd**2 * (1.0 if i == j else correlation) for j in range(13)] for i in range(13)]
    return Body(mean, covariance)


def wear(
    girths_cm: dict[str, dict[str, float]] = TEE, category: Category = "t-shirt", stretch: Stretch = "knit", **more: Any
) -> Wear:
    return Wear(category, stretch, more.get("measures", "garment"), more.get("waist_at", "natural"), girths_cm)


def answer(body_: Body, wear_: Wear) -> Any:
    return describe(judge(body_, wear_), wear_, [])


def decide(*shares: float, fits: tuple[bool, ...] = ()) -> Any:
    """By the shares of neighbouring sizes; what they leave is that none fits."""
    fits = fits or (True,) * len(shares)
    return decide_by_shares(list(shares), 1 - sum(shares), fits)


class TestBands:
    @pytest.mark.parametrize(
        ("ease", "expected"),
        [(-5.01, "too_tight"), (-5, "snug"), (-0.01, "snug"), (0, "regular"), (8.99, "regular"), (9, "loose"),
         (18.99, "loose"), (19, "too_loose")],
    )  # fmt: skip
    def test_knit_chest_of_a_tee(self, ease: float, expected: str) -> None:
        assert verdict(ease, band("t-shirt", "knit", "garment", "chest")) == expected

    def test_waistband_slides_sooner(self) -> None:
        assert band("trousers", "woven", "garment", "waist").loose_to == 16
        assert band("dress", "woven", "garment", "waist").loose_to == 22
        assert band("hoodie", "knit", "garment", "upper_arm").loose_to == 14

    def test_charts_of_bodies_have_bands_of_their_own(self) -> None:
        assert band("dress", "woven", "body", "hip") == BODY_BANDS["woven"][False]
        assert band("dress", "woven", "body", "upper_arm") == BODY_BANDS["woven"][True]

    def test_cost_has_its_least_in_the_middle_and_leaps_where_it_is_too_tight(self) -> None:
        line = CostLine.of(band("t-shirt", "knit", "garment", "chest"))
        assert cost(4.5, line) == 0
        assert cost(0, line) == pytest.approx(1.3)
        assert cost(9, line) == pytest.approx(0.8)
        assert cost(-7, line) == pytest.approx(4 + 1.2 * 2)


class TestProbability:
    def test_same_input_same_answer(self) -> None:
        assert judge(body(), wear()) == judge(body(), wear())

    @pytest.mark.parametrize("sd", [0.7, 2.0, 3.5])
    def test_agrees_with_monte_carlo(self, sd: float) -> None:
        sizes = {
            size: {"chest": 88.0 + 6 * n, "waist": 76.0 + 6 * n, "hip": 92.0 + 6 * n} for n, size in enumerate("ABCDE")
        }
        worn = wear(sizes, "dress", "woven")
        judged = judge(body(sd), worn)
        shares = [*(size.probability for size in judged.sizes), judged.none_probability]
        assert shares == pytest.approx(monte_carlo(body(sd), sizes, worn), abs=0.03)

    @pytest.mark.parametrize("chest", [80.0, 98.0, 118.0, 124.0])
    def test_sizes_and_none_are_all_there_is(self, chest: float) -> None:
        judged = judge(body(chest=chest), wear())
        shares = [size.probability for size in judged.sizes]
        assert sum(shares) + judged.none_probability == pytest.approx(1, abs=0.003)

    def test_a_size_counts_only_where_it_fits(self) -> None:
        """XL is too tight from a chest of 121 up; beyond it there is no other."""
        judged = judge(body(2.0, chest=120.0), wear())
        fits = NormalDist(120, 2).cdf(121)
        assert judged.sizes[3].probability == pytest.approx(fits, abs=0.01)
        assert judged.none_probability == pytest.approx(1 - fits, abs=0.01)

    def test_a_size_that_fits_beats_a_cheaper_one_that_does_not(self) -> None:
        """Dress in a woven: A is a little too tight at the hip, B wide everywhere yet not too wide."""
        girths = {"chest": 98.0, "waist_natural": 82.0, "hip": 97.0}
        sizes = {
            "A": {"chest": 108.0, "waist": 89.5, "hip": 99.0},
            "B": {"chest": 121.0, "waist": 103.0, "hip": 119.0},
        }
        judged = judge(body(0.1, **girths), wear(sizes, "dress", "woven"))
        assert [size.probability for size in judged.sizes] == [0, 1]
        assert judged.named == ("B",)

    def test_points_have_the_moments_of_a_normal(self) -> None:
        for dimensions in (1, 3, 4):
            points = normal_points(dimensions)
            assert len(points) == POINTS
            for axis in range(dimensions):
                assert sum(point[axis] for point in points) == pytest.approx(0, abs=1e-9)
                assert sum(point[axis] ** 2 for point in points) / POINTS == pytest.approx(1)
        crossed = sum(point[0] * point[1] for point in normal_points(4)) / POINTS
        assert crossed == pytest.approx(0, abs=0.05)

    def test_correlation_matters(self) -> None:
        """Errors that go together leave one size; errors apart spread."""
        sizes = {size: {"chest": 90.0 + 6 * n, "hip": 90.0 + 6 * n} for n, size in enumerate("ABCD")}
        together, apart = (
            max(s.probability for s in judge(body(3, corr, chest=92, hip=92), wear(sizes)).sizes)
            for corr in (0.99, 0.0)
        )
        assert abs(together - apart) > 0.02

    def test_singular_covariance_is_no_trouble(self) -> None:
        assert judge(body(2.0, 1.0), wear({"M": {"chest": 102.0, "hip": 104.0}})).sizes[0].probability == 1

    def test_a_larger_body_never_gets_a_smaller_size(self) -> None:
        best = []
        for chest in range(84, 124, 2):
            shares = [size.probability for size in judge(body(1.0, chest=float(chest)), wear()).sizes]
            best.append(shares.index(max(shares)))
        assert best == sorted(best)
        assert (best[0], best[-1]) == (0, 3)


class TestDecision:
    def test_one(self) -> None:
        result = answer(body(1.0), wear())
        assert (result.decision, result.recommended_size, result.between) == ("one", "M", None)
        assert result.confidence == result.sizes[1].probability >= 0.6
        assert result.sentences == ["M: more than 9 in 10. Chest regular."]

    def test_between_two_neighbours(self) -> None:
        result = answer(body(1.5, chest=100.0), wear())
        assert (result.decision, result.recommended_size, result.between) == ("between", None, ["M", "L"])
        assert result.confidence >= 0.8

    def test_unsure_names_the_measurement_that_would_help_most(self) -> None:
        sizes = {size: {"waist": 86.0 + 3 * n, "hip": 104.0} | {"thigh": 62.0} for n, size in enumerate("ABCDEF")}
        result = answer(body(4.0), wear(sizes, "trousers", "woven", waist_at="navel"))
        assert (result.decision, result.recommended_size, result.between) == ("unsure", None, None)
        assert result.measure_next == "waist_cm"
        assert result.sentences == ["We cannot say yet.", "Your waist in cm would help most."]

    def test_none_fits(self) -> None:
        result = answer(body(1.0, chest=130.0), wear())
        assert (result.decision, result.recommended_size, result.between) == ("none_fits", None, None)
        assert all(region.verdict == "too_tight" for size in result.sizes for region in size.regions)
        assert result.confidence == result.none_probability > 0.99
        assert result.sentences == ["No size is likely to fit well.", "The nearest is XL: Chest too tight."]

    def test_none_fits_still_tells_the_nearest_from_the_rest(self) -> None:
        for chest, nearest in ((130.0, "XL"), (60.0, "S")):
            sizes = answer(body(1.0, chest=chest), wear()).sizes
            assert [size.size for size in sizes] == list(TEE)
            assert max(sizes, key=lambda size: size.probability).size == nearest
            assert {chance(size.probability) for size in sizes} == {"less than 1 in 10"}

    @pytest.mark.parametrize(
        ("chest", "decision"), [(119.0, "one"), (120.0, "one"), (120.8, "unsure"), (121.5, "none_fits")]
    )
    def test_at_the_end_of_the_chart_sureness_goes_before_the_size_does(self, chest: float, decision: str) -> None:
        """XL stops fitting at 121: the chance that it fits is .84, .69, .54, .40."""
        result = answer(body(2.0, chest=chest), wear())
        assert result.decision == decision
        assert (result.recommended_size == "XL") == (decision == "one")

    def test_a_body_at_the_end_of_the_chart_is_not_sent_home_with_its_last_size(self) -> None:
        """158 cm and 90 kg: XL wins nine times in ten by cost, and is too tight at chest or hip in many of them."""
        known = estimate(Facts(158, 90, sex="female"))
        sizes = {
            size: {"chest": chest, "hip": chest + 2}
            for size, chest in {"XS": 90.0, "S": 96.0, "M": 102.0, "L": 108.0, "XL": 116.0}.items()
        }
        result = answer(Body(known.mean, known.covariance), wear(sizes))
        assert (result.decision, result.recommended_size) == ("unsure", None)
        assert result.none_probability > 0.3

    def test_without_a_weight_the_last_size_is_no_answer(self) -> None:
        known = estimate(Facts(170, sex="female"))
        sizes = {str(28 + 2 * n): {"waist": 76.0 + 5 * n, "hip": 95.0 + 5 * n, "thigh": 57 + 2.5 * n} for n in range(5)}
        result = answer(Body(known.mean, known.covariance), wear(sizes, "trousers", "woven", waist_at="navel"))
        assert (result.decision, result.recommended_size) == ("unsure", None)
        assert result.sizes[-1].probability < 0.4
        assert result.none_probability > 0.4

    def test_two_that_carry_the_weight_are_named(self) -> None:
        assert decide(0.50, 0.35, 0.15) == ("between", [0, 1], pytest.approx(0.85))
        assert decide(0.12, 0.55, 0.33) == ("between", [1, 2], pytest.approx(0.88))

    def test_the_second_must_be_clearly_likelier_than_the_other_neighbour(self) -> None:
        assert decide(0.20, 0.58, 0.22)[0] == "unsure"
        assert decide(0.18, 0.55, 0.27)[0] == "unsure"

    def test_two_are_named_only_if_both_fit_the_body_as_estimated(self) -> None:
        assert decide(0.30, 0.55, 0.15)[0] == "between"
        assert decide(0.30, 0.55, 0.15, fits=(False, True, True))[0] == "unsure"

    def test_one_is_named_only_if_it_fits_the_body_as_estimated(self) -> None:
        assert decide(0.10, 0.65, 0.10) == ("one", [1], 0.65)
        assert decide(0.10, 0.65, 0.10, fits=(True, False, True))[0] == "unsure"

    def test_none_fits_only_if_that_is_likely_and_none_does_on_the_body_as_estimated(self) -> None:
        nowhere = (False, False, False)
        assert decide(0.25, 0.25, 0.0, fits=nowhere) == ("none_fits", [], 0.5)
        assert decide(0.25, 0.25, 0.0)[0] == "unsure"
        assert decide(0.40, 0.15, 0.0, fits=nowhere)[0] == "unsure"

    def test_a_single_size(self) -> None:
        result = answer(body(1.0), wear({"One": {"chest": 102.0}}))
        assert (result.recommended_size, result.confidence) == ("One", 1.0)


class TestWhatIsCompared:
    def test_waist_of_tops_is_the_natural_one_and_of_trousers_the_navel(self) -> None:
        sizes = {"M": {"waist": 90.0}}
        dress = judge(body(), wear(sizes, "dress", "woven")).sizes[0].regions[0]
        trousers = judge(body(), wear(sizes, "trousers", "woven", waist_at="navel")).sizes[0].regions[0]
        assert (dress.ease_cm, trousers.ease_cm) == (8.0, 5.0)

    def test_lengths_are_not_girths(self) -> None:
        sizes = {"M": {"chest": 102.0, "length": 70.0, "hem": 100.0}}
        assert [region.region for region in judge(body(), wear(sizes)).sizes[0].regions] == ["chest"]

    def test_what_the_chart_should_have_is_said(self) -> None:
        worn = wear({"M": {"waist": 86.0}}, "dress", "woven")
        result = describe(judge(body(), worn), worn, ["facts_inconsistent", "recheck_height_cm"])
        assert result.notes == ["region_missing:chest", "region_missing:hip", "inconsistent"]
        assert "The shop gives no hip width, so it is not judged." in result.sentences

    @pytest.mark.parametrize(
        ("probability", "words"),
        [(0.97, "more than 9 in 10"), (0.74, "about 7 in 10"), (0.05, "less than 1 in 10"), (0.0, "less than 1 in 10")],
    )
    def test_chances_are_said_in_tenths(self, probability: float, words: str) -> None:
        assert chance(probability) == words


def monte_carlo(body_: Body, sizes: dict[str, dict[str, float]], worn: Wear, draws: int = 4000) -> list[float]:
    """By size, and at the end that none fits.

    Independent of the code under test but for cost and bands: equal correlation by one shared factor.
    """
    chance_ = random.Random(7)
    sd = body_.covariance[0][0] ** 0.5
    names = {"chest": "chest_cm", "waist": "waist_natural_cm", "hip": "hip_cm"}
    bands = {girth: band(worn.category, worn.stretch, worn.measures, girth) for girth in names}
    lines = {girth: CostLine.of(limits) for girth, limits in bands.items()}
    wins = dict.fromkeys([*sizes, ""], 0)
    for _ in range(draws):
        shared = chance_.gauss(0, 0.5**0.5)
        girths = {
            girth: body_.mean[MEASUREMENTS.index(name)] + sd * (shared + chance_.gauss(0, 0.5**0.5))
            for girth, name in names.items()
        }
        costs = {
            size: sum(cost(row[girth] - girths[girth], lines[girth]) for girth in names)
            for size, row in sizes.items()
            if all(bands[girth].tight <= row[girth] - girths[girth] < bands[girth].loose_to for girth in names)
        }
        wins[min(costs, key=lambda size: costs[size], default="")] += 1
    return [count / draws for count in wins.values()]
