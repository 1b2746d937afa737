"""Every account of a finished harvest, judged, from its ledger alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

import orjson

from harvester.errors import SettingError, UsageError
from harvester.ledger import LedgerReader
from harvester.review.account import COLUMNS, ReviewedAccount
from harvester.review.activity import activity_until
from harvester.review.evidence import ROWS, UNKNOWN_SOURCE, Row, Source, evidence_of
from harvester.review.excluded import Exclusion
from harvester.review.months import month_text
from harvester.review.question import Question, window_of
from harvester.review.states import State, judge
from harvester.review.totals import Totals

_SLICE: Final = 2000
"""Accounts judged at a time: some 4 MB, and a statement for each is soon paid for."""
_AT_ONCE: Final = 100
"""Accounts whose rows are read at a time: some have megabytes of them."""
_ALSO: Final = ("usageStatus", "usageSince")
"""Properties of the list that are no columns unless they are asked for."""


class Review:
    """The answer to one question about one finished harvest; reads the ledger anew for each iteration.

    ::

        with LedgerReader(Path("usages.ndjson.ledger")) as reader:
            for account in Review(reader, Question(months=6)).accounts([State.UNUSED, State.NEVER]):
                ...
    """

    def __init__(self, reader: LedgerReader, question: Question, *, unpublished: bool = False) -> None:
        """Check that the harvest can answer `question`.

        `unpublished` accepts a harvest that is complete, but whose ledger has not got its final name.

        Raises:
            UsageError: the harvest is unfinished, or does not reach back to the beginning of the window.
            SettingError: a month or the window makes no sense; `setting` is the field of the question.
        """
        if not reader.finished and not (unpublished and _complete(reader)):
            raise UsageError(
                f"{reader.path}: the harvest is unfinished, so some accounts are not known yet",
                "run the same command again to finish it",
            )
        first = reader.runs()[0]
        self.question = question
        self.began = datetime.fromtimestamp(first.started, UTC)
        self.run_id = first.id
        self.since: str | None = reader.fact("since")
        """The first month that the harvest asked for (``YYYY-MM``), None where it asked for all."""
        self.tenant: str = reader.fact("base_url") or ""
        self.window = window_of(question, self.began.date(), self.since)
        self.sources = {source.id: source for source in reader.sources()}
        self._known = {source.id: Source.of(source) for source in reader.sources()}
        self.unmatched: frozenset[str] = frozenset(question.exclusions)
        """Exclusions that no account on the list matched, once all accounts have been read."""
        self._reader = reader

    def accounts(self, states: Collection[State] = tuple(State)) -> Iterator[ReviewedAccount]:
        """The accounts in these states (all), in the order of the list."""
        for some in self.slices():
            yield from self.with_activity([one for one in some if one.state in states])

    def totals(self) -> Totals:
        """All accounts by state and reason."""
        totals = Totals()
        for some in self.slices():
            for account in some:
                totals.add(account.judgment)
        return totals

    def columns(self) -> tuple[str, ...]:
        """All columns that may be asked for: `COLUMNS`, and what else the list gave."""
        kept = self._reader.fact("keep") or ()
        return tuple(dict.fromkeys((*COLUMNS, *_ALSO, *kept)))

    def check_column(self, setting: str, column: str) -> None:
        """Raise SettingError where there is no such column, with the nearest names."""
        known = self.columns()
        if column not in known:
            near = get_close_matches(column, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"give any of {', '.join(known)}"
            raise SettingError(setting, f"{column!r} is not a column", hint)

    # --- slices, for whoever counts all accounts and shows few

    def slices(self) -> Iterator[list[ReviewedAccount]]:
        """All accounts in lists of bounded length, without what `with_activity` adds."""
        unmatched = set(self.question.exclusions)
        after = -1
        # a slice at a time: an open statement would hold a snapshot for as long as its reader takes
        while found := self._reader.connection().execute(ROWS, (after, _SLICE)).fetchall():
            rows = list(map(Row._make, found))
            unmatched.difference_update(row.account_id for row in rows)
            yield self._reviewed(rows)
            after = rows[-1].position
        self.unmatched = frozenset(unmatched)

    def with_activity(self, accounts: Sequence[ReviewedAccount]) -> list[ReviewedAccount]:
        """These accounts of one slice, with the active days and months of the last twelve months."""
        blobs = self._blobs([one.position for one in accounts if one.active_months])
        return [
            one if (rows := blobs.get(one.position)) is None else self._counted(one, rows) for one in accounts
        ]

    def _counted(self, account: ReviewedAccount, rows: bytes) -> ReviewedAccount:
        found = activity_until(rows, self.window.as_of)
        return account._replace(active_days=found.days, active_months=found.months)

    def _blobs(self, positions: Sequence[int]) -> dict[int, bytes]:
        """The usage rows of the accounts at these positions."""
        blobs: dict[int, bytes] = {}
        for start in range(0, len(positions), _AT_ONCE):
            blobs |= self._reader.rows_at(positions[start : start + _AT_ONCE])
        return blobs

    def _reviewed(self, rows: Sequence[Row]) -> list[ReviewedAccount]:
        as_of = month_text(self.window.as_of)
        later = self._blobs([row.position for row in rows if (row.last_month or "") > as_of])
        day = self.began.date()
        exclusions = self.question.exclusions
        reviewed = []
        for row in rows:
            exclusion = exclusions.get(row.account_id) if exclusions else None
            if exclusion is not None and not exclusion.counts_on(day):
                exclusion = None
            if row.position in later:
                last = activity_until(later[row.position], self.window.as_of).last
                row = row._replace(last_month=None if last is None else month_text(last))  # noqa: PLW2901
            reviewed.append(self._account(row, exclusion))
        return reviewed

    def _account(self, row: Row, exclusion: Exclusion | None) -> ReviewedAccount:
        kept: dict[str, Any] = orjson.loads(row.kept) if row.kept else {}
        source = self._known.get(row.source_id or "", UNKNOWN_SOURCE)
        evidence = evidence_of(row, kept, source, listed=exclusion is not None)
        judgment = judge(evidence, self.window)
        # no days are 0 days only where they would have been reported
        counted = bool(row.months) or judgment.state is State.NEVER
        return ReviewedAccount(
            row.position,
            row.account_id,
            judgment,
            kept,
            row.source_id,
            kept.get("sourceName") or source.name,
            row.last_month,
            row.days if counted else None,
            row.months if counted else None,
            row.settled_at,
            exclusion,
        )


def _complete(reader: LedgerReader) -> bool:
    return reader.list_complete() and not reader.counts().not_attempted


def unmatched_warning(unmatched: Iterable[str]) -> str | None:
    """A sentence about exclusions that no account on the list matched; None where there are none."""
    ids = sorted(unmatched)
    if not ids:
        return None
    shown = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")  # noqa: PLR2004  # as many as a line holds
    if len(ids) == 1:
        return f"1 exclusion matches no account on the list ({shown})"
    return f"{len(ids):,} exclusions match no account on the list ({shown})"
