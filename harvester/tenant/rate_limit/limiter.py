"""What one lane may send, and when: the pause, the pace and the adaptive rate behind one interface."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

from harvester.events import LanePaused, Observer, RateChanged
from harvester.model import Quota
from harvester.tenant.rate_limit.concurrency import ConcurrencyLimit
from harvester.tenant.rate_limit.controller import RateController
from harvester.tenant.rate_limit.memory import Memory, recall
from harvester.tenant.rate_limit.pause import Pause
from harvester.waiting import pause

_SAFETY: Final = 0.030
"""Seconds added to every `Retry-After`, so that the first request does not come a hair too early."""
_REPORT_RATE: Final = 1.10
"""A climbing rate is reported each time it has grown by this factor."""
_REPORT_PAUSE: Final = 0.5
"""A pause that grows by fewer seconds is not reported again."""
_LEAST_STEP: Final = 1e-9
"""Two permits never have the same time: it identifies the request."""


class Limiter:
    """The permits of one lane.

    `permit` waits for the pause, the pace and the window, in the order of the calls, looks at the
    pause once more, and returns the time that identifies the request from then on. Each permit ends
    in exactly one of `accepted`, `rejected` and `released`. To be made and used inside one event loop;
    `clock` and `sleep` must agree with its time, since aiolimiter goes by it.
    """

    __slots__ = (
        "_clock", "_concurrency", "_controller", "_in_flight", "_label", "_last", "_observer", "_pause",
        "_proven", "_reacted_at", "_refusals", "_reported", "_rng", "_turn", "_wall", "pause_reason",
    )  # fmt: skip  # one name a line would fill the screen

    def __init__(
        self,
        quota: Quota | None,
        *,
        burst: int | None = None,
        concurrency: int | None = None,
        label: str,
        observer: Observer,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        rng: Random,
        wall: Callable[[], float] = time.time,
        memory: Mapping[str, Any] | None = None,
    ) -> None:
        """`quota` None: no pace, but pauses still hold. `burst` requests go at once at the start.

        `memory` is what `memory()` returned in an earlier run of this lane; `wall` gives Unix time.
        """
        self._label = label
        self._observer = observer
        self._clock = clock
        self._rng = rng
        self._wall = wall
        self._turn = asyncio.Lock()
        self._pause = Pause(clock, sleep)
        self.pause_reason = "the end of a pause"
        """What there is to wait for while it is paused, in words for a person."""
        known = recall(memory, quota, clock=clock(), wall=wall())
        if known.pause > 0:
            self._pause.close(clock() + known.pause)
        self._controller = None if quota is None else RateController(quota, burst or 0, known, clock)
        self._concurrency = ConcurrencyLimit(concurrency, unlimited=quota is None)
        self._in_flight: dict[float, None] = {}
        self._last = -math.inf
        self._reported = self.rate
        self._refusals = 0
        self._proven = False  # since the last pause, or the start, something was accepted
        self._reacted_at = -math.inf

    # --- before a request

    async def permit(self) -> float:
        """Wait until one request may be sent, and return the clock time at which it goes."""
        pause, controller = self._pause, self._controller
        async with self._turn:
            if not pause.is_open:
                await pause.wait()
            if controller is not None:
                await controller.turn()
                while not pause.is_open or controller.early() > 0:
                    await pause.wait()
                    if (early := controller.early()) > 0:
                        await pause.sleep(early)
            self._last = sent_at = max(self._clock(), self._last + _LEAST_STEP)
            self._in_flight[sent_at] = None
            pause.sent(sent_at)
            if controller is not None and controller.sent(sent_at):
                self._report_change(controller)
            return sent_at

    # --- after it

    def accepted(self, sent_at: float) -> None:
        """The tenant accepted the request sent at `sent_at`: any answer but 429."""
        if not self._proven and sent_at > self._reacted_at:
            self._proven = True
            self._refusals = 0
            self._pause.open()
            if self._controller is not None and self._controller.proven():
                self._report_rate(self._controller)
        if self._controller is not None:
            self._controller.accepted(sent_at)
        self._end(sent_at, observe=True)

    def released(self, sent_at: float, *, unused: bool = False) -> None:
        """The request sent at `sent_at` had no answer, so nobody knows if it was counted; or it was not sent.

        `unused` gives the permit back: the next request takes its place.
        """
        if unused and self._controller is not None:
            self._controller.unused(sent_at)
        self._end(sent_at, observe=not unused)

    def rejected(self, sent_at: float, retry_after: float | None) -> None:
        """The request sent at `sent_at` was answered 429; `retry_after` in seconds, None if missing.

        Only the first refusal of those sent since the last pause starts a new pause; the others were
        in flight already, and can only lengthen it.
        """
        if sent_at > self._reacted_at:
            self._react(sent_at, retry_after)
        else:
            if self._controller is not None and self._controller.refused_too(sent_at, retry_after):
                self._report_rate(self._controller)
            if retry_after is not None:
                self._close(retry_after + _SAFETY, 429, asked=True)
        self._end(sent_at, observe=True)

    def hold(self, retry_after: float, status: int) -> None:
        """A 503 or the token endpoint asks to wait: the lane pauses, and the rate stays as it is."""
        self._close(retry_after + _SAFETY, status, asked=True)

    # --- the state, live

    @property
    def rate(self) -> float | None:
        """Requests a second that it permits at present; None without a quota."""
        return None if self._controller is None else self._controller.rate

    @property
    def paused_until(self) -> float:
        """The clock time at which the present or last pause ends; minus infinity before the first."""
        return self._pause.until

    def resumes_in(self) -> float:
        """Seconds until the pause ends; 0 if there is none."""
        return self._pause.remaining

    def in_flight_limit(self) -> int:
        """How many requests may be in flight now: enough to use the rate at the observed latency."""
        oldest = self._clock() - next(iter(self._in_flight)) if self._in_flight else 0.0
        return self._concurrency.now(self.rate, oldest)

    def memory(self) -> dict[str, Any]:
        """What the next run of this lane must know, as JSON of less than 2 kB: see `rate_limit.memory`."""
        known = Memory() if self._controller is None else self._controller.memory()
        return replace(known, pause=self.resumes_in()).encode(clock=self._clock(), wall=self._wall())

    def __repr__(self) -> str:
        rate = self.rate
        pace = "no quota" if rate is None else f"{rate:.2f}/s"
        state = f"paused for {wait:.1f}s" if (wait := self.resumes_in()) else "open"
        return f"<Limiter {self._label}: {pace}, {state}, {self._refusals} refusals in a row>"

    # --- reactions

    def _react(self, sent_at: float, retry_after: float | None) -> None:
        proven, self._proven = self._proven, False
        self._refusals += 1
        # A 0 is believed once: a tenant that refuses and says "at once" again and again would be stormed.
        asked = retry_after is not None and (retry_after > 0 or self._refusals == 1)
        seconds = retry_after if retry_after is not None and asked else pause(self._refusals, self._rng)
        if self._controller is not None:
            before = self._controller.rate
            self._controller.refused(sent_at, retry_after if asked else None, proven=proven)
            if self._controller.rate != before:
                self._report_rate(self._controller)
        self._reacted_at = max(self._clock(), self._last)
        if not proven:
            own = -math.inf if self._controller is None else self._controller.probe_due() - self._clock()
            asked = asked and own <= seconds
            seconds = max(seconds, own)
            self._pause.half_open()
        self._close(seconds + _SAFETY, 429, asked=asked)

    def _close(self, wait: float, status: int, *, asked: bool) -> None:
        new = self.resumes_in() == 0
        added = self._pause.close(self._clock() + wait)
        if added:
            asks = f"the tenant's Retry-After of {wait - _SAFETY:g} s ({status})"
            self.pause_reason = asks if asked else f"the end of a pause (the tenant answered {status})"
        if new or added >= _REPORT_PAUSE:
            self._observer(LanePaused(self._label, status, self.resumes_in(), asked))

    def _end(self, sent_at: float, *, observe: bool) -> None:
        self._in_flight.pop(sent_at, None)
        self._pause.ended(sent_at)
        if observe:
            self._concurrency.observe(self._clock() - sent_at)

    def _report_change(self, controller: RateController) -> None:
        reported = self._reported or 0.0
        if controller.at_top or not reported <= controller.rate < _REPORT_RATE * reported:
            self._report_rate(controller)

    def _report_rate(self, controller: RateController) -> None:
        self._reported = controller.rate
        self._observer(RateChanged(self._label, controller.rate))
