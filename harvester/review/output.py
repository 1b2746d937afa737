"""Writing an answer: to a terminal, a file or a directory, with a summary for auditors next to it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import orjson

from harvester.errors import SettingError
from harvester.files import (
    descriptor_of,
    distinct_paths,
    is_stream,
    open_destination,
    resolve,
    try_out,
    write_atomically,
)
from harvester.report.text import is_terminal, safe_json
from harvester.review.answer import Answer
from harvester.review.lines import BOM, Form, account_lines, account_table, csv_header, totals_lines
from harvester.review.review import COLUMNS, Review
from harvester.review.split import SplitFiles
from harvester.review.states import State
from harvester.review.totals import NOT_USED

FORMS: Final = get_args(Form)
_SUFFIXES: Final[dict[str, Form]] = {".ndjson": "ndjson", ".jsonl": "ndjson", ".txt": "ids"}
_ACTIVITY: Final = frozenset({"activeDays12m", "activeMonths12m"})
"""Columns that take a look at all months of an account."""
_WHAT: Final = "the list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of an answer is wanted, in which form, and where.

    `output` None is stdout. `columns` None are all (on a terminal, as many as fit). `by` gives totals by a
    column in place of accounts; `split_by` a directory with one CSV for each value of a column. `guard`
    makes text safe in a spreadsheet; `bom` lets CSV begin with a byte order mark.
    """

    states: frozenset[State] = frozenset(NOT_USED)
    output: str | None = None
    form: Form | None = None
    columns: tuple[str, ...] | None = None
    by: str | None = None
    split_by: str | None = None
    guard: bool = True
    bom: bool = False
    file_mode: int = 0o600


def write_answer(review: Review, wanted: Wanted, inputs: Iterable[Path] = ()) -> Answer:
    """Write what is wanted of the answer, and its summary if it is a file or directory; return the answer.

    The destination is tried before the first account is read. It may be none of `inputs`.

    Raises:
        SettingError: what is wanted contradicts itself, or names a column that there is not.
        OutputError, StoppedEarly: it cannot be written.
        ClosedPipe: the reader of stdout closed it.
    """
    form = _checked(review, wanted)
    summary = _summary_path(wanted)
    output = wanted.output or "-"
    if wanted.output is not None:
        named = {"output": Path(output)} | ({"its summary": summary} if summary else {})
        distinct_paths(named, inputs)
    if summary is not None:
        if wanted.split_by is None:
            try_out(Path(output), wanted.file_mode, what=_WHAT)
        try_out(summary, wanted.file_mode, what="the summary")
    columns = wanted.columns or (() if form == "table" else COLUMNS)
    activity = form != "ids" and wanted.by is None and not _ACTIVITY.isdisjoint(columns)
    answer = Answer(review, wanted.states, (wanted.by,) if wanted.by else (), activity=activity)
    files: dict[str, Any] = {}
    if wanted.split_by is not None:
        with SplitFiles(Path(output), wanted.split_by, columns, wanted.file_mode, wanted.guard) as split:
            split.write(answer.accounts(), bom=wanted.bom)
            files = {"files": split.publish(summary)}
    else:
        with open_destination(output, wanted.file_mode, what=_WHAT) as destination:
            for lines in _lines(answer, wanted, form, columns):
                destination.write("".join(lines).encode("utf-8", "surrogatepass"))
    if summary is not None:
        document = orjson.dumps(answer.summary() | files, option=orjson.OPT_INDENT_2).decode()
        safe_lines = [safe_json(line).encode() + b"\n" for line in document.split("\n")]
        write_atomically(summary, safe_lines, wanted.file_mode, what="the summary")
    return answer


def _lines(
    answer: Answer, wanted: Wanted, form: Form, columns: Sequence[str]
) -> Iterator[Sequence[str] | Iterator[str]]:
    if wanted.by is not None:
        answer.count()
        lines = totals_lines(wanted.by, answer.groups(wanted.by), form, guard=wanted.guard)
        yield [BOM, *lines] if wanted.bom else lines
    elif form == "table":
        yield account_table(answer.accounts(), columns)
    else:
        if form == "csv":
            yield [csv_header(columns, bom=wanted.bom)]
        for accounts in answer.accounts():
            yield account_lines(accounts, form, columns, guard=wanted.guard)


def _summary_path(wanted: Wanted) -> Path | None:
    """Next to a file or directory; a stream or device has no place for it."""
    if wanted.output is None or is_stream(Path(wanted.output)):
        return None
    path = resolve(Path(wanted.output))
    return path.with_name(f"{path.name}.summary.json") if path.name else None


def _checked(review: Review, wanted: Wanted) -> Form:
    """The form, if everything that is wanted goes together."""
    named = [("columns", column) for column in wanted.columns or ()]
    for setting, name in (*named, ("by", wanted.by), ("split_by", wanted.split_by)):
        if name is not None:
            review.check_column(setting, name)
    form = _form(wanted)
    if wanted.by is not None and wanted.columns is not None:
        raise SettingError(
            "columns", "totals have columns of their own", "leave out either of columns and by"
        )
    if form == "ids" and wanted.columns is not None:
        raise SettingError("columns", "a list of IDs has no columns", "leave it out, or write csv")
    if wanted.bom and form != "csv":
        raise SettingError("bom", f"is for CSV, and this is {form}", "add the format csv")
    return form


def _form(wanted: Wanted) -> Form:
    if wanted.split_by is not None:
        return _split_form(wanted)
    if wanted.by is not None and wanted.form == "ids":
        raise SettingError("format", "totals have no account IDs", "take table, csv or ndjson")
    if wanted.form is not None:
        return wanted.form
    if wanted.output is None or descriptor_of(Path(wanted.output)) is not None:
        return "table" if is_terminal(sys.stdout) else "csv"
    return _SUFFIXES.get(Path(wanted.output).suffix.lower(), "csv")


def _split_form(wanted: Wanted) -> Form:
    if wanted.by is not None:
        raise SettingError("split_by", "contradicts by", "give one of them")
    if wanted.form not in (None, "csv"):
        raise SettingError("format", "a split list is CSV", "leave it out")
    if wanted.output is None or not wanted.output.endswith("/"):
        raise SettingError("split_by", "needs a directory", "let the output end in /, for example unused/")
    return "csv"
