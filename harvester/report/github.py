"""GitHub Actions: a summary on the run's page, and one annotation where something went wrong.

Both do nothing elsewhere, and neither ever ends a run. GitHub reads its commands from stderr as well as
from stdout, which may be rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harvester.report import text
from harvester.report.closing import Closing
from harvester.report.log import LOGGER

_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~"})
_SOME_FAILED = 3
_CLOSED_PIPE = 141


def tell_closing(closing: Closing, environ: Mapping[str, str]) -> None:
    """Append the closing to the step's summary, and annotate it unless all went well."""
    _append(environ, "\n".join(markdown(closing)))
    if closing.status not in (0, _CLOSED_PIPE):
        level = "warning" if closing.status == _SOME_FAILED else "error"
        _annotate(level, ". ".join(filter(None, (closing.headline, closing.advice))), environ)


def tell_error(message: str, status: int, environ: Mapping[str, str]) -> None:
    """The same for a command that ends with `status` before it did anything. `message` holds no secret."""
    _append(environ, f"### ❌ harvester\n\n{_escaped(text.safe(message))} (exit status {status}).\n")
    _annotate("error", text.safe(message), environ)


def markdown(closing: Closing) -> Iterator[str]:
    """The closing for the run's page."""
    mark = {0: "✅", _SOME_FAILED: "⚠️"}.get(closing.status, "❌")
    yield f"### {mark} harvester\n\n{_escaped(closing.headline)} (exit status {closing.status}).\n"
    yield "| | | |\n| --- | ---: | --- |"
    for figure in closing.figures:
        yield f"| {_escaped(figure.label)} | {figure.number} | {_escaped(figure.remark)} |"
    if closing.groups:
        yield "\n| failed | because | for example | what to do |\n| ---: | --- | --- | --- |"
        for group in closing.groups:
            cells = (group.words, group.example, group.advice)
            yield f"| {group.number} | {' | '.join(map(_escaped, cells))} |"
    yield f"\n{_escaped(closing.advice)}\n" if closing.advice else ""


def _append(environ: Mapping[str, str], page: str) -> None:
    path = environ.get("GITHUB_STEP_SUMMARY", "")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(page + "\n")
    except OSError as error:
        LOGGER.warning("GITHUB_STEP_SUMMARY: %s cannot be written (%s)", path, error.strerror)


def _annotate(level: str, message: str, environ: Mapping[str, str]) -> None:
    if environ.get("GITHUB_ACTIONS") == "true":
        # The runner undoes these three; a line break would end the command.
        line = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        with suppress(OSError, ValueError):  # a stderr that is closed or full
            sys.stderr.write(f"::{level} title=harvester::{line}\n")
            sys.stderr.flush()


def _escaped(words: str) -> str:
    return words.translate(_MARKDOWN)
