"""What each operation of the API returns: usage of accounts and sources, and the listings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from harvester.sandbox.faults import Faults
from harvester.sandbox.population import Population
from harvester.sandbox.query import CollectionQuery, collection_query, compile_filter
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
    """Answers calls without regard to tokens, quotas and most faults. `unknown` answers unknown accounts.

    Accounts by ID and unfiltered cost what the page costs; otherwise every account is looked at once,
    and what was found is remembered.
    """

    def __init__(self, population: Population, records: Records, faults: Faults, unknown: int) -> None:
        self.faults = faults
        self._population = population
        self._records = records
        self._unknown = unknown
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
