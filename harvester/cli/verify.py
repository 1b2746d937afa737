"""`harvester verify`: proves that an output is complete and intact."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from harvester.cli.help import Command
from harvester.cli.options import PATH
from harvester.report.text import plural, safe
from harvester.source import read_list
from harvester.source.bytestream import standard_input
from harvester.verify import Verdict, verify

_FINDING = 1


@click.command(cls=Command)
@click.argument("output", metavar="OUTPUT", type=PATH)
@click.option(
    "--ledger", "ledgers", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
    help="Ledger of the harvest; one for each shard.  [default: next to OUTPUT]",
)  # fmt: skip
@click.option(
    "--list", "inputs", metavar="INPUT", multiple=True,
    help="List of account IDs to compare with, instead of the ledger's.",
)  # fmt: skip
@click.option("--summary", metavar="FILE", type=click.Path(path_type=Path), help="[default: next to OUTPUT]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    output: str,
    *,
    ledgers: tuple[Path, ...],
    inputs: tuple[str, ...],
    summary: Path | None,
    as_json: bool,
) -> int:
    """Prove that OUTPUT, a file or a directory of a harvest, is complete and intact.

    Compares it with the list that was harvested: manifest, checksums, row counts, order, and that every
    account on the list is accounted for. Changes nothing. Exit status 0 if all is well, 1 with each finding.

    Examples:
      harvester verify usages.ndjson
      harvester verify usages/ && echo complete
    """
    accounts = read_list(inputs, stdin=standard_input()) if inputs else None
    verdict = verify(Path(output), ledgers=ledgers, accounts=accounts, summary=summary)
    if as_json:
        click.echo(orjson.dumps(verdict.to_json(), option=orjson.OPT_INDENT_2))
    else:
        _show(output, verdict)
    return 0 if verdict.complete else _FINDING


def _show(output: str, verdict: Verdict) -> None:
    for finding in verdict.findings:
        click.echo(safe(str(finding)))
    if verdict.more:
        click.echo(f"… and {plural(verdict.more, 'more finding')}")
    for note in verdict.notes:
        click.echo(f"note: {safe(note)}", err=True)
    counts = f"{plural(verdict.rows, 'row')} of {plural(verdict.accounts, 'account')}"
    if not verdict.complete:
        click.echo(f"{safe(output)}: NOT complete: {plural(len(verdict.findings) + verdict.more, 'finding')}")
    elif verdict.listed is None:
        click.echo(f"{safe(output)}: intact ({counts}); there was no list to compare it with")
    else:
        click.echo(f"{safe(output)}: complete: every account on the list is accounted for ({counts})")
