"""The gate of one client on one API version: its quota, the route back-off, and the pause it announced."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate

from harvester.next.model import Quota
from harvester.next.sandbox.limiters import make_limiter
from harvester.next.sandbox.options import SandboxOptions

_TOLERATED = 2
_HORIZON = 12
_PAUSES = (6, 30, 60, 120)
_MEMORY = 360


class RouteBackOff:
    """Three violated windows of twelve shut a client out, for longer each time.

    All times are multiples of the quota's period, which is a window: at `100/10s`, a client is shut out
    for 60, 300, 600 and then 1200 s, and what it did is remembered for 3600 s.
    """

    def __init__(self, period: float, began: float) -> None:
        self._period = period
        self._began = began
        self._violated: deque[int] = deque(maxlen=_TOLERATED + 1)
        self._tier = 0
        self._ends = -math.inf
        self.times = 0

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
        return self._shut_out(now)

    def _shut_out(self, now: float) -> float:
        if now - self._ends > _MEMORY * self._period:
            self._tier = 0
        pause = _PAUSES[min(self._tier, len(_PAUSES) - 1)] * self._period
        self._tier += 1
        self._ends = now + pause
        self._violated.clear()
        self.times += 1
        return pause


class Gate:
    """Lets requests through or refuses them. `clock` gives monotonic seconds, as all times are."""

    def __init__(
        self, quota: Quota | None, options: SandboxOptions, began: float, clock: Callable[[], float]
    ) -> None:
        self._options = options
        self._began = began
        self._clock = clock
        self._limiter = make_limiter(quota, options, began)
        self._back_off = RouteBackOff(quota.seconds, began) if quota and options.escalate else None
        self._pause_began = 0.0
        self._pause_ends = 0.0

    @property
    def shut_outs(self) -> int:
        """How often the client was shut out."""
        return 0 if self._back_off is None else self._back_off.times

    def change_quota(self, quota: Quota | None) -> None:
        """Enforce another quota from now on."""
        self._limiter = make_limiter(quota, self._options, self._began)

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
        now, wall = self._clock(), time.time()
        seconds = max(1, math.ceil(wait))
        moment = math.ceil(wall + wait)
        self.paused(now, seconds if style == "seconds" else moment - wall)
        return str(seconds) if style == "seconds" else formatdate(moment, usegmt=True)

    def paused(self, now: float, seconds: float) -> None:
        """A pause of so many seconds was announced."""
        if now >= self._pause_ends:
            self._pause_began = now
        self._pause_ends = max(self._pause_ends, now + seconds)
