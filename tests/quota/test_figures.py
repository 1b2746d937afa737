"""The figures, against models of the world's limiters: share of the quota used, refusals, adaptation.

Virtual time: what is asserted is arithmetic, not the speed of this machine, and a seed
reproduces each case exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from harvester.events import ClientPaused
from harvester.model import Quota
from tests.quota.simulation import (
    FixedWindow,
    LeakyBucket,
    Limiter,
    Outcome,
    SlidingLog,
    StickTable,
    TokenBucket,
    World,
    simulate,
)

SLOW = Quota(100, 10.0)
FAST = Quota(1000, 10.0)

Maker = Callable[[int], Limiter]
"""A limiter of so many requests in ten seconds."""
LIMITERS: dict[str, Maker] = {
    "fixed window": lambda requests: FixedWindow(requests, 10.0, offset=3.3),
    "sliding window": lambda requests: SlidingLog(requests, 10.0),
    "token bucket": lambda requests: TokenBucket(requests / 10, requests),
    "small token bucket": lambda requests: TokenBucket(requests / 10, 5),
    "leaky bucket, burst 3": lambda requests: LeakyBucket(requests / 10, 3),
    "leaky bucket, burst 5": lambda requests: LeakyBucket(requests / 10, 5),
    "stick table": lambda requests: StickTable(requests, 10.0),
}
ANY_LIMITER = pytest.mark.parametrize("limiter", LIMITERS.values(), ids=LIMITERS.keys())
KINDS = ("fixed window", "sliding window", "token bucket", "leaky bucket, burst 5")
ONE_OF_EACH_KIND = pytest.mark.parametrize("limiter", [LIMITERS[kind] for kind in KINDS], ids=KINDS)


def share(outcome: Outcome, per_second: float, since: float = 0.0) -> float:
    """Part of what the limiter would have let through that was let through."""
    return outcome.through(since, outcome.seconds) / (per_second * (outcome.seconds - since))


@ANY_LIMITER
@pytest.mark.parametrize("latency", [0.005, 0.3, 2.0])
def test_the_known_quota_is_used_up_and_nothing_refused_at_ten_a_second(
    limiter: Maker, latency: float
) -> None:
    """100/10s: at least 99.3 % of two minutes from the start, and no 429, with late timers and stalls."""
    outcome = simulate(limiter(100), SLOW, 120.0, World(latency=latency, jitter_there=0.02, seed=1))
    assert share(outcome, 10.0) >= 0.993
    assert outcome.refused == []


@ANY_LIMITER
@pytest.mark.parametrize("latency", [0.005, 0.3])
def test_the_known_quota_is_used_up_and_nothing_refused_at_a_hundred_a_second(
    limiter: Maker, latency: float
) -> None:
    """1000/10s: at least 99 % of 40 s from the start, and no 429, with late timers and stalls."""
    outcome = simulate(limiter(1000), FAST, 40.0, World(latency=latency, jitter_there=0.005, seed=1))
    assert share(outcome, 100.0) >= 0.99
    assert outcome.refused == []


@ONE_OF_EACH_KIND
def test_over_a_long_harvest_refusals_stay_below_one_in_a_thousand(limiter: Maker) -> None:
    """Where a window and a stall meet a request may be refused; it is learnt from; 99 % are used."""
    outcome = simulate(
        limiter(100), SLOW, 1000.0, World(latency=0.2, jitter_there=0.03, stall_every=5.0, seed=2)
    )
    assert share(outcome, 10.0) >= 0.99
    assert outcome.refused_share <= 0.001


@ANY_LIMITER
def test_half_the_configured_quota_is_found_and_used(limiter: Maker) -> None:
    """An unknown limit of half the quota: nine tenths of it used from the start, one in a hundred refused."""
    outcome = simulate(limiter(50), SLOW, 400.0, World(latency=0.1, seed=3))
    assert share(outcome, 5.0) >= 0.90
    assert outcome.refused_share <= 0.015
    assert outcome.early == 0


@ONE_OF_EACH_KIND
def test_a_fifth_of_the_configured_quota_is_found_and_used(limiter: Maker) -> None:
    """A far lower limit takes a few more refusals to find, and is used as well."""
    outcome = simulate(limiter(20), SLOW, 400.0, World(latency=0.1, seed=3))
    assert share(outcome, 2.0) >= 0.90
    assert outcome.refused_share <= 0.03


@ONE_OF_EACH_KIND
@pytest.mark.parametrize(
    "retry_after",
    [lambda _: None, lambda exact: exact, math.floor],
    ids=["none", "exact", "floor"],
)
def test_the_limit_is_found_however_retry_after_is_worded(
    limiter: Maker, retry_after: Callable[[float], float | None]
) -> None:
    """Missing, exact or rounded down to a moment too early."""
    outcome = simulate(limiter(50), SLOW, 300.0, World(latency=0.1, retry_after=retry_after, seed=4))
    assert share(outcome, 5.0) >= 0.85
    assert outcome.refused_share <= 0.03


@ONE_OF_EACH_KIND
def test_a_tenant_that_always_asks_for_the_whole_period_is_obeyed_and_used(limiter: Maker) -> None:
    """Retry-After: 10 at each refusal: dear, so the ceiling is touched seldom."""
    outcome = simulate(limiter(50), SLOW, 600.0, World(latency=0.1, retry_after=lambda _: 10.0, seed=5))
    assert share(outcome, 5.0) >= 0.75
    assert outcome.early == 0


@ONE_OF_EACH_KIND
def test_a_slow_tenant_with_a_lower_limit_is_used_too(limiter: Maker) -> None:
    """Two seconds of latency: refusals are known late, so a volley of them is paid each time, and seldom."""
    outcome = simulate(limiter(50), SLOW, 600.0, World(latency=2.0, seed=6))
    assert share(outcome, 5.0) >= 0.90
    assert outcome.refused_share <= 0.035


def test_a_slow_tenant_that_counts_refusals_too_is_touched_seldom() -> None:
    """HAProxy counts what it refuses, so each touch costs all that is under way: it is paid for seldom."""
    outcome = simulate(LIMITERS["stick table"](50), SLOW, 600.0, World(latency=2.0, seed=6))
    assert share(outcome, 5.0) >= 0.88
    assert outcome.refused_share <= 0.07


@ONE_OF_EACH_KIND
def test_auto_finds_a_rate_above_the_default(limiter: Maker) -> None:
    """`--quota auto` starts at 100/10s and finds 400/10s in a hundred seconds, then uses 85 % of it."""
    outcome = simulate(limiter(400), Quota(100, 10.0, auto=True), 200.0, World(latency=0.1, seed=7))
    assert share(outcome, 40.0, since=100.0) >= 0.85
    assert outcome.refused_share <= 0.01


@ONE_OF_EACH_KIND
@pytest.mark.parametrize(
    "thief", [lambda _: 4.0, lambda at: 3.0 + 2.5 * math.sin(at / 60)], ids=["constant", "varying"]
)
def test_what_another_job_leaves_over_is_used(limiter: Maker, thief: Callable[[float], float]) -> None:
    """Another job takes a share of the same limit: 85 % of the rest is ours, with few refusals."""
    outcome = simulate(limiter(100), SLOW, 400.0, World(latency=0.1, seed=8), thief=thief)
    left_over = sum(10.0 - thief(at) for at in range(400))
    assert outcome.through() / left_over >= 0.85
    assert outcome.refused_share <= 0.015


@pytest.mark.parametrize(
    "limiter", [LIMITERS["fixed window"], LIMITERS["sliding window"], LIMITERS["stick table"]]
)
def test_the_rate_climbs_back_when_the_other_job_ends(limiter: Maker) -> None:
    """Little over a minute after half the limit became free, all of it is in use."""
    outcome = simulate(
        limiter(100), SLOW, 400.0, World(latency=0.1, seed=9), thief=lambda at: 5.0 if at < 200.0 else 0.0
    )
    assert min(at for at, rate in outcome.rates if at > 200.0 and rate > 9.9) < 280.0
    assert share(outcome, 10.0, since=280.0) >= 0.98


class _Blocked:
    """A tenant that refuses everything for some time."""

    def __init__(self, since: float, until: float, asks: float) -> None:
        self._span = (1000.0 + since, 1000.0 + until)  # the simulation's clock begins at 1000
        self._asks = asks

    def refuse(self, now: float) -> float | None:
        """The fixed wait it asks for, while it blocks."""
        return self._asks if self._span[0] <= now < self._span[1] else None


def test_a_tenant_that_refuses_everything_for_a_while_is_probed_by_one_and_then_used_in_full() -> None:
    """Twenty seconds of 429: a scout a second, and the rate is none the worse for it afterwards."""
    outcome = simulate(_Blocked(30.0, 50.0, 1.0), FAST, 90.0, World(latency=0.1, seed=10))
    while_blocked = [at for at in outcome.refused if at > 31.5]
    assert len(while_blocked) <= 20
    assert share(outcome, 100.0, since=55.0) >= 0.85


def test_an_hour_of_retry_after_is_one_pause() -> None:
    """Retry-After: 3600: nothing is sent for the hour, then the harvest goes on."""
    outcome = simulate(_Blocked(30.0, 31.0, 3600.0), SLOW, 4000.0, World(latency=0.1, seed=11))
    assert not [at for at in outcome.sent if 32.0 < at < 3630.0]
    assert len([event for event in outcome.events if isinstance(event, ClientPaused)]) == 1
    assert outcome.through(3630.0) > 300 * 5


def test_requests_of_an_earlier_run_do_not_mislead_this_one() -> None:
    """A run that begins while the tenant still counts the one before keeps its rate."""
    limiter = SlidingLog(100, 10.0)
    for step in range(100):
        limiter.refuse(992.0 + step * 0.08)
    outcome = simulate(limiter, SLOW, 60.0, World(latency=0.1, seed=12))
    assert share(outcome, 10.0, since=15.0) >= 0.97


def test_a_half_used_window_does_not_mislead_either() -> None:
    """Refused in its first period, after a part was let through: that part is no measure of the rate."""
    limiter = FixedWindow(100, 10.0)
    for _ in range(60):
        limiter.refuse(1000.0)
    outcome = simulate(limiter, SLOW, 60.0, World(latency=0.1, seed=12))
    assert outcome.refused
    assert share(outcome, 10.0, since=12.0) >= 0.98


def test_the_default_burst_of_none_spares_a_leaky_bucket_what_a_burst_would_cost() -> None:
    """Why a short list isn't sent at once: an algorithm that doesn't allow it refuses most of it."""
    careful = simulate(LeakyBucket(10, 5), SLOW, 60.0, most=40)
    hasty = simulate(LeakyBucket(10, 5), SLOW, 60.0, most=40, burst=40)
    assert len(careful.let_through) == 40
    assert careful.refused == []
    assert len(hasty.refused) > 30
    vouched = simulate(TokenBucket(10, 100), SLOW, 60.0, most=40, burst=40)
    assert len(vouched.let_through) == 40
    assert vouched.sent[-1] < 1.0


class Moody:
    """Refuses one request in so many, at any rate."""

    def __init__(self, chance: float, wait: float) -> None:
        self._rng = Random(7)
        self._chance = chance
        self._wait = wait

    def refuse(self, now: float) -> float | None:
        return self._wait if self._rng.random() < self._chance else None


@pytest.mark.parametrize("quota", [SLOW, FAST], ids=["10/s", "100/s"])
@pytest.mark.parametrize("chance", [0.01, 0.05, 0.2])
def test_a_tenant_that_refuses_at_random_is_not_followed_into_a_crawl(chance: float, quota: Quota) -> None:
    """A quarter at least of what the pauses leave is used; without the experiment it is a twentieth."""
    outcome = simulate(Moody(chance, 1.0), quota, 600.0, World(latency=0.05, seed=6))
    stretch = 1 / chance
    possible = stretch / (stretch / quota.per_second + 1.05)
    assert share(outcome, possible) >= 0.25
