"""One request after another at an even pace.

aiolimiter's leaky bucket sets the pace. Its capacity is what can go out together after the program
was held up, so it decides two things at once: lateness of up to capacity/rate seconds is made up
for, and a tenant that allows a burst of capacity - 1 is not overrun. Two requests, or 30 ms worth of
them if that is more, were measured to do both. The bucket starts full, since a burst at the start
would recur in every window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from aiolimiter import AsyncLimiter

from harvester.tenant.rate_limit.sent_log import SentLog

_CATCH_UP: Final = 0.030
"""Seconds of lateness that the bucket makes up for, at rates where that is more than two requests."""
_LEAST_CAPACITY: Final = 2


class Pace:
    """Lets requests go one by one: `turn` waits. `log` is told of each that was sent."""

    __slots__ = ("_bucket", "_catch_up", "_clock", "_free", "_log", "_rate")

    def __init__(self, rate: float, log: SentLog, *, burst: int, clock: Callable[[], float]) -> None:
        """`rate` is in requests a second; the first `burst` requests are not paced."""
        self._rate = rate
        self._log = log
        self._free = burst
        self._clock = clock
        self._catch_up = _CATCH_UP
        self._bucket: AsyncLimiter | None = None

    async def turn(self) -> None:
        """Wait until the pace allows one more request."""
        if self._free:
            self._free -= 1
            return
        if self._bucket is None:
            self._bucket = await self._new_bucket()
        await self._bucket.acquire()

    def give_back(self) -> None:
        """A turn was not used: the next request need not wait for one."""
        self._free = max(self._free, 1)  # no more than one, or an idle lane would save up a burst

    def set_rate(self, rate: float) -> None:
        """Continue at another pace, in requests a second."""
        self._rate = rate
        self._bucket = None

    def soften(self) -> None:
        """Send fewer together after a delay: the tenant may allow less of a burst than was thought."""
        self._catch_up /= 4
        self._bucket = None
        self._free = 0

    async def _new_bucket(self) -> AsyncLimiter:
        """A bucket as full as if it had always had this rate: at most one request may go at once."""
        capacity = max(_LEAST_CAPACITY, math.ceil(self._rate * self._catch_up))
        bucket = AsyncLimiter(capacity, capacity / self._rate)
        leaked = min(1.0, (self._clock() - self._log.last) * self._rate)
        await bucket.acquire(capacity - max(0.0, leaked))
        return bucket
