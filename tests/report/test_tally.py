"""The figures of a run are counted right, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.events import (
    AccountSettled,
    ClientDropped,
    ClientPaused,
    Committed,
    Event,
    OutageBegan,
    OutageEnded,
    OutageProbed,
    RateChanged,
    RequestEnded,
    Resumed,
    Stopping,
    TokenRenewed,
)
from harvester.model import Quota
from harvester.report.fan_out import Handlers, fan_out
from harvester.report.histogram import Histogram
from harvester.report.tally import FailureGroup
from harvester.report.timeline import Sample, Timeline
from tests.report.samples import Run

latencies = st.floats(1e-6, 7200.0)


@given(st.lists(latencies, min_size=1, max_size=3000), st.floats(0.0, 1.0))
def test_a_quantile_is_within_a_percent(durations: list[float], share: float) -> None:
    """Any quantile is as the sorted durations have it, to one percent; the largest is exact."""
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    rank = max(1, math.ceil(share * len(durations)))
    exact = sorted(durations)[rank - 1]
    assert histogram.quantile(share) == pytest.approx(exact, rel=0.01)
    assert histogram.largest == max(durations)
    assert histogram.count == len(durations)


def test_a_histogram_does_not_grow_with_what_it_counts() -> None:
    """A hundred thousand latencies need no more buckets than their spread does."""
    histogram = Histogram()
    for number in range(100_000):
        histogram.add(0.01 + number % 1000 / 1000)
    assert len(histogram._buckets) < 500
    assert len(histogram._fresh) < 1024


def test_an_empty_histogram_knows_no_quantile() -> None:
    """Without a request there is no latency, and zero is a latency like any other."""
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    assert histogram.largest == 0
    histogram.add(0.0)
    assert histogram.quantile(0.5) == 0


@given(st.integers(1, 5000))
def test_a_timeline_thins_out_but_loses_nothing(steps: int) -> None:
    """However long the run: at most 720 even points, whose increments add up to the totals."""
    timeline = Timeline()
    while timeline.due <= steps:
        timeline.add(Sample(requests=int(timeline.due)))
    assert len(timeline.samples) < 720
    assert [s.requests for s in timeline.samples] == [
        int(n * timeline.step) for n in range(1, len(timeline.samples) + 1)
    ]
    assert sum(point.requests for point in timeline.increments(Sample(requests=steps))) == steps


def test_requests_are_counted_by_what_came_of_them() -> None:
    """Good answers, 429s and faults each count once, and a lost connection takes nothing from the quota."""
    run = Run()
    for reason in (None, None, "throttled", "server_error", "connect", "timeout"):
        run.request(reason=reason)
    tally = run.tally
    assert (tally.requests, tally.throttled, tally.unconnected, tally.granted) == (6, 1, 1, 4)
    assert tally.unsuccessful_by_reason == {"throttled": 1, "server_error": 1, "connect": 1, "timeout": 1}
    assert tally.latency.count == 3
    assert tally.bytes_received == 600


def test_accounts_are_counted_by_how_they_ended() -> None:
    """Harvested, empty and failed add up, and each reason keeps its first example."""
    run = Run()
    run.account(12)
    run.account(0)
    run.account(0, name="x", reason="not_found", detail="gone")
    run.account(0, name="y", reason="not_found", detail="gone too")
    tally = run.tally
    assert (tally.settled, tally.harvested, tally.empty, tally.failed, tally.rows) == (4, 1, 1, 2, 12)
    assert tally.failures == {"not_found": FailureGroup(2, "x", "gone")}


def test_a_pause_that_another_covers_counts_once() -> None:
    """Overlapping pauses of a client are one, a running one counts as far as it has gone."""
    run = Run()
    run.tally.observe(ClientPaused("a", 10.0, asked=True))
    run.clock.now += 2
    run.tally.observe(ClientPaused("a", 3.0, asked=True))
    run.tally.observe(ClientPaused("a", 12.0, asked=False))
    assert run.tally.paused_seconds() == 2
    run.clock.now += 100
    assert run.tally.paused_seconds() == 14


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=30))
def test_paused_seconds_are_those_of_the_union(pauses: list[tuple[float, float]]) -> None:
    """Whatever pauses come, the seconds are the length of their union."""
    run = Run()
    until = run.clock.now
    union = 0.0
    for wait, seconds in pauses:
        run.clock.now += wait
        end = run.clock.now + seconds
        union += max(0.0, end - max(until, run.clock.now))
        until = max(until, end)
        run.tally.observe(ClientPaused("a", seconds, asked=True))
    run.clock.now = until
    assert run.tally.paused_seconds() == pytest.approx(union)


def test_the_share_of_the_quota_is_what_was_granted_of_what_was_allowed() -> None:
    """Ten a second for a hundred seconds under 100/10s is all of it; less is less."""
    run = Run()
    for number in range(1001):
        run.clock.now = 1000 + number * 0.1
        run.request(reason="throttled" if number % 100 == 1 else None)
    quota = Quota(100, 10.0)
    assert run.tally.quota_share((quota,)) == pytest.approx(0.99, abs=0.002)
    assert run.tally.quota_share((quota, quota)) == pytest.approx(0.495, abs=0.001)
    assert run.tally.quota_share((None,)) is None
    assert run.tally.quota_share((Quota(100, 10.0, auto=True),)) is None


def test_a_short_list_had_one_period_of_the_quota() -> None:
    """Fifty accounts done at once used half of a hundred, not more than all."""
    run = Run()
    for _ in range(50):
        run.request()
    assert run.tally.quota_share((Quota(100, 10.0),)) == 0.5
    assert Run().tally.quota_share((Quota(100, 10.0),)) is None


def test_outages_are_counted_with_the_one_that_lasts() -> None:
    """An outage counts by its own length once it is over, and by the clock until then."""
    run = Run()
    tally = run.tally
    tally.observe(OutageBegan("refused"))
    tally.observe(OutageProbed("refused", 4.0))
    run.clock.now += 3
    assert (tally.outages, tally.outage_total(), tally.next_probe) == (1, 3.0, 1004.0)
    tally.observe(OutageEnded(3.5))
    assert (tally.outage_total(), tally.outage_since, tally.next_probe) == (3.5, None, None)


def test_what_else_happens_is_counted() -> None:
    """Tokens, commits, clients, an earlier run and the stop leave their mark."""
    run = Run()
    events: list[Event] = [
        TokenRenewed("a", 700.0),
        Committed(5, 60, 2000, 0.25),
        RateChanged("a", 4.5),
        ClientDropped("b", "401"),
        Resumed(7, "r"),
        Stopping("deadline"),
    ]
    for event in events:
        run.tally.observe(event)
    tally = run.tally
    assert (tally.tokens, tally.commits, tally.commit_seconds) == (1, 1, 0.25)
    assert tally.clients["a"].rate == 4.5
    assert tally.clients["b"].dropped
    assert tally.finished_earlier == 7
    assert tally.stopping


def test_the_course_of_a_run_is_kept_through_silence() -> None:
    """Seconds without a request are points like others, so that time stays even."""
    run = Run()
    run.request()
    run.clock.now += 5.5
    run.request()
    run.tally.catch_up(run.clock.now)
    points = run.tally.timeline.increments(run.tally.sample(run.clock.now))
    assert [point.requests for point in points] == [1, 0, 0, 0, 0, 1]


@dataclass
class Ear:
    """Hears accounts only."""

    heard: list[Event]

    @property
    def handlers(self) -> Handlers:
        """What it hears."""
        return {AccountSettled: self.heard.append}


def test_each_event_reaches_those_who_hear_it() -> None:
    """A listener hears its kinds of events, a plain observer all, and someone deaf is refused."""
    ear, everything = Ear([]), list[Event]()
    observe = fan_out(ear, everything.append)
    events: list[Event] = [RequestEnded("a", 200, None, 0.1, 2), AccountSettled("x", 1, None), Stopping("…")]
    for event in events:
        observe(event)
    assert everything == events
    assert ear.heard == events[1:2]
    with pytest.raises(TypeError, match="neither a listener nor an observer"):
        fan_out("deaf")(events[0])  # type: ignore[arg-type]  # what is tested
