"""``harvester verify``: is an output complete and intact? Reads local files only, and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from hashlib import file_digest
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from harvester.errors import InputError, LedgerUnreadable
from harvester.ledger import LedgerReader, find_ledger
from harvester.ledger.shards import other_list
from harvester.model import ListedAccount
from harvester.report.text import plain
from harvester.verify.contents import Shape, groups_of
from harvester.verify.join import Expected, GivenList, Join, Ledgers, Verdict

_MANIFEST: Final = "_manifest.json"
_FINISHED: Final = (0, 3)
_UNCHECKED: Final = "the rest of the file was not checked"


class _Declared(NamedTuple):
    """What a manifest or a summary, at `path`, says of an output: files, accounts by outcome, run IDs."""

    path: Path
    files: dict[Path, Mapping[str, Any]]
    counts: Mapping[str, int]
    run_ids: frozenset[str]
    failures: Path
    ledger: Path | None = None


def verify(
    output: Path,
    *,
    ledgers: Sequence[Path] = (),
    accounts: Iterable[Sequence[ListedAccount]] | None = None,
    summary: Path | None = None,
) -> Verdict:
    """Compare `output`, a file or a directory, with the list it was harvested from.

    The list is that of `ledgers` (the shards of one list, if several), else `accounts`, else that of the
    ledger kept next to the output. `summary` is where this file is, if elsewhere. Memory does not depend on
    the length of the list.

    Raises:
        InputError: there is no such output, or nothing to compare it with.
        LedgerUnreadable: a ledger cannot be read.
    """
    verdict = Verdict()
    if output.is_dir():
        declared = [_by_manifest(day, verdict) for day in _days(output)]
    else:
        declared = [_by_summary(output, summary, verdict)]
    if output.is_file() and _is_database(output):
        _check_database(output, declared[0].files[output], verdict)
        return verdict
    named = list(ledgers)
    if accounts is None and not named:
        own = find_ledger(output) if output.is_dir() else declared[0].ledger
        named = [own] if own is not None and own.exists() else []
    with ExitStack() as stack:
        expected: Expected | None = None
        if named:
            readers = [stack.enter_context(LedgerReader(path)) for path in named]
            expected = Ledgers(readers)
            if (other := other_list(readers)) is not None:
                verdict.add(other.path, "this shard and the others are not of one list")
        elif accounts is not None:
            expected = GivenList(stack.enter_context(closing(sqlite3.connect(""))), accounts)
        for one in declared[:-1]:  # the ledger is that of the latest
            _check(one, None, verdict)
        _check(declared[-1], expected, verdict)
    return verdict


def _days(output: Path) -> list[Path]:
    """With ``--partition-by``, each day is an output of its own."""
    days = [] if (output / _MANIFEST).exists() else sorted(output.glob("harvested=*"))
    return days or [output]


# -- what is declared


def _by_manifest(output: Path, verdict: Verdict) -> _Declared:
    path = output / _MANIFEST
    for name in (_MANIFEST, "_SUCCESS"):
        if not (output / name).exists():
            verdict.add(output, f"is not complete: it has no {name}")
    manifest = _document(path)
    if manifest.get("complete") is False:
        verdict.add(path, "says that the harvest was unfinished")
    parts = {output / one["name"]: one for one in manifest.get("parts", ())}
    files = {part: one for part, one in parts.items() if part.parent == output and part.is_file()}
    for part in parts.keys() - files.keys():
        verdict.add(part, "is missing, but the manifest names it")
    for part in sorted({*output.glob("part-*")} - parts.keys()) if manifest else ():
        verdict.add(part, "is not in the manifest: it belongs to another output")
    counts = {name: one["count"] for name, one in manifest.get("accounts", {}).items()}
    run_ids = frozenset(manifest.get("runIds", ()))
    return _Declared(path, files, counts, run_ids, output / "_failures.ndjson")


def _by_summary(output: Path, path: Path | None, verdict: Verdict) -> _Declared:
    if not output.is_file():
        unfinished = output.with_name(output.name + ".partial").exists()
        hint = "its harvest is unfinished: run the same command again" if unfinished else "check the path"
        raise InputError(str(output), "no such output", hint)
    path = path or output.with_name(output.name + ".summary.json")
    summary = _document(path)
    later = summary.get("outputs") == [] and summary.get("status") not in _FINISHED
    if later:
        problem = f"is of a later run, which ended early (status {summary.get('status')}) and wrote no output"
        verdict.notes.append(f"{path}: {problem}")
        ledger = _finished_ledger(output, summary)
        summary = {} if ledger is None else _summary_in(ledger)
    else:
        ledger = find_ledger(output) or _ledger_in(summary)
    named = plain(output.name)
    own = [one for one in summary.get("outputs", ()) if Path(one["name"]).name == named]
    if not later:
        _check_summary(path, summary, output, verdict, mentioned=bool(own))
    beside = output.with_name(f"{output.name}.failures.ndjson")
    failures = Path(summary.get("failures") or beside)
    moved = (path.with_name(failures.name), beside)  # with the summary, or with the output
    return _Declared(
        path,
        {output: own[0] if own else {}},
        summary.get("counts", {}),
        frozenset(filter(None, [summary.get("runId")])),
        next((one for one in (failures, *moved) if one.is_file()), failures),
        ledger,
    )


def _check_summary(
    path: Path, summary: Mapping[str, Any], output: Path, verdict: Verdict, *, mentioned: bool
) -> None:
    if not summary:
        verdict.notes.append(f"{path}: there is no summary, so the bytes cannot be compared with it")
    elif not mentioned:
        verdict.add(path, f"does not mention {output.name}: it is the summary of another output")
    elif summary["status"] not in _FINISHED:
        verdict.add(path, f"says that the harvest did not finish (status {summary['status']})")


def _ledger_in(summary: Mapping[str, Any]) -> Path | None:
    return Path(summary["ledger"]) if summary.get("ledger") else None


def _finished_ledger(output: Path, later: Mapping[str, Any]) -> Path | None:
    """The ledger of the harvest that `output` is of; that of the `later` run is `.partial` next to it."""
    places = (find_ledger(output), _ledger_in(later))
    found = (one.with_suffix("") if one.suffix == ".partial" else one for one in places if one is not None)
    return next((one for one in found if one.is_file()), None)


def _summary_in(ledger: Path) -> dict[str, Any]:
    """The summary of the run that finished a harvest, as its ledger has it."""
    with LedgerReader(ledger) as reader:
        return dict(next((run.details.get("summary", {}) for run in reversed(reader.runs())), {}))


def _document(path: Path) -> dict[str, Any]:
    """A JSON object, empty if there is no such file."""
    try:
        found: dict[str, Any] = dict(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(str(path), f"cannot be read ({error})", "restore it, or harvest again") from error
    return found


# -- what is there


def _check(declared: _Declared, expected: Expected | None, verdict: Verdict) -> None:
    counts = declared.counts
    if expected is None and not counts:
        hint = "name the list it was harvested from, or its ledger"
        where = str(next(iter(declared.files), declared.path.parent))
        raise InputError(where, "has neither a ledger nor a summary of its own to compare it with", hint)
    total = sum(count for name, count in counts.items() if name != "distinct")
    if total != counts.get("distinct", total):
        verdict.add(declared.path, f"counts {counts['distinct']} accounts, but they add up to {total}")
    if counts.get("notAttempted"):
        verdict.add(declared.path, f"says that {counts['notAttempted']} accounts were not attempted")
    if isinstance(expected, Ledgers) and declared.run_ids and declared.run_ids.isdisjoint(expected.run_ids()):
        hint = "run the same command again, which completes what was interrupted"
        verdict.add(expected.readers[0].path, f"is the ledger of another harvest: {hint}")
    _check_accounts(declared, expected, verdict)
    _check_failures(declared, expected, verdict)


def _check_accounts(declared: _Declared, expected: Expected | None, verdict: Verdict) -> None:
    """Compare the rows in all files with the list, and with what is declared of them."""
    join = None if expected is None else Join(expected, verdict)
    shape: Shape = "rows"
    with_rows = 0
    for path, about in declared.files.items():
        _check_bytes(path, about, verdict)
        before = verdict.rows
        try:
            for group in groups_of(path):
                shape = group.shape
                verdict.accounts += 1
                verdict.rows += len(group.rows)
                with_rows += bool(group.rows)
                if join is not None:
                    join.add(group)
                months = [day[:7] for day, _ in group.rows if day]
                if shape != "changes" and len({*months}) < len(months):
                    verdict.add(group.place, f"{group.account_id} has a month twice")
        except InputError as error:
            verdict.add(*_finding(error))
        if (rows := verdict.rows - before) != about.get("rows", rows):
            verdict.add(path, f"has {rows} rows, but {about['rows']} were written")
    if join is not None:
        join.finish(shape)
        if verdict.listed != (distinct := declared.counts.get("distinct", verdict.listed)):
            verdict.add("the list", f"has {verdict.listed} accounts, but that of the harvest had {distinct}")
    wanted = declared.counts.get("harvested", with_rows)
    if shape != "changes" and with_rows != wanted:
        verdict.add("the output", f"has rows of {with_rows} accounts, but {wanted} were harvested")


def _check_bytes(path: Path, declared: Mapping[str, Any], verdict: Verdict) -> None:
    verdict.files += 1
    size = path.stat().st_size
    if size != declared.get("bytes", size):
        verdict.add(path, f"has {size} bytes, but {declared['bytes']} were written")
    elif "sha256" in declared:
        with path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() != declared["sha256"]:
                verdict.add(path, "was changed: its SHA-256 is not the one declared")


def _check_failures(declared: _Declared, expected: Expected | None, verdict: Verdict) -> None:
    path, counts = declared.failures, declared.counts
    if not path.is_file():
        verdict.notes.append(f"{path}: there is no failures file to compare with")
        return
    failed = (group.account_id for group in groups_of(path))
    try:
        if isinstance(expected, Ledgers):
            for line, (found, wanted) in enumerate(zip_longest(failed, expected.failed_ids()), 1):
                verdict.failed += found is not None
                if found != wanted:
                    problem = f"has {found or 'nothing'} where {wanted or 'nothing'} failed; {_UNCHECKED}"
                    verdict.add(f"{path}:{line}", problem)
                    return
        else:
            verdict.failed = sum(1 for _ in failed)
            if verdict.failed != counts.get("failed", verdict.failed):
                verdict.add(path, f"has {verdict.failed} accounts, but {counts['failed']} failed")
    except InputError as error:
        verdict.add(*_finding(error))


def _finding(error: InputError) -> tuple[str, str]:
    place = error.name if error.line is None else f"{error.name}:{error.line}"
    return place, f"{error.problem.removeprefix(f'{place}: ')}; {_UNCHECKED}"


# -- a ledger that is itself the output


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _check_database(output: Path, declared: Mapping[str, Any], verdict: Verdict) -> None:
    _check_bytes(output, declared, verdict)
    try:
        with LedgerReader(output) as reader:
            for (problem,) in reader.connection().execute("PRAGMA integrity_check(10)"):
                if problem != "ok":
                    verdict.add(output, f"is a damaged database: {problem}")
            verdict.rows, verdict.accounts = reader.totals()
            counts = reader.counts()
            verdict.failed, verdict.listed = counts.failed, counts.distinct
            if counts.not_attempted or not reader.finished:
                verdict.add(output, f"is unfinished: {counts.not_attempted} accounts are not settled yet")
    except (LedgerUnreadable, sqlite3.DatabaseError) as error:
        verdict.add(output, f"is damaged ({error})")
