"""`harvester report`: a page to look at, from a summary."""

from __future__ import annotations

from pathlib import Path

import click

from harvester.report.html.page import html_page, read_summary, write_page
from harvester.settings.values import default_of

_EXAMPLES = """\b
Examples:
  harvester report usages.ndjson.summary.json
  harvester report usages/_summary.json -o /var/www/harvest.html
  harvester report usages.ndjson.summary.json -o - | mail …"""


@click.command("report", epilog=_EXAMPLES)
@click.argument("summary", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where the page goes, - is stdout (default: the summary's name with .html for .json).",
)
def command(*, summary: Path, output: str | None) -> int:
    """Draw the HTML report of a run from its SUMMARY, as `harvester run --report` does at its end.

    One page without script that asks for nothing over the network: the run in figures and charts, and what
    the rows say about the accounts. Needs the extra `report`.
    """
    document = read_summary(summary)
    if output == "-":
        click.echo(html_page(document, str(summary)), nl=False)
        return 0
    path = Path(output) if output is not None else summary.with_suffix(".html")
    write_page(path, document, default_of("file_mode"), str(summary))
    click.echo(f"{path}: written", err=True)
    return 0
