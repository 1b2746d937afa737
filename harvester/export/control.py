"""How another thread ends an export, which blocks on its own thread."""

from __future__ import annotations

import threading
from typing import Final

from harvester.errors import StopRun

POLL: Final = 0.1
"""Seconds between two looks at a ledger or a busy reader: short for a person, nothing for the CPU."""


class Control:
    """Given to an export by whoever started its thread. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._why: StopRun | None = None
        self._ended = False

    def end(self) -> None:
        """No more accounts will be settled: write those that are, and return."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self, why: StopRun) -> None:
        """Write nothing more: the export raises `why`."""
        with self._changed:
            self._why = why
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    def check(self) -> None:
        """Raise what `stop` was given, if it was called."""
        if self._why is not None:
            raise self._why

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until `end` or `stop` is called, and raise what `stop` was given."""
        with self._changed:
            if self._why is None and not self._ended:
                self._changed.wait(seconds)
        self.check()

    def wait(self, seconds: float) -> None:
        """Wait, whether `end` was called or not; raise what `stop` was given."""
        with self._changed:
            self._changed.wait_for(lambda: self._why is not None, seconds)
        self.check()
