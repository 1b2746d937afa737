"""What must hold whatever the tenant does: random latencies, refusals and faults, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
import math
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.model import Quota
from harvester.tenant.rate_limit import Limiter
from tests.virtual_loop import VirtualLoop, run

quotas = st.builds(
    Quota, requests=st.integers(min_value=1, max_value=60), seconds=st.floats(min_value=0.5, max_value=10.0)
)
retry_afters = st.one_of(st.none(), st.just(0.0), st.floats(min_value=0.01, max_value=30.0))


class Tenant:
    """Answers as the dice fall."""

    def __init__(self, limiter: Limiter, seed: int, refuses: float, asks: list[float | None]) -> None:
        self.limiter = limiter
        self.loop = asyncio.get_running_loop()
        self.rng = Random(seed)
        self.refuses = refuses
        self.asks = asks
        self.sent: list[float] = []

    def ask(self, sent_at: float) -> None:
        """One request, answered some time later."""
        assert sent_at >= self.limiter.paused_until, "sent while a known pause was running"
        self.sent.append(sent_at)
        self.loop.call_later(self.rng.choice((0.001, 0.05, 0.5, 5.0)), self._answer, sent_at)

    def _answer(self, sent_at: float) -> None:
        dice = self.rng.random()
        if dice < self.refuses:
            self.limiter.rejected(sent_at, self.rng.choice(self.asks))
        elif dice < self.refuses + 0.05:
            self.limiter.released(sent_at)
        else:
            self.limiter.accepted(sent_at)


@settings(deadline=None, max_examples=60)
@given(
    quota=st.one_of(st.none(), quotas),
    burst=st.one_of(st.none(), st.integers(min_value=0, max_value=100)),
    asks=st.lists(retry_afters, min_size=1, max_size=4),
    refuses=st.sampled_from([0.0, 0.02, 0.3, 0.9]),
    waiters=st.integers(min_value=1, max_value=3),
    unused=st.sampled_from([0.0, 0.3]),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_pause_window_and_progress_hold_against_any_tenant(
    *,
    quota: Quota | None,
    burst: int | None,
    asks: list[float | None],
    refuses: float,
    waiters: int,
    unused: float,
    seed: int,
) -> None:
    """Nothing is sent in a known pause, no window overfull, the rate in bounds, every permit comes."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        limiter = Limiter(
            quota, burst=burst, label="one", observer=lambda _: None, clock=loop.time, sleep=asyncio.sleep,
            rng=Random(seed),
        )  # fmt: skip  # side by side
        tenant = Tenant(limiter, seed, refuses, asks)

        async def dispatch() -> None:
            for _ in range(80):
                # One in ten seconds may be down to a hundredth of that, behind a row of pauses.
                sent_at = await asyncio.wait_for(limiter.permit(), 4000.0)
                if tenant.rng.random() < unused:
                    limiter.released(sent_at, unused=True)
                else:
                    tenant.ask(sent_at)
                if quota is not None:
                    assert 0.0 < (limiter.rate or 0.0) <= quota.per_second

        async with asyncio.TaskGroup() as tasks:
            for _ in range(waiters):
                tasks.create_task(dispatch())
        assert len(json.dumps(limiter.memory())) < 2000
        await asyncio.sleep(6.0)
        assert len(limiter._in_flight) == 0
        return tenant.sent

    times = run(main(), VirtualLoop(seed=seed, lateness=(0.0, 0.004)))
    assert times == sorted(times)
    assert len(times) == len(set(times))
    if quota is not None:
        for first, beyond in zip(times, times[quota.requests :], strict=False):
            assert beyond - first >= quota.seconds


@settings(deadline=None, max_examples=40)
@given(
    retry_after=retry_afters,
    latency=st.floats(min_value=0.001, max_value=5.0),
    blocked=st.floats(min_value=1.0, max_value=200.0),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_a_tenant_that_refuses_everything_sees_one_request_at_a_time(
    retry_after: float | None, latency: float, blocked: float, seed: int
) -> None:
    """After the first pause of a row, one request at most is in flight until one is accepted."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(
            Quota(200, 10.0), label="one", observer=lambda _: None, clock=loop.time, sleep=asyncio.sleep,
            rng=Random(seed),
        )  # fmt: skip  # side by side
        in_flight: set[float] = set()
        end = loop.time() + blocked
        paused_at = math.inf

        def answer(sent_at: float) -> None:
            nonlocal paused_at
            in_flight.discard(sent_at)
            if loop.time() < end:
                paused_at = min(paused_at, loop.time())
                limiter.rejected(sent_at, retry_after)
            else:
                limiter.accepted(sent_at)

        while loop.time() < end:
            sent_at = await limiter.permit()
            assert not {sent for sent in in_flight if sent > paused_at} or loop.time() >= end
            in_flight.add(sent_at)
            loop.call_later(latency, answer, sent_at)
        await asyncio.wait_for(limiter.permit(), 100.0)

    run(main())
