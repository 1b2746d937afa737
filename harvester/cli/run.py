"""`harvester run`: the main job."""

from __future__ import annotations

from typing import Any

import click

from harvester.cli.options import SettingsCommand, dry_run_option, inputs_argument, loaded, setting_options
from harvester.harvest import Harvest, run_blocking, signals_stopping
from harvester.report.ending import show_closing
from harvester.report.event_log import EventLog
from harvester.report.log import LOGGER, Lines, logging_to
from harvester.report.progress import mode_of, progress_shown
from harvester.report.redaction import Redactor
from harvester.report.result import Report
from harvester.report.watch import Watch
from harvester.settings.model import Settings

_EXAMPLES = """\b
Examples:
  harvester run ids.txt -o usages.ndjson
  harvester accounts --filters 'sourceId eq "…"' | harvester run - -o usages.ndjson.gz
  harvester run ids.csv --id-field accountId -o usages/ --part-rows 1000000 --compress zstd
  harvester run usages.ndjson.failures.ndjson -o second-try.ndjson"""


@click.command(cls=SettingsCommand, epilog=_EXAMPLES)
@inputs_argument
@setting_options("tenant", "list", "output", "request", "pace", "giving up", "seeing")
@dry_run_option
def command(**options: Any) -> int:
    """Harvest the usage rows of the account IDs in INPUT.

    INPUT are files of account IDs (text, CSV, NDJSON; .gz and .zst as they are), `-` is stdin. The same
    command again goes on where the last one stopped.
    """
    found = loaded(options, needs_tenant=not options["dry_run"])
    settings = found.settings
    redact = Redactor.of(settings.clients)
    with logging_to(log_format=settings.log_format, verbosity=settings.verbosity, redact=redact) as lines:
        for warning in found.warnings:
            LOGGER.warning("%s", warning)
        report = run_blocking(lambda: _harvest(settings, lines))
        show_closing(report, lines)
    return report.status


async def _harvest(settings: Settings, lines: Lines) -> Report:
    async with Harvest(settings, EventLog()) as harvest:
        watch = Watch(harvest.tally, harvest.quotas, in_flight=lambda: harvest.in_flight)
        with signals_stopping(harvest):
            async with progress_shown(mode_of(settings), watch, lines):
                return await harvest.run()
