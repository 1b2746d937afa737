"""`harvester report`: a page that opens with which accounts nobody uses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from harvester.cli.help import Command
from harvester.cli.ledgers import ledger_in_summary, ledger_named, summary_of
from harvester.cli.options import PATH
from harvester.errors import UsageError
from harvester.files import distinct_paths
from harvester.ledger import LedgerReader
from harvester.page.page import RUN_ONLY, list_beside, read_summary, require_drawing, write_report
from harvester.settings.destination import resolve

_SUMMARY: Final = ".json"
_ENDINGS: Final = (".partial", ".ledger", ".summary.json")
_NO_LONGER: Final = "The ledger now in its place is of another harvest, so this page shows the run only."


@click.command(cls=Command)
@click.argument("source", metavar="LEDGER|SUMMARY", type=PATH)
@click.option(
    "-o", "--output", metavar="FILE", type=PATH,
    help="File for the page.  [default: LEDGER.html; - is stdout]",
)  # fmt: skip
def command(source: str, *, output: str | None) -> int:
    """Make an HTML page of a harvest: which accounts nobody uses, and how the run went.

    LEDGER is a ledger, or the output whose ledger is next to it; the list of all accounts that nobody uses
    is written next to the page, as FILE.unused.csv. A SUMMARY has no accounts in it: without the ledger
    that it names, the page shows only the run. The page is one file that loads nothing from the network.
    Needs the extra `report`.

    Examples:
      harvester report usages.ndjson
      harvester report usages.ndjson -o /var/www/accounts.html
      harvester report usages.ndjson.summary.json -o - | less
    """
    require_drawing("report")
    page = Path(output) if output is not None else _default(source)
    with ExitStack() as stack:
        named, ledger = _found(source)
        reader = None if ledger is None else stack.enter_context(LedgerReader(ledger))
        inputs = filter(None, (named, ledger))
        note = RUN_ONLY
        if reader is not None and named is None:
            summary = _last_summary(reader)
        else:
            summary = read_summary(named or Path(source))
            if reader is not None and all(run.id != summary.get("runId") for run in reader.runs()):
                reader, note = None, _NO_LONGER
        written = {"--output": page}
        if reader is not None and (beside := list_beside(page)) is not None:
            written["the list of accounts next to --output"] = beside
        distinct_paths(written, inputs)
        listed = write_report(page, summary, reader, note=note)
    if str(page) != "-":
        click.echo(f"Wrote {page}" + (f" and {listed}" if listed is not None else ""), err=True)
    return 0


def _found(source: str) -> tuple[Path | None, Path | None]:
    """The summary and the ledger that `source` means; None is a summary that is in the ledger."""
    summary = Path(source)
    if not source.endswith(_SUMMARY):
        try:
            return None, ledger_named(source)
        except UsageError:
            summary = summary_of(summary)
            if not summary.is_file():
                raise
    return summary, ledger_in_summary(summary)


def _last_summary(reader: LedgerReader) -> Mapping[str, Any]:
    """The summary of the last run that has one: the ledger keeps it."""
    for run in reversed(reader.runs()):
        if isinstance(found := run.details.get("summary"), dict):
            return found
    raise UsageError(
        f"{reader.path}: no run of this harvest has ended yet, so there are no figures to show",
        "run the same command again to finish it",
    )


def _default(source: str) -> Path:
    """Next to what the page is of, named after the output; of a store or a table, in this directory."""
    source = source.rstrip("/")
    path = Path(source.rpartition("/")[2] if resolve(source).remote else source)
    if path.name == "_summary.json":
        path = path.parent
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return path.with_name(f"{name}.html")
