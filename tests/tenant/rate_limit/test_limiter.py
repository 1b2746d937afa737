"""The pause and what surrounds it, on a virtual clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from harvester.events import Event, LanePaused, RateChanged
from harvester.model import Quota
from harvester.tenant.rate_limit import Limiter
from tests.virtual_loop import run

Scene = Callable[["Stage"], Awaitable[None]]
FAST = Quota(1_000_000, 1.0)


class Stage:
    """A limiter on the virtual loop that is running, and what it reported."""

    def __init__(self, quota: Quota | None, burst: int | None) -> None:
        self.events: list[Event] = []
        self.loop = asyncio.get_running_loop()
        self.limiter = Limiter(
            quota, burst=burst, label="one", observer=self.events.append, clock=self.loop.time,
            sleep=asyncio.sleep, rng=Random(7),
        )  # fmt: skip  # side by side

    async def waited(self) -> float:
        """Seconds that the next permit takes; the request is accepted."""
        before = self.loop.time()
        sent_at = await self.limiter.permit()
        self.limiter.accepted(sent_at)
        return sent_at - before

    async def refused(self, retry_after: float | None) -> float:
        """Send one request that is answered 429 at once; returns the pause that follows."""
        sent_at = await self.limiter.permit()
        await asyncio.sleep(0.001)
        self.limiter.rejected(sent_at, retry_after)
        return self.limiter.resumes_in()


def play(scene: Scene, quota: Quota | None = FAST, *, burst: int | None = None) -> None:
    """Run `scene` on a stage of its own."""

    async def main() -> None:
        await scene(Stage(quota, burst))

    run(main())


# --- the pause


@pytest.mark.parametrize("quota", [None, FAST], ids=["no quota", "quota"])
def test_nothing_is_sent_while_retry_after_is_running(quota: Quota | None) -> None:
    """The next permit comes just after the time asked for, with or without a quota."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        assert 7.0 < await stage.refused(7.0) < 7.1
        assert 7.0 < await stage.waited() < 7.1
        assert await stage.waited() < 0.001

    play(scene, quota)


def test_a_pause_that_grows_while_it_is_waited_for_is_waited_for_to_its_new_end() -> None:
    """Responses to requests in flight lengthen the pause; the waiter looks again before it sends."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        first, second = await limiter.permit(), await limiter.permit()
        await asyncio.sleep(0.01)
        limiter.rejected(first, 2.0)
        stage.loop.call_later(1.5, limiter.rejected, second, 5.0)
        assert 6.5 < await stage.waited() < 6.6

    play(scene)


def test_a_shorter_retry_after_does_not_shorten_the_pause() -> None:
    """One deadline for a lane: the later of the old and the new."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        first, second = await limiter.permit(), await limiter.permit()
        await asyncio.sleep(0.01)
        limiter.rejected(first, 10.0)
        limiter.rejected(second, 1.0)
        limiter.hold(2.0, 503)
        assert limiter.resumes_in() > 10.0

    play(scene)


def test_the_pause_is_looked_at_again_after_the_wait_for_a_permit() -> None:
    """A 429 that arrives while somebody waits for a permit still stops them."""

    async def scene(stage: Stage) -> None:
        sent_at = await stage.limiter.permit()
        stage.loop.call_later(0.5, stage.limiter.rejected, sent_at, 3.0)
        assert 3.5 < await stage.waited() < 3.6

    play(scene, Quota(1, 1.0))


def test_a_503_pauses_the_lane_and_leaves_the_rate_alone() -> None:
    """`hold` is for what says nothing about the quota: a 503, or the token endpoint."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        rate = stage.limiter.rate
        stage.limiter.hold(4.0, 503)
        stage.limiter.hold(1.0, 429)
        assert stage.limiter.pause_reason == "the tenant's Retry-After of 4 s (503)"
        assert 4.0 < await stage.waited() < 4.1
        assert stage.limiter.rate == rate
        (event,) = stage.events
        assert isinstance(event, LanePaused)
        assert (event.status, event.asked) == (503, True)

    play(scene)


def test_a_day_is_obeyed() -> None:
    """Whether a run outlasts a Retry-After is not for the limiter to decide: it says when it resumes."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        assert 86400.0 < await stage.refused(86400.0) < 86400.1
        assert stage.limiter.paused_until == pytest.approx(stage.loop.time() + 86400.0, abs=0.1)

    play(scene)


def test_without_a_sensible_retry_after_the_pauses_double_until_something_is_accepted() -> None:
    """Backoff with jitter by refusals in a row, from a second to half a minute; success ends the row."""

    async def scene(stage: Stage) -> None:
        pauses = [await stage.refused(None) for _ in range(9)]
        for row, seconds in enumerate(pauses):
            longest = min(30.0, 2.0**row)
            assert longest / 2 <= seconds <= longest + 0.1
        await stage.waited()
        assert await stage.refused(None) <= 1.1

    play(scene)


def test_the_refusals_of_one_volley_count_once() -> None:
    """Twenty requests in flight that are all refused without a time make one short pause, not the longest."""

    async def scene(stage: Stage) -> None:
        permits = [await stage.limiter.permit() for _ in range(20)]
        await asyncio.sleep(0.01)
        for sent_at in permits:
            stage.limiter.rejected(sent_at, None)
        assert stage.limiter.resumes_in() <= 1.1
        assert len([event for event in stage.events if isinstance(event, LanePaused)]) == 1

    play(scene)


def test_retry_after_zero_is_believed_once() -> None:
    """A tenant that refuses and says "at once" again and again is not stormed."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        assert await stage.refused(0.0) < 0.1
        assert await stage.refused(0.0) >= 1.0
        assert await stage.refused(0.0) >= 2.0

    play(scene)


# --- half-open


def test_after_a_second_pause_one_probe_goes_ahead() -> None:
    """Half-open: one request at a time, until one of them is accepted; then all may go."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        await stage.waited()
        await stage.refused(1.0)
        await stage.refused(1.0)
        probe = await limiter.permit()
        next_one = asyncio.ensure_future(limiter.permit())
        await asyncio.sleep(60.0)
        assert not next_one.done()
        limiter.rejected(probe, 1.0)
        probe = await next_one
        next_one = asyncio.ensure_future(limiter.permit())
        await asyncio.sleep(60.0)
        assert not next_one.done()
        limiter.accepted(probe)
        await asyncio.wait_for(next_one, 1.0)
        await asyncio.wait_for(limiter.permit(), 1.0)

    play(scene)


@pytest.mark.parametrize("unused", [False, True])
def test_a_probe_that_is_lost_or_not_used_makes_way_for_another(unused: bool) -> None:
    """A network fault is no answer: the next probe goes, still alone."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        await stage.refused(1.0)
        probe = await limiter.permit()
        next_one = asyncio.ensure_future(limiter.permit())
        await asyncio.sleep(10.0)
        limiter.released(probe, unused=unused)
        await asyncio.wait_for(next_one, 1.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.permit(), 60.0)

    play(scene)


def test_a_late_response_from_before_the_pause_does_not_end_the_half_open_state() -> None:
    """What was accepted before the refusal proves nothing about now."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        old = await limiter.permit()
        await stage.refused(1.0)
        limiter.accepted(old)
        await limiter.permit()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.permit(), 60.0)

    play(scene)


def test_a_canceled_wait_leaves_nothing_behind() -> None:
    """Whoever gives up waiting, paused or half-open, does not keep the next one out."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        await stage.refused(5.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.permit(), 1.0)
        probe = await limiter.permit()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.permit(), 1.0)
        limiter.accepted(probe)
        await asyncio.wait_for(limiter.permit(), 1.0)

    play(scene)


# --- pace and window


def test_the_first_request_goes_at_once_and_the_second_keeps_its_distance() -> None:
    """No burst at the start, since it would recur in every window."""

    async def scene(stage: Stage) -> None:
        assert await stage.waited() < 0.001
        assert await stage.waited() == pytest.approx(0.1005, abs=0.001)

    play(scene, Quota(100, 10.0))


def test_a_burst_that_the_user_vouches_for_goes_at_once_and_the_window_still_holds() -> None:
    """--burst 60: sixty at once, forty at the pace, and the hundred and first not within ten seconds."""

    async def scene(stage: Stage) -> None:
        begin = stage.loop.time()
        times = [await stage.limiter.permit() - begin for _ in range(140)]
        assert times[59] < 0.01
        assert times[99] == pytest.approx(4.0, abs=0.1)
        assert times[100] == pytest.approx(10.05, abs=0.01)
        assert times[139] == pytest.approx(13.9, abs=0.15)

    play(scene, Quota(100, 10.0), burst=60)


def test_permits_are_given_in_the_order_of_the_calls() -> None:
    """Many workers wait, some of them through a pause: nobody overtakes, and no two get the same time."""

    async def scene(stage: Stage) -> None:
        order: list[int] = []
        times: list[float] = []

        async def worker(number: int) -> None:
            times.append(await stage.limiter.permit())
            order.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number in range(30):
                tasks.create_task(worker(number))
            await asyncio.sleep(0.25)
            stage.limiter.hold(2.0, 503)
        assert order == list(range(30))
        assert len(set(times)) == 30
        assert max(len([t for t in times if at <= t < at + 0.2]) for at in times) <= 4

    play(scene, Quota(100, 10.0))


def test_an_unused_permit_is_given_back() -> None:
    """The next request takes its place, in the pace and in the window."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        for _ in range(20):
            await stage.waited()
        limiter.released(await limiter.permit(), unused=True)
        assert await stage.waited() < 0.001
        assert await stage.waited() > 0.09
        assert sum(limiter.memory()["sent"]) == 22

    play(scene, Quota(100, 10.0))


def test_permits_given_back_by_an_idle_lane_do_not_add_up_to_a_burst() -> None:
    """A lane that has no work for a while asks again and again; it may not save permits for later."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        for sent_at in [await limiter.permit() for _ in range(10)]:
            limiter.released(sent_at, unused=True)
        waits = [await stage.waited() for _ in range(4)]
        assert len([wait for wait in waits if wait < 0.001]) <= 2

    play(scene, Quota(100, 10.0))


def test_lateness_is_made_up_for_without_a_great_burst() -> None:
    """After being held up, two requests go together at 10/s, and the pace continues from there."""

    async def scene(stage: Stage) -> None:
        for _ in range(20):
            await stage.waited()
        await asyncio.sleep(0.8)
        waits = [await stage.waited() for _ in range(4)]
        assert waits[0] < 0.001
        assert waits[1] < 0.001
        assert waits[2] == pytest.approx(0.1005, abs=0.001)

    play(scene, Quota(100, 10.0))


def test_a_refusal_makes_the_catching_up_gentler() -> None:
    """The tenant's burst may be smaller than thought: fewer requests go together after the next delay."""

    async def scene(stage: Stage) -> None:
        async def at_once() -> int:
            await asyncio.sleep(1.0)
            count = 0
            while await stage.waited() < 0.0005:
                count += 1
            return count

        await stage.waited()
        before = await at_once()
        await stage.refused(0.0)
        assert await stage.waited() > 0.0
        assert await at_once() < before / 3

    play(scene, Quota(10_000, 10.0))


# --- what is reported


def test_a_pause_is_reported_once_and_again_when_it_grows() -> None:
    """A volley of refusals is one pause; what lengthens it is reported once more."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        begin = stage.loop.time()
        while stage.loop.time() < begin + 30.0:
            limiter.accepted(await limiter.permit())
        for sent_at in [await limiter.permit() for _ in range(50)]:
            limiter.rejected(sent_at, 0.0 if sent_at < begin + 31 else 20.0)
        paused = [event for event in stage.events if isinstance(event, LanePaused)]
        assert [(event.status, event.asked) for event in paused] == [(429, True)] * 2
        assert paused[0].seconds < 0.1
        assert paused[1].seconds == pytest.approx(limiter.resumes_in())
        changes = [event for event in stage.events if isinstance(event, RateChanged)]
        assert changes[-1].per_second == limiter.rate

    play(scene, Quota(100, 10.0))


def test_a_missing_retry_after_is_reported_as_such() -> None:
    """The log can say whose idea the pause was."""

    async def scene(stage: Stage) -> None:
        await stage.refused(None)
        event = next(event for event in stage.events if isinstance(event, LanePaused))
        assert not event.asked

    play(scene)


def test_the_state_is_shown_in_the_repr() -> None:
    """The repr has the rate, the pause and the refusals in a row."""

    async def scene(stage: Stage) -> None:
        assert "9.95/s, open, 0 refusals" in repr(stage.limiter)
        stage.limiter.hold(5.0, 503)
        assert "9.95/s, paused for 5.0s, 0 refusals" in repr(stage.limiter)

    play(scene, Quota(100, 10.0))


def test_without_a_quota_there_is_no_rate_and_no_wait() -> None:
    """`--quota none` takes the brake off."""

    async def scene(stage: Stage) -> None:
        assert stage.limiter.rate is None
        begin = stage.loop.time()
        for _ in range(1000):
            await stage.limiter.permit()
        assert stage.loop.time() == begin
        assert stage.limiter.resumes_in() == 0.0
        assert stage.limiter.paused_until == -math.inf

    play(scene, None)


def test_a_quota_of_millions_costs_no_memory() -> None:
    """A window of a billion requests is guarded by a shorter one of the same rate."""

    async def scene(stage: Stage) -> None:
        for _ in range(1000):
            assert await stage.waited() < 0.02
        assert len(repr(stage.limiter.memory())) < 2000

    play(scene, Quota(10**9, 60.0))


def test_the_requests_in_flight_are_counted_and_limited_by_rate_and_latency() -> None:
    """Little's law: with a tenant that takes five seconds, fifty of ten a second are in flight."""

    async def scene(stage: Stage) -> None:
        limiter = stage.limiter
        few = limiter.in_flight_limit()
        permits = [await limiter.permit() for _ in range(50)]
        assert len(limiter._in_flight) == 50
        assert limiter.in_flight_limit() >= 50 > few
        for sent_at in permits:
            limiter.accepted(sent_at)
        assert len(limiter._in_flight) == 0

    play(scene, Quota(100, 10.0))
