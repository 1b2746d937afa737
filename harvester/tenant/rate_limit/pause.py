"""The pause of one lane: closed while a `Retry-After` is running; then open, or half-open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Pause:
    """Closed until a time; then open, or half-open: one probe at a time, until one is accepted.

    Whoever returns from `wait` must call `sent` before anything else can run, so that there is
    never more than one probe; and the probe's end must be reported to `ended`, whatever it was, or
    nobody gets through any more.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    until: float = -math.inf
    _half_open: bool = False
    _probe: float | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent at this instant."""
        return self._probe is None and self.clock() >= self.until

    @property
    def remaining(self) -> float:
        """Seconds until the pause ends; 0 if there is none."""
        return max(0.0, self.until - self.clock())

    async def wait(self) -> None:
        """Return when it is open; a pause that grows meanwhile is awaited to its new end."""
        while not self.is_open:
            if (remaining := self.remaining) > 0:
                await self.sleep(remaining)
            else:
                self._ended.clear()
                await self._ended.wait()

    def sent(self, sent_at: float) -> None:
        """Note that a request is being sent; when half-open, it is the probe."""
        if self._half_open:
            self._probe = sent_at

    def ended(self, sent_at: float) -> None:
        """Note that the request sent at `sent_at` has ended, in whatever way."""
        if self._probe == sent_at:
            self._probe = None
            self._ended.set()

    def open(self) -> None:
        """The tenant accepts requests again: no more probes."""
        self._half_open = False

    def close(self, until: float) -> float:
        """Close until `until`, or until the time planned if that is later; return the seconds added."""
        added = max(0.0, until - max(self.until, self.clock()))
        self.until = max(self.until, until)
        return added

    def half_open(self) -> None:
        """Let one probe at a time through when the pause is over."""
        self._half_open = True
