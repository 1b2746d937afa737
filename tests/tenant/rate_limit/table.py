"""The figures of the adaptive limiter: ``python -m tests.tenant.rate_limit.table [SEEDS [CASE]]``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from harvester.model import Quota
from tests.tenant.rate_limit.gateways import (
    FixedWindow,
    Gateway,
    LeakyBucket,
    RouteBackoff,
    SlidingLog,
    TokenBucket,
)
from tests.tenant.rate_limit.simulation import LaneSpec, World, simulate

QUOTA = Quota(100, 10.0)
ALGORITHMS: dict[str, Callable[[int, float], Gateway]] = {
    "fixed window": lambda limit, offset: FixedWindow(limit, 10.0, offset),
    "sliding window": lambda limit, offset: SlidingLog(limit, 10.0),
    "token bucket": lambda limit, offset: TokenBucket(limit / 10, limit),
    "small token bucket": lambda limit, offset: TokenBucket(limit / 10, 5),
    "leaky bucket": lambda limit, offset: LeakyBucket(limit / 10, 4),
}
LATENCIES = (0.005, 0.1, 0.4, 2.0)


@dataclass(frozen=True)
class Case:
    """A hidden limit, the lanes that meet it, and the list."""

    name: str
    limit: int
    accounts: int
    lanes: Callable[[Random], list[LaneSpec]]


def one(rng: Random) -> list[LaneSpec]:
    return [LaneSpec(QUOTA)]


def two(rng: Random) -> list[LaneSpec]:
    return [LaneSpec(QUOTA), LaneSpec(QUOTA, start=rng.uniform(0.0, 3.0))]


def second(rng: Random) -> list[LaneSpec]:
    return [LaneSpec(QUOTA), LaneSpec(QUOTA, start=rng.uniform(30.0, 90.0))]


CASES = (
    Case("a quarter", 25, 1500, one),
    Case("half", 50, 3000, one),
    Case("nine tenths", 90, 4000, one),
    Case("two runs", 100, 4000, two),
    Case("second run later", 100, 4000, second),
    Case("known quota", 100, 4000, one),
)


@dataclass(frozen=True)
class Figures:
    """What one simulated harvest came to."""

    shut_out: int
    share: float
    steady: float
    refused: float
    violated: int


def measure(case: Case, algorithm: str, latency: float, seed: int) -> Figures:
    """Simulate one harvest."""
    rng = Random(f"{case.name}{algorithm}{latency}{seed}")
    offset = rng.uniform(0, 10)
    route = RouteBackoff(ALGORITHMS[algorithm](case.limit, offset), sliding=rng.random() < 0.5, offset=offset)
    world = World(latency=latency, seed=seed)
    traffic = simulate(route, case.lanes(rng), world, accounts=case.accounts)
    sends, per_second = traffic.all, case.limit / 10
    half = sends.seconds / 2
    return Figures(
        len(route.shut_out),
        case.accounts / (sends.seconds * per_second),
        sends.through(half) / ((sends.seconds - half) * per_second),
        sends.refused_share,
        route.most,
    )


def main() -> None:
    """Print the table: `SEEDS` runs (5) at each latency of each case whose name contains `CASE`."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    for case in CASES:
        if only not in case.name:
            continue
        for algorithm in ALGORITHMS:
            found = [
                measure(case, algorithm, latency, seed) for latency in LATENCIES for seed in range(seeds)
            ]
            shares = sorted(figures.share for figures in found)
            steady = sorted(figures.steady for figures in found)
            print(  # noqa: T201  # a table is what it is for
                f"{case.name:17} {algorithm:19} shut out {sum(f.shut_out for f in found):2} of {len(found)}"
                f"  share {sum(shares) / len(shares):.3f} (min {shares[0]:.3f})"
                f"  steady {sum(steady) / len(steady):.3f} (min {steady[0]:.3f})"
                f"  429s {max(f.refused for f in found):.2%}  most violated {max(f.violated for f in found)}"
            )


if __name__ == "__main__":
    main()
