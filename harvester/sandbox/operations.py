"""What each operation of the API returns: usage of accounts and sources, and the listings.

Filters are a part of SailPoint's language: `eq`, `in`, `sw` and `gt` on a few fields, joined by `and`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from harvester.sandbox.options import SandboxOptions
from harvester.sandbox.population import Population
from harvester.sandbox.records import Records, slim
from harvester.sandbox.responses import ErrorResponse, error, json_response, too_many_requests
from harvester.settings.parse import API_VERSIONS

USAGES = "account-usages"
_ELSEWHERE = "https://elsewhere.invalid/"
_REMEMBERED = 8
_BY_DATE = frozenset({"date"})
_SORTABLE = {
    "accounts": frozenset({"id", "name", "created", "modified", "sourceId", "identityId", "nativeIdentity"}),
    "sources": frozenset({"id", "name", "type", "created", "modified"}),
    "public-identities": frozenset({"name"}),
}
_FILTERABLE = {
    "accounts": frozenset(
        {"id", "identityId", "name", "nativeIdentity", "sourceId", "source.displayableName"}
        | {"hasEntitlements", "uncorrelated", "created", "modified"}
    ),
    "sources": frozenset({"id", "name"}),
    "public-identities": frozenset({"id"}),
}
Record = dict[str, Any]
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


class Call(NamedTuple):
    """A request of the API: its version, its collection, what it is about, and the account's number."""

    version: str
    collection: str
    subject: str = ""
    member: str = ""
    number: int | None = None


def parse_call(path: str, population: Population) -> Call | None:
    """The call that a raw path makes, in either scheme of versions; None if there is no such operation."""
    parts = path.split("/")[1:]
    if parts[0] in API_VERSIONS and parts[0] != "v1":
        version, *parts = parts
    elif len(parts) > 1 and parts[1] == "v1":
        version = parts.pop(1)
    else:
        return None
    match parts:
        case ["account-usages", segment, "summaries"]:
            account_id = unquote(segment)
            return Call(version, USAGES, account_id, "summaries", population.find(account_id))
        case ["source-usages", segment, "status" | "summaries" as member]:
            return Call(version, "source-usages", unquote(segment), member)
        case ["accounts" | "sources" | "public-identities" as collection]:
            return Call(version, collection)
        case _:
            return None


class Operations:
    """Answers calls without regard to tokens, quotas and most faults.

    Accounts by ID and unfiltered cost what the page costs; otherwise every account is looked at once,
    and what was found is remembered.
    """

    def __init__(self, population: Population, options: SandboxOptions) -> None:
        self.faults = options.faults
        self._population = population
        self._records = Records(population, options.seed)
        self._unknown = options.unknown
        self._remembered: dict[object, Sequence[int]] = {}

    def respond(self, call: Call, raw_query: str) -> web.Response:
        """The good response to a call.

        Raises:
            ErrorResponse: its parameters are wrong, it asks for what is not there, or is hopeless.
        """
        sortable = _SORTABLE.get(call.collection, _BY_DATE)
        query = collection_query(raw_query, sortable, self.faults.page_cap)
        match call.collection:
            case "account-usages":
                return self._account_usages(call.number, query)
            case "source-usages":
                return self._source_usages(call, query)
            case "accounts":
                return self._accounts(query)
            case "sources":
                records = [self._records.source(source) for source in self._population.sources]
            case _:
                records = [self._records.identity(person) for person in range(self._records.people)]
        return _page(_selected(records, query, call.collection), query)

    def _account_usages(self, number: int | None, query: CollectionQuery) -> web.Response:
        if number is None:
            if self._unknown == 200:  # noqa: PLR2004  # HTTP's number
                return _page([], query)
            raise error(404)
        if (status := self._population.hopeless_of(number)) is not None:
            raise _hopeless(status)
        rows = self._population.rows_of(number)
        return _page(rows[::-1] if query.ascending else rows, query)

    def _source_usages(self, call: Call, query: CollectionQuery) -> web.Response:
        if self.faults.source_status is not None:
            raise error(self.faults.source_status)
        source = next((one for one in self._population.sources if one.id == call.subject), None)
        if source is None:
            raise error(404)
        if call.member == "status":
            return json_response({"status": source.status})
        rows = source.summaries(self._population.months)
        return _page(rows[::-1] if query.ascending else rows, query)

    def _accounts(self, query: CollectionQuery) -> web.Response:
        detail = query.rest.get("detailLevel", "FULL")
        if detail not in ("SLIM", "FULL"):
            raise error(400, f"detailLevel must be SLIM or FULL, but was {detail!r}.")
        numbers = self._matching(query)
        records = [self._records.account(number) for number in query.page(numbers)]
        shown = [slim(record) for record in records] if detail == "SLIM" else records
        return json_response(shown, headers=_total(len(numbers), query))

    def _matching(self, query: CollectionQuery) -> Sequence[int]:
        if not query.rest.get("filters") and query.sorters in ((), (("id", False),)):
            return self._population.in_order()
        key = (query.rest.get("filters", ""), query.sorters, len(self._population))
        if key not in self._remembered:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            everything = [
                {"number": number, **self._records.account(number)} for number in self._population.in_order()
            ]
            found = _selected(everything, query, "accounts")
            self._remembered[key] = [record["number"] for record in found]
        return self._remembered[key]


def _selected(records: list[Record], query: CollectionQuery, collection: str) -> list[Record]:
    """What the filter leaves, sorted; records without a field come last when ascending."""
    if filters := query.rest.get("filters"):
        records = list(filter(compile_filter(filters, _FILTERABLE[collection]), records))
    for name, descending in reversed(query.sorters):  # sorting is stable: the least important goes first
        records.sort(key=_by(name), reverse=descending)
    return records


def _by(name: str) -> Callable[[Record], tuple[bool, Any]]:
    return lambda record: (record.get(name) is None, record.get(name) or "")


def _page(items: Sequence[Any], query: CollectionQuery) -> web.Response:
    return json_response(query.page(items), headers=_total(len(items), query))


def _total(total: int, query: CollectionQuery) -> dict[str, str]:
    return {"X-Total-Count": str(total)} if query.count else {}


def _hopeless(status: int) -> ErrorResponse:
    if status == 302:  # noqa: PLR2004  # HTTP's number
        return ErrorResponse(status, {}, {"Location": _ELSEWHERE})
    return too_many_requests(None) if status == 429 else error(status)  # noqa: PLR2004  # HTTP's number


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
