"""What each operation of the API returns: usage of accounts and sources, and the listings.

Filters are a part of SailPoint's language: `eq`, `in`, `sw` and `gt` on a few fields, joined by `and`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from harvester.sandbox.options import SandboxOptions
from harvester.sandbox.population import Population, Source
from harvester.sandbox.records import Records, slim
from harvester.sandbox.responses import ErrorResponse, error, json_response, too_many_requests
from harvester.settings.parse import API_VERSIONS

USAGES = "account-usages"
_ELSEWHERE = "https://elsewhere.invalid/"
_REMEMBERED = 8
_BY_DATE = frozenset({"date"})
_SORTABLE = {
    "account-usages": _BY_DATE,
    "source-usages": _BY_DATE,
    "accounts": frozenset({"id", "name", "created", "modified", "sourceId", "identityId", "nativeIdentity"}),
    "sources": frozenset({"id", "name", "type", "created", "modified"}),
    "public-identities": frozenset({"name"}),
}
_FILTERABLE = frozenset(
    {"id", "identityId", "name", "nativeIdentity", "sourceId", "source.displayableName"}
    | {"hasEntitlements", "uncorrelated", "created", "modified"}
)
Record = dict[str, Any]
Sorters: TypeAlias = tuple[tuple[str, bool], ...]
"""Fields, and whether each is descending."""
Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]

_MOST_ROWS = 250
_LARGEST_INT = 2**31 - 1
_DIGITS = re.compile(r"[0-9]{1,10}")
_VALUE = r'"[^"]*"|[^\s(),"]+'
_CLAUSE = re.compile(
    rf"\s*(?P<field>[\w.]+)\s+(?:in\s+\((?P<several>[^()]*)\)|(?P<operator>eq|sw|gt)\s+(?P<one>{_VALUE}))\s*"
)
_AND = re.compile(r"\s+and\s", re.IGNORECASE)
_RECORD_FIELDS = {"source.displayableName": "sourceName"}


class Call(NamedTuple):
    """A request of the API: its version, its collection, and what it is about."""

    version: str
    collection: str
    subject: str = ""
    member: str = ""


def parse_call(path: str) -> Call | None:
    """The call that a raw path makes, in either scheme of versions; None if there is no such operation."""
    parts = path.split("/")[1:]
    if parts[0] in API_VERSIONS and parts[0] != "v1":
        version, *parts = parts
    elif len(parts) > 1 and parts[1] == "v1":
        version = parts.pop(1)
    else:
        return None
    match parts:
        case ["account-usages" as collection, segment, "summaries" as member]:
            return Call(version, collection, unquote(segment), member)
        case ["source-usages" as collection, segment, "status" | "summaries" as member]:
            return Call(version, collection, unquote(segment), member)
        case ["accounts" | "sources" | "public-identities" as collection]:
            return Call(version, collection)
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
        self._selected_accounts = lru_cache(_REMEMBERED)(self._select_accounts)

    def respond(self, call: Call, raw_query: str) -> web.Response:
        """The good response to a call.

        Raises:
            ErrorResponse: its parameters are wrong, it asks for what is not there, or is hopeless.
        """
        query = parse_query(raw_query, _SORTABLE[call.collection], self.faults.page_cap)
        items: list[Record]
        match call.collection:
            case "accounts":
                return self._accounts(query)
            case "account-usages":
                items = self._rows(call.subject)
            case "source-usages":
                source = self._source(call.subject)
                if call.member == "status":
                    return json_response({"status": source.status})
                items = source.summaries(self._population.months)
            case "sources":
                items = [self._records.source(source) for source in self._population.sources]
            case _:
                items = [self._records.identity(person) for person in range(self._records.people)]
        found = _selected(items, query.filters, query.sorters)
        return json_response(query.page(found), headers=query.total(found))

    def _rows(self, account_id: str) -> list[Record]:
        status = self._population.hopeless(account_id)
        if status is not None:
            raise _hopeless(status)
        return self._population.rows(account_id)

    def _source(self, source_id: str) -> Source:
        if self.faults.source_status is not None:
            raise error(self.faults.source_status)
        for source in self._population.sources:
            if source.id == source_id:
                return source
        raise error(404)

    def _accounts(self, query: Query) -> web.Response:
        if query.detail not in ("SLIM", "FULL"):
            raise error(400, f"detailLevel must be SLIM or FULL, but was {query.detail!r}.")
        if not query.filters and query.sorters in ((), (("id", False),)):
            numbers = self._population.in_order()
        else:
            numbers = self._selected_accounts(query.filters, query.sorters, len(self._population))
        records = [self._records.account(number) for number in query.page(numbers)]
        shown = [slim(record) for record in records] if query.detail == "SLIM" else records
        return json_response(shown, headers=query.total(numbers))

    def _select_accounts(self, filters: str, sorters: Sorters, _accounts: int) -> Sequence[int]:
        numbers = self._population.in_order()
        records = [{"number": number, **self._records.account(number)} for number in numbers]
        return [record["number"] for record in _selected(records, filters, sorters)]


def _selected(records: list[Record], filters: str, sorters: Sorters) -> list[Record]:
    """What the filter leaves, sorted; records without a field come last when ascending."""
    if filters:
        records = list(filter(compile_filter(filters), records))
    for name, descending in reversed(sorters):  # sorting is stable: the least important goes first
        records.sort(key=_by(name), reverse=descending)
    return records


def _by(name: str) -> Callable[[Record], tuple[bool, Any]]:
    return lambda record: (record.get(name) is None, record.get(name) or "")


def _hopeless(status: int) -> ErrorResponse:
    if status == 302:  # noqa: PLR2004  # HTTP's number
        return ErrorResponse(status, {}, {"Location": _ELSEWHERE})
    return too_many_requests(None) if status == 429 else error(status)  # noqa: PLR2004  # HTTP's number


# --- the parameters of a collection


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a collection, checked."""

    limit: int
    offset: int
    count: bool
    sorters: Sorters
    filters: str
    detail: str

    def page(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items of the page."""
        return items[self.offset : self.offset + self.limit]

    def total(self, items: Sequence[Any]) -> dict[str, str]:
        """The header that says how many items there are, if that is asked for."""
        return {"X-Total-Count": str(len(items))} if self.count else {}


@lru_cache(maxsize=1024)
def parse_query(raw: str, sortable: frozenset[str], cap: int | None) -> Query:
    """The parameters in a raw query string; clients send few different ones, so they are remembered.

    `cap` silently bounds the limit.

    Raises:
        ErrorResponse: 400; a parameter is malformed or out of its range.
    """
    given = dict(parse_qsl(raw, keep_blank_values=True))
    count = given.get("count", "false").lower()
    if count not in ("true", "false"):
        raise error(400, f"count must be true or false, but was {count!r}.")
    return Query(
        limit=min(_integer(given, "limit", _MOST_ROWS, _MOST_ROWS), cap or _MOST_ROWS),
        offset=_integer(given, "offset", 0, _LARGEST_INT),
        count=count == "true",
        sorters=_sorters(given.get("sorters", ""), sortable),
        filters=given.get("filters", ""),
        detail=given.get("detailLevel", "FULL"),
    )


def _integer(given: dict[str, str], name: str, default: int, highest: int) -> int:
    text = given.get(name, str(default))
    if not _DIGITS.fullmatch(text) or int(text) > highest:
        raise error(400, f"{name} must be an integer from 0 to {highest}, but was {text!r}.")
    return int(text)


def _sorters(text: str, sortable: frozenset[str]) -> Sorters:
    found = []
    for item in filter(None, text.split(",")):
        name = item.strip().removeprefix("-")
        if name not in sortable:
            raise error(400, f"Sorting by {name!r} is not supported.")
        found.append((name, item.strip().startswith("-")))
    return tuple(found)


def compile_filter(text: str) -> Predicate:
    """A predicate over records.

    Raises:
        ErrorResponse: 400; the filter is malformed, or a field or operator is not supported.
    """
    clauses = [_clause(part) for part in _AND.split(text)]
    return lambda record: all(clause(record) for clause in clauses)


def _clause(text: str) -> Predicate:
    found = _CLAUSE.fullmatch(text)
    if found is None or found["field"] not in _FILTERABLE:
        raise error(400, f"The filter {text.strip()!r} is malformed or not supported.")
    name = _RECORD_FIELDS.get(found["field"], found["field"])
    values = [value.strip('"') for value in re.findall(_VALUE, found["several"] or found["one"] or "")]
    match found["operator"]:
        case "gt":  # of timestamps, which sort as text
            return lambda record: _text(record.get(name)) > values[0]
        case "sw":
            return lambda record: _text(record.get(name)).startswith(values[0])
        case _:
            return lambda record: _text(record.get(name)) in values


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
