"""The rate of one lane: pace, window guard and adaptive rate kept in tune with each other."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from harvester.model import Quota
from harvester.tenant.rate_limit.adaptive import AdaptiveRate
from harvester.tenant.rate_limit.memory import Memory
from harvester.tenant.rate_limit.pace import Pace
from harvester.tenant.rate_limit.sent_log import SentLog

_MARGIN: Final = 0.005
"""How much longer our window is than the tenant's: 50 ms in 10 s, for the unevenness of the network."""
_MOST_REQUESTS: Final = 65_536
"""A larger quota is guarded by a shorter window of the same rate, which is stricter and costs no memory."""


class RateController:
    """When the next request may go, as far as the quota is concerned.

    `turn`, then wait for `free_at`, then `sent`. Responses and the passing of time change `rate`; the
    methods that report them return True when they did.
    """

    __slots__ = ("_adaptive", "_clock", "_log", "_pace", "_period", "_quota", "_sleep")

    def __init__(
        self,
        quota: Quota,
        burst: int,
        known: Memory,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        requests = min(quota.requests, _MOST_REQUESTS)
        self._quota = quota
        self._clock = clock
        self._sleep = sleep
        self._period = quota.seconds * requests / quota.requests
        self._log = SentLog(requests, self._period * (1 + _MARGIN))
        for sent_at in known.sent[-requests:]:
            self._log.add(sent_at)
        for sent_at in known.unaccepted[-requests:]:
            self._log.refuse(sent_at)
        self._log.known_until = max(set(known.sent) - set(known.unaccepted), default=-math.inf)
        self._adaptive = AdaptiveRate(quota, self._log, known)
        self._pace = Pace(self.rate, self._log, burst=burst, clock=clock)
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
        await self._pace.turn()

    def free_at(self) -> float:
        """The earliest time at which the window takes one more request."""
        return self._log.free_at()

    async def wait_for_window(self) -> None:
        """Wait until the window takes one more request."""
        if (early := self._log.free_at() - self._clock()) > 0:
            await self._sleep(early)

    def sent(self, sent_at: float) -> bool:
        """Count a request as sent; True if that changed the rate."""
        self._log.add(sent_at)
        return self._retuned(self._adaptive.sent(sent_at))

    def unused(self, sent_at: float) -> None:
        """Take back a request that was counted as sent."""
        self._log.remove(sent_at)
        self._pace.give_back()

    def refused(self, sent_at: float, retry_after: float | None, *, proven: bool) -> None:
        """Adapt: the request sent at `sent_at` is the first to be refused since the last pause."""
        self._log.refuse(sent_at)
        self._pace.soften()
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
        self._pace.set_rate(self.rate)
