"""What a run that is killed leaves to the next one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Quota
from harvester.tenant.rate_limit import Limiter
from harvester.tenant.rate_limit.memory import Memory, recall
from tests.tenant.rate_limit.gateways import (
    FixedWindow,
    Gateway,
    LeakyBucket,
    RouteBackoff,
    SlidingLog,
    TokenBucket,
)
from tests.virtual_loop import VirtualLoop, run

QUOTA = Quota(100, 10.0)
GATEWAYS: dict[str, Callable[[int], Gateway]] = {
    "fixed window": lambda limit: FixedWindow(limit, 10.0, offset=3.3),
    "sliding window": lambda limit: SlidingLog(limit, 10.0),
    "token bucket": lambda limit: TokenBucket(limit / 10, limit),
    "leaky bucket": lambda limit: LeakyBucket(limit / 10, 4),
}


class KilledRuns:
    """A harvest that is killed each second and started again at once, with what the ledger had by then.

    The ledger's last commit is up to half a second old at each kill; requests in flight are counted by the
    gateway, but nobody hears the answer.
    """

    def __init__(self, gateway: Gateway, quota: Quota | None, *, latency: float, seed: int) -> None:
        self.loop = VirtualLoop(seed=seed, lateness=(0.001, 0.005))
        self.gateway = gateway
        self.quota = quota
        self.latency = latency
        self.rng = Random(seed)
        self.memory: dict[str, Any] | None = None
        self.run = 0
        self.accepted: list[float] = []
        self.refused: list[float] = []
        self.paused_until = 0.0
        self.early = 0

    def drive(self, seconds: float) -> KilledRuns:
        """Run it for `seconds`."""
        run(self._drive(seconds), self.loop)
        return self

    async def _drive(self, seconds: float) -> None:
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            self.run += 1
            limiter = Limiter(
                self.quota, label="one", observer=lambda _: None, clock=self.loop.time, sleep=asyncio.sleep,
                rng=Random(self.run), wall=lambda: 1.7e9 + self.loop.time(), memory=self.memory,
            )  # fmt: skip  # side by side
            tasks = [asyncio.ensure_future(self._send(limiter)), asyncio.ensure_future(self._save(limiter))]
            await asyncio.sleep(1.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, limiter: Limiter) -> None:
        while True:
            sent_at = await limiter.permit()
            now = self.loop.time()
            self.early += now < self.paused_until - 1e-6  # the two clocks are floats
            arrives = now + self.latency / 2 + self.rng.uniform(0.0, 0.01)
            self.loop.call_at(arrives, self._arrive, limiter, self.run, sent_at, arrives)

    def _arrive(self, limiter: Limiter, of_run: int, sent_at: float, at: float) -> None:
        wait = self.gateway.refuse(at)
        (self.accepted if wait is None else self.refused).append(at)
        self.loop.call_at(at + self.latency / 2, self._answer, limiter, of_run, sent_at, wait)

    def _answer(self, limiter: Limiter, of_run: int, sent_at: float, wait: float | None) -> None:
        if of_run != self.run:
            return  # that run is dead
        if wait is None:
            limiter.accepted(sent_at)
        else:
            limiter.rejected(sent_at, float(int(wait) + 1))

    async def _save(self, limiter: Limiter) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(0.05, 0.25))
            taken, pause = json.loads(json.dumps(limiter.memory())), limiter.paused_until
            await asyncio.sleep(self.rng.uniform(0.0, 0.25))  # the commit takes its time
            self.memory, self.paused_until = taken, max(self.paused_until, pause)


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS.keys())
@pytest.mark.parametrize("latency", [0.02, 0.4])
def test_a_run_killed_each_second_overfills_no_window(
    gateway: Callable[[int], Gateway], latency: float
) -> None:
    """Forty runs of a second each at a known quota: no 429, and most of the quota is used all the same."""
    runs = KilledRuns(gateway(100), QUOTA, latency=latency, seed=5).drive(40.0)
    assert runs.run == 40
    assert runs.refused == []
    assert len(runs.accepted) > 0.3 * 400


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS.keys())
@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_each_second_is_not_shut_out_by_a_hidden_limit(
    gateway: Callable[[int], Gateway], seed: int
) -> None:
    """What was found, and which windows were violated, outlives the run; so does any Retry-After."""
    route = RouteBackoff(gateway(25), offset=3.3)
    runs = KilledRuns(route, QUOTA, latency=0.1, seed=seed).drive(150.0)
    assert route.shut_out == []
    assert runs.early == 0
    assert len(runs.accepted) > 0.03 * 375


def limiter_with(
    memory: dict[str, Any] | None, *, clock: float, wall: float, quota: Quota | None = QUOTA
) -> Limiter:
    """A limiter that finds this memory at that time; nothing in it needs a loop yet."""

    async def sleep(_: float) -> None:
        raise AssertionError

    return Limiter(
        quota, label="one", observer=lambda _: None, clock=lambda: clock, sleep=sleep, rng=Random(1),
        wall=lambda: wall, memory=memory,
    )  # fmt: skip  # side by side


@pytest.mark.parametrize("quota", [QUOTA, None])
@pytest.mark.parametrize(
    ("clock", "wall", "remaining"),
    [
        pytest.param(120.0, 1020.0, 40.0, id="both clocks went on"),
        pytest.param(120.0, 4620.0, 40.0, id="the wall clock jumped ahead"),
        pytest.param(120.0, -2580.0, 40.0, id="the wall clock jumped back"),
        pytest.param(5.0, 1020.0, 40.0, id="the machine was started anew"),
        pytest.param(5.0, -2580.0, 60.0, id="started anew, and the clock jumped back"),
        pytest.param(200.0, 1100.0, 0.0, id="it is over"),
    ],
)
def test_a_pause_outlives_the_run_and_is_never_longer_than_it_was(
    quota: Quota | None, clock: float, wall: float, remaining: float
) -> None:
    """Sixty seconds asked for, twenty passed: forty remain, whatever became of the wall clock."""
    before = limiter_with(None, clock=100.0, wall=1000.0, quota=quota)
    before.hold(60.0, 429)
    after = limiter_with(before.memory(), clock=clock, wall=wall, quota=quota)
    assert after.resumes_in() == pytest.approx(remaining, abs=0.04)


def test_a_pause_in_memory_is_obeyed_by_the_first_permit() -> None:
    """The first request of the next run waits for it."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def make(memory: dict[str, Any] | None) -> Limiter:
            return Limiter(
                QUOTA, label="one", observer=lambda _: None, clock=loop.time, sleep=asyncio.sleep,
                rng=Random(1), wall=loop.time, memory=memory,
            )  # fmt: skip  # side by side

        first = make(None)
        first.rejected(await first.permit(), 30.0)
        return await make(first.memory()).permit() - began

    assert 30.0 < run(main()) < 30.1


def test_the_memory_is_small_and_plain_json() -> None:
    """It goes into the ledger with each commit: less than 2 kB, whatever the quota."""
    memory = Memory(
        pause=1234.5678,
        quota=Quota(100_000, 10.0),
        rate=1234.567890123,
        held=1234.567890123,
        volleys=tuple((float(at), at + 0.123456, at + 1.123456) for at in range(12)),
        sent=tuple(at / 10_000 for at in range(100_000)),
        unaccepted=tuple(at / 10_000 for at in range(100_000)),
    )
    text = json.dumps(memory.encode(clock=123456.789, wall=1.7e9))
    assert len(text) < 2000
    assert json.loads(text) == memory.encode(clock=123456.789, wall=1.7e9)


def test_sends_are_taken_as_late_as_they_may_have_been_and_the_unsaved_ones_assumed() -> None:
    """Restored sends are never earlier than they were, and half a second at full rate is added."""
    sent = tuple(100.0 - at / 10 for at in range(100))[::-1]
    stored = Memory(quota=QUOTA, sent=sent).encode(clock=100.0, wall=1000.0)
    known = recall(stored, QUOTA, clock=101.0, wall=1001.0)
    assert list(known.sent) == sorted(known.sent)
    assert len(known.sent) == 100 + 6
    assert all(restored >= real - 1e-9 for restored, real in zip(known.sent, sent, strict=False))
    assert known.sent[-1] == pytest.approx(100.5)


def test_another_quota_starts_from_its_own_rate_but_keeps_sends_pause_and_violations() -> None:
    """The rate found belongs to the quota that was configured; the tenant's own counts do not change."""
    memory = Memory(pause=5.0, quota=QUOTA, rate=2.5, held=2.4, volleys=((90.0, 90.5, 91.0),), sent=(99.0,))
    stored = memory.encode(clock=100.0, wall=1000.0)
    other = recall(stored, Quota(50, 10.0), clock=100.0, wall=1000.0)
    assert (other.rate, other.held) == (None, None)
    assert other.volleys == ((90.0, 90.5, 91.0),)
    assert other.pause == 5.0
    assert len(other.sent) == 2
    assert recall(stored, QUOTA, clock=100.0, wall=1000.0).rate == 2.5


@pytest.mark.parametrize(
    "stored",
    [{}, {"wall": 0}, {"wall": "x", "clock": 1, "pause": 2}, {"wall": 1, "clock": 1, "pause": 1, "quota": 5}],
)
def test_memory_that_makes_no_sense_is_as_good_as_none(stored: dict[str, Any]) -> None:
    """A later version, or a damaged fact, must not keep a run from starting."""
    assert recall(stored, QUOTA, clock=1.0, wall=1.0) == Memory()


@given(
    by_clock=st.floats(min_value=-1e5, max_value=1e5),
    by_wall=st.floats(min_value=-1e5, max_value=1e5),
    pause=st.floats(min_value=0.0, max_value=1e5),
)
def test_no_clock_makes_a_pause_longer(by_clock: float, by_wall: float, pause: float) -> None:
    """Whatever both clocks say, what remains is at most what remained."""
    stored = Memory(pause=pause).encode(clock=1000.0, wall=2000.0)
    assert 0.0 <= recall(stored, None, clock=1000.0 + by_clock, wall=2000.0 + by_wall).pause <= pause + 0.001
