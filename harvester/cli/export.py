"""`harvester export`: another output of a harvest, without a request to the tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harvester.cli.ledgers import ledger_named
from harvester.cli.options import SettingsCommand, loaded, log_shown, setting_options
from harvester.exporting import export_ledgers
from harvester.report.event_log import EventLog
from harvester.report.text import plural

_SETTINGS = (
    "output", "format", "shape", "compress", "part_rows", "partition_by", "columns", "failures", "file_mode",
    "replace", "max_outage", "log_format",
)  # fmt: skip  # one name a line would fill the screen


@click.command(cls=SettingsCommand, params=setting_options(*_SETTINGS))
@click.argument("ledgers", metavar="LEDGER...", nargs=-1, required=True)
@click.option("--unfinished", is_flag=True, help="Accept an unfinished harvest, and missing shards.")
@click.option("--follow", is_flag=True, help="Wait for the rest of an unfinished harvest.")
@click.option("--redshift-manifest", "redshift", is_flag=True, help="Add a manifest for Redshift's COPY.")
def command(
    ledgers: tuple[str, ...], *, unfinished: bool, follow: bool, redshift: bool, **options: Any
) -> int:
    """Write another output of a harvest, from its ledger. Sends nothing to the tenant.

    LEDGER is a ledger, or the output whose ledger is next to it; several are the shards of one list. An
    unfinished harvest is refused, unless --unfinished or --follow is given. Exit status 0 once the output
    is written, whatever failed in the harvest.

    Examples:
      harvester export usages.ndjson -o usages.parquet
      harvester export shard-*.ledger -o all.ndjson
      harvester export usages.ndjson --follow -o - | head
    """
    settings = loaded(options, needs_tenant=False).settings
    with log_shown(settings):
        exported = export_ledgers(
            [ledger_named(name) for name in ledgers],
            settings,
            EventLog().observe,
            unfinished=unfinished,
            follow=follow,
            redshift=redshift,
        )
    if settings.verbosity >= 0 and settings.log_format == "text":
        rows, accounts = plural(exported.rows, "row"), plural(exported.accounts, "account")
        click.echo(f"Wrote {rows} of {accounts} to {_place(settings.output)}", err=True)
    return 0


def _place(output: str) -> str:
    return "stdout" if output == "-" else str(Path(output)) if "://" not in output else output
