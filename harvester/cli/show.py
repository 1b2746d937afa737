"""A harvest with all there is to see of it, as `run` and `demo` do it."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from logging import ERROR

from harvester.errors import ClosedPipe, StopRun
from harvester.harvesting import Harvest, run_blocking, signals_stopping
from harvester.report.ending import show_closing
from harvester.report.event_log import EventLog, say_start
from harvester.report.github import tell_fault, tell_report
from harvester.report.html.keeping import leave_report, report_possible
from harvester.report.log import LOGGER, Lines, logging_to, say
from harvester.report.metrics import metrics_kept
from harvester.report.progress import mode_of, progress_shown
from harvester.report.redaction import Redactor
from harvester.report.result import Report
from harvester.report.watch import Watch
from harvester.settings.model import Settings


def harvest_shown(settings: Settings, warnings: Sequence[str] = ()) -> Report:
    """Harvest what the settings say; log, progress and closing go to stderr.

    Where the log is JSON, so is the error that ends the run before it has a report.
    """
    redact = Redactor.of(settings.clients)
    with logging_to(log_format=settings.log_format, verbosity=settings.verbosity, redact=redact) as lines:
        for warning in warnings:
            LOGGER.warning("%s", warning)
        say_start(settings)
        gc.freeze()  # what is loaded by now stays: no need to look through it again and again
        try:
            report_possible(settings)
            report = run_blocking(lambda: _harvest(settings, lines))
        except ClosedPipe:
            raise
        except StopRun as stop:
            if settings.log_format == "text":
                raise
            say(ERROR, "error", str(stop), status=stop.exit_status, problem=stop.problem, mend=stop.mend)
            tell_fault(str(stop), stop.exit_status, os.environ, redact=redact)
            raise SystemExit(stop.exit_status) from None
        show_closing(report, lines)
        tell_report(report, redact, os.environ)
        leave_report(report)
    return report


async def _harvest(settings: Settings, lines: Lines) -> Report:
    async with Harvest(settings, EventLog()) as harvest:
        watch = Watch(harvest.tally, harvest.quotas, in_flight=lambda: harvest.in_flight)
        with signals_stopping(harvest):
            async with metrics_kept(
                settings, harvest.tally, harvest.quotas, lambda: harvest.in_flight
            ) as tell_status:
                async with progress_shown(mode_of(settings), watch, lines):
                    report = await harvest.run()
                tell_status(report.status)
                return report
