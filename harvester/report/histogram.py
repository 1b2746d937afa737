"""Latencies counted in buckets of equal ratio: percentiles in constant memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import log2
from typing import Final

_PER_OCTAVE: Final = 64
"""Buckets between a duration and twice that: the middle of a bucket is within 0.6% of all in it."""
_SHORTEST: Final = 1e-9
"""Seconds; nothing is faster."""


@dataclass(slots=True)
class Histogram:
    """Durations in seconds. Buckets are made as needed: some hundreds in practice."""

    count: int = 0
    total: float = 0.0
    largest: float = 0.0
    """The longest one, exactly; 0 when there are none."""
    _buckets: Counter[int] = field(default_factory=Counter, repr=False)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self.total += seconds
        self.largest = max(self.largest, seconds)
        self._buckets[round(log2(max(seconds, _SHORTEST)) * _PER_OCTAVE)] += 1

    def at_most(self, seconds: float) -> int:
        """How many durations are at most `seconds`, give or take those within 0.6% of it."""
        return sum(number for bucket, number in self._buckets.items() if _middle(bucket) <= seconds)

    def quantile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of all do not exceed, within 0.6%; None where there are none."""
        rank = max(1.0, share * self.count)
        seen = 0
        for bucket, number in sorted(self._buckets.items()):
            seen += number
            if seen >= rank:
                return min(_middle(bucket), self.largest)
        return None


def _middle(bucket: int) -> float:
    middle: float = 2 ** (bucket / _PER_OCTAVE)
    return middle
