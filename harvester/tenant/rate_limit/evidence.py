"""What refusals show about the tenant's limit. Pure: it counts what was accepted, and decides nothing.

A refusal says that a limit was reached at that moment, so what was accepted before it is the limit: in the
window that `Retry-After` names the end of, or, since a bucket is empty whenever it refuses, between two
refusals. Rates are in requests a second, times in seconds of the lane's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harvester.tenant.rate_limit.sent_log import SentLog

ROUNDING: Final = 1.0
"""Seconds by which a `Retry-After` in whole seconds may exceed the time until the limit resets."""
_JITTER: Final = 0.005
"""Part of a window by which requests may have arrived later than they were sent."""
_NARROW: Final = 0.15
"""Two bounds that differ by more than this part are worth a guess between them."""
_SHORT_VOLLEY: Final = 0.1
"""A volley that lasts longer than this part of a window may have violated two: no time for a guess."""
_LONG_VOLLEY: Final = 1.5
"""Seconds of sending too much that are enough to tell what a bucket refills."""
_SMALL_BURST: Final = 0.5
"""A bucket that is empty after this part of a window or less has room for little, whoever else uses it."""


@dataclass(slots=True)
class Volley:
    """The refusals between two pauses, and what was known when the first of them arrived."""

    first: float
    last: float
    until: float
    """When the limit resets, by the `Retry-After` of the first to arrive."""
    rate: float
    began: float
    """When the epoch of sending began that ended so: after the pause before, or with the last climb."""


class Evidence:
    """The volleys of refusals that still count, and what they say together."""

    __slots__ = ("_burst", "_log", "_period", "shuts_out", "volleys", "windowed")

    def __init__(self, log: SentLog, period: float, volleys: list[Volley], *, windowed: bool) -> None:
        self._log = log
        self._period = period
        self.volleys = volleys
        self.windowed = windowed
        """The tenant counts in windows: a `Retry-After` was longer than any bucket's would be."""
        self.shuts_out = False
        """The tenant has asked for a longer pause than its window."""
        self._burst: tuple[int, float] | None = (
            None  # fewer were accepted before the first refusal, and in what time
        )

    def forget(self, before: float) -> None:
        """Forget the volleys that ended before that time."""
        self.volleys = [volley for volley in self.volleys if volley.last >= before]

    def add(self, volley: Volley) -> None:
        """A refusal arrived that is not of the volley before."""
        elapsed = volley.first - volley.began
        if self._burst is None and not self.volleys and elapsed < _SMALL_BURST * self._period:
            self._burst = self._log.accepted_between(volley.began, volley.first) + 1, elapsed
        self.windowed = self.windowed or ROUNDING < volley.until - volley.first <= self._period
        self.shuts_out = self.shuts_out or volley.until - volley.first > self._period
        self.volleys.append(volley)

    def extend(self, at: float, until: float) -> None:
        """The request sent at `at` was refused, too, until `until`; responses need not arrive in order."""
        volley = self.volleys[-1]
        volley.first, volley.last = min(volley.first, at), max(volley.last, at)
        self.shuts_out = self.shuts_out or until - at > self._period
        if volley.last - volley.first >= _LONG_VOLLEY and not self._log.accepted_between(
            volley.first, volley.last
        ):
            self.windowed = True  # a bucket would have accepted what it refilled

    def violated_windows(self) -> list[float]:
        """When each of the windows, as few as there may be, began in which something was refused."""
        began: list[float] = []
        for volley in self.volleys:
            if not began or volley.first >= began[-1] + self._period:
                began.append(volley.first)
        return began

    # --- windows

    def bounds(self, volley: Volley) -> tuple[float, float]:
        """The least and the most that the tenant's window may have held when it was full."""
        at, (earliest, latest) = volley.first, self._edge(volley)
        earliest = max(at - self._period * (1 - _JITTER), earliest)
        low, high = self._log.accepted_between(latest, at), self._log.accepted_between(earliest, at)
        return low / self._period, high / self._period

    def _edge(self, volley: Volley) -> tuple[float, float]:
        """Between which times the window of the volley began: all volleys that agree narrow it down."""
        latest = max(volley.until, volley.first + ROUNDING) - self._period
        earliest = latest - ROUNDING
        for other in self.volleys if self.windowed else ():
            ahead = max(other.until, other.first + ROUNDING) - latest
            end = latest + ahead - round(ahead / self._period) * self._period
            if abs(end - latest) < ROUNDING:
                earliest, latest = max(earliest, end - ROUNDING), min(latest, end)
        return earliest, latest

    def is_window(self, volley: Volley) -> bool:
        """Whether the pause ends just when the first request of the epoch leaves a window."""
        early = max(volley.until, volley.first + ROUNDING) - (volley.began + self._period)
        return self.windowed or -_JITTER * self._period <= early < ROUNDING

    def by_window(self, volley: Volley) -> float:
        """The limit of a window: known where all that was sent lies in it, else a careful guess."""
        low, high = self.bounds(volley)
        if volley.last - volley.first > _SHORT_VOLLEY * self._period:
            return low
        if volley.began >= self._edge(volley)[0]:
            return high
        return (low + high) / 2 if high - low > _NARROW * high else low

    # --- buckets

    def between(self, first: float, last: float) -> float:
        """What a bucket refills that was empty at `first` and at `last`.

        A pause may have been longer than it took to fill, so what it gave out during volleys counts, too.
        """
        found = (self._log.accepted_between(first, last) - 1) / max(last - first, 1e-3)
        if not self.is_long(first):
            return max(0.0, found)
        given = sum(self._log.accepted_between(volley.first, volley.last) for volley in self.volleys)
        return max(found, (given - len(self.volleys)) / self._overloaded(first))

    def is_long(self, first: float) -> bool:
        """Whether the volleys since `first` are long enough to tell what a bucket refills."""
        return self._overloaded(first) >= _LONG_VOLLEY

    def _overloaded(self, first: float) -> float:
        return sum(volley.last - volley.first for volley in self.volleys if volley.first >= first)

    def by_bucket(self, volley: Volley) -> float:
        """What a bucket refills at least: it is empty now, and held no more than it ever did.

        That is a whole window's worth at most, or what it gave out before the first refusal.
        """
        at, best, elapsed = volley.first, 0.0, self._period
        while elapsed <= at - volley.began:
            count = self._log.accepted_between(at - elapsed, at)
            best = max(best, count / (elapsed + self._period))
            if self._burst is not None and elapsed > self._burst[1]:
                best = max(best, (count - self._burst[0]) / (elapsed - self._burst[1]))
            elapsed += self._period
        return best
