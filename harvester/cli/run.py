"""`harvester run`: the main job."""

from __future__ import annotations

from typing import Any

import click

from harvester.cli.options import SettingsCommand, dry_run_option, inputs_argument, loaded, setting_options
from harvester.cli.show import harvest_shown
from harvester.plan import plan

_EXAMPLES = """\b
Examples:
  harvester run ids.txt -o usages.ndjson
  harvester accounts --filters 'sourceId eq "…"' | harvester run - -o usages.ndjson.gz
  harvester run ids.csv --id-field accountId -o usages/ --part-rows 1000000 --compress zstd
  harvester run usages.ndjson.failures.ndjson -o second-try.ndjson
  harvester run ids.txt -o usages.ndjson --dry-run"""


@click.command(cls=SettingsCommand, epilog=_EXAMPLES)
@inputs_argument
@setting_options("tenant", "request", "list", "output", "pace", "giving up", "seeing", "metrics")
@dry_run_option
def command(*, dry_run: bool, **options: Any) -> int:
    """Harvest the usage rows of the account IDs in INPUT.

    INPUT are files of account IDs (text, CSV, NDJSON; .gz and .zst as they are), `-` is stdin. The same
    command again goes on where the last one stopped. Rows go to DEST, everything else to stderr.

    Each option is also a variable (HARVESTER_PAGE_SIZE) and a key of the --config file (page_size);
    `harvester config show` tells which one decides. Credentials are never options: SAIL_CLIENT_ID and
    SAIL_CLIENT_SECRET in the environment, or --clients, --config, or where SailPoint's own tools keep them.
    """
    found = loaded(options, needs_tenant=not dry_run)
    if not dry_run:
        return harvest_shown(found.settings, found.warnings).status
    for warning in found.warnings:
        click.echo(f"harvester: {warning}", err=True)
    for line in plan(found.settings).lines():
        click.echo(line)
    return 0
