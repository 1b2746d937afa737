"""Answers that are not the account's own, from whatever is in between: they cost no account anything."""

from __future__ import annotations

import pytest

from harvester.errors import StoppedEarly
from harvester.events import OutageBegan, Warned
from harvester.model import AccountOutcome, Reason
from tests.engine.fakes import (
    EMPTY,
    GOOD,
    MISSING,
    PAGE,
    REDIRECTED,
    REJECTED,
    WALL,
    FakeLane,
    Reply,
    World,
    harvest,
)

PROXY = Reply(407, b"")
MISDIRECTED = Reply(421, b"")


def away(reply: Reply, *, after: float, until: float = 1e9, good: Reply = GOOD, clients: int = 1) -> World:
    """A tenant that answers with `reply` for a while."""
    world = World(lambda *_: reply if after <= world.now() < until else good, accounts=300, clients=clients)
    return world


def assert_costs_nothing(world: World, *, requests: int, outcome: AccountOutcome) -> None:
    """One outage, after which every account is settled as if there had been none; `requests` are few more."""
    assert harvest(world).stop is None
    assert not world.ledger.failures()
    assert set(world.ledger.outcomes().values()) == {outcome}
    assert len(world.of(OutageBegan)) == 1
    assert len(world.sent) < 300 + requests


@pytest.mark.parametrize("after", [0.0, 2.0])
@pytest.mark.parametrize("reply", [REDIRECTED, PROXY, MISDIRECTED])
def test_an_outage_of_redirects_costs_no_account_anything(reply: Reply, after: float) -> None:
    """From the very first request, and after good answers: they are held, and harvested in the end."""
    world = away(reply, after=after, until=300.0)
    assert_costs_nothing(world, requests=60, outcome=AccountOutcome.HARVESTED)


def test_redirects_from_the_very_first_request_end_after_max_outage() -> None:
    """Nothing is settled, and the sentence says what to check."""
    world = away(REDIRECTED, after=0.0)
    result = harvest(world, max_outage=60)
    assert isinstance(result.stop, StoppedEarly)
    assert "redirects, which is not followed: check --base-url" in result.stop.problem
    assert 59 < result.seconds < 63
    assert not world.ledger.settled


def test_a_version_that_redirects_everything_holds_its_own_lane() -> None:
    """Its accounts go to the versions that work, and none of them fails."""
    world = World(
        lambda lane, *_: REDIRECTED if lane.api_version == "v3" else GOOD,
        accounts=2000,
        versions=("v2024", "v3"),
    )
    assert harvest(world).stop is None
    assert not world.ledger.failures()
    assert [event.code for event in world.of(Warned)] == ["lane_fails"]
    assert sum(sent.lane == "c0/v3" for sent in world.sent) < 60


@pytest.mark.parametrize("reply", [PAGE, WALL])
def test_an_outage_of_pages_costs_no_account_anything(reply: Reply) -> None:
    """Once the version has answered, a page is not what the API says about an account."""
    world = away(reply, after=2.0, until=300.0)
    assert_costs_nothing(world, requests=60, outcome=AccountOutcome.HARVESTED)


@pytest.mark.parametrize(
    ("good", "outcome"), [(GOOD, AccountOutcome.HARVESTED), (EMPTY, AccountOutcome.EMPTY)]
)
@pytest.mark.parametrize("clients", [1, 2])
def test_a_tenant_that_refuses_every_token_costs_no_account_anything(
    good: Reply, outcome: AccountOutcome, clients: int
) -> None:
    """After good answers, it is an outage like any other, probed and refunded."""
    world = away(REJECTED, after=1.0, until=300.0, good=good, clients=clients)
    assert_costs_nothing(world, requests=150, outcome=outcome)


def test_a_tenant_that_refuses_every_token_for_good_ends_the_run_after_max_outage() -> None:
    """No account fails, and the sentence says what was refused."""
    world = away(REJECTED, after=2.0)
    result = harvest(world, max_outage=60)
    assert isinstance(result.stop, StoppedEarly)
    assert "the tenant has refused every token for 6" in result.stop.problem
    assert 61 < result.seconds < 65
    assert not world.ledger.failures()


def test_a_client_whose_tokens_are_all_refused_holds_its_own_lane() -> None:
    """Its accounts go to the clients that work, and none of them fails."""
    world = World(
        lambda lane, *_: REJECTED if lane.client.label == "c0" and world.now() > 2 else GOOD,
        accounts=2000,
        clients=2,
    )
    assert harvest(world).stop is None
    assert not world.ledger.failures()
    assert [event.code for event in world.of(Warned)] == ["lane_fails"]


def test_a_token_that_expires_in_every_request_at_once_is_no_outage() -> None:
    """One 401 for each account is answered by a new token, and costs no attempt."""
    seen: set[str] = set()

    def reply(_lane: FakeLane, account: str, *_: object) -> Reply:
        first = account not in seen and int(account[2:]) >= 100
        seen.add(account)
        return REJECTED if first else GOOD

    world = World(reply, accounts=300)
    assert harvest(world, attempts=1).stop is None
    assert not world.ledger.failures()
    assert not world.of(OutageBegan)


@pytest.mark.parametrize(("reply", "status"), [(WALL, 4), (PAGE, 5)])
def test_pages_from_the_very_first_request_are_the_tenants_own_answer(reply: Reply, status: int) -> None:
    """No right, or a list of no accounts: nothing shows that the API is there at all."""
    result = harvest(away(reply, after=0.0))
    assert result.stop is not None
    assert result.stop.exit_status == status
    assert result.seconds < 60


@pytest.mark.parametrize(
    ("reply", "status", "reason", "requests"),
    [
        (REDIRECTED, 302, Reason.REDIRECTED, 5),
        (PAGE, 404, Reason.NOT_FOUND, 5),
        (WALL, 403, Reason.FORBIDDEN, 5),
        (MISSING, 404, Reason.NOT_FOUND, 1),
    ],
)
def test_an_account_that_is_always_answered_so_fails_alone(
    reply: Reply, status: int, reason: Reason, requests: int
) -> None:
    """After all its attempts, with the reason and the status that it met; at once, if it is its own."""
    world = World(
        lambda _lane, account, *_: reply if account == "a-300" else GOOD,
        accounts=2000,
    )
    assert harvest(world).stop is None
    failure = world.ledger.failures()["a-300"]
    assert (failure.status, failure.reason, failure.attempts) == (status, reason, requests)
    assert len(world.requests_for("a-300")) == requests
    assert len(world.ledger.failures()) == 1
