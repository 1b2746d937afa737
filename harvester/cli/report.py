"""`harvester report`: a page that opens with which accounts nobody uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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

_EXAMPLES = """\b
Examples:
  harvester report usages.ndjson
  harvester report usages.ndjson -o /var/www/accounts.html
  harvester report usages.ndjson.summary.json -o - | less"""


@click.command(cls=Command, epilog=_EXAMPLES)
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
    """
    require_drawing("report")
    with _found(source) as found:
        page = Path(output) if output is not None else _default(source)
        named = {"--output": page}
        if found.reader is not None and (beside := list_beside(page)) is not None:
            named["the list of accounts next to --output"] = beside
        distinct_paths(named, found.inputs)
        listed = write_report(page, found.summary, found.reader, note=found.note)
    if str(page) != "-":
        click.echo(f"Wrote {page}" + (f" and {listed}" if listed is not None else ""), err=True)
    return 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a harvest. `note` says why there is no ledger, or none that can answer."""

    summary: Mapping[str, Any]
    reader: LedgerReader | None
    inputs: tuple[Path, ...]
    note: str = RUN_ONLY


@contextmanager
def _found(source: str) -> Iterator[_Found]:
    """The summary and the ledger that `source` means."""
    if source.endswith(_SUMMARY):
        with _of_summary(Path(source)) as found:
            yield found
        return
    try:
        path = ledger_named(source)
    except UsageError:
        summary = summary_of(Path(source))
        if not summary.is_file():
            raise
        yield _Found(read_summary(summary), None, (summary,))
        return
    with LedgerReader(path) as reader:
        yield _Found(_summary_in(reader, Path(source)), reader, (path,))


@contextmanager
def _of_summary(path: Path) -> Iterator[_Found]:
    """A summary, with the ledger that it names if that is there and of the same harvest."""
    summary = read_summary(path)
    if (ledger := ledger_in_summary(summary, path)) is None:
        yield _Found(summary, None, (path,))
        return
    with LedgerReader(ledger) as reader:
        same = any(run.id == summary.get("runId") for run in reader.runs())
        yield _Found(summary, reader if same else None, (path, ledger), RUN_ONLY if same else _NO_LONGER)


def _summary_in(reader: LedgerReader, source: Path) -> Mapping[str, Any]:
    """The summary of the last run that has one: the ledger keeps it."""
    for run in reversed(reader.runs()):
        if isinstance(found := run.details.get("summary"), dict):
            return found
    if (beside := summary_of(source)).is_file():
        return read_summary(beside)
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
