"""The requests sent lately: the window guard, and what was accepted between two moments."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import Final

_WINDOWS_KEPT: Final = 12
"""Responses come late, and an estimate looks back a whole window before the request they answer."""


class SentLog:
    """The times of the last requests sent, which of them were refused, and when the next one may go.

    The guard is exact: the (i + limit)-th request is never sent within `span` seconds of the i-th.
    It does no pacing; that is the bucket's part. `limit` and `span` may change at any time.
    """

    __slots__ = ("_capacity", "_refused", "_sent", "known_until", "limit", "sent_total", "span")

    def __init__(self, limit: int, span: float) -> None:
        self.limit = limit
        self.span = span
        self._capacity = _WINDOWS_KEPT * limit
        self._sent: list[float] = []
        self._refused: list[float] = []
        self.sent_total = 0
        self.known_until = -math.inf
        """The latest request that was accepted: what was sent after it may still be refused."""

    @property
    def last(self) -> float:
        """When the last request was sent; minus infinity if there was none."""
        return self._sent[-1] if self._sent else -math.inf

    def free_at(self) -> float:
        """The earliest time at which one more request stays within the limit."""
        sent = self._sent
        return sent[-self.limit] + self.span if len(sent) >= self.limit else -math.inf

    def add(self, sent_at: float) -> None:
        """Count a request sent at `sent_at`; times never decrease."""
        sent = self._sent
        sent.append(sent_at)
        self.sent_total += 1
        if len(sent) >= 2 * self._capacity:
            del sent[: self._capacity]
            del self._refused[: bisect_left(self._refused, sent[0])]

    def remove(self, sent_at: float) -> None:
        """The permit given at `sent_at` was not used."""
        at = bisect_left(self._sent, sent_at)
        if at < len(self._sent) and self._sent[at] == sent_at:
            del self._sent[at]
            self.sent_total -= 1

    def refuse(self, sent_at: float) -> None:
        """The request sent at `sent_at` was refused."""
        insort(self._refused, sent_at)

    def accepted_between(self, after: float, before: float) -> int:
        """How many of the requests sent in [after, before) were not refused, as far as is known."""
        return _between(self._sent, after, before) - _between(self._refused, after, before)

    def sent_times(self, after: float) -> list[float]:
        """The times, in order, of the requests sent at `after` or later."""
        return self._sent[bisect_left(self._sent, after) :]

    def unaccepted_times(self, after: float) -> list[float]:
        """Those among them that were refused, or whose response has not arrived."""
        refused = self._refused[bisect_left(self._refused, after) :]
        return refused + self._sent[bisect_right(self._sent, max(after, self.known_until)) :]


def _between(times: list[float], after: float, before: float) -> int:
    return bisect_left(times, before) - bisect_left(times, after)
