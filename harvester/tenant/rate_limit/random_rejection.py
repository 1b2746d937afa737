"""Whether refusals have anything to do with the rate.

A limiter refuses less often, the less is sent. A tenant that refuses at random, or for reasons of its own,
refuses as often at any rate, and following it down would end in a crawl. So falls that brought no longer
stretches between refusals are taken back, as an experiment: if the stretches are no shorter at the old
rate, it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_VAIN: Final = 6
"""So many refusals in a row whose falls brought no longer stretches were in vain …"""
_DEPTH: Final = 0.6
"""… if the later half of them came at this part of the rate of the earlier half or less."""
_RISE: Final = 1.1
"""A rate that is higher than at the last refusal by this factor ends a descent."""
_LONGER: Final = 2.0
"""How much longer the later half of the stretches must be on average for the falls to have helped."""
_TRIAL: Final = 5
"""Stretches at the old rate before the experiment is judged."""
_SHORTER: Final = 0.5
"""Below this part of the stretches at the low rate, the rate did matter."""
_IGNORED: Final = 60
"""Refusals that are ignored once the experiment has shown that they mean nothing."""


@dataclass(slots=True, eq=False)
class RandomRejectionDetector:
    """Judges each refusal by how many requests were accepted since the one before."""

    trying: bool = False
    """Whether an experiment is running: refusals say nothing of the limit meanwhile."""
    _stretches: list[float] = field(default_factory=list)
    _rates: list[float] = field(default_factory=list)
    _before: float = 0.0
    _low: float = 0.0

    def judge(self, accepted: int, rate: float, *, harmless: bool) -> float | None:
        """The rate to continue at after a refusal at `rate`; None if it should fall as usual.

        `harmless`: the tenant shuts nobody out, so an experiment costs nothing but a few refusals.
        """
        if self.trying:
            self._stretches.append(accepted)
            return self._trial(rate)
        return self._begin(rate) if self._fell(accepted, rate) and harmless else None

    def _fell(self, accepted: int, rate: float) -> bool:
        """Note a refusal; True if the rate fell by as much as it takes, without longer stretches."""
        if self._rates and rate > _RISE * self._rates[-1]:
            self._rates, self._stretches = [], []
        self._rates = [*self._rates, rate][-_VAIN:]
        self._stretches = [*self._stretches, accepted][-_VAIN:]
        if len(self._rates) < _VAIN:
            return False
        half = _VAIN // 2
        fell = _mean(self._rates[half:]) <= _DEPTH * _mean(self._rates[:half])
        longer = _mean(self._stretches[half:]) >= _LONGER * max(1.0, _mean(self._stretches[:half]))
        return fell and not longer

    def _begin(self, rate: float) -> float:
        self.trying, self._before, self._low = True, _mean(self._stretches), rate
        self._stretches = []
        return self._rates[0]

    def _trial(self, rate: float) -> float:
        if len(self._stretches) == _TRIAL and _mean(self._stretches) < _SHORTER * self._before:
            self._end()
            return self._low
        if len(self._stretches) == _IGNORED:
            self._end()
        return rate

    def _end(self) -> None:
        self.trying = False
        self._rates, self._stretches = [], []


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)
