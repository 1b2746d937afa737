"""The one table that says how the process ends after an error, for every command."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, Final

import click

from harvester.errors import ClosedPipe, HarvesterError, StopRun

_Status = Callable[[Any], int]

_TABLE: Final[tuple[tuple[type[BaseException], _Status], ...]] = (
    (click.exceptions.Exit, lambda error: error.exit_code),
    (click.exceptions.Abort, lambda _: 130),  # click's word for Ctrl-C
    (KeyboardInterrupt, lambda _: 130),
    (click.ClickException, lambda _: 2),
    (StopRun, lambda error: error.exit_status),  # 2, 4, 5, 129, 130, 141, 143: see `harvester.errors`
    (HarvesterError, lambda _: 2),  # an account ID that is none
    (BrokenPipeError, lambda _: 141),
    (MemoryError, lambda _: 5),
    (OSError, lambda _: 5),  # a file or stream failed that nobody expected to
)
"""The first row that fits counts. What fits none is a bug, and ends with Python's traceback and a 1."""

_SILENT = (click.exceptions.Exit, click.exceptions.Abort, KeyboardInterrupt, ClosedPipe, BrokenPipeError)
"""Ends that need no words: whoever caused them knows."""


def status_of(error: BaseException) -> int | None:
    """The exit status after `error`, None for a bug."""
    return next((status(error) for kind, status in _TABLE if isinstance(error, kind)), None)


def explain(error: BaseException, status: int) -> None:
    """Say on stderr what ended the command, in a sentence; on GitHub Actions, on the run's page too."""
    if isinstance(error, _SILENT):
        return
    sentence = _usage(error) if isinstance(error, click.ClickException) else str(error)
    sentence = sentence or "there is not enough memory"
    click.echo(f"harvester: {sentence}", err=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        github = importlib.import_module("harvester.report.github")  # for nobody else
        github.tell_error(sentence, status, os.environ)


def _usage(error: click.ClickException) -> str:
    """What is wrong with the command line, and where to look."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    problem = error.format_message()
    if context is None:
        return problem
    end = "" if problem.endswith((".", "?")) else "."
    return f"{problem}{end} See `{context.command_path} --help`"
