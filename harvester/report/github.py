"""Manners for GitHub Actions: a summary on the run's page, and one annotation where something went wrong.

Both do nothing elsewhere. GitHub reads its commands from stderr as well as from stdout, which may be rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TextIO

from harvester.errors import ClosedPipe
from harvester.report.closing import Closing, closing_of
from harvester.report.log import LOGGER, one_line
from harvester.report.redaction import Redactor
from harvester.report.result import Report

Environ = Mapping[str, str]
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~"})


def tell_report(
    report: Report, redact: Callable[[str], str], environ: Environ, stderr: TextIO | None = None
) -> None:
    """Append the run to the step's summary, and annotate it where it was not wholly good."""
    closing = closing_of(report, redact)
    _append(environ, "\n".join(markdown(closing, report.status)))
    if report.status != 0 and not isinstance(report.stop, ClosedPipe):
        level: Literal["warning", "error"] = "warning" if report.status == 3 else "error"  # noqa: PLR2004  # some failed
        advice = f". {closing.advice}" if closing.advice else ""
        _annotate(level, f"{closing.headline}{advice}", environ, stderr)


def tell_fault(
    message: str,
    status: int,
    environ: Environ,
    *,
    redact: Callable[[str], str] | None = None,
    stderr: TextIO | None = None,
) -> None:
    """The same for a command that came to nothing and ends with `status`."""
    said = (redact or Redactor())(one_line(message))
    _append(environ, f"### ❌ harvester\n\n{_escaped(said)} (exit status {status}).\n")
    _annotate("error", said, environ, stderr)


def markdown(closing: Closing, status: int) -> Iterator[str]:
    """The closing for the run's page."""
    yield f"### {'✅' if status == 0 else '⚠️' if status == 3 else '❌'} harvester\n"  # noqa: PLR2004  # some failed
    yield f"{_escaped(closing.headline)} (exit status {status}).\n"
    yield "| | | |\n| --- | ---: | --- |"
    for figure in closing.figures:
        yield f"| {_escaped(figure.label)} | {figure.number} | {_escaped(figure.remark)} |"
    if closing.groups:
        yield "\n| failed | because | for example | what to do |\n| ---: | --- | --- | --- |"
        for group in closing.groups:
            cells = (group.words, group.example, group.mend)
            yield f"| {group.number} | {' | '.join(map(_escaped, cells))} |"
    yield f"\n{_escaped(closing.advice)}\n" if closing.advice else ""


def _append(environ: Environ, text: str) -> None:
    """A summary that can't be written ends no harvest."""
    path = environ.get("GITHUB_STEP_SUMMARY", "")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        LOGGER.warning("GITHUB_STEP_SUMMARY: %s can't be written (%s)", path, error.strerror)


def _annotate(
    level: Literal["warning", "error"], message: str, environ: Environ, stderr: TextIO | None
) -> None:
    if environ.get("GITHUB_ACTIONS") == "true":
        # The runner undoes these three; a line break would end the command.
        safe = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::{level} title=harvester::{safe}", file=stderr or sys.stderr, flush=True)


def _escaped(text: str) -> str:
    return text.translate(_MARKDOWN)
