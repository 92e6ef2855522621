"""Hours of the day, over midnight too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.hours import DAY_MINUTES, Hours, parse_hours
from viz_node.errors import UsageError

MINUTES = st.integers(0, DAY_MINUTES - 1)


@pytest.mark.parametrize(
    ("text", "now", "to_begin", "to_end"),
    [
        ("22:00-06:00", 22 * 60, 0, 8 * 60),
        ("22:00-06:00", 23 * 60 + 59, 0, 6 * 60 + 1),
        ("22:00-06:00", 0, 0, 6 * 60),
        ("22:00-06:00", 6 * 60, 16 * 60, 0),
        ("22:00-06:00", 21 * 60 + 59, 1, 0),
        ("8:30-17:00", 8 * 60 + 30, 0, 510),
        ("8:30-17:00", 17 * 60, 930, 0),
        ("8:30-17:00", 0, 510, 0),
    ],
)
def test_hours__minute_of_the_day__how_long_until_they_begin_and_end(
    text: str, now: int, to_begin: int, to_end: int
) -> None:
    hours = parse_hours(text)
    assert (hours.minutes_to_begin(now), hours.minutes_to_end(now)) == (to_begin, to_end)


@given(MINUTES, MINUTES, MINUTES)
def test_hours__any__either_left_or_to_come_and_never_both(begin: int, end: int, now: int) -> None:
    if begin == end:
        return
    hours = Hours(begin, end)
    assert parse_hours(hours.text()) == hours
    assert (hours.minutes_to_begin(now) == 0) is (hours.minutes_to_end(now) > 0)
    later = (now + (hours.minutes_to_begin(now) or hours.minutes_to_end(now))) % DAY_MINUTES
    assert later in (begin, end)


@pytest.mark.parametrize("text", ["", "22-6", "24:00-06:00", "22:00-22:00", "22:60-06:00", "22:00", "x" * 500])
def test_parse_hours__no_hours__refused(text: str) -> None:
    with pytest.raises(UsageError, match="are no hours of the day"):
        parse_hours(text)
