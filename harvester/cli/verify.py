"""`harvester verify`: is an output whole?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import click

from harvester.errors import SettingFault, UsageFault
from harvester.model import Shard
from harvester.settings import parse
from harvester.sink.verify import Verdict, verify
from harvester.sink.verify.remote import verify_store
from harvester.source import read_ids

_EXAMPLES = """\b
Examples:
  harvester verify usages.ndjson.zst --input ids.txt
  harvester verify usages/ --input ids.txt --json
  harvester accounts | harvester verify usages/ --input -"""


@click.command("verify", epilog=_EXAMPLES)
@click.argument("output")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="LIST",
    help="The list it was harvested from (again for each); - is stdin. Proves that no account is missing.",
)
@click.option(
    "--input-format",
    type=click.Choice(["auto", "text", "csv", "ndjson"]),
    default="auto",
    show_default=True,
    help="Format of LIST; auto goes by suffix, then by content.",
)
@click.option("--id-field", metavar="NAME", help="The column or property of LIST that holds the IDs.")
@click.option("--shard", metavar="K/N", help="OUTPUT is a file with this share of LIST only.")
@click.option(
    "--summary",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The summary of a single file, if not OUTPUT.summary.json.",
)
@click.option(
    "--failures",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The failures file, if not in its usual place.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON object.")
def command(
    *,
    output: str,
    inputs: tuple[str, ...],
    input_format: str,
    id_field: str | None,
    shard: str | None,
    summary: Path | None,
    failures: Path | None,
    as_json: bool,
) -> int:
    """Prove OUTPUT whole: a file, a folder with all its parts and shards, or a prefix of an object store.

    Checks that the harvest has ended, checksums, counts, every line, that no account and no month is there
    twice, and that the failures file is complete. With --input, also that every account of the list was
    harvested, was answered without rows, or is in the failures file.

    Exit status 0: whole. 1: not, each finding is on a line of its own. 2: wrong usage.
    """
    lists = _lists(inputs, input_format, id_field, shard)
    if "://" in output:
        verdict = verify_store(output, lists=lists, failures=failures)
    else:
        verdict = verify(Path(output), lists=lists, summary=summary, failures=failures)
    if as_json:
        click.echo(json.dumps(verdict.to_json(), ensure_ascii=False))
    else:
        _print(output, verdict, proved=lists is not None)
    return 0 if verdict.whole else 1


def _lists(
    inputs: tuple[str, ...], input_format: str, id_field: str | None, shard: str | None
) -> Iterable[list[str]] | None:
    if not inputs:
        if shard is not None:
            raise UsageFault("--shard says which share of a list OUTPUT holds", "give the list with --input")
        return None
    share = None if shard is None else _shard(shard)
    batches = read_ids(
        inputs, input_format=input_format, id_field=id_field, shard=share, stdin=sys.stdin.buffer
    )
    first = next(batches, [])  # a fault in the list is told before the output is read
    return chain([first], batches)


def _shard(text: str) -> Shard:
    try:
        return parse.shard(text)
    except parse.BadValue as bad:
        raise SettingFault("--shard", f"{text!r} {bad.problem}", bad.mend) from None


def _print(output: str, verdict: Verdict, *, proved: bool) -> None:
    for finding in verdict.findings:
        click.echo(str(finding))
    if verdict.more:
        click.echo(f"{output}: {verdict.more} more findings")
    for note in verdict.notes:
        click.echo(f"note: {note}", err=True)
    if verdict.whole:
        failed = f", {verdict.failed} accounts failed" if verdict.failed else ""
        complete = ", complete as to the list" if proved else ""
        click.echo(
            f"{output}: whole{complete} – {verdict.rows} rows of {verdict.accounts} accounts "
            f"in {verdict.files} files{failed}"
        )
