"""Telling the end of a run: a table on a terminal, plain lines elsewhere, one line in a JSON log."""

from __future__ import annotations

import sys
from logging import ERROR, INFO, WARNING
from typing import TextIO

from harvester.errors import ClosedPipe
from harvester.report.closing import Closing, closing_of, headline
from harvester.report.log import Lines, is_terminal, say
from harvester.report.result import Report
from harvester.report.summary import summary_document
from harvester.report.table import print_closing

_LISTS = frozenset({"timeline", "outputs", "accounts", "activity"})
"""Keys of the summary that are too long for a log line."""
_LEVELS = {0: INFO, 3: WARNING, 5: WARNING, 130: WARNING, 143: WARNING}


def show_closing(report: Report, lines: Lines, *, stderr: TextIO | None = None) -> None:
    """Tell the end of a run on stderr: a JSON line, a table on a terminal, plain lines elsewhere.

    Under `-q` only why a run ended early is said, and a JSON line that is a warning or an error.
    """
    settings = report.settings
    if settings.log_format == "json":
        _log_end(report)
        return
    closing = closing_of(report, lines.redact)
    if settings.verbosity < 0:
        _say_briefly(report, closing, lines)
        return
    stream = stderr or sys.stderr
    if is_terminal(stream):
        print_closing(closing, stream)
        return
    for line in closing.plain_lines():
        lines.write(line)


def _say_briefly(report: Report, closing: Closing, lines: Lines) -> None:
    """Whoever wants quiet wants to know all the same why there is no output."""
    if report.stop is not None and not isinstance(report.stop, ClosedPipe):
        for line in filter(None, (closing.headline, closing.advice)):
            lines.write(line)


def _log_end(report: Report) -> None:
    document = summary_document(report)
    level = _LEVELS.get(report.status, ERROR)
    fields = {key: value for key, value in document.items() if key not in _LISTS}
    say(level, "run_ended", headline(report), **fields)
