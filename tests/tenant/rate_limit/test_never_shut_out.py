"""A hidden limit is found, followed and shared without being shut out, on gateways with the route back-off.

A few seeds of each case here; ``python -m tests.tenant.rate_limit.table`` has the whole table.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from harvester.events import LanePaused, RateChanged
from harvester.model import Quota
from tests.tenant.rate_limit.gateways import (
    FixedWindow,
    Gateway,
    RouteBackoff,
    SlidingLog,
    StickTable,
    Switching,
)
from tests.tenant.rate_limit.simulation import Traffic, World, simulate
from tests.tenant.rate_limit.table import ALGORITHMS, CASES, QUOTA, Case, measure

WINDOWS: dict[str, Callable[[int], Gateway]] = {
    "fixed window": lambda limit: FixedWindow(limit, 10.0),
    "sliding window": lambda limit: SlidingLog(limit, 10.0),
}
BUCKETS = ("token bucket", "small token bucket", "leaky bucket")


@pytest.mark.parametrize("case", CASES[:4], ids=lambda case: case.name)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_hidden_limit_is_found_and_used_and_nobody_is_shut_out(case: Case, algorithm: str) -> None:
    """A quarter, half, nine tenths of the quota, two runs: no third violated window within twelve."""
    found = [measure(case, algorithm, latency, seed) for latency, seed in ((0.005, 1), (0.1, 0), (0.4, 3))]
    assert [figures.shut_out for figures in found] == [0, 0, 0]
    assert max(figures.violated for figures in found) <= 2
    shares = [figures.share for figures in found]
    assert sum(shares) / len(shares) >= (0.85 if algorithm in BUCKETS else 0.92)
    assert max(figures.refused for figures in found) <= 0.025


@pytest.mark.parametrize("limit", [25, 60, 90])
def test_a_counter_that_always_says_one_second_is_found_out(limit: int) -> None:
    """HAProxy's counter refuses probe after probe until it has faded, which no bucket does."""
    route = RouteBackoff(StickTable(limit, 10.0))
    traffic = simulate(
        route, QUOTA, World(latency=0.005, retry_after=lambda _: 1.0, seed=3), accounts=limit * 30
    )
    assert route.shut_out == []
    assert traffic.all.seconds <= 30 * 10.0 / 0.85


def drive(route: RouteBackoff, seconds: float, latency: float = 0.1, seed: int = 1) -> Traffic:
    return simulate(route, QUOTA, World(latency=latency, seed=seed), seconds=seconds)


@pytest.mark.parametrize("make", WINDOWS.values(), ids=WINDOWS.keys())
def test_a_limit_that_falls_is_followed_at_once_and_one_that_rises_is_found_again(
    make: Callable[[int], Gateway],
) -> None:
    """From the quota to half of it and back: nine tenths are used while it is low, and then all of it."""
    steps: list[tuple[float, Gateway]] = [(1000.0, make(100)), (1200.0, make(50)), (1500.0, make(100))]
    route = RouteBackoff(Switching(steps))
    traffic = drive(route, 2100.0)
    assert route.shut_out == []
    assert route.most <= 2
    assert traffic.all.through(0, 200) >= 0.98 * 2000
    assert traffic.all.through(200, 500) >= 0.9 * 1500
    assert traffic.all.through(1200, 2100) >= 0.98 * 9000


@pytest.mark.parametrize("make", WINDOWS.values(), ids=WINDOWS.keys())
def test_the_rate_does_not_rise_for_twelve_windows_after_a_violation(make: Callable[[int], Gateway]) -> None:
    """Another run may have violated a window, too: both must be forgotten. Then it rises in small steps."""
    lane = drive(RouteBackoff(make(50)), 300.0).lanes[0].sends
    violated = min(lane.refused)
    resumed = [(at, rate) for at, rate in lane.rates if at > violated + 1.0]
    assert len({rate for at, rate in resumed if at < violated + 120.0}) == 1
    climb = sorted({rate for at, rate in resumed if at < 200.0})
    assert len(climb) >= 2
    assert all(after / before <= 1.04 for before, after in pairwise(climb))


class _ShutOut:
    """A tenant that shuts the client out once for `seconds`, whatever it does."""

    def __init__(self, since: float, seconds: float) -> None:
        self._since = since
        self._until = since + seconds

    def refuse(self, now: float) -> float | None:
        return self._until - now if self._since <= now < self._until else None


@pytest.mark.parametrize("seconds", [60.0, 3600.0])
def test_being_shut_out_is_one_pause_that_is_reported_and_leaves_the_rate_as_it_was(seconds: float) -> None:
    """Nothing is sent until it is over, then the harvest continues at the rate that had been accepted."""
    traffic = simulate(_ShutOut(1030.0, seconds), QUOTA, World(latency=0.1, seed=11), seconds=seconds + 200.0)
    sends = traffic.lanes[0].sends
    assert [at for at in sends.sent if 32.0 < at < 30.0 + seconds] == []
    (pause,) = [event for event in sends.events if isinstance(event, LanePaused)]
    assert pause.seconds == pytest.approx(seconds, abs=1.2)
    assert not [event for event in sends.events if isinstance(event, RateChanged)]
    assert sends.through(30.0 + seconds) >= 0.98 * 10 * 168


class _Outage:
    """A tenant that refuses everything for some time."""

    def __init__(self, since: float, until: float) -> None:
        self._since, self._until = since, until

    def refuse(self, now: float) -> float | None:
        return 1.0 if self._since <= now < self._until else None


def test_a_tenant_that_refuses_everything_for_a_while_is_probed_by_one_request_a_second() -> None:
    """Twenty seconds of 429: what else is sent meanwhile is what was in flight."""
    traffic = simulate(_Outage(1030.0, 1050.0), Quota(1000, 10.0), World(latency=0.1, seed=10), seconds=60.0)
    assert len([at for at in traffic.all.refused if at > 31.5]) <= 20
    assert traffic.all.early == 0
    assert len([at for at in traffic.all.accepted if at > 51.5]) > 100


class _Moody:
    """Refuses one request in so many, at any rate."""

    def __init__(self, chance: float) -> None:
        self._rng = Random(7)
        self._chance = chance

    def refuse(self, now: float) -> float | None:
        return 1.0 if self._rng.random() < self._chance else None


@pytest.mark.parametrize("quota", [Quota(100, 10.0), Quota(1000, 10.0)], ids=["10/s", "100/s"])
@pytest.mark.parametrize("chance", [0.01, 0.05, 0.2])
def test_a_tenant_that_refuses_at_random_is_not_followed_into_a_crawl(chance: float, quota: Quota) -> None:
    """A sixth at least of what the pauses leave is used; without the experiment, a twentieth or so."""
    traffic = simulate(_Moody(chance), quota, World(latency=0.05, seed=6), seconds=600.0)
    stretch = 1 / chance
    possible = stretch / (stretch / quota.per_second + 1.05)
    assert traffic.all.through(0.0, 600.0) >= possible * 600 / 6


@pytest.mark.parametrize(
    "retry_after", [lambda _: None, lambda exact: exact, int], ids=["none", "exact", "floor"]
)
@pytest.mark.parametrize("make", WINDOWS.values(), ids=WINDOWS.keys())
def test_the_limit_is_found_however_retry_after_is_worded(
    make: Callable[[int], Gateway], retry_after: Callable[[float], float | None]
) -> None:
    """Missing, exact, or rounded down to a moment too early: never shut out, nothing sent in a pause."""
    route = RouteBackoff(make(50))
    traffic = simulate(route, QUOTA, World(latency=0.1, retry_after=retry_after, seed=4), seconds=400.0)
    assert route.shut_out == []
    assert traffic.all.early == 0
    assert traffic.all.through(0.0, 400.0) >= 0.8 * 2000
