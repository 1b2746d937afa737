"""How the gateway counts requests: four algorithms, the route back-off, and the pauses it announces."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

from harvester.model import Quota
from harvester.sandbox.options import Algorithm, SandboxOptions

# The route back-off of the gateway; times are multiples of the quota's period, which is a window.
_TOLERATED = 2
_HORIZON = 12
_PAUSES = (6, 30, 60, 120)
_MEMORY = 360


class Limiter(Protocol):
    """Counts the requests of one client. Times are monotonic seconds and never go back."""

    def admit(self, now: float) -> float:
        """0 lets the request through, else the seconds until one would be; refused ones do not count."""


class _FixedWindow:
    """So many requests in each period, counted from zero when the next period begins."""

    def __init__(self, quota: Quota, began: float) -> None:
        self._quota = quota
        self._began = began
        self._window = -1
        self._used = 0

    def admit(self, now: float) -> float:
        window = math.floor((now - self._began) / self._quota.seconds)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used < self._quota.requests:
            self._used += 1
            return 0.0
        return self._began + (window + 1) * self._quota.seconds - now


class _SlidingWindow:
    """So many requests in any period, wherever it begins: an exact log of the last ones."""

    def __init__(self, quota: Quota) -> None:
        self._seconds = quota.seconds
        self._log: deque[float] = deque(maxlen=quota.requests)

    def admit(self, now: float) -> float:
        if len(self._log) == self._log.maxlen and now - self._log[0] < self._seconds:
            return self._log[0] + self._seconds - now
        self._log.append(now)
        return 0.0


class _Bucket:
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
        elapsed = 0.0 if self._counted is None else now - self._counted
        self._counted = now
        self._permits = min(self._size, self._permits + elapsed * self._rate)
        if self._permits >= 1:
            self._permits -= 1
            return 0.0
        return (1 - self._permits) / self._rate


def make_limiter(quota: Quota, algorithm: Algorithm, began: float) -> Limiter:
    """A limiter of this quota; a leaky bucket takes a twentieth of it at once."""
    match algorithm:
        case "fixed":
            return _FixedWindow(quota, began)
        case "sliding":
            return _SlidingWindow(quota)
        case "token":
            return _Bucket(quota, quota.requests)
        case "leaky":
            return _Bucket(quota, max(1, quota.requests // 20) + 1)


class RouteBackOff:
    """Three violated windows of twelve shut a client out, for longer each time.

    At `100/10s`, a client is shut out for 60, 300, 600 and then 1200 s, and what it did is remembered
    for 3600 s.
    """

    def __init__(self, period: float, began: float) -> None:
        self._period = period
        self._began = began
        self._violated: deque[int] = deque(maxlen=_TOLERATED + 1)
        self._tier = 0
        self._ends = -math.inf

    def remaining(self, now: float) -> float:
        """Seconds for which the client is still shut out; 0 if it is not."""
        return max(0.0, self._ends - now)

    def violated(self, now: float) -> float:
        """Count a request beyond the quota; the seconds for which the client is shut out now, or 0."""
        window = math.floor((now - self._began) / self._period)
        if window not in self._violated:
            self._violated.append(window)
        while self._violated[0] <= window - _HORIZON:
            self._violated.popleft()
        if len(self._violated) <= _TOLERATED:
            return 0.0
        if now - self._ends > _MEMORY * self._period:
            self._tier = 0
        pause = _PAUSES[min(self._tier, len(_PAUSES) - 1)] * self._period
        self._tier += 1
        self._ends = now + pause
        self._violated.clear()
        return pause


class Gate:
    """One client on one API version: lets requests through or refuses them, and knows its pause.

    `clock` gives monotonic seconds, as all times are.
    """

    def __init__(
        self, quota: Quota | None, options: SandboxOptions, began: float, clock: Callable[[], float]
    ) -> None:
        self._options = options
        self._began = began
        self._clock = clock
        self._back_off = RouteBackOff(quota.seconds, began) if quota and options.escalate else None
        self._pause_began = 0.0
        self._pause_ends = 0.0
        self.change_quota(quota)

    def change_quota(self, quota: Quota | None) -> None:
        """Enforce another quota from now on."""
        algorithm = self._options.algorithm
        self._limiter = None if quota is None else make_limiter(quota, algorithm, self._began)

    def admit(self, now: float) -> float:
        """0 lets the request through, else the seconds until one would be."""
        if self._limiter is None:
            return 0.0
        if self._back_off is not None and (out := self._back_off.remaining(now)):
            return out
        wait = self._limiter.admit(now)
        if wait and self._back_off is not None:
            return max(wait, self._back_off.violated(now))
        return wait

    def early(self, now: float) -> float | None:
        """Seconds into the pause at which a request came that should have waited; None: no pause."""
        return now - self._pause_began if now < self._pause_ends else None

    def announce(self, wait: float) -> str | None:
        """The ``Retry-After`` for a wait of so many seconds, None if omitted; the pause begins."""
        style = self._options.retry_after
        if style == "none":
            return None
        seconds, wall = max(1, math.ceil(wait)), time.time()
        moment = math.ceil(wall + wait)
        self.pause(seconds if style == "seconds" else moment - wall)
        return str(seconds) if style == "seconds" else formatdate(moment, usegmt=True)

    def pause(self, seconds: float) -> None:
        """A pause of so many seconds was announced."""
        now = self._clock()
        if now >= self._pause_ends:
            self._pause_began = now
        self._pause_ends = max(self._pause_ends, now + seconds)
