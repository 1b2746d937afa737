"""Models of the world's rate limiters, and of a route that shuts repeated offenders out."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol


class Gateway(Protocol):
    """Decides on each request as it arrives."""

    def refuse(self, now: float) -> float | None:
        """None when accepted, else the exact time until the limit resets."""


@dataclass
class FixedWindow:
    """`limit` in each window of the clock."""

    limit: int
    period: float
    offset: float = 0.0
    _window: int = -1
    _count: int = 0

    def refuse(self, now: float) -> float | None:
        window, into = divmod(now - self.offset, self.period)
        if window != self._window:
            self._window, self._count = int(window), 0
        if self._count >= self.limit:
            return self.period - into
        self._count += 1
        return None


@dataclass
class SlidingLog:
    """`limit` in any stretch of `period` seconds, exactly."""

    limit: int
    period: float
    _log: deque[float] = field(default_factory=deque)

    def refuse(self, now: float) -> float | None:
        while self._log and self._log[0] <= now - self.period:
            self._log.popleft()
        if len(self._log) >= self.limit:
            return self._log[-self.limit] + self.period - now
        self._log.append(now)
        return None


@dataclass
class TokenBucket:
    """`rate` tokens a second into a bucket of `capacity`, full at the start."""

    rate: float
    capacity: float
    _tokens: float = -1.0
    _last: float = 0.0

    def refuse(self, now: float) -> float | None:
        if self._tokens < 0:
            self._tokens, self._last = self.capacity, now
        self._tokens = min(self.capacity, self._tokens + (now - self._last) * self.rate)
        self._last = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return None


@dataclass
class LeakyBucket:
    """nginx's `limit_req … burst=N nodelay`: milliseconds, thousandths of requests, refusals not counted."""

    rate: float
    burst: int
    _excess: int = 0
    _last: int = -1

    def refuse(self, now: float) -> float | None:
        ms = int(now * 1000)
        if self._last < 0:
            self._last = ms
            return None
        excess = max(0, self._excess - int(self.rate * 1000) * abs(ms - self._last) // 1000 + 1000)
        if excess > self.burst * 1000:
            return (excess - self.burst * 1000) / 1000 / self.rate
        self._excess, self._last = excess, ms
        return None


@dataclass
class StickTable:
    """HAProxy's `http_req_rate(period) gt limit`: two counters, the older fading; refusals count too."""

    limit: int
    period: float
    _tick: int = -1
    _now: int = 0
    _before: int = 0

    def refuse(self, now: float) -> float | None:
        ms, period = int(now * 1000), int(self.period * 1000)
        if self._tick < 0:
            self._tick = ms
        if ms - self._tick >= period:
            self._before, self._now = self._now, 0
            self._tick += period
            if ms - self._tick >= period:
                self._before, self._tick = 0, ms
        self._now += 1
        rate = self._now + self._before * (self._tick + period - ms) // period
        return self.period / 10 if rate > self.limit else None


@dataclass
class Switching:
    """A limit that changes: each gateway decides from its time on."""

    gateways: list[tuple[float, Gateway]]

    def refuse(self, now: float) -> float | None:
        return [gateway for since, gateway in self.gateways if since <= now][-1].refuse(now)


@dataclass
class RouteBackoff:
    """The documented back-off: three distinct violated windows within twelve shut the client out.

    For 60 s, then for 300, 600, 1200 s each time it happens again within an hour. Violated windows are
    those of the clock, or (`sliding`) begin with the first violation after the previous one has passed.
    """

    gateway: Gateway
    period: float = 10.0
    sliding: bool = False
    offset: float = 0.0
    tiers: tuple[float, ...] = (60.0, 300.0, 600.0, 1200.0)
    shut_out: list[float] = field(default_factory=list)
    """When the client was shut out."""
    violated: list[float] = field(default_factory=list)
    """When each violated window was first violated, since the beginning."""
    most: int = 0
    """Violated windows within twelve windows, at most."""
    _until: float = -math.inf
    _tier: int = 0
    _counted: deque[float] = field(default_factory=deque)

    def refuse(self, now: float) -> float | None:
        if now < self._until:
            return self._until - now
        wait = self.gateway.refuse(now)
        if wait is None:
            return None
        if self._is_new(now):
            self.violated.append(now)
            self._counted.append(now)
        while self._counted[0] <= now - 12 * self.period:
            self._counted.popleft()
        self.most = max(self.most, len(self._counted))
        return self._shut(now) if len(self._counted) >= 3 else wait

    def _is_new(self, now: float) -> bool:
        if not self.violated:
            return True
        if self.sliding:
            return now - self.violated[-1] >= self.period
        return (now - self.offset) // self.period != (self.violated[-1] - self.offset) // self.period

    def _shut(self, now: float) -> float:
        if self.shut_out and now - self.shut_out[-1] > 3600.0:
            self._tier = 0
        wait = self.tiers[min(self._tier, len(self.tiers) - 1)]
        self._tier += 1
        self.shut_out.append(now)
        self._until = now + wait
        self._counted.clear()
        return wait
