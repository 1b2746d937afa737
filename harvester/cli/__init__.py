"""The command line: a thin layer over the library, one file a command.

A command's module is imported when the command is called, so that `harvester --help` costs little more
than click itself.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import Any

import click

from harvester.errors import ClosedPipe, HarvesterError, StopRun

_COMMANDS = {
    "run": "Harvest the usage rows of a list of accounts.",
    "accounts": "List the tenant's accounts as NDJSON, for `run` to read.",
    "check": "Try configuration, connection, credentials and quota; say what to mend.",
    "verify": "Prove an output whole.",
    "report": "Draw a run as an HTML page, from its summary.",
    "config": "Show the settings and where each came from, or write a file to begin with.",
    "completion": "Print the completion script for bash, zsh or fish.",
    "sandbox": "Serve a simulated tenant on 127.0.0.1 until stopped.",
    "demo": "Sandbox and harvest in one command, nothing to configure.",
}

_EXIT_STATUSES = """\b
Exit statuses of a harvest:
  0        every account harvested
  2        wrong usage or configuration
  3        finished, some accounts failed (they are in the failures file)
  4        not authenticated or not authorised
  5        stopped early, the same command goes on from there
  130/143  stopped by SIGINT/SIGTERM, likewise
  141      whoever read stdout has gone"""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"harvester.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # click's
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415  # slow to import, seldom wanted

        click.echo(f"harvester {version('account-usage-harvester')}")
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EXIT_STATUSES,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def harvester() -> None:
    """Harvest account usage summaries from SailPoint Identity Security Cloud, in bulk.

    Begin with `harvester demo`, then `harvester check`, then `harvester run ids.txt -o usages.ndjson`.
    """


_COLLECT_AFTER = (20_000, 20, 20)
"""When to look for cycles of garbage: seldom. Nearly all that a harvest makes goes by its reference counts,
and with Python's own figures a tenth of the CPU time went into looking in vain (see tests/bench)."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. The one place where errors become exit statuses.

    The statuses themselves stand with the errors: `StopRun.exit_status`.
    """
    _hold_standard_streams()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.exit(_status(arguments))


def _hold_standard_streams() -> None:
    """Keep the numbers of streams that whoever started us has closed from the files that we open.

    Rows for a stdout that is closed would else be written into the ledger. Reading and writing them fail.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_WRONLY)  # takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as above


def _status(arguments: list[str] | None) -> int:
    try:
        status: Any = harvester.main(arguments, prog_name="harvester", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        _tell_github(error.format_message(), error.exit_code)
        return error.exit_code
    except ClosedPipe:
        return closed_pipe()
    except HarvesterError as error:
        click.echo(f"harvester: {error}", err=True)
        exit_status = error.exit_status if isinstance(error, StopRun) else 1
        _tell_github(str(error), exit_status)
        return exit_status
    except BrokenPipeError:
        return closed_pipe()
    return status if isinstance(status, int) else 0


def _tell_github(message: str, status: int) -> None:
    """What ended a command is told on the page of a GitHub Actions run too."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        importlib.import_module("harvester.report.github").tell_fault(message, status, os.environ)


def closed_pipe() -> int:
    """The reader of stdout has gone: end quietly, with the status of a process that SIGPIPE stops."""
    # Python flushes stdout once more on its way out: let it flush into nothing.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 141
