"""Latencies counted in buckets of equal ratio: percentiles in constant memory."""

from __future__ import annotations

import math
from collections import Counter

_PER_E = 64
"""Buckets per factor of e: a bucket's middle is within 0.8% of all in it."""
_SHORTEST = 1e-9


class Histogram:
    """Durations in seconds; buckets are made as needed, some hundreds in practice."""

    __slots__ = ("_buckets", "largest", "total")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.largest = 0.0
        self.total = 0.0

    def __repr__(self) -> str:
        return f"<Histogram count={self.count} largest={self.largest:g}>"

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.total += seconds
        self.largest = max(self.largest, seconds)
        self._buckets[round(math.log(max(seconds, _SHORTEST)) * _PER_E)] += 1

    @property
    def count(self) -> int:
        """How many durations were added."""
        return self._buckets.total()

    def at_most(self, seconds: float) -> int:
        """How many durations are at most `seconds`, give or take those within 0.8% of it."""
        return sum(number for bucket, number in self._buckets.items() if math.exp(bucket / _PER_E) <= seconds)

    def quantile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of all do not exceed, within 0.8%; None where there are none."""
        rank = max(1.0, share * self.count)
        seen = 0
        for bucket, number in sorted(self._buckets.items()):
            seen += number
            if seen >= rank:
                return min(math.exp(bucket / _PER_E), self.largest)
        return None
