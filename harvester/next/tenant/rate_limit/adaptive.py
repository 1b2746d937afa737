"""Finding the rate that the tenant really allows, without being shut out. Pure: times are passed in."""

from __future__ import annotations

import math
from typing import Final

from harvester.next.model import Quota
from harvester.next.tenant.rate_limit.memory import Memory
from harvester.next.tenant.rate_limit.sent_log import SentLog

_BELOW: Final = 0.985
_QUIET: Final = 13.0
_STEP: Final = 1.06
_REST_STEPS: Final = 3
_REST: Final = 4.0
_USED: Final = 0.8
_FLOOR: Final = 0.01
_BURST: Final = 5
_YIELD: Final = 0.75
_JITTER: Final = 0.005
_ONE: Final = 1.0
_SEARCH: Final = 3.0


class AdaptiveRate:
    """The rate to send at, in requests a second."""

    __slots__ = (
        "_before",
        "_began",
        "_began_count",
        "_burst",
        "_ceiling",
        "_climbing",
        "_first_refusal",
        "_held",
        "_hold",
        "_log",
        "_next_step",
        "_period",
        "_quota",
        "_refused",
        "_search_until",
        "_steps",
        "_used",
        "_used_since",
        "_windowed",
        "floor",
        "rate",
        "top",
    )  # fmt: skip

    def __init__(self, quota: Quota, log: SentLog, known: Memory) -> None:
        self._quota = quota
        self._log = log
        self._period = quota.seconds
        self.top = quota.per_second
        self.floor = _FLOOR * self.top
        self.rate = self.top if known.rate is None else min(self.top, max(self.floor, known.rate))
        self._held = known.held
        self._hold = _QUIET
        self._burst = math.inf
        self._refused = [list(pair) for pair in known.refused]
        self._windowed = False
        self._began: float | None = None
        self._began_count = 0
        self._climbing = False
        self._ceiling = math.inf
        self._before = self.rate
        self._search_until = -math.inf
        self._steps = 0
        self._next_step = math.inf if self.rate >= self.top else -math.inf
        self._used = 0
        self._used_since = 0.0
        self._first_refusal: float | None = None

    @property
    def window(self) -> float:
        """Requests a second that a window may hold."""
        return self.top if self._search_until > -math.inf else self.rate

    # --- climbing

    def sent(self, at: float) -> bool:
        """A request is being sent; True if that was the moment to raise the rate."""
        if self._began is None:
            self._mark(at)
        return at >= self._next_step and self._step(at)

    def _mark(self, at: float) -> None:
        self._began = at
        self._began_count = self._log.sent_total - self._log.refused_total

    def _step(self, at: float) -> bool:
        quiet_until = self._refused[-1][1] + self._hold * self._period if self._refused else -math.inf
        sent, self._used = self._log.sent_total - self._used, self._log.sent_total
        elapsed, self._used_since = at - self._used_since, at
        if at < self._search_until:
            self.rate = min(self.top, 1.2 * self.rate)
            self._next_step = min(self._search_until, at + 0.1 * self._period)
            return True
        if self._search_until > -math.inf:
            self._search_until = -math.inf
            self._next_step = quiet_until
            return True
        if at < quiet_until:
            self._next_step = quiet_until
            return False
        if not self._climbing:
            self._climbing = True
            self._steps = 0
            self._held = self.rate
            self._mark(at)
        elif sent < _USED * self.rate * elapsed:
            self._next_step = at + self._period
            return False
        self._before = self.rate
        below = self.rate * _STEP < _BELOW * self._ceiling
        self.rate = min(self.top, self.rate * _STEP)
        self._steps += not below
        self._next_step = at + self._period * (_REST if not below and self._steps <= _REST_STEPS else 1.0)
        if self.rate >= self.top:
            self._next_step = math.inf
        return True

    # --- refusals

    def refused(self, at: float, wait: float | None, *, proven: bool) -> None:
        """The request sent at `at` is the first to be refused since the last pause."""
        if self._first_refusal is None:
            self._first_refusal = at
        recent = [pair for pair in self._refused if at - pair[1] < _QUIET * self._period]
        self._search_until = -math.inf
        self._hold = _QUIET * (2 if self._climbing else 1)
        self._next_step = at + self._hold * self._period
        if proven:
            estimate = self._estimate(at, wait, recent)
            self.rate = min(self.rate, max(self.floor, estimate))
        if recent and at - recent[-1][0] < self._period:
            recent[-1][1] = at
        else:
            recent.append([at, at])
        self._refused = recent
        self._climbing = False
        self._began = None

    def refused_too(self, at: float) -> None:
        """The request sent at `at` belongs to the same violation."""
        if self._refused:
            pair = self._refused[-1]
            pair[1] = max(pair[1], at)

    def proven(self) -> bool:
        """A request sent after the last pause was accepted; True if that changed the rate."""
        first, self._first_refusal = self._first_refusal, None
        if first is None or not self._refused:
            return False
        last = self._refused[-1][1]
        if not 0 < last - first < self._period:
            return False
        count = self._log.accepted_between(last - self._period, last)
        rate = max(self.floor, _BELOW * count / self._period)
        if rate >= self.rate:
            return False
        self.rate = rate
        return True

    def _accepted_since_mark(self, at: float) -> int:
        after = self._log.sent_since(at)
        return self._log.sent_total - after - (self._log.refused_total - 1) - self._began_count

    def _estimate(  # noqa: C901, PLR0911  # being taken apart
        self, at: float, wait: float | None, recent: list[list[float]]
    ) -> float:
        period = self._period
        if wait is not None and wait > period:
            return self.rate
        if wait is not None and wait > _ONE:
            self._windowed = True
        low, high = self._bounds(at, _ONE if wait is None else max(_ONE, wait))
        if self._climbing:
            return self._after_climb(at, low, high)
        began = at if self._began is None else self._began
        elapsed = at - began
        if self._windowed:
            self._ceiling = high / period
            if recent:
                settled = self._held is not None or at - recent[0][0] > _SEARCH * period
                return min(high / period, self.rate) * _YIELD if settled else low / period
            if self._held is not None:
                return max(low / period, min(high / period, 0.9 * self.rate))
            if began >= at + max(_ONE, wait or 0.0) - 1.0 - period:
                return _BELOW * high / period
            if high - low > 0.15 * high:
                return _BELOW * (low + high) / 2 / period
            return low / period
        if recent:
            since = recent[-1][0]
            count = self._log.accepted_between(since, at)
            estimate = max(count - 1, 0) / (at - since)
            self._ceiling = (count + 1) / (at - since)
            settled = self._held is not None or at - recent[0][0] > _SEARCH * period
            if settled:
                return _YIELD * min(self.rate, estimate)
            return _BELOW * min(high / period, estimate)
        if elapsed < 0.95 * period:
            count = self._accepted_since_mark(at)
            self._burst = min(self._burst, count)
            self._search_until = at + 0.7 * period
            self._next_step = at + max(1.0, wait or 0.0) + 0.1 * period
            return _BELOW * max(count / (period + elapsed), (count - _BURST) / max(elapsed, 0.01))
        if self._held is not None:
            return min(0.9 * self.rate, high / period)
        return _BELOW * high / period

    def _bounds(self, at: float, wait: float) -> tuple[int, int]:
        """How many requests the tenant accepted in its window before the refusal at `at`: least and most."""
        latest = at + wait - self._period
        earliest = max(at - self._period * (1 - _JITTER), latest - 1.0)
        return self._log.accepted_between(latest, at), self._log.accepted_between(earliest, at)

    def _after_climb(self, at: float, low: int, high: int) -> float:
        held = self.rate if self._held is None else self._held
        began = at if self._began is None else self._began
        self._ceiling = self.rate
        if self._windowed:
            return max(low / self._period, min(high / self._period, max(held, self._before)))
        best = held
        elapsed = self._period
        while elapsed <= at - began:
            count = self._log.accepted_between(at - elapsed, at)
            best = max(
                best, _BELOW * count / (elapsed + self._period), _BELOW * (count - self._burst) / elapsed
            )
            elapsed += self._period
        return best

    def memory(self, pause: float, sent: list[float]) -> Memory:
        """What the next run must know."""
        return Memory(
            pause=pause,
            quota=self._quota,
            rate=self.rate if self.rate < self.top else None,
            held=self._held,
            refused=tuple((first, last) for first, last in self._refused),
            sent=tuple(sent),
        )
