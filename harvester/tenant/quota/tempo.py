"""The pace of one client: bucket, window and search kept in tune with each other."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from harvester.model import Quota
from harvester.tenant.quota.chance import Chance
from harvester.tenant.quota.pacer import Pacer
from harvester.tenant.quota.search import Search
from harvester.tenant.quota.window import Window

_MARGIN: Final = 0.005
"""How much longer our period is than the tenant's: 50 ms in 10 s, for the unevenness of the network."""
_MARGIN_STEP: Final = 0.0015
_MARGIN_MOST: Final = 0.0095
_EDGE: Final = 0.98
"""When this share of the quota was let through, a refusal is a matter of the edge and not of the rate."""
_WINDOW_PAUSE: Final = 2.0
"""A pause this long, in seconds, is a window that must pass; a bucket has room for one sooner."""
_STRADDLE: Final = 0.9
"""What part of a period's count to believe at least, where it may have lain across two fixed windows."""
_STEP: Final = 1.0
"""Seconds between two looks at whether to climb."""
_STEP_REQUESTS: Final = 4
"""Requests between two such looks, at least."""
_USED: Final = 0.8
"""Share of the rate that must have been used for it to be worth raising."""
_MOST_STAMPS: Final = 65_536
"""A larger quota is guarded by a shorter window of the same rate, which is stricter and costs no memory."""


class Tempo:
    """When the next request may go, as far as the quota is concerned.

    `turn`, then wait for `free_at`, then `sent`. A refusal and the passing of time change `rate`;
    the caller looks at it after `sent` said so, and after `refused`.
    """

    __slots__ = (
        "_chance", "_epoch", "_first_epoch", "_margin", "_pacer", "_period", "_price", "_refused", "_search",
        "_step_at", "_stepped", "_used", "_window",
    )  # fmt: skip  # one name a line would fill the screen

    def __init__(self, quota: Quota, *, burst: int, clock: Callable[[], float]) -> None:
        requests = min(quota.requests, _MOST_STAMPS)
        self._period = quota.seconds * requests / quota.requests
        self._margin = _MARGIN
        self._search = Search(quota)
        self._chance = Chance()
        self._window = Window(requests, self._period * (1 + _MARGIN))
        self._pacer = Pacer(rate=self.rate, burst=burst, clock=clock)
        self._refused: deque[float] = deque(maxlen=requests)
        self._price = 0
        self._epoch: float | None = None
        self._first_epoch = True
        self._stepped = 0.0
        self._step_at = -math.inf
        self._used = 0

    @property
    def rate(self) -> float:
        """Requests a second that go out now, if there are enough of them."""
        return self._search.rate / (1 + self._margin)

    @property
    def at_top(self) -> bool:
        """Whether the configured quota is in use to its full height."""
        return self._search.rate >= self._search.top

    def turn(self) -> Awaitable[None]:
        """Wait for the pace to allow one more request."""
        return self._pacer.turn()

    def free_at(self) -> float:
        """The earliest time at which the window takes one more request."""
        return self._window.free_at()

    def sent(self, stamp: float) -> bool:
        """Count a request as sent; True when that was the moment to look at the rate, and it rose."""
        self._pacer.sent(stamp)
        self._window.add(stamp)
        self._used += 1
        return stamp >= self._step_at and self._step(stamp)

    def refused(self, sent_at: float, pause: float) -> None:
        """Adapt: the request sent at `sent_at` was refused, the first after others were let through."""
        if self._epoch is not None:
            elapsed = max(0.0, sent_at - self._epoch)
            let_through = self._let_through(self._epoch, sent_at)
            self._react(self._measure(sent_at, elapsed, pause), elapsed, pause, let_through)
        self.note_refused(sent_at)

    def note_refused(self, sent_at: float) -> None:
        """The request sent at `sent_at` was refused too, which tells nothing new about the rate."""
        self._refused.append(sent_at)
        self._price += 1

    def pause(self) -> None:
        """What is sent next begins a new epoch: by then the tenant's count is another."""
        self._first_epoch = self._first_epoch and self._epoch is None
        self._epoch = None
        self._step_at = -math.inf

    def _step(self, stamp: float) -> bool:
        elapsed = stamp - self._stepped
        used = self._used
        self._stepped, self._used = stamp, 0
        self._step_at = math.inf if self.at_top else stamp + max(_STEP, _STEP_REQUESTS / self.rate)
        if self._epoch is None:
            self._epoch = stamp
            self._search.paid(self._price)
            return False
        if used < _USED * self.rate * elapsed:
            return False
        self._search.climb(elapsed)
        self._retune()
        return True

    def _measure(self, before: float, elapsed: float, pause: float) -> float:
        """Requests a second that the tenant lets through, by two views of what it did let through.

        Counted over a period, they are what a window allows, but twice as many where the period
        lies across two fixed windows. Counted over the epoch, sending and pausing together, they
        are what a bucket refills or a fixed window allows, but too few where the pause is longer
        than need be.
        """
        in_period = self._let_through(before - self._period, before) / self._period
        in_epoch = self._let_through(before - elapsed, before) / max(elapsed + pause, _STEP)
        if elapsed < self._period:
            return max(in_period, in_epoch)
        return in_period if pause < _WINDOW_PAUSE else min(in_period, max(in_epoch, _STRADDLE * in_period))

    def _let_through(self, after: float, before: float) -> int:
        refused = sum(1 for stamp in self._refused if after <= stamp < before)
        return max(0, self._window.sent_between(after, before) - refused)

    def _react(self, measured: float, elapsed: float, pause: float, let_through: int) -> None:
        whole = elapsed >= self._period
        self._pacer.soften()
        self._price = 0
        if whole and self.at_top and measured >= _EDGE * self._search.top and self._margin < _MARGIN_MOST:
            self._margin += _MARGIN_STEP
        elif whole or not self._first_epoch:
            held = self._chance.judge(let_through, self._search.rate)
            if held is None:
                sure = whole or pause >= _WINDOW_PAUSE
                self._search.refused(measured, sure=sure, after=elapsed, pause=pause)
            else:
                self._search.hold(held)
        # else: in the first period the tenant may still count what was sent before this program began.
        self._retune()

    def _retune(self) -> None:
        self._window.limit = math.ceil(self._search.rate * self._period - 1e-6)
        self._window.span = self._period * (1 + self._margin)
        self._pacer.set_rate(self.rate)
