"""The window guard: never more than so many requests in any stretch of so many seconds."""

from __future__ import annotations

import math
from itertools import islice
from typing import Final

_MEMORY: Final = 2
"""Windows remembered: answers come late, and tell of the window before the present one."""


class Window:
    """The stamps of the last requests sent, and when the next one may be.

    Exact, not an estimate: the (i + limit)-th request is never sent within `span` seconds of the
    i-th. It does no pacing; that is the bucket's part. `span` may be set anew at any time.
    """

    __slots__ = ("_limit", "_next", "_stamps", "span")

    def __init__(self, limit: int, span: float) -> None:
        self.span = span
        self._limit = limit
        self._stamps = [-math.inf] * (_MEMORY * limit)
        self._next = 0

    @property
    def limit(self) -> int:
        """How many requests may be sent in any `span` seconds."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        if _MEMORY * limit > len(self._stamps):
            known = [*islice(self._stamps, self._next, None), *islice(self._stamps, self._next)]
            self._stamps = [-math.inf] * (_MEMORY * limit - len(known)) + known
            self._next = 0
        self._limit = max(1, limit)

    def free_at(self) -> float:
        """The earliest time at which one more request keeps within the limit."""
        return self._stamps[self._next - self._limit] + self.span

    def add(self, stamp: float) -> None:
        """Count a request sent at `stamp`; stamps never go back in time."""
        self._stamps[self._next] = stamp
        self._next = (self._next + 1) % len(self._stamps)

    def sent_between(self, after: float, before: float) -> int:
        """How many requests were sent in [after, before), as far back as the window reaches."""
        return sum(1 for stamp in self._stamps if after <= stamp < before)

    def __repr__(self) -> str:
        return f"<Window {self._limit} in {self.span:g}s>"
