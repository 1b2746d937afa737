"""The window guard by itself."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from harvester.tenant.rate_limit.sent_log import SentLog

gaps = st.lists(st.floats(min_value=0.0, max_value=5.0), min_size=1, max_size=200)


@given(gaps, st.integers(min_value=1, max_value=20), st.floats(min_value=0.1, max_value=20.0))
def test_whoever_waits_for_free_at_never_overfills_a_window(
    waits: list[float], limit: int, span: float
) -> None:
    """No stretch of `span` seconds, wherever it begins, holds more than `limit` requests."""
    log, now = SentLog(limit, span), 0.0
    times: list[float] = []
    for wait in waits:
        now = max(now + wait, log.free_at())
        log.add(now)
        times.append(now)
    for first in times:
        # Half open, with a hair for the rounding of `sent + span`.
        assert bisect_left(times, first + span * (1 - 1e-9)) - bisect_left(times, first) <= limit


@given(gaps, st.data())
def test_what_was_accepted_between_two_moments_is_what_was_sent_and_not_refused(
    waits: list[float], data: st.DataObject
) -> None:
    """Counts agree with a plain recount, as far back as the log reaches."""
    log, now = SentLog(200, 10.0), 0.0
    times: list[float] = []
    for wait in waits:
        now += wait + 1e-6
        log.add(now)
        times.append(now)
    refused = data.draw(st.lists(st.sampled_from(times), unique=True))
    for sent_at in refused:
        log.refuse(sent_at)
    after, before = sorted(data.draw(st.tuples(st.sampled_from(times), st.sampled_from(times))))
    expected = [sent_at for sent_at in times if after <= sent_at < before and sent_at not in refused]
    assert log.accepted_between(after, before) == len(expected)


def test_an_unused_permit_leaves_no_trace() -> None:
    """What was not sent fills no window."""
    log = SentLog(2, 10.0)
    log.add(1.0)
    log.add(2.0)
    log.remove(1.0)
    assert log.free_at() < 0.0
    assert log.sent_times(0.0) == [2.0]


def test_the_log_does_not_grow_with_the_harvest() -> None:
    """A day of requests takes no more memory than a few minutes of them."""
    log = SentLog(10, 10.0)
    for second in range(86_400):
        log.add(float(second))
        log.refuse(float(second))
    assert len(log.sent_times(0.0)) <= 240
    assert len(log.unaccepted_times(0.0)) <= 480
    assert log.sent_total == 86_400
