"""A time limit for many requests with one timer, as one timer each costs a tenth of a request's CPU time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_LOOKS = 8
_LONGEST_LOOK = 1.0


class Overdue:
    """Cancels the tasks whose request takes longer than `timeout` seconds; a task has one at a time.

    It looks at them eight times within `timeout`, but at least once a second: a request may take that
    much longer.
    """

    def __init__(self, timeout: float, clock: Callable[[], float]) -> None:
        self._timeout = timeout
        self._every = min(timeout / _LOOKS, _LONGEST_LOOK)
        self._clock = clock
        self._began: dict[asyncio.Task[Any], float] = {}
        self._canceled: dict[asyncio.Task[Any], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, task: asyncio.Task[Any], began: float) -> None:
        """The request of `task` began at `began`; cancel the task if it takes too long."""
        self._began[task] = began
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._look)

    def ended(self, task: asyncio.Task[Any]) -> bool:
        """The request of `task` ended; whether it was canceled here and by nobody else.

        If so, the cancellation is taken back (`Task.uncancel`): the task goes on, with a timeout to report.
        """
        del self._began[task]
        earlier = self._canceled.pop(task, None) if self._canceled else None
        return earlier is not None and task.uncancel() <= earlier

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look) if self._began else None
        latest = self._clock() - self._timeout
        for task, began in self._began.items():
            if began < latest and task not in self._canceled:
                self._canceled[task] = task.cancelling()
                task.cancel()
