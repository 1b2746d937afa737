"""What a lane knows about its limit, so that a run that is killed and started again knows it too.

The ledger stores it with each commit. All times are stored as ages, next to two clocks: the monotonic
one, which nobody sets but which starts anew with the machine, and the wall clock, which survives that
but may be set. The shorter of the two plausible spans since then is believed, so a wall clock that
jumps neither lengthens nor forgets a pause, and a pause never becomes longer than it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harvester.next.model import Quota

_BUCKETS: Final = 50
"""Parts of a window in which sends are counted: 0.2 s of a window of 10 s."""
_UNSAVED: Final = 0.5
"""Seconds before a kill whose sends the ledger may not have: a commit every 0.25 s, and its duration."""
_UNSAVED_BURST: Final = 2
"""Requests that may have gone in that time beyond the rate."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known; times are those of the lane's clock, `pause` is in seconds from now.

    `rate` is None where it was never adapted. `held` is the rate known to be accepted in the long run
    (see `adaptive`), `refused` has the times of the first and last refusal of each violation still to be
    reckoned with, `sent` the times of the requests of the last window, in order.
    """

    pause: float = 0.0
    quota: Quota | None = None
    rate: float | None = None
    held: float | None = None
    refused: tuple[tuple[float, float], ...] = ()
    sent: tuple[float, ...] = ()

    def encode(self, *, clock: float, wall: float) -> dict[str, Any]:
        """As JSON values of less than 2 kB."""
        stored: dict[str, Any] = {"wall": wall, "clock": clock, "pause": round(self.pause, 3)}
        if self.quota is not None:
            stored |= {
                "quota": [self.quota.requests, self.quota.seconds],
                "rate": self.rate,
                "held": self.held,
                "refused": [[round(clock - time, 3) for time in pair] for pair in self.refused],
                "sent": self._counts(clock, self.quota.seconds / _BUCKETS),
            }
        return stored

    def _counts(self, clock: float, step: float) -> list[int]:
        """How many requests were sent in each of the last parts of a window, the latest first."""
        counts = [0] * (_BUCKETS + 1)
        for time in self.sent:
            counts[min(_BUCKETS, max(0, int((clock - time) / step)))] += 1
        while counts and not counts[-1]:
            counts.pop()
        return counts


def recall(stored: Mapping[str, Any] | None, quota: Quota | None, *, clock: float, wall: float) -> Memory:
    """What an earlier run stored, in terms of this run's clock. What makes no sense is as good as nothing."""
    try:
        return _decode(stored, quota, clock, wall) if stored else Memory()
    except (KeyError, TypeError, ValueError, OverflowError):
        return Memory()


def _decode(stored: Mapping[str, Any], quota: Quota | None, clock: float, wall: float) -> Memory:
    elapsed = _elapsed(clock - float(stored["clock"]), wall - float(stored["wall"]))
    pause = max(0.0, float(stored["pause"]) - elapsed)
    if quota is None or "quota" not in stored:
        return Memory(pause=pause)
    before = Quota(int(stored["quota"][0]), float(stored["quota"][1]))
    saved_at = clock - elapsed
    same = before == quota
    return Memory(
        pause=pause,
        quota=quota,
        rate=_optional(stored["rate"]) if same else None,
        held=_optional(stored["held"]) if same else None,
        refused=tuple((saved_at - float(first), saved_at - float(last)) for first, last in stored["refused"]),
        sent=(*_sent(stored, before, saved_at), *_unsaved(stored, before, elapsed, clock)),
    )


def _elapsed(by_clock: float, by_wall: float) -> float:
    plausible = [span for span in (by_clock, by_wall) if span >= 0 and math.isfinite(span)]
    return min(plausible, default=0.0)


def _sent(stored: Mapping[str, Any], quota: Quota, saved_at: float) -> tuple[float, ...]:
    """Each request at the latest moment it may have been sent."""
    step = quota.seconds / _BUCKETS
    counts = [min(int(count), quota.requests) for count in stored["sent"][: _BUCKETS + 1]]
    return tuple(saved_at - age * step for age in range(len(counts) - 1, -1, -1) for _ in range(counts[age]))


def _unsaved(stored: Mapping[str, Any], quota: Quota, elapsed: float, clock: float) -> tuple[float, ...]:
    """The requests that may have been sent after the last commit."""
    span = min(elapsed, _UNSAVED)
    rate = _optional(stored["rate"]) or quota.per_second
    return (clock - elapsed + span,) * min(quota.requests, math.ceil(rate * span) + _UNSAVED_BURST)


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)
