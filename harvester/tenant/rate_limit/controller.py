"""The rate of one lane: pace, window guard and adaptive rate kept in tune with each other.

aiolimiter's leaky bucket sets the pace. Its capacity is what can go out together after the program
was held up, so it decides two things at once: lateness of up to capacity/rate seconds is made up
for, and a tenant that allows a burst of capacity - 1 is not overrun. Two requests, or 30 ms worth of
them if that is more, were measured to do both. The bucket starts full, since a burst at the start
would recur in every window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aiolimiter import AsyncLimiter

from harvester.model import Quota
from harvester.tenant.rate_limit.adaptive import AdaptiveRate
from harvester.tenant.rate_limit.memory import Memory
from harvester.tenant.rate_limit.sent_log import SentLog

_CATCH_UP: Final = 0.030
"""Seconds of lateness that the bucket makes up for, at rates where that is more than two requests."""
_LEAST_CAPACITY: Final = 2
_MARGIN: Final = 0.005
"""How much longer our window is than the tenant's: 50 ms in 10 s, for the unevenness of the network."""
_MOST_REQUESTS: Final = 65_536
"""A larger quota is guarded by a shorter window of the same rate, which is stricter and costs no memory."""


class RateController:
    """When the next request may go, as far as the quota is concerned.

    `turn`, then wait while it is `early`, then `sent`. Responses and the passing of time change `rate`; the
    methods that report them return True when they did.
    """

    __slots__ = (
        "_adaptive", "_bucket", "_catch_up", "_clock", "_log", "_period", "_quota", "_unpaced",
    )  # fmt: skip  # one name a line would fill the screen

    def __init__(self, quota: Quota, burst: int, known: Memory, clock: Callable[[], float]) -> None:
        """The first `burst` requests are not paced."""
        requests = min(quota.requests, _MOST_REQUESTS)
        self._quota = quota
        self._clock = clock
        self._period = quota.seconds * requests / quota.requests
        self._log = SentLog(requests, self._period * (1 + _MARGIN))
        for sent_at in known.sent[-requests:]:
            self._log.add(sent_at)
        for sent_at in known.unaccepted[-requests:]:
            self._log.refuse(sent_at)
        self._log.known_until = max(set(known.sent) - set(known.unaccepted), default=-math.inf)
        self._adaptive = AdaptiveRate(quota, self._log, known)
        self._bucket: AsyncLimiter | None = None
        self._catch_up = _CATCH_UP
        self._unpaced = burst
        self._retune()

    @property
    def rate(self) -> float:
        """Requests a second that go out now, if there are enough of them."""
        return self._adaptive.rate / (1 + _MARGIN)

    @property
    def at_top(self) -> bool:
        """Whether the configured quota is used in full."""
        return self._adaptive.rate >= self._adaptive.top

    async def turn(self) -> None:
        """Wait until the pace allows one more request."""
        if self._unpaced:
            self._unpaced -= 1
            return
        if self._bucket is None:
            self._bucket = await self._new_bucket()
        await self._bucket.acquire()

    def early(self) -> float:
        """Seconds until the window takes one more request; not above 0 if it does now."""
        return self._log.free_at() - self._clock()

    def sent(self, sent_at: float) -> bool:
        """Count a request as sent; True if that changed the rate."""
        self._log.add(sent_at)
        return self._retuned(self._adaptive.sent(sent_at))

    def unused(self, sent_at: float) -> None:
        """Take back a request that was counted as sent: the next one need not wait for its turn."""
        self._log.remove(sent_at)
        self._unpaced = max(self._unpaced, 1)  # no more than one, or an idle lane would save up a burst

    def refused(self, sent_at: float, retry_after: float | None, *, proven: bool) -> None:
        """Adapt: the request sent at `sent_at` is the first to be refused since the last pause."""
        self._log.refuse(sent_at)
        self._catch_up /= 4  # the tenant may allow less of a burst than was thought
        self._unpaced = 0
        self._adaptive.refused(sent_at, retry_after, proven=proven)
        self._retune()

    def probe_due(self) -> float:
        """When a probe that was refused may be repeated, at the earliest."""
        return self._adaptive.probe_due()

    def refused_too(self, sent_at: float, retry_after: float | None) -> bool:
        """The request sent at `sent_at` was in flight when another was refused, and was refused too.

        True if that lowered the rate.
        """
        self._log.refuse(sent_at)
        return self._retuned(self._adaptive.refused_too(sent_at, retry_after))

    def accepted(self, sent_at: float) -> None:
        """The request sent at `sent_at` was accepted."""
        self._log.known_until = max(self._log.known_until, sent_at)

    def proven(self) -> bool:
        """A request sent after the last pause was accepted; True if that changed the rate."""
        return self._retuned(self._adaptive.proven())

    def memory(self) -> Memory:
        """What the next run must know."""
        since = self._clock() - self._log.span
        return replace(
            self._adaptive.memory(self._quota),
            sent=tuple(self._log.sent_times(since)),
            unaccepted=tuple(self._log.unaccepted_times(since)),
        )

    def _retuned(self, changed: bool) -> bool:  # passes it on
        if changed:
            self._retune()
        return changed

    def _retune(self) -> None:
        self._log.limit = max(1, math.ceil(self._adaptive.window * self._period - 1e-6))
        self._bucket = None

    async def _new_bucket(self) -> AsyncLimiter:
        """A bucket as full as if it had always had this rate: at most one request may go at once."""
        capacity = max(_LEAST_CAPACITY, math.ceil(self.rate * self._catch_up))
        bucket = AsyncLimiter(capacity, capacity / self.rate)
        leaked = min(1.0, (self._clock() - self._log.last) * self.rate)
        await bucket.acquire(capacity - max(0.0, leaked))
        return bucket
