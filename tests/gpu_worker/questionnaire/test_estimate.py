"""What the questionnaire promises about an answer: golden numbers, honest covariances, tape evidence."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators import questionnaire
from gpu_worker.estimators.questionnaire import Estimate, Facts, estimate

GOLDEN = Path(__file__).with_name("golden_v1.json")
WOMAN = Facts(165, 60, 30, "female")
MAN = Facts(178, 80, 30, "male")


def mean(answer: Estimate, name: str) -> float:
    return answer.mean[MEASUREMENTS.index(name)]


def sd(answer: Estimate, name: str) -> float:
    k = MEASUREMENTS.index(name)
    return math.sqrt(answer.covariance[k][k])


def taped(**tape_cm: float) -> Facts:
    return Facts(WOMAN.height_cm, WOMAN.weight_kg, WOMAN.age, WOMAN.sex, tape_cm)


class TestModule:
    def test_it_repeats_the_measurements_of_the_contract(self) -> None:
        assert questionnaire.MEASUREMENTS == MEASUREMENTS

    def test_it_loads_the_standard_library_alone(self) -> None:
        program = (
            "import sys; import gpu_worker.estimators.questionnaire as q; q.estimate(q.Facts(170.0));"
            "print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'}))"
        )
        loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        assert {name for name in loaded.split() if not name.startswith(("_", "sitecustomize"))} == {"gpu_worker"}

    def test_the_coefficients_stay_small_enough_to_read(self) -> None:
        assert questionnaire.MODEL_FILE.stat().st_size < 64_000


class TestGolden:
    @pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()), ids=lambda case: case["name"])
    def test_numbers_stay_what_they_were(self, case: dict[str, object]) -> None:
        answer = estimate(Facts(**case["facts"]))  # type: ignore[arg-type]  # JSON object: the keys are the fields
        assert answer.mean == pytest.approx(case["mean"], abs=0.01)
        assert [answer.covariance[k][k] ** 0.5 for k in range(13)] == pytest.approx(case["sd"], abs=0.01)
        assert list(answer.evidence) == case["evidence"]
        assert list(answer.flags) == case["flags"]


class TestCovariance:
    @pytest.mark.parametrize("sex", ["female", "male", "unspecified"])
    def test_it_is_symmetric_and_positive_definite_for_everybody_who_may_ask(self, sex: questionnaire.Sex) -> None:
        for height, weight, age in itertools.product((130, 168, 215), (None, 30, 75, 250), (None, 16, 40, 80)):
            covariance = np.array(estimate(Facts(height, weight, age, sex)).covariance)
            assert (covariance == covariance.T).all()
            scale = np.sqrt(np.diag(covariance))
            assert np.linalg.eigvalsh(covariance / np.outer(scale, scale)).min() > 1e-3

    def test_it_stays_positive_definite_when_everything_is_taped(self) -> None:
        answer = estimate(taped(**dict(zip(MEASUREMENTS[:11], estimate(WOMAN).mean, strict=False))))
        covariance = np.array(answer.covariance)
        assert np.linalg.eigvalsh(covariance).min() > 0
        assert np.allclose(covariance, covariance.T, atol=1e-12)

    def test_girths_of_one_person_err_together(self) -> None:
        covariance = np.array(estimate(WOMAN).covariance)
        waist, chest, hip = (MEASUREMENTS.index(name) for name in ("waist_cm", "chest_cm", "hip_cm"))
        correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        assert correlation[chest, waist] == pytest.approx(0.46, abs=0.05)
        assert correlation[waist, hip] == pytest.approx(0.23, abs=0.05)


class TestAnswers:
    def test_each_further_answer_narrows_the_girths(self) -> None:
        height, weight, age = (
            Facts(165, sex="female"),
            Facts(165, 60, sex="female"),
            WOMAN,
        )
        for girth in ("chest_cm", "waist_cm", "hip_cm"):
            assert sd(estimate(height), girth) > 1.4 * sd(estimate(weight), girth) > 1.4 * sd(estimate(age), girth)

    def test_not_saying_the_sex_widens_the_hip_most(self) -> None:
        unsaid, said = estimate(Facts(170, 70, 30)), estimate(Facts(170, 70, 30, "female"))
        widening = {name: sd(unsaid, name) / sd(said, name) for name in ("chest_cm", "waist_cm", "hip_cm")}
        assert widening["hip_cm"] == max(widening.values())
        assert widening["hip_cm"] > 1.2

    def test_a_heavier_person_is_wider_everywhere(self) -> None:
        for person in (WOMAN, MAN):
            for lighter, heavier in itertools.pairwise(range(55, 121, 5)):
                light = estimate(Facts(person.height_cm, lighter, person.age, person.sex))
                heavy = estimate(Facts(person.height_cm, heavier, person.age, person.sex))
                for girth in ("chest_cm", "waist_cm", "waist_natural_cm", "hip_cm", "thigh_cm", "neck_cm"):
                    assert mean(heavy, girth) > mean(light, girth)

    def test_a_womans_natural_waist_is_narrower_than_her_navel_waist(self) -> None:
        answer = estimate(WOMAN)
        assert 4 < mean(answer, "waist_cm") - mean(answer, "waist_natural_cm") < 12
        assert sd(answer, "waist_natural_cm") > sd(answer, "waist_cm")

    def test_people_overstate_their_height(self) -> None:
        assert mean(estimate(MAN), "height_cm") == pytest.approx(175.7, abs=0.2)
        assert mean(estimate(WOMAN), "height_cm") == pytest.approx(163.7, abs=0.2)

    def test_no_answer_leaves_what_a_human_can_be(self) -> None:
        for sex in ("female", "male", "unspecified"):
            for height, weight, age in itertools.product((130, 150, 190, 215), (30, 60, 120, 250), (16, 80)):
                answer = estimate(Facts(height, weight, age, sex))
                for name, (low, high) in questionnaire.TAPE_RANGE_CM.items():
                    assert low <= mean(answer, name) <= high
                assert answer.mean[-1] == pytest.approx(weight, abs=8)
                assert answer.mean[-2] == pytest.approx(height, abs=7)


class TestExtrapolation:
    def test_inside_the_survey_nothing_is_flagged(self) -> None:
        assert estimate(WOMAN).flags == estimate(MAN).flags == ()

    @pytest.mark.parametrize("facts", [Facts(165, 105, 30, "female"), Facts(165, 60, 70, "female"), Facts(140, 45)])
    def test_outside_the_survey_is_said_and_widens_the_answer(self, facts: Facts) -> None:
        assert "extrapolated" in estimate(facts).flags

    def test_the_spread_grows_by_half_at_the_edge(self) -> None:
        oldest = questionnaire.Questionnaire.load()._variants["female:height+weight+age"]["survey_1_99"]["age"][1]
        inside = estimate(Facts(165, 60, oldest, "female"))
        outside = estimate(Facts(165, 60, oldest + 0.01, "female"))
        assert sd(outside, "waist_cm") / sd(inside, "waist_cm") == pytest.approx(1.5, abs=0.01)

    def test_the_answer_does_not_jump_at_the_edge(self) -> None:
        for low, high in itertools.pairwise(np.arange(50, 130, 0.5)):
            step = mean(estimate(Facts(165, high, 30, "female")), "waist_cm")
            step -= mean(estimate(Facts(165, low, 30, "female")), "waist_cm")
            assert 0.2 < step < 0.7

    def test_a_weight_that_no_such_height_carries_is_to_be_rechecked(self) -> None:
        flags = estimate(Facts(150, 160, 30, "female")).flags
        assert {"facts_inconsistent", "recheck_height_cm", "recheck_weight_kg"} <= set(flags)


class TestTape:
    def test_a_taped_girth_leads_and_takes_its_neighbours_along(self) -> None:
        untaped, answer = estimate(WOMAN), estimate(taped(waist_cm=88))
        assert mean(answer, "waist_cm") == pytest.approx(86.7, abs=0.5)
        assert sd(answer, "waist_cm") < 2.0
        assert mean(answer, "chest_cm") > mean(untaped, "chest_cm") + 1
        assert sd(answer, "chest_cm") < sd(untaped, "chest_cm")
        assert "tape" in answer.evidence

    def test_every_length_and_girth_may_be_taped(self) -> None:
        assert set(questionnaire.TAPE_RANGE_CM) == set(questionnaire.TAPE_SD_CM) == set(MEASUREMENTS[:11])

    def test_a_waist_far_from_everything_else_is_kept_out_and_named(self) -> None:
        untaped, answer = estimate(WOMAN), estimate(taped(waist_cm=110))
        assert answer.flags == ("facts_inconsistent", "recheck_waist_cm")
        assert answer.mean == untaped.mean
        assert "tape" not in answer.evidence

    def test_only_the_wrong_one_of_two_is_kept_out(self) -> None:
        answer = estimate(taped(waist_cm=110, hip_cm=98))
        assert answer.flags == ("facts_inconsistent", "recheck_waist_cm")
        assert mean(answer, "hip_cm") == pytest.approx(98, abs=0.5)
        assert "tape" in answer.evidence

    def test_two_values_that_fit_alone_but_not_each_other_are_noticed(self) -> None:
        assert estimate(taped(waist_cm=95)).flags == estimate(taped(waist_natural_cm=58)).flags == ()
        assert "facts_inconsistent" in estimate(taped(waist_cm=95, waist_natural_cm=58)).flags

    def test_the_order_of_typing_changes_nothing(self) -> None:
        one = estimate(taped(waist_cm=84, hip_cm=101, chest_cm=93, inseam_cm=110))
        other = estimate(taped(inseam_cm=110, chest_cm=93, hip_cm=101, waist_cm=84))
        assert one.flags == other.flags == ("facts_inconsistent", "recheck_inseam_cm")
        assert one.mean == pytest.approx(other.mean, abs=1e-9)
