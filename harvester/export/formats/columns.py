"""Which type a column of a typed output gets.

``accountId`` is text, ``date`` a day, ``count`` a whole number, ``harvestedAt`` a moment, the other columns
that harvester adds are text. Any other property of the rows becomes a column of its own, of the kind that
the ledger has recorded for all its values; where they share none, and for objects and arrays, it holds each
value as JSON. A `date` or `count` that is not what the API promises is treated like the others, so that no
row is lost to a type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from harvester.export.records import Content
from harvester.ledger.reader import merge_kinds


class Kind(StrEnum):
    """What a column holds. All but the last two are kinds that ledgers record."""

    NULL = "null"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    JSON = "json"
    DATE = "date"
    MOMENT = "moment"


_API: Final = {"accountId": Kind.STRING, "date": Kind.DATE, "count": Kind.INTEGER}


def merged(ledgers: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The properties of several ledgers, as if one had recorded them."""
    names = sorted({name for properties in ledgers for name in properties})
    return {name: merge_kinds(one[name] for one in ledgers if name in one) for name in names}


def columns(content: Content) -> dict[str, Kind]:
    """The columns of an output, in their order: the API's, those harvester adds, then the others by name."""
    recorded = {name: Kind(kind) for name, kind in content.properties.items()}
    added = {name: Kind.MOMENT if name == "harvestedAt" else Kind.STRING for name in content.added}
    api = {name: _fitting(kind, recorded.get(name, Kind.NULL)) for name, kind in _API.items()}
    others = {name: _stored(recorded[name]) for name in sorted(recorded) if name not in api | added}
    return api | added | others


def _fitting(promised: Kind, recorded: Kind) -> Kind:
    """A `date` is recorded as a string; what is no date at all does not get into a ledger."""
    plain = Kind.STRING if promised is Kind.DATE else promised
    return promised if recorded in (Kind.NULL, plain) else recorded


def _stored(kind: Kind) -> Kind:
    return Kind.STRING if kind is Kind.NULL else kind
