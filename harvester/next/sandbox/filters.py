"""Filters of the listings: ``sourceId eq "…" and name sw "a"``.

A part of SailPoint's filter language: `eq`, `in`, `sw` and `gt` on a few fields, joined by `and`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from harvester.next.sandbox.responses import error

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]

_TEXT = frozenset({"eq", "in", "sw"})
ACCOUNT_FILTERS: dict[str, frozenset[str]] = {
    "id": _TEXT,
    "identityId": _TEXT,
    "name": _TEXT,
    "nativeIdentity": _TEXT,
    "sourceId": _TEXT,
    "source.displayableName": frozenset({"eq", "in"}),
    "hasEntitlements": frozenset({"eq"}),
    "uncorrelated": frozenset({"eq"}),
    "created": frozenset({"gt"}),
    "modified": frozenset({"gt"}),
}
SOURCE_FILTERS: dict[str, frozenset[str]] = {"id": frozenset({"eq", "in"}), "name": _TEXT}
IDENTITY_FILTERS: dict[str, frozenset[str]] = {"id": frozenset({"eq", "in"})}

_FIELDS = {"source.displayableName": "sourceName"}
_VALUE = r'"(?:[^"\\]|\\.)*"|[^\s(),"]+'
_CLAUSE = re.compile(
    rf"\s*(?P<field>[\w.]+)\s+(?P<operator>\w+)\s+(?:\((?P<several>[^()]*)\)|(?P<one>{_VALUE}))"
)
_AND = re.compile(r"\s+and(?=\s)", re.IGNORECASE)
_ONE_VALUE = re.compile(_VALUE)


def compile_filter(text: str, supported: Mapping[str, frozenset[str]]) -> Predicate:
    """A predicate over records.

    Raises:
        ErrorResponse: 400; the filter is malformed, or a field or operator is not supported.
    """
    clauses = []
    place = 0
    while found := _CLAUSE.match(text, place):
        clauses.append(_clause(found, text, supported))
        place = found.end()
        if not text[place:].strip():
            return lambda record: all(clause(record) for clause in clauses)
        if (joint := _AND.match(text, place)) is None:
            break
        place = joint.end()
    raise _malformed(text)


def _clause(found: re.Match[str], text: str, supported: Mapping[str, frozenset[str]]) -> Predicate:
    name, operator = found["field"], found["operator"].lower()
    if name not in supported:
        raise error(400, f"Filtering by {name!r} is not supported.")
    if operator not in supported[name]:
        raise error(400, f"The operator {operator!r} is not supported for {name!r}.")
    if (operator == "in") is (found["several"] is None):
        raise _malformed(text)
    values = _values(found["several"] if found["several"] is not None else found["one"])
    if not values:
        raise _malformed(text)
    return _comparison(_FIELDS.get(name, name), operator, values)


def _values(text: str) -> list[str]:
    return [_unquoted(found[0]) for found in _ONE_VALUE.finditer(text)]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _comparison(name: str, operator: str, values: list[str]) -> Predicate:
    value, wanted = values[0], frozenset(values)
    match operator:
        case "gt":  # of timestamps, which sort as text
            return lambda record: _text(record.get(name)) > value
        case "sw":
            return lambda record: _text(record.get(name)).startswith(value)
        case _:
            return lambda record: _text(record.get(name)) in wanted


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _malformed(text: str) -> Exception:
    return error(400, f"The filter {text!r} is malformed.")
