"""The query parameters that all collections share, and the filters of the listings.

Filters are a part of SailPoint's language: `eq`, `in`, `sw` and `gt` on a few fields, joined by `and`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from harvester.sandbox.responses import error

T = TypeVar("T")
Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]

_MOST_ROWS = 250
_LARGEST_INT = 2**31 - 1
_DIGITS = re.compile(r"[0-9]{1,10}")
_VALUE = r'"(?:[^"\\]|\\.)*"|[^\s(),"]+'
_CLAUSE = re.compile(
    rf"\s*(?P<field>[\w.]+)\s+(?:in\s+\((?P<several>[^()]*)\)|(?P<operator>eq|sw|gt)\s+(?P<one>{_VALUE}))"
)
_AND = re.compile(r"\s+and(?=\s)", re.IGNORECASE)
_RECORD_FIELDS = {"source.displayableName": "sourceName"}


@dataclass(frozen=True, slots=True)
class CollectionQuery:
    """The parameters of a collection, checked. `sorters` are (field, descending); `rest` has the others."""

    limit: int = _MOST_ROWS
    offset: int = 0
    count: bool = False
    sorters: tuple[tuple[str, bool], ...] = ()
    rest: Mapping[str, str] = field(default_factory=dict)

    def page(self, items: Sequence[T]) -> Sequence[T]:
        """The items of the page."""
        return items[self.offset : self.offset + self.limit]

    @property
    def ascending(self) -> bool:
        """Whether the first sorter is an ascending one."""
        return bool(self.sorters) and not self.sorters[0][1]


@lru_cache(maxsize=1024)
def collection_query(raw: str, sortable: frozenset[str], cap: int | None = None) -> CollectionQuery:
    """The parameters in a raw query string; clients send few different ones, so they are remembered.

    `cap` silently bounds the limit.

    Raises:
        ErrorResponse: 400; a parameter is malformed or out of its range.
    """
    given = dict(parse_qsl(raw, keep_blank_values=True))
    limit = _integer(given, "limit", _MOST_ROWS, _MOST_ROWS)
    return CollectionQuery(
        limit=limit if cap is None else min(limit, cap),
        offset=_integer(given, "offset", 0, _LARGEST_INT),
        count=_boolean(given, "count"),
        sorters=_sorters(given.pop("sorters", ""), sortable),
        rest=given,
    )


def _integer(given: dict[str, str], name: str, default: int, highest: int) -> int:
    text = given.pop(name, None)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or int(text) > highest:
        raise error(400, f"{name} must be an integer from 0 to {highest}, but was {text!r}.")
    return int(text)


def _boolean(given: dict[str, str], name: str) -> bool:
    text = given.pop(name, "false")
    if text.lower() not in {"true", "false"}:
        raise error(400, f"{name} must be true or false, but was {text!r}.")
    return text.lower() == "true"


def _sorters(text: str, sortable: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    found = []
    for item in filter(None, text.split(",")):
        name = item.strip().removeprefix("-")
        if name not in sortable:
            raise error(400, f"Sorting by {name!r} is not supported.")
        found.append((name, item.strip().startswith("-")))
    return tuple(found)


def compile_filter(text: str, fields: frozenset[str]) -> Predicate:
    """A predicate over records.

    Raises:
        ErrorResponse: 400; the filter is malformed, or a field or operator is not supported.
    """
    clauses: list[Predicate] = []
    place = 0
    while found := _CLAUSE.match(text, place):
        if found["field"] not in fields:
            raise error(400, f"Filtering by {found['field']!r} is not supported.")
        clauses.append(_comparison(found))
        place = found.end()
        if not text[place:].strip():
            return lambda record: all(clause(record) for clause in clauses)
        if (joint := _AND.match(text, place)) is None:
            break
        place = joint.end()
    raise error(400, f"The filter {text!r} is malformed.")


def _comparison(found: re.Match[str]) -> Predicate:
    name = _RECORD_FIELDS.get(found["field"], found["field"])
    values = [_unquoted(value) for value in re.findall(_VALUE, found["several"] or found["one"] or "")]
    match found["operator"]:
        case "gt":  # of timestamps, which sort as text
            return lambda record: _text(record.get(name)) > values[0]
        case "sw":
            return lambda record: _text(record.get(name)).startswith(values[0])
        case _:
            return lambda record: _text(record.get(name)) in values


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
