"""Whether refusals have to do with the rate at all.

A limiter refuses less, the less is sent: near its limit the stretches between refusals grow long. A
tenant that refuses at random, or for reasons of its own, refuses as often at any rate, and following it
down would end in a crawl. So falls that bring no longer stretches are taken back, as an experiment: if
the stretches are no shorter at the old rate, it stays.
"""

from __future__ import annotations

from typing import Final

_VAIN: Final = 8
"""So many falls in a row that brought no longer stretches were in vain …"""
_DEPTH: Final = 0.6
"""… if they led to this part of the rate or less."""
_LOWER: Final = 0.95
"""A refusal at more than this part of the last one's rate ends a descent."""
_LONGER: Final = 2.0
"""How much longer the later half of the stretches must be on average, for the falls to have helped."""
_TRIAL: Final = 5
"""Stretches at the old rate before the experiment is judged."""
_SHORTER: Final = 0.5
"""Below this part of the stretches at the low rate, the rate did matter."""
_DEAF: Final = 24
"""Refusals that are let pass once the experiment has shown that they mean nothing."""


class Chance:
    """Judges each refusal by how many requests were let through since the one before."""

    __slots__ = ("_before", "_low", "_rates", "_start", "_stretches", "_trying")

    def __init__(self) -> None:
        self._stretches: list[int] = []
        self._rates: list[float] = []
        self._start = 0.0
        self._trying = False
        self._before = 0.0
        self._low = 0.0

    def judge(self, let_through: int, rate: float) -> float | None:
        """The rate to go on with after a refusal at `rate`; None where it should fall as usual."""
        if self._trying:
            self._stretches.append(let_through)
            return self._trial(rate)
        return self._descent(let_through, rate)

    def _descent(self, let_through: int, rate: float) -> float | None:
        if not self._rates or rate > _LOWER * self._rates[-1]:
            self._start = rate
            self._rates, self._stretches = [], []
        self._rates = [*self._rates, rate][-_VAIN:]
        self._stretches = [*self._stretches, let_through][-_VAIN:]
        if len(self._rates) < _VAIN or rate > _DEPTH * self._rates[0] or self._helped():
            return None
        self._trying, self._before, self._low = True, _mean(self._stretches), rate
        self._stretches = []
        return self._start

    def _helped(self) -> bool:
        half = _VAIN // 2
        return _mean(self._stretches[half:]) >= _LONGER * max(1.0, _mean(self._stretches[:half]))

    def _trial(self, rate: float) -> float:
        if len(self._stretches) == _TRIAL and _mean(self._stretches) < _SHORTER * self._before:
            self._end()
            return self._low
        if len(self._stretches) == _DEAF:
            self._end()
        return rate

    def _end(self) -> None:
        self._trying = False
        self._rates, self._stretches = [], []


def _mean(stretches: list[int]) -> float:
    return sum(stretches) / len(stretches)
