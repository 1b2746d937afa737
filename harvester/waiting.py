"""How long to wait before trying again, and for how long to keep trying. Pure: the clock is passed in."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from harvester.errors import StoppedEarly

_BASE = 0.5
_CAP = 30.0
_MOST_DOUBLINGS = 60  # beyond this every base is past every cap; keeps 2**n a small number


def delay(attempt: int, rng: Random, *, base: float = _BASE, cap: float = _CAP) -> float:
    """Seconds to wait after the `attempt`-th failure (from 1): up to base x 2^(attempt-1), and to `cap`.

    Accounts that failed together must not come back together, so the whole interval is used ("full jitter").
    """
    return rng.uniform(0.0, _interval(attempt, base, cap))


def pause(attempt: int, rng: Random, *, base: float = 1.0, cap: float = _CAP) -> float:
    """Seconds to stay away after the `attempt`-th refusal (from 1) that gave no time.

    A lane that was told 429 must stay away for certain, so the wait never goes below half the interval.
    """
    interval = _interval(attempt, base, cap)
    return rng.uniform(interval / 2, interval)


def _interval(attempt: int, base: float, cap: float) -> float:
    return min(cap, base * 2.0 ** min(max(attempt, 1) - 1, _MOST_DOUBLINGS))


class UnavailableUntil:
    """Bounds the wait for a tenant, token endpoint or store that does not respond properly, however it fails.

    Call `failed` after each failure and `recovered` after each success; times are seconds of `clock`.
    """

    def __init__(self, subject: str, *, most: float, clock: Callable[[], float], rng: Random) -> None:
        self._subject = subject
        self._most = most
        self._clock = clock
        self._rng = rng
        self._since: float | None = None
        self.attempts = 0

    @property
    def seconds(self) -> float:
        """For how long it has been unavailable; 0 while it responds."""
        return 0.0 if self._since is None else self._clock() - self._since

    def failed(self, detail: str, retry_after: float | None = None) -> float:
        """Count a failure and return the seconds to wait before the next attempt.

        Raises:
            StoppedEarly: it has been unavailable for `most` seconds, or asks for a wait beyond that.
        """
        now = self._clock()
        if self._since is None:
            self._since = now
        self.attempts += 1
        left = self._since + self._most - now
        if left <= 0 or (retry_after is not None and retry_after > left):
            raise StoppedEarly(
                f"{self._subject} has not been available for {now - self._since:.0f} s ({detail})",
                "run the same command again when it is: it continues where it stopped",
            )
        wait = delay(self.attempts, self._rng)
        return min(left, max(wait, retry_after)) if retry_after is not None else min(left, wait)

    def recovered(self) -> None:
        """It responds again."""
        self._since = None
        self.attempts = 0
