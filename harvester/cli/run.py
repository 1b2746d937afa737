"""`harvester run`: account IDs in, usage rows out."""

from __future__ import annotations

import gc
import os
from typing import Any

import click

from harvester.api import Harvest
from harvester.cli.options import DRY_RUN, INPUTS, SettingsCommand, loaded, log_shown, setting_options
from harvester.cli.streams import stderr_fault
from harvester.event_loop import run_blocking, signals_stopping
from harvester.export.output import OutputSpec
from harvester.parts import lane_quotas
from harvester.plan import plan
from harvester.report.closing import closing_of, show_closing
from harvester.report.event_log import EventLog
from harvester.report.github import tell_closing
from harvester.report.log import Lines
from harvester.report.progress import mode_of, progress_shown
from harvester.report.snapshot import Monitor
from harvester.report.summary import Report, summary_document
from harvester.settings import SECTIONS, Loaded
from harvester.settings.settings import Settings


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
    return _harvest_shown(found)


def _harvest_shown(found: Loaded) -> int:
    """Harvest what the settings say; log, progress and closing lines go to stderr."""
    settings = found.settings
    with log_shown(settings, found.warnings) as lines:
        gc.freeze()  # what is loaded by now stays: no need to look through it again and again
        report = run_blocking(lambda: _harvest(settings, lines))
        show_closing(report, lines, log_format=settings.log_format, verbosity=settings.verbosity)
        tell_closing(closing_of(summary_document(report), lines.redact), os.environ)
    return report.status


async def _harvest(settings: Settings, lines: Lines) -> Report:
    log = EventLog(_failures_of(settings))
    async with Harvest(settings, log.observe, log_fault=stderr_fault) as harvest:
        mode = mode_of(
            settings.progress,
            output=settings.output,
            log_format=settings.log_format,
            verbosity=settings.verbosity,
        )
        monitor = Monitor(harvest.tally, lane_quotas(settings), in_flight=lambda: harvest.in_flight)
        with signals_stopping(harvest.stop):
            async with progress_shown(mode, monitor, lines):
                report = await harvest.run()
        log.finish()
        return report


def _failures_of(settings: Settings) -> str | None:
    """The failures file, in words; None where failures are only logged."""
    if settings.failures is not None:
        return str(settings.failures)
    spec = OutputSpec.of(settings)
    if spec.parted:
        return f"_failures.ndjson in {settings.output}"
    return f"{settings.output}.failures.ndjson" if spec.kind == "file" else None
