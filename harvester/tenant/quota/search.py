"""Finding the rate that the tenant really allows, from its refusals. Pure: no clock, no waiting.

A refusal says that the rate was too high, and what was let through just before says what the
rate is: the search goes a little below that. Then it climbs on a cubic curve, as TCP CUBIC does
with its window: quickly back towards the known ceiling, level while it is near, so that most of
the time is spent where nothing is wasted and little is refused, and faster and faster beyond,
so that a limit that has gone is soon forgotten.
"""

from __future__ import annotations

import math
from typing import Final

from harvester.model import Quota

_BELOW: Final = 0.97
"""What part of the measured ceiling to go down to."""
_DOUBT: Final = 0.3
"""When the measure is in doubt: the part to fall by at most, divided by the seconds until the refusal.

That is the overload a bucket for 0.3 s worth of requests would have absorbed so long. Each doubt in
a row weighs more.
"""
_DOUBTFUL_PLATEAU: Final = 5.0
"""Seconds until the old rate is reached again after a fall in doubt."""
_FALL_MOST: Final = 0.50
"""What part to fall by at most at once: a tenant may ask for a longer pause than need be."""
_PLATEAU: Final = 15.0
"""Seconds from a fall until the old ceiling is reached again."""
_PLATEAU_MOST: Final = 30.0
"""The same, when it was found at the same height again and again."""
_PLATEAU_PER_PAUSE: Final = 6.0
"""A touch of the ceiling that costs a long pause is made so much less often …"""
_PRICE: Final = 0.015
"""… and one that costs many refusals so seldom that they are no larger part of the requests than this …"""
_PLATEAU_EVER: Final = 120.0
"""… but neither more seldom than this."""
_SAME: Final = 0.10
"""Ceilings that differ by less are the same ceiling."""
_BEYOND: Final = 12.0
"""Time scale of the climb beyond the old ceiling: twice its height after 39 s."""
_BLIND_GROWTH: Final = 0.03
"""Growth in a second while no ceiling is known, with `--quota auto`."""
_FLOOR: Final = 0.01
"""The lowest rate, as part of the configured one: there must always be a way up."""


class Search:
    """The rate to send at, in requests a second: `rate`, changed by `refused` and `climb`."""

    __slots__ = ("_age", "_bottom", "_ceiling", "_doubts", "_known", "_plateau", "floor", "rate", "top")

    def __init__(self, quota: Quota) -> None:
        self.rate = quota.per_second
        self.top = math.inf if quota.auto else quota.per_second
        self.floor = quota.per_second * _FLOOR
        self._ceiling: float | None = None
        self._known = False
        self._bottom = self.rate
        self._plateau = _PLATEAU
        self._age = 0.0
        self._doubts = 0

    def hold(self, rate: float) -> None:
        """Go on at `rate`: the refusal had nothing to do with it."""
        self.rate = rate
        self._ceiling = None

    def refused(self, measured: float, *, sure: bool, after: float, pause: float) -> None:
        """Fall, since the tenant refused `after` seconds of sending, and asks for `pause` seconds without.

        It lets through `measured` requests a second: if that is `sure`, the rate goes there at
        once, else step by step, since chance may have refused a request or two.
        """
        self._doubts = 0 if sure else self._doubts + 1
        fall = _FALL_MOST if sure else min(_FALL_MOST, _DOUBT * self._doubts / max(after, _DOUBT))
        ceiling = max(self.floor, min(max(measured, self.rate * (1 - fall)), self.rate))
        self._known = self._ceiling is not None and abs(ceiling / self._ceiling - 1) < _SAME
        plateau = (
            min(_PLATEAU_MOST, 2 * self._plateau) if self._known else _PLATEAU if sure else _DOUBTFUL_PLATEAU
        )
        self._plateau = max(plateau, min(_PLATEAU_EVER, _PLATEAU_PER_PAUSE * pause))
        self._ceiling = ceiling
        self._age = 0.0
        self._bottom = max(self.floor, _BELOW * ceiling)
        self.rate = self._bottom

    def paid(self, refusals: int) -> None:
        """Learn how many `refusals` the last touch of the ceiling cost, those under way included."""
        if self._known:
            self._plateau = max(self._plateau, min(_PLATEAU_EVER, refusals / (_PRICE * self.rate)))

    def climb(self, seconds: float) -> None:
        """Rise, since the rate was used in full for `seconds` and nothing was refused."""
        if self.rate >= self.top:
            return
        if self._ceiling is None:
            self.rate *= (1 + _BLIND_GROWTH) ** seconds
            return
        self._age += seconds
        self.rate = min(self.top, self._curve(self._ceiling))
        if self.rate >= self.top:
            self._ceiling = None
            self._plateau = _PLATEAU

    def _curve(self, ceiling: float) -> float:
        early = self._plateau - self._age
        if early > 0:
            return ceiling - (ceiling - self._bottom) * (early / self._plateau) ** 3
        return ceiling * (1 + (1 - _BELOW) * (-early / _BEYOND) ** 3)
