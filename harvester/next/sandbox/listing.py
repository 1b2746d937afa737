"""The listings of accounts, sources and identities: filters, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harvester.next.sandbox.filters import (
    ACCOUNT_FILTERS,
    IDENTITY_FILTERS,
    SOURCE_FILTERS,
    compile_filter,
)
from harvester.next.sandbox.population import Population
from harvester.next.sandbox.records import Records, slim
from harvester.next.sandbox.responses import CollectionQuery, error

ACCOUNT_SORTERS = frozenset({"id", "name", "created", "modified", "sourceId", "identityId", "nativeIdentity"})
SOURCE_SORTERS = frozenset({"id", "name", "type", "created", "modified"})
IDENTITY_SORTERS = frozenset({"name"})
_DETAIL_LEVELS = frozenset({"SLIM", "FULL"})
_REMEMBERED = 8

Record = dict[str, Any]
Sorters = tuple[tuple[str, bool], ...]


class Listings:
    """Answers the listings of one population: for each query, a page of records and the number of all.

    Accounts by ID and unfiltered cost what the page costs; otherwise every account is looked at once,
    and what was found is remembered until the population changes.
    """

    def __init__(self, population: Population, records: Records) -> None:
        self._population = population
        self._records = records
        self._found: dict[tuple[str, Sorters], Sequence[int]] = {}

    def changed(self) -> None:
        """The population has changed: what was found before no longer holds."""
        self._found.clear()

    def accounts(self, query: CollectionQuery) -> tuple[list[Record], int]:
        """Accounts.

        Raises:
            ErrorResponse: 400; the filter or detailLevel is not supported. So for the others.
        """
        detail = query.rest.get("detailLevel", "FULL")
        if detail not in _DETAIL_LEVELS:
            raise error(400, f"detailLevel must be SLIM or FULL, but was {detail!r}.")
        numbers = self._matching(query.rest.get("filters", ""), query.sorters)
        records = [self._records.account(number) for number in query.page(numbers)]
        return [slim(record) for record in records] if detail == "SLIM" else records, len(numbers)

    def sources(self, query: CollectionQuery) -> tuple[list[Record], int]:
        """Sources."""
        records: list[Record] = [self._records.source(source) for source in self._population.sources]
        if filters := query.rest.get("filters", ""):
            records = list(filter(compile_filter(filters, SOURCE_FILTERS), records))
        _sort(records, query.sorters)
        return list(query.page(records)), len(records)

    def identities(self, query: CollectionQuery) -> tuple[list[Record], int]:
        """Public identities."""
        people: Sequence[int] = range(self._records.people)
        records = self._records
        if filters := query.rest.get("filters", ""):
            wanted = compile_filter(filters, IDENTITY_FILTERS)
            people = [one for one in people if wanted({"id": records.identity(one)["id"]})]
        if query.sorters:
            by_name = {one: str(records.identity(one)["name"]) for one in people}
            people = sorted(people, key=by_name.__getitem__, reverse=query.sorters[0][1])
        return [records.identity(one) for one in query.page(people)], len(people)

    def _matching(self, filters: str, sorters: Sorters) -> Sequence[int]:
        if not filters and sorters in ((), (("id", False),)):
            return self._population.in_order()
        key = (filters, sorters)
        if key not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[key] = self._select(filters, sorters)
        return self._found[key]

    def _select(self, filters: str, sorters: Sorters) -> Sequence[int]:
        wanted = compile_filter(filters, ACCOUNT_FILTERS) if filters else None
        found = [record for record in self._all_accounts() if wanted is None or wanted(record)]
        _sort(found, sorters)
        return [record["number"] for record in found]

    def _all_accounts(self) -> Iterator[Record]:
        for number in self._population.in_order():
            yield {"number": number, **self._records.account(number)}


def _sort(records: list[Record], sorters: Sorters) -> None:
    """Sort by several fields; records without one come last when ascending."""
    for name, descending in reversed(sorters):  # sorting is stable, so the least important one goes first
        records.sort(key=_field(name), reverse=descending)


def _field(name: str) -> Callable[[Record], tuple[bool, Any]]:
    return lambda record: (record.get(name) is None, record.get(name) or "")
