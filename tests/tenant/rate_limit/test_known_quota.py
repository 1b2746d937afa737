"""A known quota is used up and nothing is refused, against models of the world's limiters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harvester.model import Quota
from tests.tenant.rate_limit.gateways import (
    FixedWindow,
    Gateway,
    LeakyBucket,
    RouteBackoff,
    SlidingLog,
    StickTable,
    TokenBucket,
)
from tests.tenant.rate_limit.simulation import LaneSpec, Traffic, World, simulate

SLOW = Quota(100, 10.0)
FAST = Quota(1000, 10.0)

Maker = Callable[[int], Gateway]
"""A limiter of so many requests in ten seconds."""
GATEWAYS: dict[str, Maker] = {
    "fixed window": lambda requests: FixedWindow(requests, 10.0, offset=3.3),
    "sliding window": lambda requests: SlidingLog(requests, 10.0),
    "token bucket": lambda requests: TokenBucket(requests / 10, requests),
    "small token bucket": lambda requests: TokenBucket(requests / 10, 5),
    "leaky bucket, burst 3": lambda requests: LeakyBucket(requests / 10, 3),
    "leaky bucket, burst 5": lambda requests: LeakyBucket(requests / 10, 5),
    "stick table": lambda requests: StickTable(requests, 10.0),
}
ANY_GATEWAY = pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS.keys())


def share(traffic: Traffic, per_second: float, since: float = 0.0) -> float:
    """Part of what the gateway would have accepted that was accepted."""
    return traffic.all.through(since, traffic.seconds) / (per_second * (traffic.seconds - since))


@ANY_GATEWAY
@pytest.mark.parametrize("latency", [0.005, 0.3, 2.0])
def test_the_known_quota_is_used_and_nothing_refused_at_ten_a_second(gateway: Maker, latency: float) -> None:
    """100/10s: at least 99.3 % of two minutes from the start, and no 429, with late timers and stalls."""
    traffic = simulate(gateway(100), SLOW, World(latency=latency, jitter_there=0.02, seed=1), seconds=120.0)
    assert share(traffic, 10.0) >= 0.993
    assert traffic.all.refused == []


@ANY_GATEWAY
def test_the_known_quota_is_used_and_nothing_refused_at_a_hundred_a_second(gateway: Maker) -> None:
    """1000/10s: at least 99 % of 30 s from the start, and no 429, with late timers and stalls."""
    traffic = simulate(gateway(1000), FAST, World(latency=0.3, jitter_there=0.005, seed=1), seconds=30.0)
    assert share(traffic, 100.0) >= 0.99
    assert traffic.all.refused == []


@pytest.mark.parametrize("name", ["fixed window", "sliding window", "stick table", "leaky bucket, burst 5"])
def test_over_a_long_harvest_refusals_stay_below_one_in_a_thousand(name: str) -> None:
    """Where a window and a stall meet, a request may be refused: still 99 % are used, and nobody shut out."""
    route = RouteBackoff(GATEWAYS[name](100))
    traffic = simulate(
        route, SLOW, World(latency=0.2, jitter_there=0.03, stall_every=5.0, seed=2), seconds=1000.0
    )
    assert share(traffic, 10.0) >= 0.99
    assert traffic.all.refused_share <= 0.001
    assert route.shut_out == []


def test_forty_lanes_on_one_loop_use_their_quotas() -> None:
    """Forty clients of 100/10s, each with a limit of its own: 99 % of the sum."""

    class Each:
        """A fixed window for each lane, told apart by nothing but a turn: all lanes send alike."""

        def __init__(self) -> None:
            self.windows = FixedWindow(40 * 100, 10.0, offset=3.3)

        def refuse(self, now: float) -> float | None:
            return self.windows.refuse(now)

    traffic = simulate(Each(), [LaneSpec(SLOW)] * 40, World(latency=0.1, seed=3), seconds=30.0)
    assert traffic.all.refused == []
    for lane in traffic.lanes:
        assert lane.sends.through(0.0, 30.0) >= 0.99 * 300


def test_the_default_burst_of_none_spares_a_leaky_bucket_what_a_burst_would_cost() -> None:
    """Why a short list is not sent at once: an algorithm that does not allow it refuses most of it."""
    careful = simulate(LeakyBucket(10, 5), SLOW, accounts=40).all
    hasty = simulate(LeakyBucket(10, 5), [LaneSpec(SLOW, burst=40)], seconds=0.5).all
    allowed = simulate(TokenBucket(10, 100), [LaneSpec(SLOW, burst=40)], accounts=40).all
    assert careful.refused == []
    assert len(hasty.refused) > 30
    assert allowed.refused == []
    assert allowed.sent[-1] < 1.0
