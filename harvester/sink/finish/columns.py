"""Which type a column of Parquet gets, when rows have more than the API's own two properties.

The known columns have fixed types: ``accountId`` string, ``date`` date32, ``count`` int64, ``harvestedAt``
timestamp (UTC), the others of ``--columns`` string. Any other property becomes a column of its own, of the
type that all its values in the part share: boolean, int64, double (whole numbers and fractions), string.
Where they share none, and for objects and arrays, it is a string that holds each value as JSON. A known
column whose values don't fit its type is treated like the others, so that no row is lost to a type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final

_LEAST, _MOST = -(2**63), 2**63 - 1


class Kind(StrEnum):
    """What a column holds."""

    NOTHING = "nothing"
    BOOLEAN = "boolean"
    WHOLE = "whole"
    FRACTION = "fraction"
    TEXT = "text"
    DATE = "date"
    MOMENT = "moment"
    JSON = "json"


KNOWN: Final[Mapping[str, Kind]] = {
    "accountId": Kind.TEXT,
    "date": Kind.DATE,
    "count": Kind.WHOLE,
    "harvestedAt": Kind.MOMENT,
}
"""The columns whose types don't depend on what comes; `harvestedAt` is one only where it was asked for."""


def kind_of(value: Any) -> Kind:
    """The kind of one value."""
    if value is None:
        return Kind.NOTHING
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, int):
        return Kind.WHOLE if _LEAST <= value <= _MOST else Kind.JSON
    if isinstance(value, float):
        return Kind.FRACTION
    return Kind.TEXT if isinstance(value, str) else Kind.JSON


def both(one: Kind, other: Kind) -> Kind:
    """The kind that holds values of both."""
    if one == other or other is Kind.NOTHING:
        return one
    if one is Kind.NOTHING:
        return other
    if {one, other} == {Kind.WHOLE, Kind.FRACTION}:
        return Kind.FRACTION
    return Kind.JSON


def is_day(value: Any) -> bool:
    """Whether a value is null or begins with a date, as that of the API does."""
    if value is None:
        return True
    try:
        date.fromisoformat(value[:10])
    except (TypeError, ValueError):
        return False
    return len(value) == 10 or value[10:11] == "T"  # noqa: PLR2004  # YYYY-MM-DD


class Columns:
    """Learns the columns of a part from its rows, in the order in which they come."""

    def __init__(self, first: Iterable[str]) -> None:
        self._kinds: dict[str, Kind] = dict.fromkeys(first, Kind.NOTHING)
        self._no_dates = False

    def learn(self, row: Mapping[str, Any]) -> None:
        """Take one row into account."""
        for name, value in row.items():
            self._kinds[name] = both(self._kinds.get(name, Kind.NOTHING), kind_of(value))
        if not self._no_dates and not is_day(row.get("date")):
            self._no_dates = True

    def kinds(self, known: Mapping[str, Kind]) -> dict[str, Kind]:
        """All columns; the `known` ones have their kind if their values fit it."""
        return {name: self._settled(kind, known.get(name)) for name, kind in self._kinds.items()}

    def _settled(self, seen: Kind, wanted: Kind | None) -> Kind:
        if seen is Kind.NOTHING:
            return wanted or Kind.TEXT
        if wanted is Kind.DATE:
            return Kind.DATE if seen is Kind.TEXT and not self._no_dates else seen
        if wanted is Kind.MOMENT:
            return Kind.MOMENT if seen is Kind.TEXT else seen
        return seen
