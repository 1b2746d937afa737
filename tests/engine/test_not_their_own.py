"""Answers that are not the account's own, from whatever is in between: they cost no account anything."""

from __future__ import annotations

import pytest

from harvester.errors import StoppedEarly
from harvester.events import OutageBegan, Warned
from harvester.model import AccountOutcome, Reason
from tests.engine.fakes import GOOD, REDIRECTED, FakeLane, Reply, World, harvest

PROXY = Reply(407, b"")
MISDIRECTED = Reply(421, b"")


def away(reply: Reply, *, after: float, until: float = 1e9, accounts: int = 300) -> World:
    """A tenant that answers with `reply` for a while."""
    world = World(lambda *_: reply if after <= world.now() < until else GOOD, accounts=accounts)
    return world


@pytest.mark.parametrize("after", [0.0, 2.0])
@pytest.mark.parametrize("reply", [REDIRECTED, PROXY, MISDIRECTED])
def test_an_outage_of_redirects_costs_no_account_anything(reply: Reply, after: float) -> None:
    """From the very first request, and after good answers: they are held, and harvested in the end."""
    world = away(reply, after=after, until=300.0)
    assert harvest(world).stop is None
    assert set(world.ledger.outcomes().values()) == {AccountOutcome.HARVESTED}
    assert len(world.of(OutageBegan)) == 1
    assert len(world.sent) < 300 + 60


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


def test_an_account_that_is_always_redirected_fails_alone() -> None:
    """After all its attempts, with the reason and the status that it met."""

    def reply(_lane: FakeLane, account: str, *_: object) -> Reply:
        return REDIRECTED if account == "a-3" else GOOD

    world = World(reply, accounts=2000)
    assert harvest(world).stop is None
    failure = world.ledger.failures()["a-3"]
    assert (failure.status, failure.reason, failure.attempts) == (302, Reason.REDIRECTED, 5)
    assert len(world.ledger.failures()) == 1
