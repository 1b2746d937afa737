"""What each operation of the API returns: usage of accounts and sources, and the listings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from harvester.next.sandbox.listing import ACCOUNT_SORTERS, IDENTITY_SORTERS, SOURCE_SORTERS, Listings
from harvester.next.sandbox.options import VERSIONS, Faults
from harvester.next.sandbox.population import Population
from harvester.next.sandbox.responses import (
    CollectionQuery,
    ErrorResponse,
    collection_query,
    error,
    json_response,
    raw_json_response,
    too_many_requests,
)
from harvester.next.sandbox.sources import source_summaries

USAGES = "account-usages"
_BY_DATE = frozenset({"date"})
_ELSEWHERE = "https://elsewhere.invalid/"


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
    if parts[0] in VERSIONS and parts[0] != "v1":
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
    """Answers calls without regard to tokens, quotas and most faults. Set `faults` to what goes wrong."""

    def __init__(self, population: Population, listings: Listings, faults: Faults, unknown: int) -> None:
        self.faults = faults
        self._population = population
        self._unknown = unknown
        self._operations: dict[str, Callable[[Call, str], web.Response]] = {
            USAGES: self._account_usages,
            "source-usages": self._source_usages,
            "accounts": lambda _, raw: self._listed(listings.accounts, raw, ACCOUNT_SORTERS),
            "sources": lambda _, raw: self._listed(listings.sources, raw, SOURCE_SORTERS),
            "public-identities": lambda _, raw: self._listed(listings.identities, raw, IDENTITY_SORTERS),
        }

    def respond(self, call: Call, raw_query: str) -> web.Response:
        """The good response to a call.

        Raises:
            ErrorResponse: its parameters are wrong, it asks for what is not there, or is hopeless.
        """
        return self._operations[call.collection](call, raw_query)

    def _account_usages(self, call: Call, raw: str) -> web.Response:
        query = self._query(raw, _BY_DATE)
        if call.number is None:
            if self._unknown == 404:  # noqa: PLR2004  # HTTP's number
                raise error(404)
            return json_response([], headers=_total(0, query))
        if (status := self._population.hopeless_of(call.number)) is not None:
            raise _hopeless(status)
        rows = self._population.encoded_rows_of(call.number)
        if query.sorters and not query.sorters[0][1]:
            rows.reverse()
        body = b"[%b]" % b",".join(query.page(rows))
        return raw_json_response(body, headers=_total(len(rows), query))

    def _source_usages(self, call: Call, raw: str) -> web.Response:
        if self.faults.source_status is not None:
            raise error(self.faults.source_status)
        source = next((one for one in self._population.sources if one.id == call.subject), None)
        if source is None:
            raise error(404)
        if call.member == "status":
            return json_response({"status": source.status})
        query = self._query(raw, _BY_DATE)
        rows = source_summaries(source, self._population.months)
        if query.sorters and not query.sorters[0][1]:
            rows.reverse()
        return json_response(query.page(rows), headers=_total(len(rows), query))

    def _listed(
        self,
        listing: Callable[[CollectionQuery], tuple[list[dict[str, Any]], int]],
        raw: str,
        sortable: frozenset[str],
    ) -> web.Response:
        query = self._query(raw, sortable)
        records, total = listing(query)
        return json_response(records, headers=_total(total, query))

    def _query(self, raw: str, sortable: frozenset[str]) -> CollectionQuery:
        return collection_query(raw, sortable, self.faults.page_cap)


def _hopeless(status: int) -> ErrorResponse:
    if status == 302:  # noqa: PLR2004  # HTTP's number
        return ErrorResponse(status, {}, {"Location": _ELSEWHERE})
    if status == 429:  # noqa: PLR2004  # HTTP's number
        return too_many_requests(None)
    return error(status)


def _total(total: int, query: CollectionQuery) -> dict[str, str]:
    return {"X-Total-Count": str(total)} if query.count else {}
