import re

import pytest

from analytics.vocabulary import KEYS, VOCABULARY, MetadataRefused, Source, clean_metadata, natural_key

SOURCE_DESIGN = {"avatar_created", "tryon_started", "size_switched", "purchase_completed"}
BODY_WORDS = re.compile(r"chest|waist|hip|inseam|shoulder|neck|height|weight|bmi|^age|sex|email|phone|address|ip$")


def test_the_first_four_names_stand() -> None:
    assert VOCABULARY.keys() >= SOURCE_DESIGN


def test_no_key_can_carry_a_body_or_a_contact() -> None:
    assert [key for key in KEYS if BODY_WORDS.search(key)] == []


def test_every_key_is_used_and_every_used_key_is_listed() -> None:
    used = {key for event in VOCABULARY.values() for key in event.keys}
    assert used == set(KEYS)


def test_no_page_may_claim_what_only_the_server_or_the_till_knows() -> None:
    browsers = {Source.EMBED, Source.PIXEL}
    for name in ("purchase_completed", "purchase_returned", "avatar_created", "size_recommended", "tryon_started"):
        assert not VOCABULARY[name].sources & browsers, name


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("view_shown", {"load_ms": float("nan")}),
        ("view_shown", {"load_ms": float("inf")}),
        ("view_shown", {"load_ms": True}),
        ("view_shown", {"bytes": 2**53}),
        ("view_shown", {"bytes": 1.5}),
        ("widget_opened", {"product_id": 7}),
        ("widget_opened", {"product_id": ""}),
        ("widget_opened", {"product_id": "x" * 65}),
        ("widget_opened", {"product_id": "line\nbreak"}),
        ("questionnaire_completed", {"optional_answers": ["x"] * 17}),
        ("questionnaire_completed", {"optional_answers": [["x"]]}),
    ],
)
def test_value_of_another_kind_is_refused(name: str, metadata: dict[str, object]) -> None:
    with pytest.raises(MetadataRefused):
        clean_metadata(VOCABULARY[name], metadata)


def test_facts_that_come_by_several_roads_meet_in_one_key() -> None:
    returned = VOCABULARY["purchase_returned"]
    assert natural_key(returned, {"order_id": "1", "line_id": "2", "return_line_id": "3"}) == "return:1:2:3"
    assert natural_key(returned, {"order_id": "1", "line_id": "2"}) is None
