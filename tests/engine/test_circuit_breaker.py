"""The circuit breaker without a clock: suspicions, probes, refunds, exhausted accounts."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from harvester.engine.circuit_breaker import MOST_REFUNDS, Circuit, CircuitBreaker
from harvester.engine.work import Kind, Work
from tests.engine.build import fault, work


def breaker(lanes: int = 1) -> CircuitBreaker:
    return CircuitBreaker(lanes, Random(1))


def fault_all(
    subject: CircuitBreaker, lane: int, count: int, *, now: float = 1.0, first: int = 0
) -> list[Work]:
    works = [work(first + i) for i in range(count)]
    for one in works:
        assert subject.faulted(lane, one, fault(), 1.0) is None
    return works


# --- suspicion


@pytest.mark.parametrize(("accounts", "held"), [(8, False), (9, True)])
def test_nine_different_accounts_in_a_row_raise_a_suspicion(accounts: int, held: bool) -> None:
    """Eight do not."""
    subject = breaker()
    fault_all(subject, 0, accounts)
    assert subject.lets_through(0) is not held


def test_one_account_that_errs_nine_times_raises_none() -> None:
    """It may be its own fault."""
    subject = breaker()
    same = work()
    for _ in range(20):
        subject.faulted(0, same, fault(), 1.0)
    assert subject.lets_through(0)


def test_three_refused_connections_raise_a_suspicion() -> None:
    """No account has any part in them."""
    subject = breaker()
    same = work()
    for count in range(1, 4):
        subject.faulted(0, same, fault(connected=False), 1.0)
        assert subject.lets_through(0) is (count < 3)


def test_a_sign_of_life_breaks_the_row() -> None:
    """Eight, life, eight: no suspicion."""
    subject = breaker()
    fault_all(subject, 0, 8)
    subject.alive(0, 0.5)
    fault_all(subject, 0, 8, first=8)
    assert subject.lets_through(0)


def test_a_lane_that_errs_holds_itself_alone() -> None:
    """While another lane shows life."""
    subject = breaker(2)
    for i in range(9):
        subject.faulted(0, work(i), fault(), 1.0)
        subject.alive(1, 1.0)
    assert not subject.lets_through(0)
    assert subject.lets_through(1)
    assert subject.tenant.closed


def test_faults_spread_over_the_lanes_hold_the_tenant() -> None:
    """Nine in a row, three on each lane, and no life from any."""
    subject = breaker(3)
    for i in range(9):
        subject.faulted(i % 3, work(i), fault(), 1.0)
    assert not any(subject.lets_through(lane) for lane in range(3))


def test_the_tenant_is_held_when_each_lane_in_use_is() -> None:
    """One after the other; dropped lanes do not count."""
    subject = breaker(3)
    for lane in (0, 1):
        for i in range(9):
            subject.faulted(lane, work(i), fault(), 1.0)
            subject.alive(2, 1.0)
    assert subject.tenant.closed
    subject.drop(2, 2.0)
    assert not subject.tenant.closed


# --- probes


def held(lanes: int = 1) -> tuple[CircuitBreaker, list[Work]]:
    """A breaker with a suspicion against the tenant, at the time 1."""
    subject = breaker(lanes)
    return subject, fault_all(subject, 0, 9)


def probe(subject: CircuitBreaker, lane: int = 0) -> Work:
    one = work(99, kind=Kind.PROBE)
    subject.deciding(lane).probe = one
    return one


def test_a_probe_is_due_at_once_and_one_at_a_time() -> None:
    """Over all lanes of a tenant that is held."""
    subject, _ = held(2)
    assert subject.probe_due(0, 1.0)
    assert subject.probe_due(1, 1.0)
    probe(subject)
    assert not subject.probe_due(0, 1.0)
    assert not subject.probe_due(1, 1.0)


@given(st.integers(0, 1000))
def test_probes_come_at_growing_jittered_intervals(seed: int) -> None:
    """From half a second to fifteen, a quarter more or less."""
    circuit = Circuit()
    circuit.suspect(0.0)
    pauses = [circuit.probe_failed(0.0, Random(f"{seed}{i}"), connected=True)[0] for i in range(20)]
    assert 0.375 <= pauses[0] <= 0.625
    assert all(pause <= 15 * 1.25 for pause in pauses)
    assert all(pause >= 15 * 0.75 for pause in pauses[-5:])


@pytest.mark.parametrize(("connected", "needed"), [(True, 2), (False, 1)])
def test_an_outage_begins_when_probes_fail_as_well(connected: bool, needed: int) -> None:
    """Two of them, or one that cannot even connect; then all attempts are refunded."""
    subject, works = held()
    assert [one.attempts for one in works] == [1] * 9
    for count in range(1, needed + 1):
        failed = subject.faulted(0, probe(subject), fault(connected=connected), 2.0)
        assert failed is not None
        assert failed.outage_began is (count == needed)
    assert [one.attempts for one in works] == [0] * 9


def test_nothing_is_charged_during_an_outage() -> None:
    """What was in flight when it began costs nothing."""
    subject, _ = held()
    for _ in range(2):
        subject.faulted(0, probe(subject), fault(), 2.0)
    late = work(50)
    subject.faulted(0, late, fault(), 2.1)
    assert late.attempts == 0


def test_a_probe_that_is_answered_ends_the_suspicion() -> None:
    """The charges stand; requests flow."""
    subject, works = held()
    probe(subject)
    subject.alive(0, 1.5)
    assert subject.lets_through(0)
    assert [one.attempts for one in works] == [1] * 9
    assert subject.tenant.probe is None


def test_an_answer_from_before_the_suspicion_does_not_end_it() -> None:
    """It was sent when all was well."""
    subject, _ = held()
    subject.alive(0, 0.9)
    assert not subject.lets_through(0)


def test_a_probe_that_is_told_429_is_sent_again() -> None:
    """429 says nothing about the service behind the gateway."""
    subject, _ = held()
    subject.told_nothing(probe(subject))
    assert subject.probe_due(0, 1.0)
    assert not subject.lets_through(0)


def test_the_next_probe_is_known() -> None:
    """So that the engine can sleep until then."""
    subject, _ = held()
    failed = subject.faulted(0, probe(subject), fault(), 2.0)
    assert failed is not None
    assert subject.next_probe(2.0) == pytest.approx(2.0 + failed.next_in)
    assert subject.next_probe(100.0) is None


# --- exhausted accounts


def exhausted_at(subject: CircuitBreaker, at: float, *, charges: int = 1, lane: int = 0) -> Work:
    one = work(7, attempts=5 - charges)
    for _ in range(charges):
        subject.faulted(lane, one, fault(), at)
    assert one.attempts == 5
    subject.exhaust(lane, one, at)
    return one


def test_a_exhausted_account_fails_with_the_next_sign_of_life_on_its_lane() -> None:
    """Not with one from before, nor with one on another lane."""
    subject = breaker(2)
    one = exhausted_at(subject, 5.0)
    assert not subject.alive(0, 4.9).failed
    assert not subject.alive(1, 6.0).failed
    assert subject.alive(0, 6.0).failed == [one]
    assert not list(subject.exhausted())


def test_an_outage_sets_a_exhausted_account_free() -> None:
    """Its attempts are refunded, and it may be requested again."""
    subject = breaker()
    one = exhausted_at(subject, 1.0)
    subject.suspect(0, 1.0)
    subject.faulted(0, probe(subject), fault(), 2.0)
    failed = subject.faulted(0, probe(subject), fault(), 3.0)
    assert failed is not None
    assert failed.refunded == [one]
    assert one.attempts == 4


def test_an_account_that_faulted_more_than_once_in_silence_is_spared_once() -> None:
    """It may have been a short outage: one attempt more, then it fails."""
    subject = breaker()
    one = exhausted_at(subject, 1.0, charges=3)
    assert subject.alive(0, 2.0).spared == [one]
    assert one.attempts == 4
    subject.faulted(0, one, fault(), 3.0)
    subject.exhaust(0, one, 3.0)
    assert subject.alive(0, 4.0).failed == [one]


def test_what_a_silent_lane_charged_is_given_back() -> None:
    """A lane that has shown no life since may be the one that is broken."""
    subject = breaker(2)
    one = work(7)
    for lane, times in ((1, 4), (0, 1)):
        for _ in range(times):
            subject.faulted(lane, one, fault(), 1.0)
    subject.exhaust(0, one, 1.0)
    assert subject.alive(0, 2.0).spared == [one]
    assert one.attempts == 1


def test_refunds_are_bounded() -> None:
    """A tenant that answers now and then, and an account that it never answers for, come to an end."""
    subject = breaker()
    one = work(7)
    for outage in range(MOST_REFUNDS + 1):
        now = 10.0 * outage
        subject.faulted(0, one, fault(), now)
        subject.suspect(0, now)
        for _ in range(2):
            subject.faulted(0, probe(subject), fault(), now)
        assert one.attempts == (0 if outage < MOST_REFUNDS else 1)
        subject.alive(0, now + 1)


def test_a_dropped_lane_leaves_its_exhausted_accounts_to_the_others() -> None:
    """Refunded: nobody can tell any more whose fault it was."""
    subject = breaker(2)
    one = exhausted_at(subject, 1.0)
    assert subject.drop(0, 2.0) == [one]
    assert one.attempts == 4
    subject.faulted(0, one, fault(), 3.0)
    assert one.attempts == 4


class RandomTenant(RuleBasedStateMachine):
    """Any order of faults, signs of life and probes."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = CircuitBreaker(2, Random(0))
        self.works = [work(i) for i in range(12)]
        self.now = 1.0

    def tick(self) -> None:
        self.now += 1.0

    @rule(lane=st.integers(0, 1), which=st.integers(0, 11), connected=st.booleans())
    def a_fault(self, lane: int, which: int, connected: bool) -> None:
        self.tick()
        one = self.works[which]
        if not any(one is exhausted for _, exhausted in self.subject.exhausted()):
            self.subject.faulted(lane, one, fault(connected=connected), self.now)
            if one.attempts >= 5:
                self.subject.exhaust(lane, one, self.now)

    @rule(lane=st.integers(0, 1), age=st.floats(0, 3))
    def an_answer(self, lane: int, age: float) -> None:
        self.tick()
        self.alive(lane, self.now - age)

    def alive(self, lane: int, sent_at: float) -> None:
        """The accounts that fail are settled; others take their places."""
        result = self.subject.alive(lane, sent_at)
        assert not set(result.failed) & set(result.spared)
        for one in result.failed:
            assert one.attempts >= 5
            one.attempts = 0

    @rule(lane=st.integers(0, 1), answered=st.booleans())
    def a_probe(self, lane: int, answered: bool) -> None:
        self.tick()
        if self.subject.lets_through(lane) or not self.subject.probe_due(lane, self.now + 60):
            return
        one = probe(self.subject, lane)
        if answered:
            self.alive(lane, self.now)
        else:
            failed = self.subject.faulted(lane, one, fault(), self.now)
            assert failed is not None
            assert failed.next_in <= 15 * 1.25

    @invariant()
    def attempts_are_plausible(self) -> None:
        assert all(0 <= one.attempts <= 5 for one in self.works)

    @invariant()
    def a_suspicion_can_be_ended(self) -> None:
        for lane in range(2):
            if not self.subject.lets_through(lane):
                circuit = self.subject.deciding(lane)
                assert circuit.probe is None
                assert self.subject.probe_due(lane, circuit.next_probe)


TestRandomTenant = RandomTenant.TestCase
