"""How long to wait before trying again: exponential, jittered, pure.

Two kinds of jitter, for two purposes. Many accounts that failed together must not come back
together: `delay` spreads them over the whole interval ("full jitter"). A client that was told
429 without a time must stay away for certain: `pause` never goes below half its interval.
"""

from __future__ import annotations

from random import Random

BASE = 0.5
"""Seconds the first wait lasts at most."""
CAP = 30.0
"""Seconds any wait lasts at most."""

_MOST_DOUBLINGS = 60  # beyond this every base is past every cap; keeps 2**n a small number


def delay(attempt: int, rng: Random, *, base: float = BASE, cap: float = CAP) -> float:
    """Seconds to wait after the `attempt`-th failure (from 1): up to base x 2^(attempt-1), and to `cap`."""
    return rng.uniform(0.0, _interval(attempt, base, cap))


def pause(attempt: int, rng: Random, *, base: float = 1.0, cap: float = CAP) -> float:
    """Seconds to stay away after the `attempt`-th refusal (from 1): at least half of what `delay` may be."""
    interval = _interval(attempt, base, cap)
    return rng.uniform(interval / 2, interval)


def _interval(attempt: int, base: float, cap: float) -> float:
    return min(cap, base * 2.0 ** min(max(attempt, 1) - 1, _MOST_DOUBLINGS))
