"""What a lane knows about its limit, so that a run that is killed and started again knows it too.

The ledger stores it with each commit. All times are stored as ages, next to two clocks: the monotonic
one, which nobody sets but which starts anew with the machine, and the wall clock, which survives that
but may be set. The shorter of the two plausible spans since then is believed, so a wall clock that
jumps neither lengthens nor forgets a pause, and a pause never becomes longer than it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from harvester.model import Quota

_BUCKETS: Final = 50
"""Parts of a window in which sends are counted: 0.2 s of a window of 10 s."""
_UNSAVED: Final = 0.5
"""Seconds before a kill whose sends the ledger may not have: a commit every 0.25 s, and its duration."""
_UNSAVED_BURST: Final = 1
"""Requests that may have been sent in that time beyond the rate, to make up for a delay."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known; times are those of the lane's clock, `pause` is in seconds from now.

    `rate` is None where it was never adapted; `held`, `search`, `climb` (steps taken, and when the next one
    is due), `ceiling` and `windowed` are parts of how it was found (see `adaptive`). `volleys` has the first
    and last refusal of each violation that still counts, and when the limit was to reset. `sent` has the
    times of the requests of the last window, in order, and `unaccepted` the times of those among them that
    are not known to have been accepted.
    """

    pause: float = 0.0
    quota: Quota | None = None
    rate: float | None = None
    held: float | None = None
    search: float | None = None
    climb: tuple[int, float] | None = None
    ceiling: float | None = None
    windowed: bool = False
    volleys: tuple[tuple[float, float, float], ...] = ()
    sent: tuple[float, ...] = ()
    unaccepted: tuple[float, ...] = ()

    def encode(self, *, clock: float, wall: float) -> dict[str, Any]:
        """As JSON values of less than 2 kB."""
        stored: dict[str, Any] = {"wall": wall, "clock": clock, "pause": self.pause}
        if self.quota is not None:
            step = self.quota.seconds / _BUCKETS
            stored |= {
                "quota": [self.quota.requests, self.quota.seconds],
                "rate": self.rate,
                "held": self.held,
                "search": self.search,
                "climb": None if self.climb is None else [self.climb[0], round(clock - self.climb[1], 3)],
                "ceiling": self.ceiling,
                "windowed": self.windowed,
                "volleys": [[round(clock - time, 3) for time in volley] for volley in self.volleys],
                "sent": _counts(self.sent, clock, step),
                "unaccepted": _counts(self.unaccepted, clock, step),
            }
        return stored


def recall(stored: Mapping[str, Any] | None, quota: Quota | None, *, clock: float, wall: float) -> Memory:
    """What an earlier run stored, in terms of this run's clock. What makes no sense is as good as nothing."""
    try:
        return _decode(stored, quota, clock, wall) if stored else Memory()
    except (KeyError, TypeError, ValueError, OverflowError):
        return Memory()


def _decode(stored: Mapping[str, Any], quota: Quota | None, clock: float, wall: float) -> Memory:
    elapsed = _elapsed(clock - stored["clock"], wall - stored["wall"])
    pause = max(0.0, stored["pause"] - elapsed)
    if quota is None or "quota" not in stored:
        return Memory(pause=pause)
    before = Quota(*stored["quota"])
    saved_at = clock - elapsed
    unsaved = _unsaved(stored, before, elapsed, clock)
    known = Memory(
        pause=pause,
        quota=quota,
        windowed=stored["windowed"],
        volleys=tuple(
            (saved_at - first, saved_at - last, saved_at - until) for first, last, until in stored["volleys"]
        ),
        sent=(*_times(stored["sent"], before, saved_at), *unsaved),
        unaccepted=(*_times(stored["unaccepted"], before, saved_at), *unsaved),
    )
    if before != quota:
        return known
    climb = stored["climb"]
    return replace(
        known,
        rate=stored["rate"],
        held=stored["held"],
        search=stored["search"],
        climb=None if climb is None else (climb[0], saved_at - climb[1]),
        ceiling=stored["ceiling"],
    )


def _elapsed(by_clock: float, by_wall: float) -> float:
    plausible = [span for span in (by_clock, by_wall) if span >= 0 and math.isfinite(span)]
    return min(plausible, default=0.0)


def _counts(times: Iterable[float], clock: float, step: float) -> list[int]:
    """How many of `times` lie in each of the last parts of a window, the latest first."""
    counts = [0] * (_BUCKETS + 1)
    for time in times:
        counts[min(_BUCKETS, max(0, int((clock - time) / step)))] += 1
    while counts and not counts[-1]:
        counts.pop()
    return counts


def _times(stored: Sequence[int], quota: Quota, saved_at: float) -> tuple[float, ...]:
    """Each request at the latest moment it may have been sent."""
    step = quota.seconds / _BUCKETS
    counts = [min(count, quota.requests) for count in stored]
    return tuple(saved_at - age * step for age in range(len(counts) - 1, -1, -1) for _ in range(counts[age]))


def _unsaved(stored: Mapping[str, Any], quota: Quota, elapsed: float, clock: float) -> tuple[float, ...]:
    """The requests that may have been sent after the last commit: as many as the pace allowed, at its end."""
    span = min(elapsed, _UNSAVED)
    rate = stored["rate"] or quota.per_second
    parts_ago = next((part + 1 for part, count in enumerate(stored["sent"]) if count), math.inf)
    since_last = span + parts_ago * quota.seconds / _BUCKETS
    most = min(quota.requests, math.ceil(rate * span) + _UNSAVED_BURST)
    return (clock - elapsed + span,) * int(min(most, rate * since_last + 1e-6))
