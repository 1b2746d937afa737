"""The window guard by itself."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from hypothesis import given
from hypothesis import strategies as st

from harvester.tenant.quota.window import Window

gaps = st.lists(st.floats(min_value=0.0, max_value=5.0), min_size=1, max_size=200)


@given(gaps, st.integers(min_value=1, max_value=20), st.floats(min_value=0.1, max_value=20.0))
def test_whoever_waits_for_free_at_never_overfills_a_window(
    waits: list[float], limit: int, span: float
) -> None:
    """No stretch of `span` seconds, wherever it begins, holds more than `limit` requests."""
    window, now = Window(limit, span), 0.0
    stamps: list[float] = []
    for wait in waits:
        now = max(now + wait, window.free_at())
        window.add(now)
        stamps.append(now)
    for first in stamps:
        # Half open, with a hair for the rounding of `stamp + span`.
        assert bisect_left(stamps, first + span * (1 - 1e-9)) - bisect_left(stamps, first) <= limit


@given(gaps, st.integers(min_value=1, max_value=20))
def test_it_is_free_as_soon_as_the_window_allows(waits: list[float], limit: int) -> None:
    """The guard is exact: with fewer than `limit` requests in the window it makes nobody wait."""
    window, now = Window(limit, 10.0), 0.0
    stamps: list[float] = []
    for wait in waits:
        now = max(now + wait, window.free_at())
        if len(stamps) - bisect_right(stamps, now - 10.0) < limit:
            assert window.free_at() <= now
        window.add(now)
        stamps.append(now)


@given(gaps, st.integers(min_value=1, max_value=20), st.integers(min_value=1, max_value=40))
def test_what_was_sent_is_known_after_the_limit_changed(waits: list[float], before: int, after: int) -> None:
    """A smaller or larger limit looks back on the same requests, as far as memory reaches."""
    window, now = Window(before, 10.0), 0.0
    stamps: list[float] = []
    for wait in waits:
        now += wait
        window.add(now)
        stamps.append(now)
    window.limit = after
    known = stamps[-2 * before :]
    assert window.sent_between(-1.0, now + 1.0) == len(known)
    expected = known[-after] + 10.0 if len(known) >= after else float("-inf")
    assert window.free_at() == expected
