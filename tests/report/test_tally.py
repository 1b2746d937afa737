"""The figures of a run are counted right, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.events import (
    AccountSettled,
    ClientDropped,
    Committed,
    Event,
    LaneDropped,
    LanePaused,
    OutageBegan,
    OutageEnded,
    OutageProbed,
    RateChanged,
    RequestEnded,
    Resumed,
    RetryScheduled,
    Stopping,
    TokenFailed,
    TokenRenewed,
    Warned,
    fan_out,
)
from harvester.model import AccountOutcome, Quota, Reason
from harvester.report.histogram import Histogram
from harvester.report.tally import Sample, Timeline
from tests.report.samples import HUNDRED, STATUSES, Run

latencies = st.floats(1e-6, 7200.0)
lanes = st.sampled_from(["a", "b/v3", "b/v2024"])
purposes = st.sampled_from(["usage", "probe", "token", "accounts", "sources", "identities", "check"])
reasons = st.sampled_from([None, None, *map(str, Reason), "canceled"])


@st.composite
def requests(draw: st.DrawFn) -> RequestEnded:
    """A request that ended somehow."""
    reason = draw(reasons)
    status = STATUSES.get(reason, draw(st.sampled_from([None, 200, 400])))
    return RequestEnded(
        draw(lanes), draw(purposes), status, reason, draw(latencies), draw(st.integers(0, 9000))
    )


@st.composite
def accounts(draw: st.DrawFn) -> AccountSettled:
    """An account that ended somehow."""
    outcome = draw(st.sampled_from(AccountOutcome))
    rows = draw(st.integers(1, 13)) if outcome is AccountOutcome.HARVESTED else 0
    reason = draw(st.sampled_from(Reason)) if outcome is AccountOutcome.FAILED else None
    return AccountSettled(draw(st.text(max_size=5)), outcome, rows, reason, "")


retries = st.builds(
    RetryScheduled, st.just("x"), st.sampled_from(Reason), st.just(1), st.just(0.5), st.just("")
)
streams = st.lists(st.tuples(st.floats(0, 3), st.one_of(requests(), accounts(), retries)), max_size=150)


@given(streams)
def test_every_event_is_counted_once_and_everything_adds_up(stream: list[tuple[float, Event]]) -> None:
    """However a run goes: totals equal the sums by purpose, lane, reason, outcome and point in time."""
    run = Run()
    tally = run.tally
    for wait, event in stream:
        run.clock.now += wait
        tally.observe(event)
    tally.finish()
    sent = [event for _, event in stream if isinstance(event, RequestEnded)]
    settled = [event for _, event in stream if isinstance(event, AccountSettled)]
    assert tally.requests == sum(tally.requests_by_purpose.values()) == len(sent)
    assert tally.requests_by_purpose.get("token", 0) + sum(x.requests for x in tally.lanes.values()) == len(
        sent
    )
    assert tally.unsuccessful_by_reason == Counter(event.reason for event in sent if event.reason)
    assert tally.throttled == sum(x.throttled for x in tally.lanes.values())
    assert tally.granted <= tally.requests - tally.throttled
    assert tally.bytes_received == sum(event.body_bytes for event in sent)
    assert tally.settled == len(settled)
    assert tally.outcomes == {kind: sum(e.outcome is kind for e in settled) for kind in AccountOutcome}
    assert tally.failures_by_reason.total() == tally.failed
    assert tally.rows == sum(event.rows for event in settled)
    assert tally.retries == sum(isinstance(event, RetryScheduled) for _, event in stream)
    points = tally.timeline.increments(tally.sample(tally.now))
    for name, total in (("requests", tally.requests), ("settled", tally.settled), ("rows", tally.rows)):
        assert sum(getattr(point, name) for point in points) == total
    assert tally.seconds == pytest.approx(sum(wait for wait, _ in stream))


@given(st.lists(latencies, min_size=1, max_size=3000), st.floats(0.0, 1.0))
def test_a_quantile_is_within_a_percent(durations: list[float], share: float) -> None:
    """Any quantile is as the sorted durations have it, to one percent; the largest is exact."""
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    exact = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]
    assert histogram.quantile(share) == pytest.approx(exact, rel=0.01)
    assert histogram.largest == max(durations)
    assert histogram.count == len(durations)
    assert histogram.total == pytest.approx(sum(durations))


def test_a_histogram_does_not_grow_with_what_it_counts() -> None:
    """A hundred thousand latencies need no more buckets than their spread does."""
    histogram = Histogram()
    for number in range(100_000):
        histogram.add(0.01 + number % 1000 / 1000)
    assert len(histogram._buckets) < 500
    assert histogram.at_most(0.5) == pytest.approx(49_000, rel=0.03)


def test_an_empty_histogram_has_no_quantile() -> None:
    """Without a request there is no latency, and zero is a latency like any other."""
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    assert histogram.largest == 0
    histogram.add(0.0)
    assert histogram.quantile(0.5) == 0


@given(st.integers(1, 5000))
def test_a_timeline_thins_out_but_loses_nothing(steps: int) -> None:
    """However long the run: at most 180 even points, whose increments add up to the totals."""
    timeline = Timeline()
    while timeline.due <= steps:
        timeline.add(Sample(requests=int(timeline.due)))
    assert len(timeline.samples) < 180
    assert [s.requests for s in timeline.samples] == [
        int(n * timeline.step) for n in range(1, len(timeline.samples) + 1)
    ]
    assert sum(point.requests for point in timeline.increments(Sample(requests=steps))) == steps


def test_requests_are_counted_by_what_came_of_them() -> None:
    """Good answers, 429s and faults each count once, and a failed connection takes nothing from the quota."""
    run = Run()
    for reason in (None, None, "throttled", "server_error", "connect", "timeout"):
        run.request(reason=reason)
    tally = run.tally
    assert (tally.requests, tally.throttled, tally.granted, tally.latency.count) == (6, 1, 4, 3)
    assert tally.unsuccessful_by_reason == {"throttled": 1, "server_error": 1, "connect": 1, "timeout": 1}


def test_tokens_and_listings_are_requests_but_use_no_quota_of_the_harvest() -> None:
    """Whoever sends a request, it is counted by its purpose; the share and the latency are the harvest's."""
    run = Run()
    for purpose in ("token", "accounts", "sources", "probe", "usage"):
        run.request(purpose=purpose)
    tally = run.tally
    assert tally.requests_by_purpose == dict.fromkeys(("token", "accounts", "sources", "probe", "usage"), 1)
    assert (tally.granted, tally.latency.count, tally.lanes["a"].requests) == (2, 2, 4)


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=30))
def test_paused_seconds_are_those_of_the_union(pauses: list[tuple[float, float]]) -> None:
    """Whatever pauses come, the seconds are the length of their union so far."""
    run = Run()
    begun = until = run.clock.now
    union = 0.0
    for wait, seconds in pauses:
        run.clock.now += wait
        end = run.clock.now + seconds
        union += max(0.0, end - max(until, run.clock.now))
        until = max(until, end)
        run.tally.observe(LanePaused("a", 429, seconds, asked=True))
        assert run.tally.paused_seconds() <= run.clock.now - begun + 1e-6
    run.clock.now = until
    assert run.tally.paused_seconds() == pytest.approx(union)


def test_the_share_of_the_quota_is_what_was_granted_of_what_was_allowed() -> None:
    """Ten a second for a hundred seconds under 100/10s is all of it; 429s are not used, other lanes count."""
    run = Run()
    for number in range(1001):
        run.clock.now = 1000 + number * 0.1
        run.request(reason="throttled" if number % 100 == 1 else None)
    share = run.tally.quota_share
    assert share({"a": HUNDRED}) == pytest.approx(0.99, abs=0.002)
    assert share({"a": HUNDRED, "b": HUNDRED}) == pytest.approx(0.495, abs=0.001)
    assert share({"a": None}) is None
    assert share({}) is None


def test_a_lane_that_was_dropped_owes_no_more_requests() -> None:
    """Of a lane dropped halfway, and of one whose client was dropped at once, only their time is allowed."""
    run = Run()
    for number in range(1001):
        run.clock.now = 1000 + number * 0.1
        run.request()
        if number == 100:
            run.tally.observe(ClientDropped("b", "401"))
            run.tally.observe(LaneDropped("c", "404"))
    quotas: dict[str, Quota | None] = {"a": HUNDRED, "b/v3": HUNDRED, "c": HUNDRED}
    assert run.tally.quota_share(quotas) == pytest.approx(1001 / 1200, abs=0.002)
    assert [run.tally.lane_dropped(label) for label in quotas] == [False, True, True]


def test_a_short_list_had_one_period_of_the_quota() -> None:
    """Fifty accounts done at once used half of a hundred, not more than all."""
    run = Run()
    for _ in range(50):
        run.request()
    assert run.tally.quota_share({"a": HUNDRED}) == 0.5
    assert Run().tally.quota_share({"a": HUNDRED}) is None


def test_outages_are_counted_with_the_one_that_is_going_on() -> None:
    """An outage counts by its own length once it is over, and by the clock until then."""
    run = Run()
    tally = run.tally
    tally.observe(OutageBegan("refused"))
    tally.observe(OutageProbed("refused", 4.0))
    run.clock.now += 3
    assert (tally.outages, tally.outage_seconds(), tally.next_probe) == (1, 3.0, 1004.0)
    tally.observe(OutageEnded(3.5))
    assert (tally.outage_seconds(), tally.outage_since, tally.next_probe) == (3.5, None, None)


def test_what_else_happens_is_counted() -> None:
    """Tokens, commits, rates, warnings, an earlier run and the stop leave their mark."""
    run = Run()
    events: list[Event] = [
        TokenFailed("a", "503", 2.0),
        Committed(5, 60, 0.25),
        RateChanged("a", 4.5),
        Resumed(7, "r"),
        Warned("source_status", "x"),
        Warned("source_status", "y"),
        Stopping("deadline", 5.0),
    ]
    for event in events:
        run.tally.observe(event)
    tally = run.tally
    assert (tally.commits, tally.commit_seconds, tally.lanes["a"].rate) == (1, 0.25, 4.5)
    assert (tally.settled_earlier, tally.warnings_by_code, tally.stopping) == (7, {"source_status": 2}, True)
    assert (tally.token_failing, tally.tokens) == ({"a": "503"}, 0)
    tally.observe(TokenRenewed("a", 700.0))
    assert (tally.token_failing, tally.tokens) == ({}, 1)


def test_a_finished_tally_stands_still() -> None:
    """What is asked later is told as it was at the end."""
    run = Run()
    run.tally.observe(OutageBegan("refused"))
    run.tally.observe(LanePaused("a", 429, 60.0, asked=True))
    run.clock.now += 10
    run.tally.finish()
    run.clock.now += 1000
    run.tally.finish()
    assert (run.tally.seconds, run.tally.paused_seconds(), run.tally.outage_seconds()) == (10, 10, 10)


def test_the_course_of_a_run_is_kept_through_silence() -> None:
    """Seconds without a request are points like others, so that time stays even."""
    run = Run()
    run.request()
    run.clock.now += 5.5
    run.request()
    run.tally.finish()
    points = run.tally.timeline.increments(run.tally.sample(run.clock.now))
    assert [point.requests for point in points] == [1, 0, 0, 0, 0, 1]


def test_each_event_reaches_every_observer() -> None:
    """All of them get all events, in the order in which they came."""
    one, other = list[Event](), list[Event]()
    observe = fan_out(one.append, other.append)
    events: list[Event] = [AccountSettled("x", AccountOutcome.HARVESTED, 1), Stopping("…", 5.0)]
    for event in events:
        observe(event)
    assert one == other == events
