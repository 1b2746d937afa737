"""What each outcome means, in every standing that makes a difference."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine import policy
from harvester.engine.policy import (
    Again,
    Decision,
    Exhaust,
    Fail,
    Hold,
    Last,
    OtherLane,
    Retry,
    Stop,
    Verdict,
)
from harvester.engine.standing import LaneStanding, Standings
from harvester.engine.work import Work
from harvester.errors import UsageError
from harvester.model import Fault, Reason
from tests.engine.build import REJECTED, THROTTLED, fault, plain, refused, standings, work


def decide(
    one: Work, outcome: Any, lanes: Standings | None = None, *, lane: int = 0, others: int = 0
) -> Decision:
    known = lanes or standings()
    return policy.decide(
        one, outcome, known.lanes[lane], known, attempts=5, others_answered=others, rng=Random(1)
    )


def proven(lanes: Standings, *which: int) -> Standings:
    for index in which:
        lane = lanes.lanes[index]
        lane.proven = lane.client.proven = lane.version.proven = True
    return lanes


# --- faults


@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_fault_is_retried_with_full_jitter(attempts: int, seed: int) -> None:
    """The whole interval is used, and it doubles with each attempt."""
    lanes = standings()
    decision = policy.decide(
        work(attempts=attempts),
        fault(),
        lanes.lanes[0],
        lanes,
        attempts=5,
        others_answered=0,
        rng=Random(seed),
    )
    assert isinstance(decision, Retry)
    assert 0 <= decision.delay <= 0.5 * 2 ** (attempts - 1)


@pytest.mark.parametrize("attempts", [5, 6])
def test_the_last_attempt_exhausts(attempts: int) -> None:
    """Whose fault it was is decided by a sign of life, not here."""
    assert decide(work(attempts=attempts), fault()) == Exhaust()


def test_a_permanent_fault_stops_the_run() -> None:
    """Waiting cannot help: a usage error with the reason."""
    decision = decide(work(attempts=1), fault(permanent=True))
    assert isinstance(decision, Stop)
    assert isinstance(decision.why, UsageError)
    assert "HTTP 500" in decision.why.problem


# --- whose matter an outcome is


@pytest.mark.parametrize("is_proven", [False, True])
@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_page_from_a_proven_version_is_a_fault(status: int, page: bool, is_proven: bool) -> None:
    """It keeps status and reason; JSON, and a page from a version that may not be served, are as before."""
    lanes = proven(standings(), 0) if is_proven else standings()
    outcome = refused(status, page=page)
    weighed = policy.weighed(outcome, lanes.lanes[0], probing=False)
    if page and is_proven:
        assert isinstance(weighed, Fault)
        assert (weighed.status, weighed.reason) == (status, outcome.reason)
    else:
        assert weighed is outcome


# --- 429


@pytest.mark.parametrize(
    ("before", "others", "attempts", "expected"),
    [
        (None, 1000, 0, Last(charged=False)),
        (0, 9, 0, Last(charged=False)),
        (0, 10, 0, Last(charged=True)),
        (90, 99, 4, Last(charged=False)),
        (90, 100, 3, Last(charged=True)),
        (90, 100, 4, Fail()),
        (None, 100, 4, Last(charged=False)),
    ],
)
def test_a_429_counts_once_ten_others_were_answered(
    before: int | None, others: int, attempts: int, expected: Decision
) -> None:
    """The first one never does; with attempts used up, the account fails."""
    assert decide(work(throttled_at=before, attempts=attempts), THROTTLED, others=others) == expected


# --- 401


@pytest.mark.parametrize("is_proven", [False, True])
@pytest.mark.parametrize("rejections", range(1, 8))
def test_a_rejected_token_is_renewed_up_to_the_attempts(rejections: int, is_proven: bool) -> None:
    """Then the account fails, or is held if its client is not proven."""
    lanes = proven(standings(), 0) if is_proven else standings()
    decision = decide(work(rejections=rejections), REJECTED, lanes)
    up_to = 5 if is_proven else 4
    assert decision == (Again() if rejections <= up_to else Fail() if is_proven else Hold())


@pytest.mark.parametrize("is_proven", [False, True])
@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("stale", [False, True])
def test_a_new_token_that_does_not_work_is_a_fault(
    worked: bool, stale: bool, probing: bool, is_proven: bool
) -> None:
    """On a client that was answered before; one that worked, or whose end is known, only for a probe."""
    lanes = proven(standings(), 0) if is_proven else standings()
    outcome = replace(REJECTED, worked=worked, stale=stale)
    weighed = policy.weighed(outcome, lanes.lanes[0], probing=probing)
    assert isinstance(weighed, Fault) == (is_proven and (probing or not (worked or stale)))
    if isinstance(weighed, Fault):
        assert (weighed.status, weighed.reason) == (401, Reason.UNAUTHORIZED)


# --- 403


def test_a_denial_on_a_proven_lane_fails_the_account() -> None:
    """It is forbidden for its own sake."""
    assert decide(work(), refused(403), proven(standings(), 0)) == Fail()


def test_a_denial_of_an_unproven_client_is_held() -> None:
    """Until it is known whether the client has the right at all."""
    assert decide(work(), refused(403), standings(clients=2)) == Hold()


def test_a_denial_on_an_unproven_lane_of_a_proven_client_goes_to_the_other_lanes() -> None:
    """The version may be closed to the client."""
    assert decide(work(), refused(403), proven(standings(versions=2), 1)) == OtherLane(0b01)


def test_a_denial_by_every_lane_fails_the_account() -> None:
    """Nobody is left to ask."""
    lanes = proven(standings(versions=2), 1)
    assert decide(work(avoid=0b10), refused(403), lanes) == Fail()


def test_a_dropped_lane_is_not_asked() -> None:
    """Only lanes in use count."""
    lanes = standings(clients=2)
    plain(lanes.lanes[1]).gone = True
    lanes.lanes[0].client.proven = True
    assert decide(work(), refused(403), lanes) == Fail()


# --- 404


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_account_fails_where_no_other_version_can_be_asked(status: int) -> None:
    """One version, however many clients; or a version that has answered before."""
    assert decide(work(), refused(status), standings(clients=3)) == Fail()
    assert decide(work(), refused(status), proven(standings(versions=2), 0)) == Fail()


@pytest.mark.parametrize("status", [404, 410])
def test_a_version_that_has_never_answered_may_not_be_served(status: int) -> None:
    """Another version is asked: not another client on the same one."""
    assert decide(work(), refused(status), standings(clients=2, versions=2)) == OtherLane(0b0101)


def test_a_third_version_is_asked_if_two_have_never_answered() -> None:
    """And the account fails when all of them say so."""
    lanes = standings(versions=3)
    assert decide(work(avoid=0b001), refused(404), lanes, lane=1) == OtherLane(0b011)
    assert decide(work(avoid=0b011), refused(404), lanes, lane=2) == Fail()


@pytest.mark.parametrize("status", [400, 405, 422])
def test_any_other_refusal_fails_the_account(status: int) -> None:
    """Repeating the request would not change it."""
    assert decide(work(), refused(status), standings(versions=2)) == Fail()


# --- what refusals prove


@pytest.mark.parametrize(
    ("status", "version_proven", "expected"),
    [
        (400, False, True),
        (403, True, False),
        (404, False, False),
        (404, True, True),
        (410, False, False),
    ],
)
def test_only_a_client_with_the_right_is_refused_so(
    status: int, version_proven: bool, expected: bool
) -> None:
    """Denials and the 404 of a version that may not be served say nothing about the right."""
    lane = standings().lanes[0]
    lane.version.proven = version_proven
    assert policy.proves(refused(status), lane) is expected


# --- verdicts


def denied(lanes: Standings, lane: int, times: int) -> LaneStanding:
    standing = lanes.lanes[lane]
    standing.denials += times
    standing.client.denials += times
    standing.client.denial = refused(403)
    return standing


@pytest.mark.parametrize("denials", range(13))
@pytest.mark.parametrize("known_good", [False, True])
def test_ten_denials_and_nothing_else(denials: int, known_good: bool) -> None:
    """The client is dropped at once, or the known-good account is asked for, if there is one."""
    verdict = policy.verdict(denied(standings(), 0, denials), known_good=known_good)
    if denials < 10:
        assert verdict is None
    elif known_good:
        assert verdict is Verdict.CHECK
    else:
        assert verdict is Verdict.DROP_CLIENT


def test_a_check_is_not_repeated_while_it_runs() -> None:
    """Its answer decides."""
    lane = denied(standings(), 0, 20)
    lane.client.checking = True
    assert policy.verdict(lane, known_good=True) is None


def test_a_proven_client_is_not_dropped_for_denials() -> None:
    """Its accounts are forbidden."""
    assert policy.verdict(denied(proven(standings(), 0), 0, 50), known_good=False) is None


def test_a_lane_of_a_proven_client_is_dropped_for_denials_alone() -> None:
    """One version says 403 to everything."""
    lanes = proven(standings(versions=2), 1)
    assert policy.verdict(denied(lanes, 0, 9), known_good=False) is None
    assert policy.verdict(denied(lanes, 0, 1), known_good=False) is Verdict.DROP_LANE


@pytest.mark.parametrize(("in_flight", "denials", "waits"), [(0, 0, False), (1, 0, True), (1, 1, False)])
def test_the_first_answers_of_another_lane_are_waited_for(in_flight: int, denials: int, waits: bool) -> None:
    """While they are in flight, and no longer."""
    lanes = standings(versions=2)
    lanes.lanes[1].in_flight = in_flight
    lanes.lanes[1].denials = denials
    assert (policy.verdict(denied(lanes, 0, 10), known_good=False) is None) is waits


@pytest.mark.parametrize(
    ("known_good", "others", "trial", "expected"),
    [
        (False, True, 0, Verdict.ASK_OTHERS),
        (True, True, 0, Verdict.ASK_OTHERS),
        (True, False, 0, Verdict.CHECK),
        (False, False, 0, Verdict.DROP_CLIENT),
        (True, True, 10, Verdict.CHECK),
        (False, True, 10, Verdict.DROP_CLIENT),
    ],
)
def test_held_accounts_are_decided_about_when_nothing_else_moves(
    known_good: bool, others: bool, trial: int, expected: Verdict
) -> None:
    """By proven clients, by the known-good account, or against the client."""
    client = denied(standings(), 0, trial).client
    assert policy.undecided(client, known_good=known_good, others_proven=others) is expected


def test_a_check_that_was_lost_ends_in_a_decision() -> None:
    """Whatever happened to it, nobody waits for it."""
    client = standings().lanes[0].client
    client.checking = True
    assert policy.undecided(client, known_good=True, others_proven=False) is Verdict.DROP_CLIENT


def test_the_reason_names_what_was_denied() -> None:
    """Rejected tokens and missing rights need different remedies."""
    client = standings().lanes[0].client
    client.denial = REJECTED
    assert "tokens (401: JWT is expired)" in policy.access_denied(client).problem
    client.denial = refused(403)
    assert "idn:identity-history:manage" in policy.access_denied(client).hint


def test_messages_of_the_run_say_what_to_do() -> None:
    """Numbers agree with their nouns, and a hint follows."""
    assert "1 account has failed" in policy.too_many_failures(1).problem
    assert "20 accounts have failed" in policy.too_many_failures(20).problem
    assert "'x'" in policy.wrong_list("x").problem
