"""The accounts listing: filters, order and pages over a population that may change meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harvester.sandbox.answers import CollectionQuery, fault
from harvester.sandbox.filters import compile_filter
from harvester.sandbox.population import Population
from harvester.sandbox.records import account_record, slim

SORTABLE = frozenset(
    {
        "id",
        "name",
        "created",
        "modified",
        "sourceId",
        "identityId",
        "nativeIdentity",
        "uuid",
        "manuallyCorrelated",
        "origin",
    }
)
_DETAIL_LEVELS = frozenset({"SLIM", "FULL"})
_REMEMBERED = 8

Sorters = tuple[tuple[str, bool], ...]


class Listing:
    """Answers the accounts listing of one population.

    By ID and unfiltered it costs what the page costs; otherwise every account is looked at once, and
    what was found is remembered until the population changes.
    """

    def __init__(self, population: Population, seed: int) -> None:
        self._population = population
        self._seed = seed
        self._found: dict[tuple[str, Sorters], Sequence[int]] = {}

    def changed(self) -> None:
        """The population has changed: what was found before holds no longer."""
        self._found.clear()

    def page(self, query: CollectionQuery) -> tuple[list[dict[str, Any]], int]:
        """One page of records and the number of all that match.

        Raises:
            Refused: 400; the filter or detailLevel is not supported.
        """
        detail = query.rest.get("detailLevel", "FULL")
        if detail not in _DETAIL_LEVELS:
            raise fault(400, f"detailLevel must be SLIM or FULL, but was {detail!r}.")
        numbers = self._matching(query.rest.get("filters", ""), query.sorters)
        page = numbers[query.offset : query.offset + query.limit]
        records = [account_record(self._population, self._seed, number) for number in page]
        return [slim(record) for record in records] if detail == "SLIM" else records, len(numbers)

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
        predicate = compile_filter(filters) if filters else None
        found = [pair for pair in self._records() if predicate is None or predicate(pair[1])]
        # Sorting is stable, so the least important sorter goes first.
        for name, descending in reversed(sorters):
            _sort(found, name, descending=descending)
        return [number for number, _ in found]

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in self._population.in_order():
            yield number, account_record(self._population, self._seed, number)


def _sort(found: list[tuple[int, dict[str, Any]]], name: str, *, descending: bool) -> None:
    """Sort by one field; accounts without it come last when ascending."""

    def key(pair: tuple[int, dict[str, Any]]) -> tuple[bool, Any]:
        value = pair[1][name]
        return value is None, "" if value is None else value

    found.sort(key=key, reverse=descending)
