"""How another thread ends an export, which blocks on its own thread; and how that waits for a destination."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random
from typing import Final, TypeVar

from harvester.errors import StopRun
from harvester.events import DestinationAvailable, DestinationUnavailable, Observer
from harvester.waiting import UnavailableUntil

T = TypeVar("T")

POLL: Final = 0.1
"""Seconds between two looks at a ledger or a busy reader: short for a person, nothing for the CPU."""


class Control:
    """Given to an export by whoever started its thread. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.ended = False
        """Whether `end` was called."""
        self._why: StopRun | None = None
        self._called = threading.Event()

    def end(self) -> None:
        """No more accounts will be settled: write those that are, and return."""
        self.ended = True
        self._called.set()

    def stop(self, why: StopRun) -> None:
        """Write nothing more: the export raises `why`."""
        self._why = why
        self._called.set()

    def check(self) -> None:
        """Raise what `stop` was given, if it was called."""
        if self._why is not None:
            raise self._why

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until `end` or `stop` is called, and raise what `stop` was given."""
        self._called.wait(seconds)
        self.check()


class Unavailable(Exception):  # on its way to becoming an error of the program
    """A store or table did not do what was asked, but may later; `problem` says why, without secrets."""

    def __init__(self, problem: str, *, denied: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.denied = denied
        """Whether it refuses the credentials, or they lack the right."""


class Retry:
    """Repeats requests to the store or table called `name` that fail with `Unavailable`."""

    def __init__(
        self,
        name: str,
        *,
        max_outage: float,
        control: Control,
        observer: Observer,
        rng: Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.control = control
        self._name = name
        self._observer = observer
        self._outage = UnavailableUntil(name, most=max_outage, clock=clock, rng=rng)

    def __call__(self, request: Callable[[], T]) -> T:
        """What `request` returns, once it succeeds. Raises StoppedEarly if it fails for too long."""
        while True:
            self.control.check()
            try:
                result = request()
            except Unavailable as fault:
                wait = self._outage.failed(fault.problem)
                self._observer(DestinationUnavailable(self._name, fault.problem, wait))
                self.control.wait(wait)
                continue
            if self._outage.attempts:
                self._observer(DestinationAvailable(self._name, self._outage.seconds))
                self._outage.recovered()
            return result
