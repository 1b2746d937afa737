"""Exponential backoff with jitter."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.tenant.backoff import BASE, CAP, delay, pause


@given(st.integers(min_value=-5, max_value=10**9), st.integers())
def test_delays_stay_between_nothing_and_the_cap(attempt: int, seed: int) -> None:
    """However many attempts were made, a delay is neither negative nor longer than the cap."""
    assert 0.0 <= delay(attempt, Random(seed)) <= CAP


@given(st.integers(min_value=1, max_value=100), st.integers())
def test_a_pause_is_at_least_half_its_interval(attempt: int, seed: int) -> None:
    """A client that was refused stays away for certain, however the dice fall."""
    interval = min(CAP, 2.0 ** (attempt - 1))
    assert interval / 2 <= pause(attempt, Random(seed)) <= interval


@pytest.mark.parametrize(("attempt", "longest"), [(1, BASE), (2, 2 * BASE), (3, 4 * BASE), (20, CAP)])
def test_delays_spread_over_the_whole_doubling_interval(attempt: int, longest: float) -> None:
    """Full jitter: the intervals double up to the cap, and the delays fill them evenly."""
    rng = Random(1)
    delays = [delay(attempt, rng) for _ in range(4000)]
    assert max(delays) > 0.99 * longest
    assert min(delays) < 0.01 * longest
    assert sum(delays) / len(delays) == pytest.approx(longest / 2, rel=0.05)
