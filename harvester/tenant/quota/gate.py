"""The gate all requests of a client pass: shut while a `Retry-After` runs, ajar after a second refusal."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable


class Gate:
    """Shut until a time; then open, or ajar: one scout at a time, until the tenant lets one through.

    Whoever has passed `wait` must call `sent` before anything else can run, so that there is no
    more than one scout; and the scout's end must be told by `settle`, whatever it was, or nobody
    passes any more.
    """

    __slots__ = ("_ajar", "_clock", "_planned", "_scout", "_settled", "_sleep", "shut_until")

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self.shut_until = -math.inf
        self._clock = clock
        self._sleep = sleep
        self._ajar = False
        self._scout: float | None = None
        self._settled = asyncio.Event()
        self._planned = 0.0

    @property
    def passable(self) -> bool:
        """Whether a request may be sent at this instant."""
        return self._scout is None and self._clock() >= self.shut_until

    @property
    def shut_seconds(self) -> float:
        """Seconds the gate has been shut so far, all in all."""
        return self._planned - max(0.0, self.shut_until - self._clock())

    async def wait(self) -> None:
        """Return when the gate is passable; a pause that grows meanwhile is waited for to its end."""
        while not self.passable:
            remaining = self.shut_until - self._clock()
            if remaining > 0:
                await self._sleep(remaining)
            else:
                self._settled.clear()
                await self._settled.wait()

    def sent(self, stamp: float) -> None:
        """Note that a request goes out; when the gate is ajar, it is the scout."""
        if self._ajar:
            self._scout = stamp

    def settle(self, stamp: float) -> None:
        """Note that the request sent at `stamp` has ended, in whatever way."""
        if self._scout == stamp:
            self._scout = None
            self._settled.set()

    def open(self) -> None:
        """The tenant lets requests through again: no scouts any more."""
        self._ajar = False

    def shut(self, until: float) -> float:
        """Shut until `until`, or as long as was planned if that is later; returns the seconds added."""
        added = max(0.0, until - max(self.shut_until, self._clock()))
        self._planned += added
        self.shut_until = max(self.shut_until, until)
        return added

    def leave_ajar(self) -> None:
        """Let one scout at a time pass when the pause is over."""
        self._ajar = True
