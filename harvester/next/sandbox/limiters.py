"""How the gateway counts requests: four algorithms, of which SailPoint does not say which it uses."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from harvester.next.model import Quota
from harvester.next.sandbox.options import SandboxOptions


class Limiter(Protocol):
    """Counts the requests of one client. Times are monotonic seconds and never go back."""

    def admit(self, now: float) -> float:
        """0 lets the request through, else the seconds until one would be; refused ones do not count."""


class FixedWindow:
    """So many requests in each period, counted from zero when the next period begins."""

    def __init__(self, quota: Quota, began: float) -> None:
        self._quota = quota
        self._began = began
        self._window = -1
        self._used = 0

    def admit(self, now: float) -> float:
        """See `Limiter`."""
        window = math.floor((now - self._began) / self._quota.seconds)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used < self._quota.requests:
            self._used += 1
            return 0.0
        return self._began + (window + 1) * self._quota.seconds - now


class SlidingWindow:
    """So many requests in any period, wherever it begins: an exact log of the last ones."""

    def __init__(self, quota: Quota) -> None:
        self._seconds = quota.seconds
        self._log: deque[float] = deque(maxlen=quota.requests)

    def admit(self, now: float) -> float:
        """See `Limiter`."""
        if len(self._log) == self._log.maxlen and now - self._log[0] < self._seconds:
            return self._log[0] + self._seconds - now
        self._log.append(now)
        return 0.0


class Bucket:
    """A bucket of `size` permits that fills at the quota's rate: a token bucket, or if small a leaky one.

    A leaky bucket without a queue that takes `b` requests beyond its rate (nginx: ``limit_req burst=b
    nodelay``) lets the same requests through as a token bucket of size `b + 1`.
    """

    def __init__(self, quota: Quota, size: int) -> None:
        self._rate = quota.per_second
        self._size = size
        self._permits = float(size)
        self._counted: float | None = None

    def admit(self, now: float) -> float:
        """See `Limiter`."""
        elapsed = 0.0 if self._counted is None else now - self._counted
        self._counted = now
        self._permits = min(self._size, self._permits + elapsed * self._rate)
        if self._permits >= 1:
            self._permits -= 1
            return 0.0
        return (1 - self._permits) / self._rate


def make_limiter(quota: Quota | None, options: SandboxOptions, began: float) -> Limiter | None:
    """A limiter of this quota, with the algorithm of the options; None where there is no quota."""
    if quota is None:
        return None
    match options.algorithm:
        case "fixed":
            return FixedWindow(quota, began)
        case "sliding":
            return SlidingWindow(quota)
        case "token":
            return Bucket(quota, options.bucket_size(quota))
        case "leaky":
            return Bucket(quota, options.bucket_size(quota) + 1)
