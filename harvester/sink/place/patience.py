"""Waiting for a store that is away, as for a tenant: with growing intervals, and not for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from harvester.errors import StoppedEarly, StopRun
from harvester.events import Event, OutputAway, OutputBack

T = TypeVar("T")

_FIRST: Final = 0.5
_LONGEST: Final = 15.0
_GROWTH: Final = 1.6


class StoreFault(Exception):  # on its way to becoming an error of the program
    """A request to a store failed; `problem` says why in words for a person, without secrets."""

    def __init__(self, problem: str, *, denied: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.denied = denied
        """Whether the store knows us not, or does not let us."""


class Patience:
    """Tries again until it works, for at most `max_outage` seconds. May be used from any thread."""

    def __init__(self, max_outage: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_outage = max_outage
        self._clock = clock
        self._stopped = threading.Event()
        self._why: StopRun | None = None
        self.tell: Callable[[Event], None] = lambda _: None
        """Hears of a store that is away and back; called on whatever thread meets it."""

    def stop(self, why: StopRun) -> None:
        """Whoever waits, or is about to try, gets `why` raised."""
        self._why = why
        self._stopped.set()

    def check(self) -> None:
        """Raise what `stop` was given, if it was called."""
        if self._stopped.is_set() and self._why is not None:
            raise self._why

    def insist(self, place: str, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, once it does not raise StoreFault any more.

        Raises:
            StoppedEarly: the store was away for too long.
        """
        away_since: float | None = None
        interval = _FIRST
        while True:
            self.check()
            begun = self._clock()
            try:
                result = attempt()
            except StoreFault as fault:
                away_since = begun if away_since is None else away_since
                self._give_up_after(self._clock() - away_since, place, fault)
                self.tell(OutputAway(place, fault.problem, interval))
                self._stopped.wait(interval)
                interval = min(interval * _GROWTH, _LONGEST)
                continue
            if away_since is not None:
                self.tell(OutputBack(place, self._clock() - away_since))
            return result

    def _give_up_after(self, seconds: float, place: str, fault: StoreFault) -> None:
        if seconds >= self._max_outage:
            raise StoppedEarly(
                f"{place}: could not be written to for {seconds:.0f} s ({fault.problem})",
                "run the same command again once that is mended: what was harvested is kept",
            )
