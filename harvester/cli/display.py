"""A harvest with everything there is to see of it, as `run` and `demo` show it."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence

from harvester.api import Harvest
from harvester.cli.options import log_shown
from harvester.event_loop import run_blocking, signals_stopping
from harvester.export.output import OutputSpec
from harvester.parts import lane_quotas
from harvester.report.closing import closing_of, show_closing
from harvester.report.event_log import EventLog
from harvester.report.github import tell_closing
from harvester.report.log import Lines
from harvester.report.progress import mode_of, progress_shown
from harvester.report.snapshot import Monitor
from harvester.report.summary import Report, summary_document
from harvester.settings.settings import Settings


def harvest_shown(settings: Settings, warnings: Sequence[str] = ()) -> Report:
    """Harvest what the settings say; log, progress and closing lines go to stderr."""
    with log_shown(settings, warnings) as lines:
        gc.freeze()  # what is loaded by now stays: no need to look through it again and again
        report = run_blocking(lambda: _harvest(settings, lines))
        show_closing(report, lines, log_format=settings.log_format, verbosity=settings.verbosity)
        tell_closing(closing_of(summary_document(report), lines.redact), os.environ)
    return report


async def _harvest(settings: Settings, lines: Lines) -> Report:
    log = EventLog(failures_of(settings))
    async with Harvest(settings, log.observe) as harvest:
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


def failures_of(settings: Settings) -> str | None:
    """The failures file, in words; None where failures are only logged."""
    if settings.failures is not None:
        return str(settings.failures)
    spec = OutputSpec.of(settings)
    if spec.parted:
        return f"_failures.ndjson in {settings.output}"
    return f"{settings.output}.failures.ndjson" if spec.kind == "file" else None
