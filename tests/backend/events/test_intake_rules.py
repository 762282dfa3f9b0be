"""Whose clock is believed: table of (sender's time, sending time) and what is stored."""

from datetime import datetime, timedelta

import pytest

from analytics.vocabulary import Source
from backend.events.intake_rules import EventRefused, settle_time
from tests.fakes import START

NOW = START
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("occurred", "sent", "stored", "clock"),
    [
        (NOW - 2 * HOUR, NOW, NOW - 2 * HOUR, "corrected"),
        (NOW - 400 * DAY - HOUR, NOW - 400 * DAY, NOW - HOUR, "corrected"),
        (NOW + 9 * HOUR, NOW + 10 * HOUR, NOW - HOUR, "corrected"),
        (NOW - 7 * DAY, NOW, NOW - 7 * DAY, "corrected"),
        (NOW + HOUR, NOW, NOW, "server"),
        (NOW - timedelta(minutes=4), None, NOW - timedelta(minutes=4), "client"),
        (NOW + timedelta(minutes=4), None, NOW + timedelta(minutes=4), "client"),
        (NOW - timedelta(minutes=6), None, NOW, "server"),
        (NOW + 1000 * DAY, None, NOW, "server"),
    ],
)
def test_of_a_frame_only_elapsed_time_is_believed(
    occurred: datetime, sent: datetime | None, stored: datetime, clock: str
) -> None:
    assert settle_time(occurred, Source.EMBED, NOW, sent) == (stored, clock)


def test_frame_may_hold_an_event_back_for_a_week() -> None:
    with pytest.raises(EventRefused, match="too_old"):
        settle_time(NOW - 7 * DAY - timedelta(seconds=1), Source.EMBED, NOW, NOW)


def test_brand_may_report_the_past_of_25_months() -> None:
    assert settle_time(NOW - 700 * DAY, Source.BRAND_KEY, NOW, None) == (NOW - 700 * DAY, "client")
    with pytest.raises(EventRefused, match="too_old"):
        settle_time(NOW - 800 * DAY, Source.BRAND_KEY, NOW, None)
