"""How many requests may be in flight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.tenant.rate_limit.concurrency import LEAST, MOST, UNLIMITED, ConcurrencyLimit


def seen(*latencies: float) -> ConcurrencyLimit:
    """A limit that has seen these latencies."""
    limit = ConcurrencyLimit(None, unlimited=False)
    for seconds in latencies:
        limit.observe(seconds)
    return limit


@pytest.mark.parametrize("latency", [0.005, 0.1, 0.5, 2.0, 10.0])
@pytest.mark.parametrize("rate", [1.0, 10.0, 15.0])
def test_the_rate_can_be_held_at_the_latency_seen(rate: float, latency: float) -> None:
    """Little's law with room to spare: never fewer than rate x latency, up to the bound."""
    assert min(MOST, 1.5 * rate * latency) <= seen(*[latency] * 50).now(rate, 0.0) <= MOST


def test_before_the_first_answer_the_oldest_request_tells_the_latency() -> None:
    """A tenant that takes five seconds to answer is not starved until the first answer."""
    assert seen().now(10.0, 5.0) >= 50


def test_a_slow_answer_counts_at_once_and_is_forgotten_in_time() -> None:
    """The limit follows the latency up within one answer, and down within some hundred."""
    limit = seen(*[0.1] * 10)
    before = limit.now(100.0, 0.0)
    for _ in range(3):
        limit.observe(1.5)
    assert limit.now(100.0, 0.0) > 2 * before
    for _ in range(200):
        limit.observe(0.1)
    assert limit.now(100.0, 0.0) == before


def test_the_user_s_own_number_is_kept() -> None:
    """--concurrency is a fixed number, whatever the latency."""
    limit = ConcurrencyLimit(3, unlimited=False)
    limit.observe(60.0)
    assert limit.now(100.0, 60.0) == 3
    assert ConcurrencyLimit(3, unlimited=True).now(None, 0.0) == 3


def test_without_a_quota_the_number_is_fixed() -> None:
    """There is no rate to go by: a plain number, said where it is set."""
    assert ConcurrencyLimit(None, unlimited=True).now(None, 60.0) == UNLIMITED


@given(
    st.lists(st.floats(min_value=0, max_value=1e6), max_size=300),
    st.floats(min_value=0, max_value=1e9),
    st.floats(min_value=0, max_value=1e6),
)
def test_the_limit_is_always_within_its_bounds(latencies: list[float], rate: float, oldest: float) -> None:
    """Never a thousand sockets, and never none."""
    assert LEAST <= seen(*latencies).now(rate, oldest) <= MOST
