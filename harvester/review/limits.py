"""The limits that a gate in CI is set to, and what an answer is by them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harvester.errors import SettingError
from harvester.review.states import State
from harvester.review.totals import Totals

WITHIN, ABOVE, NOT_JUDGED = 0, 1, 3
"""Exit statuses: written; more accounts than the limit; nothing could be judged, or too little."""

_LIMIT: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(%?)", re.ASCII)
_ALL: Final = 100
"""Percent."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of accounts, or where `is_share`, a share of them (0 to 1)."""

    number: float
    is_share: bool

    @classmethod
    def of(cls, setting: str, text: str, *, share_only: bool = False) -> Limit:
        """The limit that `text` means: ``100``, or ``5%``.

        Raises:
            SettingError: it means none; `setting` is what it was given for.
        """
        found = _LIMIT.fullmatch(text.strip())
        if found is None or (not found[2] and (share_only or "." in found[1])):
            raise SettingError(
                setting, f"{text!r} is not a limit", "write 5%" if share_only else "write 100 or 5%"
            )
        number = float(found[1])
        if found[2] and number > _ALL:
            raise SettingError(setting, f"{text!r} is more than all", "give at most 100%")
        return cls(number / _ALL, is_share=True) if found[2] else cls(number, is_share=False)


def status_of(
    totals: Totals, selected: int, *, fail_above: Limit | None = None, max_unknown: Limit | None = None
) -> int:
    """The exit status: `selected` accounts of `totals` are in the states asked for.

    Too many unknown accounts come first: what is said of the others is then not to be relied on.
    """
    if max_unknown is not None and totals.unknown_share > max_unknown.number:
        return NOT_JUDGED
    if not totals.judged and totals.states[State.UNKNOWN]:
        return NOT_JUDGED
    if fail_above is None:
        return WITHIN
    found = selected / (totals.judged or 1) if fail_above.is_share else selected
    return ABOVE if found > fail_above.number else WITHIN
