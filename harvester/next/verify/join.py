"""The merge join of a list and an output, both in the order of the list."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from harvester.next.model import AccountOutcome
from harvester.next.verify.content import Group, Style, plain, same_row
from harvester.next.verify.expected import ExpectedAccount, ExpectedAccounts
from harvester.next.verify.verdict import MOST, Verdict


class Join:
    """Compares an output with a list, an account at a time."""

    def __init__(self, expected: ExpectedAccounts, verdict: Verdict) -> None:
        self._lookup = expected.position_of
        self._accounts = iter(expected)
        self._current = next(self._accounts, None)
        self._verdict = verdict
        self._style = Style()
        self._missing: dict[str, None] = {}
        self._more_missing = 0
        self._unsettled = 0
        self.listed = 0

    def add(self, groups: Iterable[Group]) -> None:
        """Compare the next accounts of the output."""
        for group in groups:
            self._style = group.style
            if self._current is None or self._current.id != group.account_id:
                self._find(group)
            if self._current is not None and self._current.id == group.account_id:
                self._compare(group, self._current)
                self._advance()

    def finish(self) -> None:
        """The output has ended: whatever the list has beyond it must not have rows."""
        while self._current is not None:
            self._skip(self._current)
        for account_id in self._missing:
            self._verdict.add(account_id, "is missing from the output")
        self._verdict.more += self._more_missing
        if self._unsettled:
            self._verdict.add("the ledger", f"has {self._unsettled} accounts that are not settled yet")
        self._verdict.listed = self.listed

    def _find(self, group: Group) -> None:
        """Move on to the account of the group, if it is still to come."""
        position = self._lookup(group.account_id)
        if position is None:
            self._verdict.add(group.place, f"{group.account_id} is not on the list")
        elif self._current is None or position < self._current.position:
            self._passed(group)
        else:
            while self._current is not None and self._current.id != group.account_id:
                self._skip(self._current)

    def _passed(self, group: Group) -> None:
        if group.account_id in self._missing:
            del self._missing[group.account_id]
            self._verdict.add(group.place, f"{group.account_id} is not in the order of the list")
        else:
            self._verdict.add(
                group.place, f"{group.account_id} is there again, or not in the order of the list"
            )

    def _skip(self, account: ExpectedAccount) -> None:
        """The output does not have this account; that is as it should be, or it is missing."""
        if self._is_due(account):
            if len(self._missing) < MOST:
                self._missing[account.id] = None
            else:
                self._more_missing += 1
        self._advance()

    def _advance(self) -> None:
        assert self._current is not None  # noqa: S101  # for the type checker
        self.listed += 1
        self._unsettled += self._current.known and self._current.outcome is None
        self._current = next(self._accounts, None)

    def _is_due(self, account: ExpectedAccount) -> bool:
        if self._style.changes or not account.known:
            return False
        return account.rows is not None if self._style.accounts else account.row_count > 0

    def _compare(self, group: Group, account: ExpectedAccount) -> None:
        if account.known and not self._style.changes:
            self._compare_rows(group, account)
        elif not self._style.changes:
            self._check_months(group)

    def _compare_rows(self, group: Group, account: ExpectedAccount) -> None:
        if account.outcome is AccountOutcome.FAILED or account.rows is None:
            self._verdict.add(group.place, f"{group.account_id} is in the output, but was not harvested")
        elif len(group.rows) != account.row_count:
            self._check_months(group)
            found, wanted = len(group.rows), account.row_count
            self._verdict.add(
                group.place, f"{group.account_id} has {found} rows, but {wanted} were harvested"
            )
        elif not _same(group, account.rows):
            self._verdict.add(group.place, f"{group.account_id} has other rows than were harvested")

    def _check_months(self, group: Group) -> None:
        months = [month[:7] for day, _ in group.rows if (month := plain(day))]
        if len(set(months)) < len(months):
            self._verdict.add(group.place, f"{group.account_id} has a month twice")


def _same(group: Group, blob: bytes) -> bool:
    wanted = [(row.get("date"), row.get("count")) for row in orjson.loads(blob)]
    return group.rows == wanted or all(map(same_row, group.rows, wanted))
