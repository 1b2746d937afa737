"""An event loop on a virtual clock: hours pass in seconds, nothing sleeps, and a seed reproduces a run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from random import Random
from typing import Any


class _JumpingSelector(selectors.SelectSelector):
    """Waits by moving the clock: nothing else happens on this loop."""

    def __init__(self, rng: Random, lateness: tuple[float, float]) -> None:
        super().__init__()
        self.now = 1000.0
        self._rng = rng
        self._lateness = lateness

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the simulation waits for nothing: a deadlock"
        self.now += 1e-6
        if timeout > 0:
            self.now += timeout + self._rng.uniform(*self._lateness)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual; timers fire late by `lateness` (least, most) seconds."""

    def __init__(self, *, seed: int = 0, lateness: tuple[float, float] = (0.0, 0.0)) -> None:
        self._jumping = _JumpingSelector(Random(seed), lateness)
        super().__init__(self._jumping)

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Let time pass without anything running, as a blocking call does."""
        self._jumping.now += seconds


def run(main: Coroutine[Any, Any, Any], loop: VirtualLoop | None = None) -> Any:
    """Run `main` to its end on a virtual loop and close it."""
    with asyncio.Runner(loop_factory=lambda: loop or VirtualLoop()) as runner:
        return runner.run(main)
