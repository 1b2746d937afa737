"""When waiting ends: the deadline, and --max-outage for whatever there is to wait for."""

from __future__ import annotations

import pytest

from harvester.engine.limits import Limits, Trouble
from harvester.errors import StoppedEarly, UsageError
from harvester.model import Throttled
from harvester.tenant.request import as_fault
from tests.engine.build import REJECTED, fault, plain, standings

LIMITS = Limits(deadline=None, max_outage=100.0)


def test_nothing_is_exceeded_as_long_as_all_is_well() -> None:
    """However long the run takes."""
    assert LIMITS.exceeded(1e9, standings().lanes, None) is None


def test_the_deadline_passes() -> None:
    """At its time, not before."""
    limits = Limits(deadline=50.0, max_outage=100.0)
    assert limits.exceeded(49.9, standings().lanes, None) is None
    assert "deadline" in str(limits.exceeded(50.0, standings().lanes, None))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble(0.0, Throttled(0.0, None), None), "every request was answered with 429 for 100 s"),
        (Trouble(0.0, fault(), None), "not been available for 100 s (HTTP 500)"),
        (Trouble(0.0, None, "a token (HTTP 503)"), "waited 100 s for a token (HTTP 503)"),
        (Trouble(0.0, as_fault(REJECTED), "a token"), "refused every token for 100 s (JWT is expired)"),
        (Trouble(0.0, None, None), "not been available for 100 s"),
    ],
)
def test_trouble_is_bounded_and_named(trouble: Trouble, words: str) -> None:
    """The sentence says what was waited for."""
    assert LIMITS.exceeded(99.9, standings().lanes, trouble) is None
    stop = LIMITS.exceeded(100.0, standings().lanes, trouble)
    assert isinstance(stop, StoppedEarly)
    assert words in stop.problem


def test_a_pause_beyond_the_limits_ends_the_run_at_once() -> None:
    """Only if no lane can send before; a second more is forgiven."""
    lanes = standings(clients=2).lanes
    plain(lanes[0]).pause = 500.0
    assert LIMITS.exceeded(0.0, lanes, None) is None
    plain(lanes[1]).pause = 100.5
    assert LIMITS.exceeded(0.0, lanes, None) is None
    plain(lanes[1]).pause = 150.0
    stop = LIMITS.exceeded(0.0, lanes, None)
    assert isinstance(stop, StoppedEarly)
    assert "150 s" in stop.problem
    assert "--max-outage" in stop.problem


def test_a_pause_beyond_the_deadline_ends_the_run_at_once() -> None:
    """Nobody sleeps through the end of the run."""
    lanes = standings().lanes
    plain(lanes[0]).pause = 60.0
    stop = Limits(deadline=50.0, max_outage=100.0).exceeded(0.0, lanes, None)
    assert isinstance(stop, StoppedEarly)
    assert "the deadline" in stop.problem


def test_a_pause_is_added_to_the_trouble_before_it() -> None:
    """Waiting out 60 s more is pointless when 50 s of 100 s have passed without an answer."""
    lanes = standings().lanes
    plain(lanes[0]).pause = 60.0
    assert LIMITS.exceeded(50.0, lanes, Trouble(0.0, None, None)) is not None
    assert LIMITS.exceeded(50.0, lanes, None) is None


def test_a_permanent_fault_is_a_usage_error() -> None:
    """Of the token endpoint, too."""
    lanes = standings().lanes
    plain(lanes[0]).permanent_fault = fault(permanent=True)
    assert isinstance(LIMITS.exceeded(0.0, lanes, None), UsageError)


def test_a_run_without_lanes_is_not_stopped_here() -> None:
    """The last client was dropped: that is another reason."""
    assert LIMITS.exceeded(0.0, [], None) is None
