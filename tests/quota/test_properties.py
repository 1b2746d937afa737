"""What must hold whatever the tenant does: random latencies, refusals and faults, on a virtual clock."""

from __future__ import annotations

import asyncio
import math
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.events import Event
from harvester.model import Quota
from harvester.tenant.quota import Throttle
from tests.quota.simulation import VirtualLoop, run

quotas = st.builds(
    Quota,
    requests=st.integers(min_value=1, max_value=60),
    seconds=st.floats(min_value=0.5, max_value=10.0),
    auto=st.booleans(),
)
retry_afters = st.one_of(st.none(), st.just(0.0), st.floats(min_value=0.01, max_value=30.0))


class Tenant:
    """Answers as the dice fall, but lets nobody be refused for ever."""

    def __init__(
        self, throttle: Throttle, seed: int, refuses: float, faults: float, asks: list[float | None]
    ) -> None:
        self.throttle = throttle
        self.loop = asyncio.get_running_loop()
        self.rng = Random(seed)
        self.refuses = refuses
        self.faults = faults
        self.asks = asks
        self.stamps: list[float] = []
        self.under_way: set[float] = set()

    def ask(self, stamp: float) -> None:
        """One request, answered some time later."""
        assert stamp >= self.throttle.paused_until, "sent while a known pause ran"
        self.stamps.append(stamp)
        self.under_way.add(stamp)
        self.loop.call_later(self.rng.choice((0.001, 0.05, 0.5, 5.0)), self._answer, stamp)

    def _answer(self, stamp: float) -> None:
        self.under_way.discard(stamp)
        dice = self.rng.random()
        if dice < self.refuses:
            self.throttle.rejected(stamp, self.rng.choice(self.asks))
        elif dice < self.refuses + self.faults:
            self.throttle.released(stamp)
        else:
            self.throttle.accepted(stamp)


@settings(deadline=None, max_examples=60)
@given(
    quota=st.one_of(st.none(), quotas),
    burst=st.one_of(st.none(), st.integers(min_value=0, max_value=100)),
    asks=st.lists(retry_afters, min_size=1, max_size=4),
    refuses=st.sampled_from([0.0, 0.02, 0.3, 0.9]),
    faults=st.sampled_from([0.0, 0.05]),
    waiters=st.integers(min_value=1, max_value=3),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_pause_window_and_progress_hold_against_any_tenant(
    *,
    quota: Quota | None,
    burst: int | None,
    asks: list[float | None],
    refuses: float,
    faults: float,
    waiters: int,
    seed: int,
) -> None:
    """No request while a known pause runs, no window overfull, the rate in bounds, every permit comes."""
    events: list[Event] = []

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        throttle = Throttle(
            quota, burst=burst, max_retry_after=20.0, client="one", observer=events.append,
            clock=loop.time, sleep=asyncio.sleep, rng=Random(seed),
        )  # fmt: skip  # as in harvester.tenant.client, side by side
        tenant = Tenant(throttle, seed, refuses, faults, asks)

        async def dispatch() -> None:
            for _ in range(80):
                # A quota of one in ten seconds may be down to a hundredth of that, behind a row of pauses.
                tenant.ask(await asyncio.wait_for(throttle.permit(), 4000.0))
                if quota is not None and not quota.auto:
                    assert 0.0 < (throttle.rate or 0.0) <= quota.per_second

        async with asyncio.TaskGroup() as tasks:
            for _ in range(waiters):
                tasks.create_task(dispatch())
        return tenant.stamps

    stamps = run(main(), VirtualLoop(seed=seed, lateness=(0.0, 0.004)))
    assert stamps == sorted(stamps)
    if quota is not None and not quota.auto:
        for first, beyond in zip(stamps, stamps[quota.requests :], strict=False):
            assert beyond - first >= quota.seconds


@settings(deadline=None, max_examples=40)
@given(
    retry_after=retry_afters,
    latency=st.floats(min_value=0.001, max_value=5.0),
    blocked=st.floats(min_value=1.0, max_value=200.0),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_a_blocking_tenant_sees_one_request_at_a_time(
    retry_after: float | None, latency: float, blocked: float, seed: int
) -> None:
    """After the first pause of a row, one request at most is under way until one is let through."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        throttle = Throttle(
            Quota(200, 10.0), burst=None, max_retry_after=60.0, client="one", observer=lambda _: None,
            clock=loop.time, sleep=asyncio.sleep, rng=Random(seed),
        )  # fmt: skip  # as in harvester.tenant.client, side by side
        under_way: set[float] = set()
        end = loop.time() + blocked
        paused_at = math.inf

        def answer(stamp: float) -> None:
            nonlocal paused_at
            under_way.discard(stamp)
            if loop.time() < end:
                paused_at = min(paused_at, loop.time())
                throttle.rejected(stamp, retry_after)
            else:
                throttle.accepted(stamp)

        while loop.time() < end:
            stamp = await throttle.permit()
            assert not {sent for sent in under_way if sent > paused_at} or loop.time() >= end
            under_way.add(stamp)
            loop.call_later(latency, answer, stamp)
        await asyncio.wait_for(throttle.permit(), 100.0)

    run(main())
