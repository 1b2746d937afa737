"""The filter language of the accounts listing: ``sourceId eq "…" and name sw "a"``.

Fields and operators are those of SailPoint's reference for List Accounts; clauses are joined by ``and``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from harvester.sandbox.answers import fault

Record: TypeAlias = Mapping[str, Any]
Predicate: TypeAlias = Callable[[Record], bool]

_TEXT = frozenset({"eq", "in", "sw"})
_WORD = frozenset({"eq", "in"})
_FLAG = frozenset({"eq"})
_TIME = frozenset({"eq", "ge", "gt", "le", "lt"})

_OPERATORS: dict[str, frozenset[str]] = {
    "id": _TEXT,
    "identityId": _TEXT,
    "name": _TEXT,
    "nativeIdentity": _TEXT,
    "sourceId": _TEXT,
    "identity.name": _TEXT,
    "source.displayableName": _WORD,
    "source.connectionType": _WORD,
    "origin": _WORD,
    "uncorrelated": _FLAG,
    "hasEntitlements": _FLAG,
    "manuallyCorrelated": _FLAG,
    "source.authoritative": _FLAG,
    "created": _TIME,
    "modified": _TIME,
}
# Where the record keeps what a filter calls by another name.
_PLACES = {
    "source.displayableName": "sourceName",
    "source.connectionType": "connectionType",
    "source.authoritative": "authoritative",
}
_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([(),])|([^\s(),"]+))')
_ESCAPED = re.compile(r"\\(.)")


def compile_filter(text: str) -> Predicate:
    """A predicate over account records.

    Raises:
        Refused: 400; the filter is malformed, or a field or operator is not supported.
    """
    clauses = []
    tokens = _Tokens(text)
    while True:
        clauses.append(_clause(tokens))
        if tokens.done:
            break
        if tokens.word().lower() != "and":
            raise tokens.malformed()
    return clauses[0] if len(clauses) == 1 else lambda record: all(clause(record) for clause in clauses)


class _Tokens:
    """The filter's text, read word by word; quoted strings are told from bare words."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: list[tuple[str, bool]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                raise self.malformed()
            place = match.end()
            quoted = match[1] is not None
            self._found.append((_ESCAPED.sub(r"\1", match[1]) if quoted else match[2] or match[3], quoted))
        self._next = 0

    @property
    def done(self) -> bool:
        """Whether the text is read to its end."""
        return self._next == len(self._found)

    def word(self) -> str:
        """The next bare word or sign."""
        text, quoted = self.any()
        if quoted:
            raise self.malformed()
        return text

    def any(self) -> tuple[str, bool]:
        """The next token, and whether it was quoted."""
        if self.done:
            raise self.malformed()
        self._next += 1
        return self._found[self._next - 1]

    def value(self) -> str:
        """The next value, quoted or bare."""
        text, quoted = self.any()
        if not quoted and text in {"(", ")", ","}:
            raise self.malformed()
        return text

    def malformed(self) -> Exception:
        """The 400 that says so."""
        return fault(400, f"The filter {self._text!r} is malformed.")


def _clause(tokens: _Tokens) -> Predicate:
    name, operator = tokens.word(), tokens.word().lower()
    if name not in _OPERATORS:
        raise fault(400, f"Filtering by {name!r} is not supported.")
    if operator not in _OPERATORS[name]:
        raise fault(400, f"The operator {operator!r} is not supported for {name!r}.")
    values = _several(tokens) if operator == "in" else [tokens.value()]
    convert = _converter(name)
    return _comparison(_PLACES.get(name, name), operator, [convert(value) for value in values])


def _several(tokens: _Tokens) -> list[str]:
    if tokens.word() != "(":
        raise tokens.malformed()
    values = [tokens.value()]
    while (sign := tokens.word()) == ",":
        values.append(tokens.value())
    if sign != ")":
        raise tokens.malformed()
    return values


def _converter(name: str) -> Callable[[str], Any]:
    operators = _OPERATORS[name]
    if operators is _TIME:
        return moment
    return _truth if operators is _FLAG else str


def _comparison(place: str, operator: str, values: list[Any]) -> Predicate:
    value = values[0]
    field: Callable[[Record], Any] = lambda record: _look_up(record, place)  # noqa: E731 - a line a comparison reads best
    if isinstance(value, datetime):
        return _time_comparison(lambda record: moment(field(record)), operator, value)
    if operator == "in":
        wanted = frozenset(values)
        return lambda record: field(record) in wanted
    if operator == "sw":
        return lambda record: str(field(record) or "").startswith(value)
    return lambda record: bool(field(record) == value)


def _time_comparison(field: Callable[[Record], datetime], operator: str, value: datetime) -> Predicate:
    match operator:
        case "gt":
            return lambda record: field(record) > value
        case "ge":
            return lambda record: field(record) >= value
        case "lt":
            return lambda record: field(record) < value
        case "le":
            return lambda record: field(record) <= value
        case _:
            return lambda record: field(record) == value


def _look_up(record: Record, place: str) -> Any:
    outer, _, inner = place.partition(".")
    found = record.get(outer)
    return found if not inner or found is None else found.get(inner)


def moment(text: str) -> datetime:
    """A point in time (ISO 8601; without a zone it is UTC).

    Raises:
        Refused: 400; it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise fault(400, f"{text!r} is no date and time.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _truth(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise fault(400, f"{text!r} is neither true nor false.")
    return text.lower() == "true"
