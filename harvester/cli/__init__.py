"""The command line: a thin layer over the library, one file per command.

A command's module is imported when the command is called, so that `harvester --help` costs little more
than click itself.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from harvester.cli.exit_status import explain, status_of
from harvester.cli.help import Group
from harvester.cli.streams import settle_stdout, stderr_fault, take_over_streams
from harvester.errors import did_you_mean
from harvester.version import VERSION

_COMMANDS = {
    "run": "Harvest the usage rows of a list of accounts.",
    "unused": "Show which accounts nobody uses.",
    "accounts": "List the tenant's accounts as NDJSON, for `run` to read.",
    "sources": "List the sources, and which of them report usage.",
    "check": "Test configuration, credentials and quota; estimate how long a list takes.",
    "export": "Write another output of a harvest; sends nothing.",
    "verify": "Prove that an output is complete and intact.",
    "report": "Make an HTML page of a harvest: the answer, charts, the run.",
    "config": "Show the settings and where each comes from, or write a file to start from.",
    "demo": "Harvest a simulated tenant and show its unused accounts; nothing to configure.",
    "sandbox": "Serve a simulated tenant on this machine, to try everything out.",
    "completion": "Print the completion script for bash, zsh or fish.",
    "help": "Show a page of the manual.",
}
"""The commands in the order of help, each with a line about it; its module is `harvester.cli.<name>`."""

_MODULES = {"help": "manual"}
"""Modules whose name is another one than the command's."""


_FINISHED = (0, 3)
_COLLECT_AFTER = (20_000, 20, 20)
"""When to look for cycles of garbage: seldom. Nearly all that a harvest creates is freed by reference
counting, and with Python's own thresholds a tenth of the CPU time went into looking in vain."""


class _LazyGroup(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"{__name__}.{_MODULES.get(cmd_name, cmd_name)}"
        ).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], _COMMANDS, "see harvester --help")
            raise click.UsageError(f"There is no command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands without importing them, and this program's own options."""
        names = [
            CompletionItem(name, help=text) for name, text in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return names or click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=_LazyGroup, context_settings={"max_content_width": 100})
@click.version_option(VERSION, message="harvester %(version)s")
def harvester() -> None:
    """Find the accounts that nobody uses in a SailPoint Identity Security Cloud tenant.

    Harvests the usage of every account, as fast as the quota permits, and continues where it was stopped.

    Examples:
      harvester demo
      harvester check
      harvester run --list -o usages.ndjson
      harvester unused usages.ndjson

    Exit statuses:
      0        done; for a harvest: every account harvested
      1        a finding (verify), or more unused accounts than --fail-above (unused)
      2        wrong usage or configuration
      3        finished, but some accounts failed (they are in the failures file)
      4        not authenticated or not authorized
      5        stopped early; the same command continues where it stopped
      130/143  stopped by SIGINT/SIGTERM (129: SIGHUP), likewise
      141      the reader of stdout closed it
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; see `exit_status` for how."""
    take_over_streams()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = harvester.main(arguments, prog_name="harvester", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as caught:
        # Ctrl-C in the middle of an import may come out as something else
        error = caught.__cause__ if isinstance(caught.__cause__, KeyboardInterrupt) else caught
        status = status_of(error)
        if status is None:
            raise
        settle_stdout()
        explain(error, status)
        return status
    status = result if isinstance(result, int) else 0
    fault = stderr_fault()
    return status if fault is None or status not in _FINISHED else fault.exit_status
