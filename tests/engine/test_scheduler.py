"""Which account is next, and why nothing moves: the scheduler without a clock."""

from __future__ import annotations

from random import Random

import pytest

from harvester.engine.circuit_breaker import CircuitBreaker
from harvester.engine.scheduler import MOST_BEGUN, PAGE, Scheduler, Stall
from harvester.engine.standing import Standings
from harvester.engine.work import Kind, Work
from harvester.model import Account
from harvester.tenant.paging import Pages
from harvester.tenant.usages import USUAL_QUERY
from tests.engine.build import fault, plain, standings


def scheduler(
    lanes: Standings | None = None,
    *,
    accounts: int = 3,
    ahead: int | None = None,
    known_good: str | None = None,
) -> Scheduler:
    known = lanes or standings()
    made = Scheduler(known, CircuitBreaker(len(known.lanes), Random(1)), USUAL_QUERY, ahead=ahead)
    made.known_good = known_good
    if accounts:
        made.add_page([Account(i, f"a-{i}") for i in range(accounts)])
    made.add_page([])
    return made


def take(subject: Scheduler, lane: int = 0, now: float = 0.0) -> Work | None:
    return subject.take(subject.standings.lanes[lane], now)


def taken(subject: Scheduler, lane: int = 0, now: float = 0.0) -> Work:
    one = take(subject, lane, now)
    assert one is not None
    return one


def land(subject: Scheduler, lane: int = 0) -> None:
    subject.landed(subject.standings.lanes[lane])


def test_accounts_are_taken_in_the_order_of_the_list() -> None:
    """Each once; then there is nothing."""
    subject = scheduler()
    assert [taken(subject).account.position for _ in range(3)] == [0, 1, 2]
    assert take(subject) is None
    assert subject.in_flight == 3
    assert not subject.finished


def test_it_is_finished_when_everything_begun_is_settled() -> None:
    """And the list is at its end."""
    subject = scheduler(accounts=1)
    taken(subject)
    land(subject)
    subject.settled()
    assert subject.finished


def test_what_is_requested_again_comes_first() -> None:
    """Before accounts that are not begun."""
    subject = scheduler()
    first = taken(subject)
    subject.again(first)
    assert taken(subject) is first


def test_what_is_due_later_waits_for_its_time() -> None:
    """In the order of the times."""
    subject = scheduler(accounts=2)
    one, two = taken(subject), taken(subject)
    subject.later(one, 5.0)
    subject.later(two, 3.0)
    assert subject.next_due == 3.0
    subject.release_due(4.0)
    assert taken(subject) is two
    assert take(subject) is None
    subject.release_due(5.0)
    assert taken(subject) is one


def test_a_throttled_account_waits_for_ten_others() -> None:
    """Then it comes before accounts that are not begun."""
    subject = scheduler(accounts=30)
    first = taken(subject)
    subject.last(first)
    for _ in range(10):
        other = taken(subject)
        assert other is not first
        subject.answered(other)
    assert taken(subject) is first


def test_an_account_is_counted_as_answered_once() -> None:
    """However many pages it has."""
    subject = scheduler()
    one = taken(subject)
    for _ in range(5):
        subject.answered(one)
    assert subject.others_answered == 1


def test_throttled_accounts_that_are_left_alone_are_compared_with_the_known_good_one() -> None:
    """Its answer counts for ten others; without one, they are simply requested again."""
    subject = scheduler(accounts=1, known_good="good")
    one = taken(subject)
    subject.last(one)
    other = taken(subject)
    assert (other.kind, other.account.id) == (Kind.COMPARISON, "good")
    assert take(subject) is None
    subject.compared(answered=True)
    assert subject.others_answered == 10
    assert taken(subject) is one

    subject = scheduler(accounts=1)
    one = taken(subject)
    subject.last(one)
    assert taken(subject) is one


def test_throttled_accounts_that_are_left_alone_are_left_to_lanes_that_are_proven() -> None:
    """What a client with the wrong token is told says nothing about the account, nor about the tenant."""
    lanes = standings(clients=2)
    lanes.lanes[0].proven = True
    subject = scheduler(lanes, accounts=1, known_good="good")
    subject.last(taken(subject, 0))
    assert take(subject, 1) is None
    assert taken(subject, 0).kind is Kind.COMPARISON


def test_an_account_is_kept_from_the_lanes_that_refused_it() -> None:
    """Whether it waits its turn or is throttled."""
    for put in (Scheduler.again, Scheduler.last):
        subject = scheduler(standings(versions=2), accounts=1)
        one = taken(subject)
        one.avoid = 0b01
        put(subject, one)
        assert take(subject, 0) is None
        assert taken(subject, 1) is one


def test_an_account_returns_to_the_lanes_that_refused_it_if_no_other_is_left() -> None:
    """It is not lost when a lane is dropped."""
    for put in (Scheduler.again, Scheduler.last):
        lanes = standings(versions=2)
        subject = scheduler(lanes, accounts=1)
        one = taken(subject)
        one.avoid = 0b01
        put(subject, one)
        plain(lanes.lanes[1]).gone = True
        subject.lane_dropped()
        assert taken(subject, 0) is one


def test_the_reader_bounds_how_far_ahead_accounts_are_begun() -> None:
    """Positions up to `ahead` beyond what it has emitted."""
    subject = scheduler(accounts=10, ahead=3)
    assert [taken(subject).account.position for _ in range(3)] == [0, 1, 2]
    assert take(subject) is None
    subject.reader_position = 0
    assert taken(subject).account.position == 3
    assert take(subject) is None


def test_no_more_than_so_many_accounts_are_begun() -> None:
    """Retries have piled up: no new ones until some are settled."""
    subject = scheduler(accounts=MOST_BEGUN + 10)
    for _ in range(MOST_BEGUN):
        taken(subject)
    assert take(subject) is None
    land(subject)
    subject.settled()
    assert taken(subject).account.position == MOST_BEGUN


def test_a_version_with_too_many_missing_accounts_gets_no_new_ones() -> None:
    """Until others have been asked for them."""
    lanes = standings(versions=2)
    subject = scheduler(lanes)
    lanes.lanes[0].version.missing = 10
    assert take(subject, 0) is None
    assert taken(subject, 1).account.position == 0


def test_a_client_on_trial_gets_nothing_but_its_check() -> None:
    """And no other client gets that."""
    lanes = standings(clients=2)
    subject = scheduler(lanes, known_good="good")
    client = lanes.lanes[0].client
    client.denials = 10
    assert take(subject, 0) is None
    subject.check(client)
    assert taken(subject, 1).account.position == 0
    check = taken(subject, 0)
    assert (check.kind, check.account.id) == (Kind.CHECK, "good")


def test_a_check_returns_to_lanes_it_has_tried_if_no_other_is_left() -> None:
    """The lane that it was for may be dropped, before or after it is put back."""
    for drop_first in (True, False):
        lanes = standings(versions=2)
        subject = scheduler(lanes, known_good="good")
        subject.check(lanes.lanes[0].client)
        check = taken(subject, 0)
        check.avoid = 0b01
        if drop_first:
            plain(lanes.lanes[1]).gone = True
            subject.again(check)
        else:
            subject.again(check)
            assert taken(subject, 0).kind is Kind.ACCOUNT
            plain(lanes.lanes[1]).gone = True
            subject.lane_dropped()
        assert taken(subject, 0) is check


def test_pages_are_wanted_before_the_last_one_is_used_up() -> None:
    """And no more when the list is at its end."""
    subject = Scheduler(standings(), CircuitBreaker(1, Random(1)), USUAL_QUERY, ahead=None)
    assert subject.wants_page
    subject.add_page([Account(i, f"a-{i}") for i in range(PAGE)])
    assert not subject.wants_page
    for _ in range(PAGE // 2):
        taken(subject)
    assert subject.wants_page
    subject.add_page([])
    assert not subject.wants_page


def test_nothing_is_handed_out_when_closed() -> None:
    """The run ends."""
    subject = scheduler()
    subject.closed = True
    assert take(subject) is None


# --- probes


def hold_tenant(subject: Scheduler) -> None:
    for i in range(9):
        subject.breaker.faulted(0, Work(Account(100 + i, f"b-{i}"), Pages()), fault(), 0.0)


@pytest.mark.parametrize("known_good", [None, "good"])
def test_a_held_tenant_is_probed_with_one_request(known_good: str | None) -> None:
    """The known-good account, if there is one; otherwise the next one of the list."""
    subject = scheduler(known_good=known_good)
    hold_tenant(subject)
    assert subject.has_work(subject.standings.lanes[0], 0.0)
    one = taken(subject)
    assert one.account.id == (known_good or "a-0")
    assert subject.breaker.tenant.probe is one
    assert take(subject) is None


def test_exhausted_accounts_are_probed_in_turn_if_nothing_else_is_left() -> None:
    """One of them may be answered after all."""
    subject = scheduler(accounts=3)
    for _ in range(3):
        one = taken(subject)
        land(subject)
        subject.breaker.exhaust(0, one, 0.0)
    subject.breaker.suspect(0, 0.0)
    seen = set()
    for _ in range(3):
        seen.add(taken(subject).account.id)
        subject.breaker.tenant.probe = None
    assert seen == {"a-0", "a-1", "a-2"}


# --- stalls


def test_nothing_is_stalled_while_something_is_in_flight() -> None:
    """Its answer will tell."""
    subject = scheduler(accounts=1)
    taken(subject)
    assert subject.stalled(0.0) is None


def test_no_lane_is_left() -> None:
    """All clients were dropped."""
    lanes = standings()
    subject = scheduler(lanes)
    plain(lanes.lanes[0]).gone = True
    assert subject.stalled(0.0) is Stall.NO_LANE


def test_lanes_that_wait_for_something_stall() -> None:
    """All that may take the work; one that can send is enough."""
    lanes = standings(clients=2)
    subject = scheduler(lanes)
    plain(lanes.lanes[0]).waiting_for = "a token"
    assert subject.stalled(0.0) is None
    plain(lanes.lanes[1]).waiting_for = "a token"
    assert subject.stalled(0.0) is Stall.LANES


def test_what_is_due_later_is_no_stall() -> None:
    """It moves by itself."""
    subject = scheduler(accounts=1)
    one = taken(subject)
    land(subject)
    subject.later(one, 9.0)
    assert subject.stalled(0.0) is None


def test_exhausted_and_held_accounts_stall() -> None:
    """Exhausted ones are decided about first: that sign of life may decide the others."""
    subject = scheduler(accounts=2)
    one, two = taken(subject), taken(subject)
    land(subject)
    land(subject)
    subject.breaker.exhaust(0, one, 0.0)
    subject.hold(subject.standings.lanes[0].client, two)
    assert subject.stalled(0.0) is Stall.EXHAUSTED
    subject.breaker.alive(0, 1.0)
    subject.breaker._lanes[0].exhausted.clear()
    assert subject.stalled(0.0) is Stall.DENIED


def test_a_slow_reader_is_told_from_all_other_stalls() -> None:
    """Only if nothing else is to be decided."""
    subject = scheduler(accounts=9, ahead=1)
    one = taken(subject)
    land(subject)
    subject.hold(subject.standings.lanes[0].client, one)
    assert subject.stalled(0.0) is Stall.DENIED
    subject.release(subject.standings.lanes[0].client)
    subject.settled()
    assert subject.stalled(0.0) is Stall.READER


def test_a_lost_account_is_noticed() -> None:
    """A bug ends the run instead of hanging it."""
    subject = scheduler(accounts=1)
    taken(subject)
    land(subject)
    assert subject.stalled(0.0) is Stall.LOST


def test_a_page_that_is_being_read_is_no_stall() -> None:
    """The ledger answers in a moment."""
    subject = Scheduler(standings(), CircuitBreaker(1, Random(1)), USUAL_QUERY, ahead=None)
    assert subject.stalled(0.0) is None
