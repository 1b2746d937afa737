"""Hours of traffic in seconds: a loop on a virtual clock, models of rate limiters, and a driven client.

The loop's time jumps to the next timer, a little late each time as a real one is, and can be
stalled. Nothing here sleeps, and a seed reproduces a run to the last digit.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from harvester.events import Event
from harvester.model import Quota
from harvester.tenant.quota import Throttle


class _JumpingSelector(selectors.SelectSelector):
    """Waits by moving the clock: nothing else happens on this loop."""

    def __init__(self, rng: Random, lateness: tuple[float, float]) -> None:
        super().__init__()
        self.now = 1000.0
        self._rng = rng
        self._lateness = lateness

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the simulation waits for nothing: a deadlock"
        self.now += 1e-6
        if timeout > 0:
            self.now += timeout + self._rng.uniform(*self._lateness)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual; timers fire late by `lateness` (least, most) seconds."""

    def __init__(self, *, seed: int = 0, lateness: tuple[float, float] = (0.0, 0.0)) -> None:
        self._jumping = _JumpingSelector(Random(seed), lateness)
        super().__init__(self._jumping)

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Let time pass without anything running, as a blocking call does."""
        self._jumping.now += seconds


def run(main: Coroutine[Any, Any, Any], loop: VirtualLoop | None = None) -> Any:
    """Run `main` to its end on a virtual loop and close it."""
    with asyncio.Runner(loop_factory=lambda: loop or VirtualLoop()) as runner:
        return runner.run(main)


# --- the limiters of the world


class Limiter(Protocol):
    """Decides on each request as it arrives."""

    def refuse(self, now: float) -> float | None:
        """None when let through, else the exact time until the limit resets."""


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
    """`limit` in any stretch of `period` seconds, exactly. Another job may use the same log."""

    limit: int
    period: float
    _log: deque[float] = field(default_factory=deque)

    def refuse(self, now: float) -> float | None:
        while self._log and self._log[0] <= now - self.period:
            self._log.popleft()
        if len(self._log) >= self.limit:
            return self._log[0] + self.period - now
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


# --- the world between, and the client


@dataclass
class World:
    """Latency, jitter, stalls, and how refusals are worded."""

    latency: float = 0.05
    jitter_there: float = 0.010
    """Seconds a request may take longer on its way to the limiter."""
    jitter_back: float = 0.2
    """How much longer an answer may take, as part of the latency."""
    lateness: tuple[float, float] = (0.001, 0.005)
    stall_every: float = 10.0
    """Mean seconds between two stalls of the client's event loop, 20 to 60 ms each; 0 for none."""
    retry_after: Callable[[float], float | None] = lambda exact: float(math.ceil(exact))
    seed: int = 0


@dataclass
class Outcome:
    """What came of a simulated run."""

    seconds: float = 0.0
    sent: list[float] = field(default_factory=list)
    let_through: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    early: int = 0
    """Requests sent while a known pause ran."""
    events: list[Event] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)

    def through(self, since: float = 0.0, until: float = math.inf) -> int:
        """Requests let through that were sent in that time from the start."""
        return sum(1 for at in self.let_through if since <= at < until)

    @property
    def refused_share(self) -> float:
        """Part of the requests that were answered 429."""
        return len(self.refused) / max(1, len(self.sent))


def simulate(
    limiter: Limiter,
    quota: Quota | None,
    seconds: float,
    world: World | None = None,
    *,
    burst: int | None = None,
    most: int | None = None,
    thief: Callable[[float], float] | None = None,
) -> Outcome:
    """Drive a Throttle against `limiter` for `seconds` of virtual time, with at most `most` requests.

    `thief` is another job on the same limit: its requests a second at a time from the start.
    """
    world = world or World()
    loop = VirtualLoop(seed=world.seed, lateness=world.lateness)
    traffic = _Traffic(loop, limiter, world, seconds)
    run(traffic.drive(quota, burst, most or sys.maxsize, thief), loop)
    return traffic.outcome


class _Traffic:
    """One run: the client, the network, and the tenant on the other side.

    The tenant's clock is the planned time, which no stall of the client's loop delays.
    """

    def __init__(self, loop: VirtualLoop, limiter: Limiter, world: World, seconds: float) -> None:
        self.loop = loop
        self.limiter = limiter
        self.world = world
        self.rng = Random(world.seed + 1)
        self.start = loop.time()
        self.end = self.start + seconds
        self.outcome = Outcome(seconds=seconds)
        self.throttle: Throttle

    async def drive(
        self, quota: Quota | None, burst: int | None, most: int, thief: Callable[[float], float] | None
    ) -> None:
        """Send until the time is over, then wait for the last answers."""
        loop, outcome = self.loop, self.outcome
        self.throttle = throttle = Throttle(
            quota, burst=burst, max_retry_after=3600.0, client="one", observer=outcome.events.append,
            clock=loop.time, sleep=asyncio.sleep, rng=Random(self.world.seed + 2),
        )  # fmt: skip  # as in harvester.tenant.client, side by side
        if thief is not None:
            self.steal(self.start, thief)
        if self.world.stall_every:
            loop.call_later(self.rng.expovariate(1 / self.world.stall_every), self.stall)
        while len(outcome.sent) < most and (stamp := await throttle.permit()) < self.end:
            outcome.early += stamp < throttle.paused_until
            outcome.sent.append(stamp - self.start)
            outcome.rates.append((stamp - self.start, throttle.rate or math.inf))
            at = loop.time() + self.world.latency / 2 + self.rng.uniform(0, self.world.jitter_there)
            loop.call_at(at, self.arrive, stamp, at)
        await asyncio.sleep(self.world.latency * 2 + 1)

    def arrive(self, stamp: float, at: float) -> None:
        """The request sent at `stamp` is at the tenant's limiter."""
        exact = self.limiter.refuse(at)
        back = at + self.world.latency * (0.5 + self.rng.uniform(0, self.world.jitter_back))
        if exact is None:
            self.outcome.let_through.append(stamp - self.start)
            self.loop.call_at(back, self.throttle.accepted, stamp)
        else:
            self.outcome.refused.append(stamp - self.start)
            self.loop.call_at(back, self.throttle.rejected, stamp, self.world.retry_after(exact))

    def steal(self, at: float, thief: Callable[[float], float]) -> None:
        """The other job sends a request, and plans its next one."""
        rate = thief(at - self.start)
        if rate > 0:
            self.limiter.refuse(at)
        later = at + (1 / rate if rate > 0 else 0.5)
        if later < self.end:
            self.loop.call_at(later, self.steal, later, thief)

    def stall(self) -> None:
        """Hold the client's loop up, now and then again."""
        self.loop.stall(self.rng.uniform(0.02, 0.06))
        self.loop.call_later(self.rng.expovariate(1 / self.world.stall_every), self.stall)
