"""`harvester unused`: which accounts does nobody use?"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click
import orjson

from harvester.next.cli.columns import columns as aligned
from harvester.next.cli.help import Command
from harvester.next.cli.ledgers import ledger_named
from harvester.next.errors import SettingError
from harvester.next.files import open_destination, write_atomically
from harvester.next.ledger import LedgerReader
from harvester.next.report.figures import percent, plural
from harvester.next.report.text import cut, is_terminal, safe
from harvester.next.review.answer import (
    TABLE_COLUMNS,
    TOTALS_COLUMNS,
    Answer,
    csv_of,
    ids_of,
    ndjson_of,
    totals_rows,
)
from harvester.next.review.excluded import read_exclusions
from harvester.next.review.spreadsheet import csv_lines
from harvester.next.review.states import State
from harvester.next.review.unused import (
    COLUMNS,
    Question,
    Review,
    ReviewedAccount,
    cell_text,
    unmatched_warning,
)
from harvester.next.settings import parse
from harvester.next.settings.parse import BadValue

FORMATS: Final = ("table", "csv", "ndjson", "ids")
_SUFFIXES: Final = {".ndjson": "ndjson", ".jsonl": "ndjson", ".txt": "ids"}
_MOST_SHOWN: Final = 50
"""Accounts in a table; whoever wants them all wants a file."""
_WIDEST_CELL: Final = 32
_FILE_MODE: Final = 0o600
_FOUND, _NOT_JUDGED = 1, 3

_EXAMPLES = """\b
Examples:
  harvester unused usages.ndjson
  harvester unused usages.ndjson --by sourceName
  harvester unused usages.ndjson --months 6 -o unused.csv
  harvester unused usages.ndjson --fail-above 5% --max-unknown 40% --format ids"""


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("ledger", metavar="LEDGER")
@click.option("--months", metavar="N", type=int, help="Months of the window, 1 to 11.  [default: 3]")
@click.option("--since", metavar="YYYY-MM", help="First month of the window, in place of --months.")
@click.option("--as-of", metavar="YYYY-MM", help="Last month of the window.  [default: the harvest's]")
@click.option("--grace", metavar="DURATION", help="How long an account is new.  [default: the window]")
@click.option(
    "--include", type=click.Choice(["disabled"]), multiple=True, help="Judge disabled accounts, too."
)
@click.option(
    "--exclude",
    "exclude",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="CSV of accounts to exclude: accountId[,reason[,until]].",
)
@click.option(
    "--assume-reported", is_flag=True, help="Take sources of which nothing is known as reporting usage."
)
@click.option("--states", metavar="NAMES", help="States to show.  [default: unused,never]")
@click.option(
    "-o", "--output", metavar="DEST", help="A file instead of stdout (.csv, .ndjson, .txt for IDs)."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="[default: by the suffix; a table on a terminal, else csv]",
)
@click.option("--by", metavar="FIELD", help="Totals by this field, such as sourceName or managerName.")
@click.option(
    "--split-by", metavar="FIELD", help="A directory (-o DIR/) with one CSV for each value of this field."
)
@click.option("--columns", metavar="NAMES", help="Columns, in this order.  [default: all]")
@click.option("--fail-above", metavar="N|P%", help="Exit with 1 if more accounts are in these states.")
@click.option("--max-unknown", metavar="P%", help="Exit with 3 if more accounts are unknown.")
@click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark, for Excel.")
@click.option(
    "--formula-guard/--no-formula-guard", default=True, help="Guard text that a spreadsheet would run."
)
def command(ledger: str, **options: Any) -> int:
    r"""Show which accounts nobody uses, from the ledger of a finished harvest.

    LEDGER is a ledger, or the output whose ledger is next to it. Works offline and never changes anything
    in a tenant.

    \b
    Each account is in one state, the first that applies:
      excluded  disabled, or listed in --exclude
      unknown   the harvest gave up on it
      active    used within the window
      unused    used earlier, not within the window
      new       never used, and created within the window
      unknown   its source reports no usage, or not for long enough, or is not known
      never     never used, as far as its source reports
    """
    with LedgerReader(ledger_named(ledger)) as reader:
        return _Command(reader, options).run()


class _Command:
    """One call of the command: its options, checked, and what they do."""

    def __init__(self, reader: LedgerReader, options: dict[str, Any]) -> None:
        self._options = options
        self._states = _states(options["states"])
        self._fail_above = _limit("--fail-above", options["fail_above"], share_only=False)
        self._max_unknown = _limit("--max-unknown", options["max_unknown"], share_only=True)
        try:
            self._review = Review(reader, _question(options))
        except SettingError as error:
            flag = "--" + error.setting.replace("_", "-")
            raise SettingError(flag, error.problem.partition(": ")[2], error.hint) from None
        self._columns = self._checked_columns()
        self._output: str | None = options["output"]
        self._form = self._format()

    def run(self) -> int:
        """Write the answer, then say all six counts; return the exit status."""
        answer = Answer(self._review, self._states, self._options["by"])
        if self._options["split_by"]:
            self._write_split(answer)
        elif self._form == "table":
            self._show(answer)
        else:
            self._write(self._lines(answer))
        self._write_summary(answer)
        sys.stdout.flush()
        if (warning := unmatched_warning(self._review.unmatched)) is not None:
            click.echo(f"harvester: {warning}", err=True)
        click.echo(_counts_line(answer), err=True)
        return self._status(answer)

    # --- what is written

    def _lines(self, answer: Answer) -> Iterator[str]:
        guard, bom = self._options["formula_guard"], self._options["bom"]
        by = self._options["by"]
        if by is not None:
            header = (by, *TOTALS_COLUMNS)
            rows = totals_rows(answer.groups())
            if self._form == "ndjson":
                return (orjson.dumps(dict(zip(header, row, strict=True))).decode() + "\n" for row in rows)
            return csv_lines(header, rows, guard=guard, bom=bom)
        accounts = answer.accounts()
        if self._form == "ids":
            return ids_of(accounts)
        if self._form == "ndjson":
            return ndjson_of(accounts, self._columns)
        return csv_of(accounts, self._columns, guard=guard, bom=bom)

    def _write(self, lines: Iterable[str]) -> None:
        with open_destination(self._output or "-", _FILE_MODE, what="the list", started=False) as destination:
            for chunk in _chunks(lines):
                destination.write(chunk.encode("utf-8", "surrogatepass"))

    def _write_split(self, answer: Answer) -> None:
        directory = Path(self._output or ".")
        field = self._options["split_by"]
        groups: dict[str, list[ReviewedAccount]] = {}
        for account in answer.accounts():
            groups.setdefault(cell_text(account.get(field)), []).append(account)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        guard, bom = self._options["formula_guard"], self._options["bom"]
        for name, accounts in zip(_file_names(groups), groups.values(), strict=True):
            lines = csv_of(accounts, self._columns, guard=guard, bom=bom)
            write_atomically(
                directory / name,
                (line.encode("utf-8", "surrogatepass") for line in lines),
                _FILE_MODE,
                what="the list",
            )

    def _write_summary(self, answer: Answer) -> None:
        """For auditors, next to the file; a stream has no place for it."""
        if self._output in (None, "-", "/dev/stdout") or self._output is None:
            return
        output = self._output.rstrip("/")
        if Path(output).exists() and not (Path(output).is_file() or Path(output).is_dir()):
            return
        document = orjson.dumps(answer.summary(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        write_atomically(Path(f"{output}.summary.json"), [document], _FILE_MODE, what="the summary")

    def _show(self, answer: Answer) -> None:
        by = self._options["by"]
        if by is not None:
            header: Sequence[str] = (by, *TOTALS_COLUMNS)
            rows = [[_shown(cell) for cell in row] for row in totals_rows(answer.groups())]
            _print_table(header, rows)
            return
        columns = self._columns if self._options["columns"] else TABLE_COLUMNS
        rows, more = [], 0
        for account in answer.accounts():
            if len(rows) < _MOST_SHOWN:
                rows.append([_shown(account.get(column)) for column in columns])
            else:
                more += 1
        _print_table(columns, rows)
        if more:
            click.echo(
                f"… and {plural(more, 'more account')}: write all of them to a file with -o unused.csv"
            )

    # --- options

    def _format(self) -> str:
        chosen: str | None = self._options["form"]
        if self._options["split_by"]:
            if chosen not in (None, "csv"):
                raise SettingError("--format", "--split-by writes CSV", "leave it out")
            if self._output is None or not self._output.endswith("/"):
                raise SettingError(
                    "--split-by", "needs a directory", "let -o end in /, for example -o unused/"
                )
            return "csv"
        if self._options["by"] and chosen == "ids":
            raise SettingError("--format", "totals have no account IDs", "use table, csv or ndjson")
        if chosen:
            return chosen
        if self._output is None or self._output in ("-", "/dev/stdout"):
            return "table" if is_terminal(sys.stdout) else "csv"
        return _SUFFIXES.get(Path(self._output).suffix, "csv")

    def _checked_columns(self) -> tuple[str, ...]:
        for option in ("by", "split_by"):
            if self._options[option]:
                self._review.check_column("--" + option.replace("_", "-"), self._options[option])
        if not self._options["columns"]:
            return COLUMNS
        names = tuple(name.strip() for name in self._options["columns"].split(","))
        for name in names:
            self._review.check_column("--columns", name)
        return names

    def _status(self, answer: Answer) -> int:
        totals = answer.totals
        if self._max_unknown is not None and totals.unknown_share > self._max_unknown[0]:
            return _NOT_JUDGED
        if not totals.judged and totals.accounts > totals.states[State.EXCLUDED]:
            return _NOT_JUDGED
        if self._fail_above is None:
            return 0
        limit, is_share = self._fail_above
        found = answer.selected / (totals.judged or 1) if is_share else answer.selected
        return _FOUND if found > limit else 0


def _question(options: dict[str, Any]) -> Question:
    return Question(
        months=options["months"],
        since=options["since"],
        as_of=options["as_of"],
        grace=_grace(options["grace"]),
        include_disabled="disabled" in options["include"],
        assume_reported=options["assume_reported"],
        exclusions=read_exclusions(options["exclude"]) if options["exclude"] else {},
    )


def _grace(text: str | None) -> timedelta | None:
    if text is None:
        return None
    days = re.fullmatch(r"(\d{1,5})d", text.strip())
    if days:
        return timedelta(days=int(days[1]))
    try:
        return timedelta(seconds=parse.duration(text))
    except BadValue as bad:
        raise SettingError("--grace", f"{text!r} {bad.problem}", "write it as in 30d or 12h") from None


def _states(text: str | None) -> frozenset[State]:
    if text is None:
        return frozenset({State.UNUSED, State.NEVER})
    found = set()
    for name in (one.strip() for one in text.split(",")):
        if name not in {str(state) for state in State}:
            near = get_close_matches(name, [str(state) for state in State], n=1)
            hint = f"did you mean {near[0]}?" if near else f"take any of {', '.join(State)}"
            raise SettingError("--states", f"{name!r} is not a state", hint)
        found.add(State(name))
    return frozenset(found)


def _limit(flag: str, text: str | None, *, share_only: bool) -> tuple[float, bool] | None:
    """A number of accounts, or a share of them and True."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(%?)", text.strip())
    share = found is not None and found[2] == "%"
    if found is None or (share_only and not share) or (not share and "." in found[1]):
        raise SettingError(flag, f"{text!r} is not a limit", "write 5%" if share_only else "write 100 or 5%")
    number = float(found[1])
    if share and number > 100:  # noqa: PLR2004  # percent
        raise SettingError(flag, f"{text!r} is more than all", "give at most 100%")
    return (number / 100, True) if share else (number, False)


def _file_names(values: Iterable[str]) -> list[str]:
    """A safe and unique file name for each value, whatever it is; the same ones for the same values."""
    taken: set[str] = set()
    names = []
    for value in values:
        stem = re.sub(r"[^\w.@-]+", "_", value, flags=re.ASCII).strip("._") or "none"
        stem, number = stem[:80], 1
        name = f"{stem}.csv"
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}.csv"
        taken.add(name.casefold())
        names.append(name)
    return names


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == 1000:  # noqa: PLR2004  # some 200 kB
            yield "".join(chunk)
            chunk = []
    yield "".join(chunk)


def _shown(value: Any) -> str:
    return cut(safe(f"{value:,}" if type(value) is int else cell_text(value)), _WIDEST_CELL)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in aligned([header, *rows]):
        click.echo(line)


def _counts_line(answer: Answer) -> str:
    """The last line on stderr: all six counts."""
    totals = answer.totals
    counts = ", ".join(f"{totals.states[state]:,} {state}" for state in State)
    share = totals.unused_share
    judged = "none can be judged" if share is None else f"{percent(share)} of those judged are unused"
    return f"{plural(totals.accounts, 'account')}: {counts} ({judged})"
