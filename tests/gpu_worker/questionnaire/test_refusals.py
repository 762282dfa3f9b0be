"""Facts that cannot be used are refused with a code, the field, and a sentence naming the likely unit."""

import math

import pytest

from gpu_worker.estimators.questionnaire import FactRefused, Facts, estimate

REFUSED = [
    (Facts(1.78), "invalid_height", "height_cm", "looks like metres: give it in centimetres, 178"),
    (Facts(5.8), "invalid_height", "height_cm", "feet"),
    (Facts(70), "invalid_height", "height_cm", "inches"),
    (Facts(1780), "invalid_height", "height_cm", "millimetres"),
    (Facts(129.9), "invalid_height", "height_cm", "between 130 and 215"),
    (Facts(215.1), "invalid_height", "height_cm", "between 130 and 215"),
    (Facts(0), "invalid_height", "height_cm", "centimetres"),
    (Facts(-170), "invalid_height", "height_cm", "centimetres"),
    (Facts(math.nan), "invalid_height", "height_cm", "centimetres"),
    (Facts(math.inf), "invalid_height", "height_cm", "centimetres"),
    (Facts(170, 260), "invalid_weight", "weight_kg", "pounds: give it in kilograms, 118"),
    (Facts(170, 11.5), "invalid_weight", "weight_kg", "stones"),
    (Facts(170, 70000), "invalid_weight", "weight_kg", "grams"),
    (Facts(170, 0), "invalid_weight", "weight_kg", "kilograms"),
    (Facts(170, -70), "invalid_weight", "weight_kg", "kilograms"),
    (Facts(170, math.nan), "invalid_weight", "weight_kg", "kilograms"),
    (Facts(170, 70, 15.9), "invalid_age", "age", "between 16 and 80"),
    (Facts(170, 70, 80.1), "invalid_age", "age", "between 16 and 80"),
    (Facts(170, 70, 1990), "invalid_age", "age", "year of birth"),
    (Facts(170, 70, math.nan), "invalid_age", "age", "in years"),
    (Facts(170, 70, 30, "male", {"waist_cm": 34}), "invalid_tape", "waist_cm", "inches"),
    (Facts(170, 70, 30, "male", {"waist_cm": 0.86}), "invalid_tape", "waist_cm", "metres: give it in centimetres, 86"),
    (Facts(170, 70, 30, "male", {"waist_natural_cm": 860}), "invalid_tape", "waist_natural_cm", "millimetres"),
    (Facts(170, 70, 30, "male", {"hip_cm": -1}), "invalid_tape", "hip_cm", "between 60 and 200"),
    (Facts(170, 70, 30, "male", {"hip_cm": math.nan}), "invalid_tape", "hip_cm", "centimetres"),
    (Facts(170, 70, 30, "male", {"height_cm": 170}), "invalid_tape", "height_cm", "not a measurement"),
    (Facts(170, 70, 30, "male", {"ring_size": 17}), "invalid_tape", "ring_size", "not a measurement"),
]


@pytest.mark.parametrize(("facts", "code", "field", "words"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_unusable_facts_are_refused_in_words(facts: Facts, code: str, field: str, words: str) -> None:
    with pytest.raises(FactRefused) as refusal:
        estimate(facts)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert words in refusal.value.detail
    assert refusal.value.detail.endswith(".")


@pytest.mark.parametrize("facts", [Facts(130, 30, 16), Facts(215, 250, 80, "male"), Facts(130), Facts(215)])
def test_the_ends_of_the_ranges_are_answered(facts: Facts) -> None:
    assert len(estimate(facts).mean) == 13
