"""`harvester run`: account IDs in, usage rows out."""

from __future__ import annotations

from typing import Any

import click

from harvester.cli.display import harvest_shown
from harvester.cli.options import DRY_RUN, INPUTS, SettingsCommand, loaded, setting_options
from harvester.plan import plan
from harvester.settings import SECTIONS


@click.command(cls=SettingsCommand, params=[INPUTS, *setting_options(*SECTIONS), DRY_RUN])
def command(*, dry_run: bool, **options: Any) -> int:
    """Harvest the usage rows of the accounts in INPUT.

    INPUT are files of account IDs (text, CSV or NDJSON; .gz and .zst are read directly), `-` is stdin;
    --list takes the tenant's own accounts instead. The same command, run again, continues where the last
    run stopped. Rows go to DEST, everything else to stderr.

    Every option is also a variable (HARVESTER_PAGE_SIZE) and a key of the configuration (page_size);
    `harvester config show` says which one decides. Credentials are never options: set SAIL_CLIENT_ID and
    SAIL_CLIENT_SECRET, or use --clients, --config, or the places where SailPoint's own tools keep them.

    Examples:
      harvester run --list -o usages.ndjson
      harvester run ids.txt -o usages.ndjson
      harvester run ids.csv --id-field accountId -o usages/ --compress zstd
      harvester run usages.ndjson.failures.ndjson -o second-try.ndjson
      harvester run ids.txt -o usages.ndjson --dry-run
    """
    found = loaded(options, needs_tenant=not dry_run)
    if dry_run:
        for warning in found.warnings:
            click.echo(f"harvester: {warning}", err=True)
        for line in plan(found.settings).lines():
            click.echo(line)
        return 0
    return harvest_shown(found.settings, found.warnings).status
