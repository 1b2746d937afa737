"""The search for the real rate, by itself: pure arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Quota
from harvester.tenant.quota.search import Search

QUOTA = Quota(100, 10.0)


def test_it_goes_a_little_below_what_was_measured() -> None:
    """A sure measure is believed at once, but for three percent."""
    search = Search(QUOTA)
    search.refused(6.0, sure=True, after=10.0, pause=1.0)
    assert search.rate == pytest.approx(0.97 * 6.0)


def test_a_measure_in_doubt_is_approached_by_how_soon_the_refusal_came() -> None:
    """Refused after nine seconds, a few percent; after one second, and again, much more."""
    search = Search(QUOTA)
    search.refused(2.0, sure=False, after=9.0, pause=1.0)
    assert search.rate > 0.93 * 10
    before = search.rate
    search.refused(2.0, sure=False, after=1.0, pause=1.0)
    assert search.rate < 0.5 * before
    for _ in range(2):
        search.refused(2.0, sure=False, after=1.0, pause=1.0)
    assert search.rate == pytest.approx(0.97 * 2.0)


def test_it_is_back_at_the_ceiling_after_the_plateau_and_far_beyond_in_a_minute() -> None:
    """Level near the known ceiling, fast beyond: half the quota is found free again within about a minute."""
    search = Search(QUOTA)
    search.refused(5.0, sure=True, after=10.0, pause=1.0)
    search.climb(15.0)
    assert search.rate == pytest.approx(5.0)
    search.climb(10.0)
    assert search.rate < 1.03 * 5.0
    search.climb(30.0)
    assert search.rate == search.top == 10.0


def test_the_same_ceiling_is_touched_less_and_less_often() -> None:
    """The time to the next touch grows when the ceiling proves to be where it was."""
    search = Search(QUOTA)
    search.refused(5.0, sure=True, after=10.0, pause=1.0)
    search.climb(14.0)
    assert search.rate == pytest.approx(5.0, rel=0.001)
    search.refused(5.0, sure=True, after=10.0, pause=1.0)
    search.climb(14.0)
    assert search.rate < 0.999 * 5.0


def test_dear_touches_are_rare() -> None:
    """A touch of the ceiling that costs a long pause or many refusals is put off, but not for ever."""
    search = Search(QUOTA)
    search.refused(5.0, sure=True, after=10.0, pause=10.0)
    search.climb(60.0)
    assert search.rate <= 5.0
    search.refused(5.0, sure=True, after=10.0, pause=0.0)
    search.paid(10_000)
    search.climb(119.0)
    assert search.rate <= 5.0
    search.climb(60.0)
    assert search.rate == 10.0


def test_auto_has_no_ceiling_until_it_finds_one() -> None:
    """`--quota auto` begins at the documented rate and grows until the tenant refuses."""
    search = Search(Quota(100, 10.0, auto=True))
    search.climb(60.0)
    assert search.rate > 50.0
    search.refused(40.0, sure=True, after=10.0, pause=1.0)
    search.refused(40.0, sure=True, after=10.0, pause=1.0)
    assert search.rate <= 40.0


refusals = st.tuples(
    st.floats(min_value=0, max_value=1e4), st.booleans(), st.floats(min_value=0, max_value=4e3)
)


@given(st.lists(st.one_of(refusals, st.floats(min_value=0, max_value=1e3)), max_size=60))
def test_whatever_happens_the_rate_stays_between_floor_and_quota(
    steps: list[tuple[float, bool, float] | float],
) -> None:
    """There is always a way up, and never past what was configured; a refusal never raises the rate."""
    search = Search(QUOTA)
    for step in steps:
        before = search.rate
        if isinstance(step, tuple):
            search.refused(step[0], sure=step[1], after=step[2], pause=step[2])
            assert search.rate <= before
        else:
            search.climb(step)
            assert search.rate >= before
        assert search.floor <= search.rate <= search.top
