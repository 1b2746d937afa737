"""The Retry-After gate and what stands around it, on a virtual clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from harvester.events import ClientPaused, Event, RateChanged
from harvester.model import Quota
from harvester.tenant.quota import Throttle
from tests.quota.simulation import run

Scene = Callable[["Stage"], Awaitable[None]]
FAST = Quota(1_000_000, 1.0)


class Stage:
    """A throttle on the virtual loop that is running, and what it told."""

    def __init__(self, quota: Quota | None, burst: int | None, max_retry_after: float) -> None:
        self.events: list[Event] = []
        self.loop = asyncio.get_running_loop()
        self.throttle = Throttle(
            quota, burst=burst, max_retry_after=max_retry_after, client="one", observer=self.events.append,
            clock=self.loop.time, sleep=asyncio.sleep, rng=Random(7),
        )  # fmt: skip  # as in harvester.tenant.client, side by side

    async def waited(self) -> float:
        """Seconds that the next permit takes; the request is let through."""
        before = self.loop.time()
        stamp = await self.throttle.permit()
        self.throttle.accepted(stamp)
        return stamp - before

    async def refused(self, retry_after: float | None) -> float:
        """Send one request that is answered 429 at once; returns the pause that follows."""
        stamp = await self.throttle.permit()
        await asyncio.sleep(0.001)
        self.throttle.rejected(stamp, retry_after)
        return self.throttle.resumes_in()


def play(
    scene: Scene, quota: Quota | None = FAST, *, burst: int | None = None, longest: float = 3600.0
) -> None:
    """Run `scene` on a stage of its own."""

    async def main() -> None:
        await scene(Stage(quota, burst, longest))

    run(main())


@pytest.mark.parametrize("quota", [None, FAST], ids=["no quota", "quota"])
def test_nothing_is_sent_while_retry_after_runs(quota: Quota | None) -> None:
    """The next permit comes after the time asked for and a hair, with or without a quota."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        assert 7.0 < await stage.refused(7.0) < 7.1
        assert 7.0 < await stage.waited() < 7.1
        assert await stage.waited() < 0.001

    play(scene, quota)


def test_a_pause_that_grows_while_it_is_waited_for_is_waited_for_to_its_new_end() -> None:
    """Answers to requests under way lengthen the pause; the waiter looks again before it sends."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        first, second = await throttle.permit(), await throttle.permit()
        await asyncio.sleep(0.01)
        throttle.rejected(first, 2.0)
        stage.loop.call_later(1.5, throttle.rejected, second, 5.0)
        assert 6.5 < await stage.waited() < 6.6

    play(scene)


def test_a_shorter_retry_after_does_not_shorten_the_pause() -> None:
    """One deadline a client: the later of the old and the new."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        first, second = await throttle.permit(), await throttle.permit()
        await asyncio.sleep(0.01)
        throttle.rejected(first, 10.0)
        throttle.rejected(second, 1.0)
        assert throttle.resumes_in() > 10.0

    play(scene)


def test_the_gate_is_looked_at_again_after_the_wait_for_a_permit() -> None:
    """A 429 that comes while the dispatcher waits for its turn still stops it."""

    async def scene(stage: Stage) -> None:
        stamp = await stage.throttle.permit()
        stage.loop.call_later(0.5, stage.throttle.rejected, stamp, 3.0)
        assert 3.5 < await stage.waited() < 3.6

    play(scene, Quota(1, 1.0))


def test_a_token_request_that_is_refused_holds_all_and_changes_no_rate() -> None:
    """What is sent without a permit waits for the pause and may begin one; the pace is another matter."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        rate, before = stage.throttle.rate, stage.loop.time()
        stage.throttle.hold(4.0)
        await stage.throttle.pause_over()
        assert 4.0 < stage.loop.time() - before < 4.1
        assert await stage.waited() < 0.001
        assert stage.throttle.rate == rate

    play(scene)


def test_an_hour_is_capped_by_the_setting() -> None:
    """Retry-After: 86400 pauses for max_retry_after, and the pace is not ruined by it."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        assert 600.0 < await stage.refused(86400.0) < 600.1
        assert stage.throttle.paused_until == pytest.approx(stage.loop.time() + 600.0, abs=0.1)

    play(scene, longest=600.0)


def test_without_a_sensible_retry_after_the_pauses_double_until_something_is_let_through() -> None:
    """Backoff with jitter by refusals in a row, from a second to half a minute; success ends the row."""

    async def scene(stage: Stage) -> None:
        pauses = [await stage.refused(None) for _ in range(9)]
        for row, seconds in enumerate(pauses):
            longest = min(30.0, 2.0**row)
            assert longest / 2 <= seconds <= longest + 0.1
        await stage.waited()
        assert await stage.refused(None) <= 1.1

    play(scene)


def test_refusals_of_one_volley_count_once() -> None:
    """Twenty requests under way that are all refused without a time make one short pause, not the longest."""

    async def scene(stage: Stage) -> None:
        stamps = [await stage.throttle.permit() for _ in range(20)]
        await asyncio.sleep(0.01)
        for stamp in stamps:
            stage.throttle.rejected(stamp, None)
        assert stage.throttle.resumes_in() <= 1.1
        assert len(stage.events) == 1

    play(scene)


def test_retry_after_zero_is_believed_once() -> None:
    """A tenant that refuses and says "at once" again and again is not stormed."""

    async def scene(stage: Stage) -> None:
        await stage.waited()
        assert await stage.refused(0.0) < 0.1
        assert await stage.refused(0.0) >= 1.0
        assert await stage.refused(0.0) >= 2.0

    play(scene)


def test_after_a_second_pause_one_scout_goes_ahead() -> None:
    """Half open: one request at a time, until one of them is let through; then all may go."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        await stage.waited()
        await stage.refused(1.0)
        await stage.refused(1.0)
        scout = await throttle.permit()
        next_one = asyncio.ensure_future(throttle.permit())
        await asyncio.sleep(60.0)
        assert not next_one.done()
        throttle.rejected(scout, 1.0)
        scout = await next_one
        next_one = asyncio.ensure_future(throttle.permit())
        await asyncio.sleep(60.0)
        assert not next_one.done()
        throttle.accepted(scout)
        await asyncio.wait_for(next_one, 1.0)
        await asyncio.wait_for(throttle.permit(), 1.0)

    play(scene)


def test_a_scout_that_is_lost_makes_way_for_another() -> None:
    """A network fault is no verdict: the next scout goes, still alone."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        await stage.refused(1.0)
        scout = await throttle.permit()
        next_one = asyncio.ensure_future(throttle.permit())
        await asyncio.sleep(10.0)
        throttle.released(scout)
        await asyncio.wait_for(next_one, 1.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(throttle.permit(), 60.0)

    play(scene)


def test_a_late_answer_from_before_the_pause_does_not_open_the_gate() -> None:
    """What was let through before the refusal proves nothing about now."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        old = await throttle.permit()
        await stage.refused(1.0)
        throttle.accepted(old)
        await throttle.permit()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(throttle.permit(), 60.0)

    play(scene)


def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    """Whoever gives up waiting at the gate, in either of its states, doesn't keep the next one out."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        await stage.refused(5.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(throttle.permit(), 1.0)
        scout = await throttle.permit()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(throttle.permit(), 1.0)
        throttle.accepted(scout)
        await asyncio.wait_for(throttle.permit(), 1.0)

    play(scene)


def test_the_first_request_goes_at_once_and_the_second_keeps_its_distance() -> None:
    """No burst at the start, since it would come again in every window."""

    async def scene(stage: Stage) -> None:
        assert await stage.waited() < 0.001
        assert await stage.waited() == pytest.approx(0.1005, abs=0.001)

    play(scene, Quota(100, 10.0))


def test_a_burst_the_user_vouches_for_goes_at_once_and_the_window_still_holds() -> None:
    """--burst 60: sixty at once, forty at the pace, and the hundred and first not within ten seconds."""

    async def scene(stage: Stage) -> None:
        begin = stage.loop.time()
        stamps = [await stage.throttle.permit() - begin for _ in range(140)]
        assert stamps[59] < 0.01
        assert stamps[99] == pytest.approx(4.0, abs=0.1)
        assert stamps[100] == pytest.approx(10.05, abs=0.01)
        assert stamps[139] == pytest.approx(13.9, abs=0.15)

    play(scene, Quota(100, 10.0), burst=60)


def test_lateness_is_caught_up_without_a_great_burst() -> None:
    """After being held up, two requests go together at 10/s, and the pace goes on from there."""

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


def test_a_rate_that_is_not_used_is_not_raised() -> None:
    """`--quota auto` climbs by what it proved: a short list or a slow sink proves nothing."""

    async def scene(stage: Stage) -> None:
        begin, rate = stage.loop.time(), stage.throttle.rate
        while stage.loop.time() < begin + 100.0:
            await stage.waited()
            await asyncio.sleep(0.5)
        assert stage.throttle.rate == rate
        while stage.loop.time() < begin + 120.0:
            await stage.waited()
        assert (stage.throttle.rate or 0.0) > 1.5 * (rate or 0.0)

    play(scene, Quota(100, 10.0, auto=True))


def test_each_pause_and_change_is_told_once() -> None:
    """A volley of refusals is one pause and one change of the rate; what lengthens it is told once more."""

    async def scene(stage: Stage) -> None:
        throttle = stage.throttle
        begin = stage.loop.time()
        while stage.loop.time() < begin + 30.0:
            throttle.accepted(await throttle.permit())
        for stamp in [await throttle.permit() for _ in range(50)]:
            throttle.rejected(stamp, 0.0 if stamp < begin + 31 else 20.0)
        paused = [event for event in stage.events if isinstance(event, ClientPaused)]
        assert [event.asked for event in paused] == [True] * 2
        assert paused[0].seconds < 0.1
        assert paused[1].seconds == pytest.approx(throttle.resumes_in())
        await throttle.permit()
        assert throttle.paused_seconds == pytest.approx(20.0, abs=0.2)
        changes = [event for event in stage.events if isinstance(event, RateChanged)]
        assert [event.per_second for event in changes] == [throttle.rate]

    play(scene, Quota(100, 10.0))


def test_a_missing_retry_after_is_told_as_such() -> None:
    """The log can say whose idea the pause was."""

    async def scene(stage: Stage) -> None:
        await stage.refused(None)
        assert isinstance(stage.events[0], ClientPaused)
        assert not stage.events[0].asked

    play(scene)


def test_the_state_is_shown_in_the_repr() -> None:
    """The repr has the rate, the pause and the row of refusals."""

    async def scene(stage: Stage) -> None:
        assert "9.95/s, open, 0 refusals" in repr(stage.throttle)
        await stage.refused(5.0)
        assert "paused for 5.0s, 1 refusals" in repr(stage.throttle)

    play(scene, Quota(100, 10.0))


def test_without_a_quota_there_is_no_rate_and_no_wait() -> None:
    """`--quota none` takes the brake off."""

    async def scene(stage: Stage) -> None:
        assert stage.throttle.rate is None
        begin = stage.loop.time()
        for _ in range(1000):
            await stage.throttle.permit()
        assert stage.loop.time() == begin
        assert stage.throttle.resumes_in() == 0.0
        assert stage.throttle.paused_until == -math.inf

    play(scene, None)


def test_a_quota_of_millions_costs_no_memory() -> None:
    """A window of a billion requests is guarded by a shorter one of the same rate."""

    async def scene(stage: Stage) -> None:
        for _ in range(1000):
            assert await stage.waited() < 0.001

    play(scene, Quota(10**9, 60.0))
