"""What one client may send, and when: the gate and the tempo as one thing to ask."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from harvester.events import ClientPaused, Observer, RateChanged
from harvester.model import Quota
from harvester.tenant.backoff import pause
from harvester.tenant.quota.gate import Gate
from harvester.tenant.quota.tempo import Tempo

_SAFETY: Final = 0.030
"""Seconds added to every Retry-After, so that the first request doesn't come a hair too early."""
_TELL_RATE: Final = 1.10
"""A climbing rate is told each time it has grown by this factor."""
_TELL_PAUSE: Final = 0.5
"""A pause that grows by fewer seconds is not told again."""


class Throttle:
    """The permits of one client.

    `permit` waits at the gate, takes a permit from the pace, looks at the gate again and returns
    the stamp by which the request is known from then on. Each request ends with exactly one of
    `accepted`, `rejected` and `released`. To be used inside one event loop; `clock` and `sleep`
    must agree with its time, since aiolimiter goes by it.
    """

    __slots__ = (
        "_client", "_clock", "_gate", "_max_retry_after", "_observer", "_proven", "_reacted_at", "_refusals",
        "_rng", "_sleep", "_tempo", "_told",
    )  # fmt: skip  # one name a line would fill the screen

    def __init__(
        self,
        quota: Quota | None,
        *,
        burst: int | None,
        max_retry_after: float,
        client: str,
        observer: Observer,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        rng: Random,
    ) -> None:
        """`quota` None: no pace, but the gate still holds. `burst` requests go at once at the start."""
        self._client = client
        self._observer = observer
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._max_retry_after = max_retry_after
        self._gate = Gate(clock, sleep)
        self._tempo = None if quota is None else Tempo(quota, burst=burst or 0, clock=clock)
        self._told = self.rate
        self._refusals = 0
        self._proven = False  # since the last pause, or the start, something was let through
        self._reacted_at = -math.inf

    # --- before a request

    async def permit(self) -> float:
        """Wait until one request may be sent, and return the clock time at which it goes."""
        gate, tempo = self._gate, self._tempo
        if not gate.passable:
            await gate.wait()
        if tempo is not None:
            await tempo.turn()
            while not gate.passable or tempo.free_at() > self._clock():
                await gate.wait()
                await self._wait_until(tempo.free_at())
        stamp = self._clock()
        gate.sent(stamp)
        if tempo is not None and tempo.sent(stamp):
            self._tell_rise(tempo)
        return stamp

    # --- after it

    def accepted(self, sent_at: float) -> None:
        """The tenant let the request sent at `sent_at` through: any answer but 429."""
        if not self._proven and sent_at > self._reacted_at:
            self._proven = True
            self._refusals = 0
            self._gate.open()
        self._gate.settle(sent_at)

    def released(self, sent_at: float) -> None:
        """The request sent at `sent_at` ended without an answer: nobody knows if it was counted."""
        self._gate.settle(sent_at)

    def rejected(self, sent_at: float, retry_after: float | None) -> None:
        """The request sent at `sent_at` was answered 429. `retry_after` is in seconds, None if senseless.

        Only the first refusal of those sent since the last pause tells something new; the others
        were under way already, and can but lengthen the pause.
        """
        if sent_at > self._reacted_at:
            self._react(sent_at, retry_after)
        else:
            if self._tempo is not None:
                self._tempo.note_refused(sent_at)
            if retry_after is not None:
                self._shut(self._bounded(retry_after), asked=True)
        self._gate.settle(sent_at)

    # --- what is sent without a permit: requests for tokens

    async def pause_over(self) -> None:
        """Wait while a `Retry-After` runs: it is for all that the client sends."""
        while (wait := self.resumes_in()) > 0:
            await self._sleep(wait)

    def hold(self, retry_after: float | None) -> None:
        """A request for a token was answered 429: all wait, and the pace stays as it is."""
        wait = pause(1, self._rng) if retry_after is None else retry_after
        self._shut(self._bounded(wait), asked=retry_after is not None)

    # --- the state, live

    @property
    def rate(self) -> float | None:
        """Requests a second it lets go at present; None without a quota."""
        return None if self._tempo is None else self._tempo.rate

    @property
    def paused_until(self) -> float:
        """The clock time at which the present or last pause ends; minus infinity before the first."""
        return self._gate.shut_until

    @property
    def paused_seconds(self) -> float:
        """Seconds it has been paused so far, all in all."""
        return self._gate.shut_seconds

    def resumes_in(self) -> float:
        """Seconds until the pause ends; 0 when there's none."""
        return max(0.0, self._gate.shut_until - self._clock())

    def __repr__(self) -> str:
        rate = self.rate
        pace = "no quota" if rate is None else f"{rate:.2f}/s"
        state = f"paused for {wait:.1f}s" if (wait := self.resumes_in()) else "open"
        return f"<Throttle {self._client}: {pace}, {state}, {self._refusals} refusals in a row>"

    # --- reactions

    async def _wait_until(self, moment: float) -> None:
        if (early := moment - self._clock()) > 0:
            await self._sleep(early)

    def _react(self, sent_at: float, retry_after: float | None) -> None:
        proven, self._proven = self._proven, False
        self._refusals += 1
        # A 0 is believed once: a tenant that refuses and says "at once" again and again would be stormed.
        asked = retry_after is not None and (retry_after > 0 or self._refusals == 1)
        seconds = retry_after if retry_after is not None and asked else pause(self._refusals, self._rng)
        wait = self._bounded(seconds)
        if self._tempo is not None:
            self._adapt(self._tempo, sent_at, wait, proven=proven)
        self._reacted_at = self._clock()
        self._shut(wait, asked=asked)
        if not proven:
            self._gate.leave_ajar()

    def _adapt(self, tempo: Tempo, sent_at: float, wait: float, *, proven: bool) -> None:
        if not proven:
            tempo.note_refused(sent_at)
        else:
            before = tempo.rate
            tempo.refused(sent_at, wait)
            if tempo.rate != before:
                self._tell_rate(tempo)
        tempo.pause()

    def _bounded(self, seconds: float) -> float:
        return min(seconds, self._max_retry_after) + _SAFETY

    def _shut(self, wait: float, *, asked: bool) -> None:
        new = self.resumes_in() == 0
        added = self._gate.shut(self._clock() + wait)
        if new or added >= _TELL_PAUSE:
            self._observer(ClientPaused(self._client, self.resumes_in(), asked))

    def _tell_rise(self, tempo: Tempo) -> None:
        if tempo.at_top or tempo.rate >= _TELL_RATE * (self._told or 0.0):
            self._tell_rate(tempo)

    def _tell_rate(self, tempo: Tempo) -> None:
        self._told = tempo.rate
        self._observer(RateChanged(self._client, tempo.rate))
