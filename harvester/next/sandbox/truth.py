"""The ground truth that a harvest and `harvester unused` are held to, computed apart from their code."""

from __future__ import annotations

from typing import NamedTuple

from harvester.next.sandbox.population import Population
from harvester.next.sandbox.records import Records
from harvester.next.sandbox.sources import Source


class Truth(NamedTuple):
    """What is true of one account, with the state that `unused` must put it in.

    `source_status` is COMPLETE or INCOMPLETE; `outcome` is harvested, empty, unreported or failed.
    """

    account_id: str
    source_id: str
    source_status: str
    outcome: str
    state: str
    reason: str | None


def truth_of(population: Population, records: Records, account_id: str, *, months: int = 3) -> Truth:
    """The truth about an account; the window of its state is this month and the `months` before it."""
    number = population.find(account_id)
    if number is None:
        raise KeyError(account_id)
    source = population.source_of(number)
    state, reason = _state(population, records, number, months)
    outcome = _outcome(population, number, reports=source.reports)
    return Truth(account_id, source.id, source.status, outcome, state, reason)


def _outcome(population: Population, number: int, *, reports: bool) -> str:
    if population.hopeless_of(number) is not None:
        return "failed"
    if population.rows_of(number):
        return "harvested"
    return "empty" if reports else "unreported"


def _state(population: Population, records: Records, number: int, months: int) -> tuple[str, str | None]:
    if records.is_disabled(number):
        return "excluded", "disabled"
    if population.hopeless_of(number) is not None:
        return "unknown", "harvest_failed"
    ages = [_months_ago(population, row["date"]) for row in population.rows_of(number) if row["count"] > 0]
    if ages:
        return ("active" if min(ages) <= months else "unused"), None
    if _months_ago(population, population.created_of(number).isoformat()) <= months:
        return "new", None
    return _state_without_use(population.source_of(number), months)


def _state_without_use(source: Source, months: int) -> tuple[str, str | None]:
    if not source.reports:
        return "unknown", "source_without_usage"
    return ("unknown", "coverage_too_short") if source.months - 1 <= months else ("never", None)


def _months_ago(population: Population, day: str) -> int:
    year, month = map(int, day.split("-")[:2])
    return (population.today.year - year) * 12 + population.today.month - month
