"""What all tables have in common, and what a harvest brings to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from harvester.errors import StoppedEarly, UsageError
from harvester.export.control import Retry
from harvester.export.output import Output, OutputSpec
from harvester.export.records import COLUMNS, EMPTY, Content, Record, Stamper, join, split
from harvester.export.shards import Ledgers
from harvester.ledger import Entry, LedgerReader

MONTH: Final = "month"
"""The column that is, with the account, the key of a table. A property of this name is left out."""


@dataclass(frozen=True, slots=True)
class Harvested:
    """What a harvest brings to a table, read anew for each attempt.

    `identity` names its content: a table that records it has all of it. `earlier` is the ledger of the
    harvest before, if it is known.
    """

    identity: str
    content: Content
    ledgers: Ledgers
    earlier: LedgerReader | None = None

    def records(self, last: str | None) -> Iterator[list[Record]]:
        """The accounts with rows. `last` is the identity of what was merged into the table last.

        If that was the earlier harvest, they have only the rows that were not in it.
        """
        known = self.earlier
        if known is not None and (last is None or known.content_id() != last):
            known = None
        make = Stamper(self.content.columns, self.ledgers.tenant).records
        for entries in self.ledgers.settled():
            found = entries if known is None else list(_news(entries, known))
            yield [record for record in make(found) if record.rows]


class TableOutput(Output):
    """A table: a harvest is merged into it, once all accounts are settled.

    Each merge is one commit: killed at any instant, the table is as it was or as it is to be.
    """

    def __init__(self, name: str, spec: OutputSpec, retry: Retry) -> None:
        super().__init__(name, spec, None, retry.control)
        self._retry = retry

    def merge(self, harvested: Harvested) -> int:
        """Merge a harvest into it, and make it if there is none. Returns how many rows are new or changed.

        Raises:
            StoppedEarly: the table is not available for too long, or has changed so that the rows do not fit.
        """
        try:
            return self._retry(lambda: self.merge_once(harvested))
        except UsageError as error:  # it was as it should be before the first request
            raise StoppedEarly(error.problem, error.hint) from error

    def merge_once(self, harvested: Harvested) -> int:
        """As `merge`. Without changes, and where the harvest was merged before, nothing is committed.

        Raises:
            Unavailable: it is not available, or another writer was faster.
            StoppedEarly: the rows do not fit into it.
        """
        raise NotImplementedError


def _news(entries: Iterable[Entry], earlier: LedgerReader) -> Iterator[Entry]:
    """The accounts with rows that were not in the earlier harvest, and these rows alone."""
    before = earlier.rows_of([entry.id for entry in entries])
    for entry in entries:
        if entry.rows is not None and entry.rows != before.get(entry.id):
            known = frozenset(split(before.get(entry.id, EMPTY)))
            rows = [row for row in split(entry.rows) if row not in known]
            yield entry._replace(rows=join(rows), row_count=len(rows))


def stamps(content: Content) -> frozenset[str]:
    """Columns that make no difference by themselves: all of ``--columns``, unless the API has them, too."""
    return frozenset(COLUMNS) - (content.properties.keys() - {*content.columns})


def misfit(table: str, why: object) -> StoppedEarly:
    """The rows do not fit into the table."""
    return StoppedEarly(
        f"{table}: what was harvested does not fit into the table ({why})",
        "the ledger is kept: export it into another table, or alter this one and run the same command again",
    )


def sentence(error: Exception) -> str:
    """The first line of what a library says."""
    return (str(error) or type(error).__name__).strip().partition("\n")[0].rstrip(" .")
