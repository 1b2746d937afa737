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
from harvester.settings.parse import path_text
from harvester.settings.setting import Kind

_PARAMS = setting_options(
    "output",
    "replace",
    "max_outage",
    "log_format",
    changes={
        "kind": Kind("LEDGER", path_text),
        "help": "Write only rows that are new, changed or gone since LEDGER, which stays as it is.",
    },
    failures={
        "help": "Write the accounts that failed to FILE, too; a valid INPUT of a run.",
        "unset": "_failures.ndjson in a directory, else none",
    },
)


@click.command(cls=SettingsCommand, params=_PARAMS)
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
