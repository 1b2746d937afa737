"""Hours of traffic in seconds: lanes on a virtual clock, a network, and a gateway on the other side.

The loop's time jumps to the next timer, a little late each time as a real one is, and can be stalled.
Nothing here sleeps, and a seed reproduces a run to the last digit.
"""

from __future__ import annotations

import asyncio
import math
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harvester.events import Event
from harvester.model import Quota
from harvester.tenant.rate_limit import Limiter
from tests.tenant.rate_limit.gateways import Gateway
from tests.virtual_loop import VirtualLoop, run


@dataclass
class World:
    """Latency, jitter, stalls, and how refusals are worded."""

    latency: float = 0.05
    jitter_there: float = 0.010
    """Seconds a request may take longer on its way to the gateway."""
    jitter_back: float = 0.2
    """How much longer a response may take, as part of the latency."""
    lateness: tuple[float, float] = (0.001, 0.005)
    stall_every: float = 10.0
    """Mean seconds between two stalls of the event loop, 20 to 60 ms each; 0 for none."""
    retry_after: Callable[[float], float | None] = lambda exact: float(math.ceil(exact))
    seed: int = 0


@dataclass
class Sends:
    """What became of the requests of one lane, or of all: times are seconds from the start."""

    sent: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    early: int = 0
    """Requests sent while a known pause was running."""
    events: list[Event] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0
    """When the last request was accepted."""

    def through(self, since: float = 0.0, until: float = math.inf) -> int:
        """Requests accepted that were sent in that time from the start."""
        ordered = sorted(self.accepted)
        return bisect_left(ordered, until) - bisect_left(ordered, since)

    @property
    def refused_share(self) -> float:
        """Part of the requests that were answered 429."""
        return len(self.refused) / max(1, len(self.sent))


@dataclass
class LaneSpec:
    """One run: from `start` until `end`, with an own quota and list of accounts (None: the common list)."""

    quota: Quota | None
    start: float = 0.0
    end: float = math.inf
    accounts: int | None = None
    burst: int | None = None


class Traffic:
    """Lanes that send through one gateway until their accounts are answered or the time is over.

    The gateway's clock is the planned time, which no stall of the event loop delays.
    """

    def __init__(
        self, gateway: Gateway, lanes: list[LaneSpec], world: World, *, accounts: int, seconds: float
    ) -> None:
        self.loop = VirtualLoop(seed=world.seed, lateness=world.lateness)
        self.gateway = gateway
        self.world = world
        self.rng = Random(world.seed + 1)
        self.began = self.loop.time()
        self.seconds = seconds
        self.all = Sends()
        self.lanes = [_Lane(self, spec, number) for number, spec in enumerate(lanes)]
        self.pending = accounts

    def drive(self) -> Traffic:
        """Run it to its end."""
        run(self._drive(), self.loop)
        return self

    async def _drive(self) -> None:
        if self.world.stall_every:
            self.loop.call_later(self.rng.expovariate(1 / self.world.stall_every), self._stall)
        async with asyncio.TaskGroup() as tasks:
            for lane in self.lanes:
                tasks.create_task(lane.drive())
        await asyncio.sleep(2 * self.world.latency + 1)

    def _stall(self) -> None:
        self.loop.stall(self.rng.uniform(0.02, 0.06))
        self.loop.call_later(self.rng.expovariate(1 / self.world.stall_every), self._stall)


class _Lane:
    """One run's lane: its limiter, its requests, and its way to the gateway."""

    def __init__(self, traffic: Traffic, spec: LaneSpec, number: int) -> None:
        self.traffic = traffic
        self.spec = spec
        self.number = number
        self.sends = Sends()
        self.limiter: Limiter
        self.own = spec.accounts

    def make_limiter(self, memory: dict[str, Any] | None = None) -> Limiter:
        """A limiter as a lane makes it."""
        loop, seed = self.traffic.loop, self.traffic.world.seed
        return Limiter(
            self.spec.quota, burst=self.spec.burst, label=str(self.number), observer=self.sends.events.append,
            clock=loop.time, sleep=asyncio.sleep, rng=Random(seed + 2 + self.number),
            wall=lambda: 1.7e9 + loop.time(), memory=memory,
        )  # fmt: skip  # side by side

    async def drive(self) -> None:
        """Send until nothing is pending or the time is over."""
        traffic = self.traffic
        await asyncio.sleep(self.spec.start)
        self.limiter = limiter = self.make_limiter()
        end = traffic.began + min(traffic.seconds, self.spec.end)
        while self._more():
            sent_at = await limiter.permit()
            if sent_at >= end:
                break
            if not self._take():
                limiter.released(sent_at, unused=True)
                await asyncio.sleep(traffic.world.latency)
                continue
            self.send(sent_at)

    def _more(self) -> bool:
        left = self.traffic.pending if self.own is None else self.own
        return left > 0 or bool(self.limiter._in_flight)

    def _take(self) -> bool:
        if self.own is not None:
            self.own -= self.own > 0
            return self.own >= 0
        if self.traffic.pending <= 0:
            return False
        self.traffic.pending -= 1
        return True

    def send(self, sent_at: float) -> None:
        """Send a request that has its permit."""
        traffic = self.traffic
        loop, world, at = traffic.loop, traffic.world, sent_at - traffic.began
        for sends in (self.sends, traffic.all):
            sends.sent.append(at)
            sends.early += sent_at < self.limiter.paused_until
        self.sends.rates.append((at, self.limiter.rate or math.inf))
        arrives = loop.time() + world.latency / 2 + traffic.rng.uniform(0, world.jitter_there)
        loop.call_at(arrives, self.arrive, sent_at, arrives, self.limiter)

    def arrive(self, sent_at: float, at: float, limiter: Limiter) -> None:
        """The request sent at `sent_at` has reached the gateway."""
        traffic = self.traffic
        exact = traffic.gateway.refuse(at)
        back = at + traffic.world.latency * (0.5 + traffic.rng.uniform(0, traffic.world.jitter_back))
        for sends in (self.sends, traffic.all):
            (sends.accepted if exact is None else sends.refused).append(sent_at - traffic.began)
            sends.seconds = sent_at - traffic.began
        if exact is None:
            traffic.loop.call_at(back, limiter.accepted, sent_at)
            return
        if self.own is None:
            traffic.pending += 1
        else:
            self.own += 1
        traffic.loop.call_at(back, limiter.rejected, sent_at, traffic.world.retry_after(exact))


def simulate(
    gateway: Gateway,
    lanes: list[LaneSpec] | Quota | None,
    world: World | None = None,
    *,
    accounts: int = sys.maxsize,
    seconds: float = math.inf,
) -> Traffic:
    """Drive `lanes` (a quota: one lane) through `gateway` until `accounts` are answered or `seconds` pass."""
    specs = lanes if isinstance(lanes, list) else [LaneSpec(lanes)]
    return Traffic(gateway, specs, world or World(), accounts=accounts, seconds=seconds).drive()
