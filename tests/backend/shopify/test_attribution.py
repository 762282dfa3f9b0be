"""The table of what a try-on may be credited with, row by row."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from backend.shopify.attribution import (
    SessionFacts,
    assisting,
    attribution_of,
    judge_property,
    session_id_of,
)

ORDERED = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRODUCT = 7001
SESSION = UUID("0190f000-0000-7000-8000-000000000001")
SECOND = timedelta(seconds=1)


def session(age: timedelta = timedelta(hours=1), product_id: int | None = PRODUCT, number: int = 1) -> SessionFacts:
    return SessionFacts(UUID(int=SESSION.int + number - 1), UUID(int=5), product_id, ORDERED - age, "M")


class TestProperty:
    @pytest.mark.parametrize(
        ("age", "is_credited"),
        [
            (timedelta(0), True),
            (-0.9 * SECOND, True),
            (SECOND, True),
            (timedelta(days=30), True),
            (timedelta(days=30) + SECOND, False),
            (-SECOND, False),
        ],
    )
    def test_counts_from_the_session_until_thirty_days_later(self, age: timedelta, is_credited: bool) -> None:
        tried = session(age)
        claim = judge_property(str(SESSION), PRODUCT, ORDERED, {SESSION: tried})
        assert (claim.session == tried) is is_credited
        assert (claim.fault is None) is is_credited

    @pytest.mark.parametrize(
        ("text", "product_id", "known", "fault"),
        [
            ("hello", PRODUCT, session(), "not_an_id"),
            ("", PRODUCT, session(), "not_an_id"),
            ("{" + str(SESSION) + "}", PRODUCT, session(), "not_an_id"),
            (f"urn:uuid:{SESSION}", PRODUCT, session(), "not_an_id"),
            (str(UUID(int=9)), PRODUCT, session(), "unknown_session"),
            (str(SESSION), 7002, session(), "other_product"),
            (str(SESSION), None, session(product_id=None), "other_product"),
            (str(SESSION), PRODUCT, session(-SECOND), "session_later"),
            (str(SESSION), PRODUCT, session(timedelta(days=31)), "session_too_old"),
        ],
    )
    def test_anything_else_is_a_fault_with_a_name(
        self, text: str, product_id: int | None, known: SessionFacts, fault: str
    ) -> None:
        claim = judge_property(text, product_id, ORDERED, {SESSION: known})
        assert (claim.session, claim.fault) == (None, fault)

    def test_none_is_neither(self) -> None:
        claim = judge_property(None, PRODUCT, ORDERED, {SESSION: session()})
        assert (claim.session, claim.fault) == (None, None)

    @pytest.mark.parametrize("text", [str(SESSION), SESSION.hex, str(SESSION).upper()])
    def test_both_ways_of_writing_an_id(self, text: str) -> None:
        assert session_id_of(text) == SESSION


class TestAssisted:
    @pytest.mark.parametrize(
        ("age", "is_credited"),
        [
            (timedelta(0), True),
            (-0.9 * SECOND, True),
            (timedelta(days=7), True),
            (timedelta(days=7) + SECOND, False),
            (-SECOND, False),
        ],
    )
    def test_within_seven_days_before_the_order(self, age: timedelta, is_credited: bool) -> None:
        assert (assisting(PRODUCT, ORDERED, [session(age)]) is not None) is is_credited

    def test_another_product_does_not_count(self) -> None:
        assert assisting(7002, ORDERED, [session()]) is None
        assert assisting(None, ORDERED, [session(product_id=None)]) is None

    def test_the_last_one_before_the_order_wins(self) -> None:
        old, new = session(timedelta(days=2), number=1), session(timedelta(hours=2), number=2)
        assert assisting(PRODUCT, ORDERED, [new, old]) == new


@pytest.mark.parametrize(
    ("is_direct", "is_assisted", "said"),
    [(True, True, "direct"), (True, False, "direct"), (False, True, "assisted"), (False, False, "none")],
)
def test_direct_wins_in_reports(is_direct: bool, is_assisted: bool, said: str) -> None:
    assert attribution_of(is_direct=is_direct, is_assisted=is_assisted) == said
