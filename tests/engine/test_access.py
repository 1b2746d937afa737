"""What is dropped, what is held, and where accounts go then."""

from __future__ import annotations

from random import Random

from harvester.engine.access import Access
from harvester.engine.circuit_breaker import CircuitBreaker
from harvester.engine.scheduler import Scheduler
from harvester.engine.standing import LaneStanding, Standings
from harvester.engine.work import Work
from harvester.errors import AccessDenied
from harvester.model import Account
from harvester.tenant.usages import USUAL_QUERY
from tests.engine.build import fault, plain, refused, standings, work


def access(lanes: Standings) -> tuple[Access, Scheduler, CircuitBreaker]:
    breaker = CircuitBreaker(len(lanes.lanes), Random(1))
    scheduler = Scheduler(lanes, breaker, USUAL_QUERY, ahead=None)
    scheduler.add_page([Account(i, f"a-{i}") for i in range(100)])
    made = Access(lanes, scheduler, breaker, 5, lambda: 1.0, Random(1))
    return made, scheduler, breaker


def denied(subject: Access, lane: LaneStanding) -> Work:
    one = work(avoid=0)
    subject.refused(lane, one, refused(403))
    subject.hold(lane, one)
    return one


def test_what_is_held_for_a_client_fails_when_it_is_proven() -> None:
    """The accounts were forbidden for their own sake."""
    lanes = standings()
    subject, scheduler, _ = access(lanes)
    held = [denied(subject, lanes.lanes[0]) for _ in range(3)]
    assert subject.answered(lanes.lanes[0], work()) == held
    assert not scheduler.held


def test_what_another_lane_denied_is_requested_where_the_client_is_proven() -> None:
    """The lane may be closed to the client, and the account not."""
    lanes = standings(versions=2)
    subject, scheduler, _ = access(lanes)
    held = denied(subject, lanes.lanes[0])
    assert subject.answered(lanes.lanes[1], work()) == []
    assert scheduler.take(lanes.lanes[1], 1.0) is held


def test_a_dropped_client_leaves_everything_to_the_others() -> None:
    """What was held for it, what was exhausted on it, and what comes back from it later."""
    lanes = standings(clients=2)
    subject, scheduler, breaker = access(lanes)
    gone, other = lanes.lanes
    held = denied(subject, gone)
    exhausted = work(7)
    breaker.faulted(0, exhausted, fault(), 1.0)
    breaker.exhaust(0, exhausted, 1.0)
    subject.drop_client(gone.client)
    assert "403" in str(gone.lane.client.dropped)
    late = denied(subject, gone)
    assert [scheduler.take(other, 1.0) for _ in range(3)] == [held, exhausted, late]
    assert subject.denied is gone.lane.client.dropped


def test_a_client_that_the_token_endpoint_refuses_is_noticed_once() -> None:
    """Its accounts go to the others at the next look."""
    lanes = standings(clients=2)
    subject, scheduler, _ = access(lanes)
    held = denied(subject, lanes.lanes[0])
    plain(lanes.lanes[0]).client.drop(AccessDenied("refused"))
    subject.notice_drops()
    subject.notice_drops()
    assert scheduler.take(lanes.lanes[1], 1.0) is held


def test_a_version_that_is_not_served_loses_the_lanes_of_all_clients() -> None:
    """One answer of another version for an account that it said does not exist."""
    lanes = standings(clients=2, versions=2)
    subject, _, _ = access(lanes)
    subject.answered(lanes.lanes[1], work(missing_on=(lanes.lanes[0].version,)))
    assert [lane.live for lane in lanes.lanes] == [False, True, False, True]


def test_a_version_that_has_answered_is_not_dropped() -> None:
    """The 404 came before its first success: the account is missing there alone."""
    lanes = standings(versions=2)
    subject, _, _ = access(lanes)
    lanes.lanes[0].version.proven = True
    subject.answered(lanes.lanes[1], work(missing_on=(lanes.lanes[0].version,)))
    assert all(lane.live for lane in lanes.lanes)
