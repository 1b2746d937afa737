"""Reading `Retry-After`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.tenant.rate_limit.retry_after import parse_retry_after

NOW = datetime(2026, 10, 17, 12, 0, 0, tzinfo=UTC)
DATE = "Sat, 17 Oct 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("3600", 3600.0),
        ("1.5", 1.5),
        ("Sat, 17 Oct 2026 12:00:05 GMT", 5.0),
        ("Saturday, 17-Oct-26 12:00:05 GMT", 5.0),
        ("Sat Oct 17 12:00:05 2026", 5.0),
        ("Sat, 17 Oct 2026 14:00:05 +0200", 5.0),
        ("Sat, 17 Oct 2026 11:59:00 GMT", 0.0),
    ],
)
def test_seconds_and_the_three_kinds_of_date_are_understood(header: str, seconds: float) -> None:
    """A number is seconds; a date counts from the answer's own date; the past is now."""
    assert parse_retry_after(header, DATE, NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [
        None, "", " ", "-5", "+5", "soon", "5s", "5, 5", "NaN", "inf", "1e3", "0x10", "٣", "9" * 16,
        "Sat, 17 Oct", "Sat, 99 Oct 2026 12:00:05 GMT", "12:00", "Sat, 17 Oct 99999 12:00:05 GMT",
    ],
)  # fmt: skip  # one a line would hide that they are of one kind
def test_what_makes_no_sense_is_none(header: str | None) -> None:
    """Absent, negative and senseless values are told apart from 0 by None."""
    assert parse_retry_after(header, DATE, NOW) is None


def test_a_date_counts_from_the_server_s_clock_when_it_tells_it() -> None:
    """A machine whose clock is an hour off waits five seconds all the same."""
    wrong = NOW + timedelta(hours=1)
    assert parse_retry_after("Sat, 17 Oct 2026 12:00:05 GMT", DATE, wrong) == 5.0


@pytest.mark.parametrize("date", [None, "", "nonsense"])
def test_a_date_counts_from_now_when_the_server_tells_no_time(date: str | None) -> None:
    """Without a usable Date header our own clock is the best there is."""
    assert parse_retry_after("Sat, 17 Oct 2026 12:00:05 GMT", date, NOW) == 5.0


@given(st.text(max_size=60), st.one_of(st.none(), st.text(max_size=60)))
def test_no_header_ever_raises_or_gives_a_negative_wait(header: str, date: str | None) -> None:
    """Whatever a server or proxy writes there, the answer is None or a number of seconds from 0."""
    seconds = parse_retry_after(header, date, NOW)
    assert seconds is None or seconds >= 0.0


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001  # hypothesis adds the zone
def test_every_future_date_is_read_to_the_second(moment: datetime) -> None:
    """What the standard library writes as an HTTP date is read back exactly."""
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    expected = max(0.0, (moment - NOW).total_seconds())
    assert parse_retry_after(format_datetime(moment, usegmt=True), DATE, NOW) == expected
