"""The judgment of one account, against a plain model written from the rules."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from harvester.model import AccountOutcome
from harvester.review.states import (
    Evidence,
    State,
    Why,
    Window,
    first_day,
    judge,
    last_day,
    month_number,
    month_of,
    month_text,
)

AS_OF = 2026 * 12 + 10  # 2026-11
MONTHS = st.integers(AS_OF - 14, AS_OF)
DAYS = st.dates(date(2025, 8, 1), date(2026, 11, 26))

evidences = st.builds(
    Evidence,
    outcome=st.sampled_from(AccountOutcome),
    last_active=st.none() | MONTHS,
    created=st.none() | DAYS,
    disabled=st.booleans(),
    listed=st.booleans(),
    source_status=st.sampled_from(["COMPLETE", "INCOMPLETE", None]),
    source_since=st.none() | MONTHS,
    harvested=st.none() | st.dates(date(2026, 11, 1), date(2026, 12, 4)),
)
windows = st.builds(
    lambda n, observed, grace, disabled, assume: Window(
        as_of=AS_OF,
        first=AS_OF - n,
        observed_from=observed,
        new_from=grace or first_day(AS_OF - n),
        include_disabled=disabled,
        assume_reported=assume,
    ),
    st.integers(1, 11),
    st.integers(AS_OF - 11, AS_OF),
    st.none() | DAYS,
    st.booleans(),
    st.booleans(),
)


def model(e: Evidence, w: Window) -> tuple[State, Why | None]:
    rules = [
        (e.disabled and not w.include_disabled, State.EXCLUDED, Why.DISABLED),
        (e.listed, State.EXCLUDED, Why.LISTED),
        (e.outcome == AccountOutcome.FAILED, State.UNKNOWN, Why.HARVEST_FAILED),
        (e.last_active is not None and w.first <= e.last_active <= w.as_of, State.ACTIVE, None),
        (e.last_active is not None and e.last_active < w.first, State.UNUSED, None),
        (e.created is not None and e.created >= w.new_from, State.NEW, None),
        (e.source_status == "INCOMPLETE", State.UNKNOWN, Why.SOURCE_WITHOUT_USAGE),
        (e.source_status is None and not w.assume_reported, State.UNKNOWN, Why.SOURCE_NOT_KNOWN),
        (e.source_since is None and not w.assume_reported, State.UNKNOWN, Why.COVERAGE_TOO_SHORT),
        (e.source_since is not None and e.source_since >= w.first, State.UNKNOWN, Why.COVERAGE_TOO_SHORT),
        (True, State.NEVER, None),
    ]
    return next((state, why) for applies, state, why in rules if applies)


@given(evidences, windows)
def test_the_first_rule_that_applies_decides(evidence: Evidence, window: Window) -> None:
    """The state and its reason are those of the plain model, for any account and window."""
    judged = judge(evidence, window)
    assert (judged.state, judged.why) == model(evidence, window)


@given(evidences, windows)
def test_the_bounds_accuse_nobody_falsely(evidence: Evidence, window: Window) -> None:
    """Unused days never reach back into the last active month; the observation begins with the coverage."""
    judged = judge(evidence, window)
    if judged.state is State.UNUSED:
        assert judged.unused_days_at_least is not None
        assert evidence.last_active is not None
        end = last_day(AS_OF)
        if (
            evidence.harvested is not None
        ):  # the day itself has not ended, and that before may be reported late
            end = min(end, evidence.harvested - timedelta(days=2))
        assert judged.unused_days_at_least == max(0, (end - last_day(evidence.last_active)).days)
    else:
        assert judged.unused_days_at_least is None
    if judged.state is State.NEVER:
        assert judged.observed_since is not None
        assert judged.observed_since >= max(evidence.source_since or 0, AS_OF - 11)
    else:
        assert judged.observed_since is None


def test_unused_days_leave_out_what_may_be_reported_late() -> None:
    """An account last active in July, harvested on 26 November: unused from 1 August to 24 November."""
    evidence = Evidence(
        AccountOutcome.HARVESTED, last_active=month_number("2026-07"), harvested=date(2026, 11, 26)
    )
    judged = judge(evidence, Window(AS_OF, AS_OF - 3, AS_OF - 11, first_day(AS_OF - 3)))
    assert judged.unused_days_at_least == (date(2026, 11, 24) - date(2026, 7, 31)).days == 116


@given(st.dates(date(1, 1, 1), date(9998, 12, 31)))
def test_months_are_read_and_written(day: date) -> None:
    """A month's number, text and last day agree with the calendar."""
    month = month_of(day)
    assert month_number(day.isoformat()) == month == month_number(month_text(month))
    assert month_of(last_day(month)) == month
    assert last_day(month) >= day


def test_what_is_no_month_is_none() -> None:
    """Text that does not begin with a month has no number."""
    assert [month_number(text) for text in (None, "", "2026", "2026-13", "26-01", "2026/01")] == [None] * 6
