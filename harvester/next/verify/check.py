"""``harvester verify``: is an output complete and intact? Reads local files only, and changes nothing."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Final

from harvester.next.errors import InputError, LedgerUnreadable
from harvester.next.ledger import LedgerReader, find_ledger
from harvester.next.model import ListedAccount
from harvester.next.verify.content import DATABASE, Group, first_bytes, groups_of
from harvester.next.verify.evidence import Declared, Evidence, check_bytes, evidence_of, partitions
from harvester.next.verify.expected import ExpectedAccounts, FromLedgers, FromList
from harvester.next.verify.join import Join
from harvester.next.verify.verdict import Verdict

_MODULUS: Final = 1 << 256


def verify(
    output: Path,
    *,
    ledgers: Sequence[Path] = (),
    accounts: Iterable[Sequence[ListedAccount]] | None = None,
    summary: Path | None = None,
    failures: Path | None = None,
) -> Verdict:
    """Compare `output`, a file or a directory, with the list it was harvested from.

    The list is that of `ledgers` (the shards of one list, if several), else `accounts`, else that of the
    ledger kept next to the output. `summary` and `failures` say where these files are, if elsewhere.
    Memory does not depend on the length of the list.

    Raises:
        InputError: there is no such output, or nothing to compare it with.
        LedgerUnreadable: a ledger cannot be read.
    """
    verdict = Verdict()
    if output.is_file() and first_bytes(output) == DATABASE:
        for declared in evidence_of(output, summary, verdict).files:
            check_bytes(declared, verdict)
        _check_database(output, verdict)
        return verdict
    days = list(partitions(output)) if output.is_dir() else []
    for day in days[:-1]:  # the ledger is that of the latest
        _check(day, verdict, None, failures=None, summary=None)
    with ExitStack() as stack:
        target = days[-1] if days else output
        expected = _expected(output, ledgers, accounts, summary, stack)
        _check(target, verdict, expected, failures=failures, summary=summary)
    return verdict


def _expected(
    output: Path,
    ledgers: Sequence[Path],
    accounts: Iterable[Sequence[ListedAccount]] | None,
    summary: Path | None,
    stack: ExitStack,
) -> ExpectedAccounts | None:
    if not ledgers and accounts is not None:
        return stack.enter_context(FromList(accounts))
    found = list(ledgers) or _own_ledger(output, summary)
    return stack.enter_context(FromLedgers(found)) if found else None


def _own_ledger(output: Path, summary: Path | None) -> list[Path]:
    found = find_ledger(output)
    if found is None and output.is_file():
        found = evidence_of(output, summary, Verdict()).ledger
    return [found] if found is not None and found.exists() else []


def _check(
    output: Path,
    verdict: Verdict,
    expected: ExpectedAccounts | None,
    *,
    failures: Path | None,
    summary: Path | None,
) -> None:
    evidence = evidence_of(output, summary, verdict)
    if expected is None and not evidence.counts:
        hint = "name the list it was harvested from, or its ledger"
        raise InputError(str(output), "has neither a ledger nor a summary to compare it with", hint)
    for declared in evidence.files:
        check_bytes(declared, verdict)
    if isinstance(expected, FromLedgers):
        _check_run(evidence, expected, verdict)
    _check_accounts(evidence, expected, verdict)
    _check_failures(failures or evidence.failures, evidence, expected, verdict)


def _check_run(evidence: Evidence, expected: FromLedgers, verdict: Verdict) -> None:
    runs = {run.id for reader in expected.readers for run in reader.runs()}
    if evidence.run_ids and evidence.run_ids.isdisjoint(runs):
        hint = "run the same command again, which completes what was interrupted"
        verdict.add(str(expected.readers[0].path), f"is the ledger of another harvest: {hint}")


def _check_accounts(evidence: Evidence, expected: ExpectedAccounts | None, verdict: Verdict) -> None:
    join = None if expected is None else Join(expected, verdict)
    census = _Census()
    for declared in evidence.files:
        groups = census.counted(declared, groups_of(declared.path, verdict), verdict)
        if join is not None:
            join.add(groups)
        else:
            deque(groups, maxlen=0)
    if join is not None:
        join.finish()
    census.compare(evidence, verdict)


class _Census:
    """Counts what the files have, and compares it with what is declared of them."""

    def __init__(self) -> None:
        self._with_rows = 0
        self._digest = 0
        self._changes = False

    def counted(self, declared: Declared, groups: Iterator[Group], verdict: Verdict) -> Iterator[Group]:
        """The groups of one file, counted on their way."""
        rows = accounts = 0
        for group in groups:
            rows += len(group.rows)
            accounts += 1
            self._changes = group.style.changes
            if group.rows:
                self._with_rows += 1
                self._digest += int.from_bytes(sha256(group.account_id.encode()).digest(), "big")
            yield group
        if declared.rows is not None and rows != declared.rows:
            verdict.add(str(declared.path), f"has {rows} rows, but {declared.rows} were written")
        verdict.files += 1
        verdict.rows += rows
        verdict.accounts += accounts

    def compare(self, evidence: Evidence, verdict: Verdict) -> None:
        """Compare all files with the figures and the digest of the accounts that were harvested."""
        wanted = evidence.counts.get("harvested")
        if wanted is None or self._changes:
            return
        place = str(evidence.files[0].path.parent) if len(evidence.files) > 1 else "the output"
        if self._with_rows != wanted:
            verdict.add(place, f"has rows of {self._with_rows} accounts, but {wanted} were harvested")
        elif f"{self._digest % _MODULUS:064x}" != evidence.digests.get(
            "harvested", f"{self._digest % _MODULUS:064x}"
        ):
            verdict.add(place, "has other accounts than were harvested")


def _check_database(output: Path, verdict: Verdict) -> None:
    """A ledger that is itself the output."""
    verdict.files += 1
    try:
        with LedgerReader(output) as reader:
            _check_ledger(reader, verdict)
    except (LedgerUnreadable, sqlite3.DatabaseError) as error:
        verdict.add(str(output), f"is damaged ({error})")


def _check_ledger(reader: LedgerReader, verdict: Verdict) -> None:
    place = str(reader.path)
    for (problem,) in reader.connection().execute("PRAGMA integrity_check(10)"):
        if problem != "ok":
            verdict.add(place, f"is a damaged database: {problem}")
    verdict.rows, verdict.accounts = reader.totals()
    counts = reader.counts()
    verdict.failed, verdict.listed = counts.failed, counts.distinct
    if counts.not_attempted or not reader.finished:
        verdict.add(place, f"is unfinished: {counts.not_attempted} accounts are not settled yet")


def _check_failures(
    path: Path, evidence: Evidence, expected: ExpectedAccounts | None, verdict: Verdict
) -> None:
    failed = _failed_ids(path, verdict)
    if failed is None:
        return
    if isinstance(expected, FromLedgers):
        for line, (found, wanted) in enumerate(zip_longest(failed, expected.failed_ids()), 1):
            verdict.failed += found is not None
            if found != wanted:
                problem = f"has {found or 'nothing'} where {wanted or 'nothing'} failed"
                verdict.add(f"{path}:{line}", f"{problem}; the rest of the file was not checked")
                return
        return
    for account_id in failed:
        verdict.failed += 1
        if expected is not None and expected.position_of(account_id) is None:
            verdict.add(str(path), f"{account_id} is not on the list")
    wanted_count = evidence.counts.get("failed", verdict.failed)
    if verdict.failed != wanted_count:
        verdict.add(str(path), f"has {verdict.failed} accounts, but {wanted_count} failed")


def _failed_ids(path: Path, verdict: Verdict) -> Iterator[str] | None:
    if path.is_file():
        return (group.account_id for group in groups_of(path, verdict))
    verdict.notes.append(f"{path}: there is no failures file to compare with")
    return None
