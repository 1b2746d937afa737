"""Latencies counted in buckets of equal ratio: percentiles in constant memory.

The upper bits of an IEEE 754 double are its exponent and the first digits of its mantissa: cut off below
the sixth of those, what is left numbers buckets of at most 1/64 in width, in ascending order.
"""

from __future__ import annotations

from array import array
from collections import Counter
from struct import pack, unpack

_CUT = 52 - 6
"""Of the 52 bits of the mantissa six stay, so that a bucket's middle is within 0.8% of all in it."""
_BATCH = 1024
"""Values are kept as they come and counted together, at a fraction of the cost of one at a time."""


class Histogram:
    """Durations in seconds. 64 buckets per octave, made as needed: some hundreds in practice."""

    __slots__ = ("_buckets", "_fresh", "_largest", "_total")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._fresh: list[float] = []
        self._largest = 0.0
        self._total = 0.0

    def __repr__(self) -> str:
        return f"<Histogram count={self.count} largest={self.largest:g}>"

    def add(self, seconds: float) -> None:
        """Count one duration. Called for each request, so it only keeps the value until there are enough."""
        self._fresh.append(seconds)
        if len(self._fresh) >= _BATCH:
            self._count_fresh()

    def _count_fresh(self) -> None:
        if self._fresh:
            self._largest = max(self._largest, *self._fresh)
            self._total += sum(self._fresh)
            bits = memoryview(array("d", self._fresh)).cast("B").cast("q")
            self._buckets.update([number >> _CUT for number in bits])
            self._fresh.clear()

    @property
    def count(self) -> int:
        """How many durations were added."""
        return self._buckets.total() + len(self._fresh)

    @property
    def largest(self) -> float:
        """The longest one, exactly; 0 when there are none."""
        return max(self._largest, *self._fresh, 0.0)

    @property
    def total(self) -> float:
        """The sum of all durations."""
        return self._total + sum(self._fresh)

    def at_most(self, seconds: float) -> int:
        """How many durations are at most `seconds`, give or take those within 0.8% of it."""
        self._count_fresh()
        return sum(number for bucket, number in self._buckets.items() if _middle(bucket) <= seconds)

    def quantile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of all do not exceed, within 0.8%; None where there are none."""
        self._count_fresh()
        rank = max(1.0, share * self._buckets.total())
        seen = 0
        for bucket, number in sorted(self._buckets.items()):
            seen += number
            if seen >= rank:
                return min(_middle(bucket), self._largest)
        return None


def _middle(bucket: int) -> float:
    """The duration in the middle of a bucket."""
    (value,) = unpack("d", pack("q", (bucket << _CUT) + (1 << _CUT - 1)))
    return float(value)
