"""`harvester demo`: a simulated tenant, a harvest and its answer, with nothing to configure."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from harvester.cli.help import Command
from harvester.errors import InternalError
from harvester.files import disk_errors
from harvester.model import Quota

_ACCOUNTS: Final = 1400
_QUOTA: Final = Quota(2000, 10.0)
"""Twenty times what SailPoint permits, so that the demo ends soon."""
_TENANT: Final = (
    f"--accounts={_ACCOUNTS}",
    "--sources=8",
    f"--quota={_QUOTA}",
    "--algorithm=sliding",
    "--latency=0.03",
    "--jitter=0.02",
    "--token-life=8",
    "--hopeless=5:404/403/400",
    "--faults=500=0.01,503=0.01,reset=0.005,truncate=0.005,garbage=0.005,outage=1s@#500",
)
_FINISHED: Final = (0, 3)
"""The five accounts that always fail are part of the show."""
_WRONG: Final = 1


@click.command(cls=Command)
@click.option(
    "-o", "--output", "folder", metavar="DIR", default="demo-output", show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the files that the demo leaves.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Each number gives another tenant.")
def command(folder: Path, seed: int) -> int:
    """Harvest a simulated tenant, and show which of its accounts nobody uses.

    Nothing has to be configured, and nothing leaves this machine. The tenant enforces a quota, its tokens
    expire after 8 seconds, some responses are broken, it goes down for a second, and 5 accounts always
    fail. At the end, the rows are compared with those that the tenant has.

    Examples:
      harvester demo
      harvester demo -o /tmp/look --seed 7
    """
    with disk_errors(folder, "the directory", started=False):
        folder.mkdir(parents=True, exist_ok=True)
    usages = folder / "usages.ndjson"
    _say("Starting a simulated tenant (harvester sandbox) …")
    with _sandbox(seed) as url:
        _say(f"It has {_ACCOUNTS:,} accounts on 8 sources, and permits {_QUOTA.per_second:.0f} requests/s.")
        _say("It has its faults: tokens expire, responses break off, and once it goes down. Harvesting it:")
        for name in [one for one in os.environ if one.startswith(("HARVESTER_", "SAIL_"))]:
            del os.environ[name]
        os.environ |= {"SAIL_BASE_URL": url, "SAIL_CLIENT_ID": "demo", "SAIL_CLIENT_SECRET": "sandbox"}
        harvest = ("run", "--list", "--add", "manager", "--quota", str(_QUOTA), "--fresh", "-o", str(usages))
        status = _call(*harvest, unshown=("--config", os.devnull))
        if status not in _FINISHED:
            return status
        same = sorted(usages.read_bytes().splitlines()) == sorted(_fetch(url, "truth.ndjson"))
    _say("\nWhich accounts does nobody use? The ledger answers that, without asking the tenant again:")
    _call("unused", str(usages), "--by", "sourceName", "--format", "table")
    _call("unused", str(usages), "-o", str(folder / "unused.csv"))
    _say(_afterword(folder, same=same))
    return 0 if same else _WRONG


def _call(*arguments: str, unshown: Sequence[str] = ()) -> int:
    """Show a command, and run it as if it had been typed."""
    _say(f"\n$ harvester {shlex.join(arguments)}\n")
    program = click.get_current_context().find_root().command
    return program.main([*arguments, *unshown], prog_name="harvester", standalone_mode=False) or 0


@contextmanager
def _sandbox(seed: int) -> Iterator[str]:
    """The sandbox as a process of its own, as it would be used; its URL is the first line it prints."""
    program = [sys.executable, "-m", __name__.partition(".cli.")[0], "sandbox", f"--seed={seed}", *_TENANT]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own words
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise InternalError("the sandbox did not start", "run `harvester sandbox` to see why")
            yield url
        finally:
            process.terminate()


def _fetch(url: str, name: str) -> list[bytes]:
    """What the tenant knows about itself, line by line."""
    with urllib.request.urlopen(f"{url}/_sandbox/{name}") as response:  # noqa: S310  # loopback
        content: bytes = response.read()
    return content.splitlines()


def _say(text: str) -> None:
    click.echo(text, err=True)


def _afterword(folder: Path, *, same: bool) -> str:
    verdict = (
        "The rows are those that the tenant has: nothing is missing, and there are no duplicates."
        if same
        else "The rows are NOT those that the tenant has: this is a bug, please report it."
    )
    return f"""
{verdict}

In {folder}/:
  usages.ndjson                  the rows
  usages.ndjson.ledger           the harvest itself: list, outcomes, responses (SQLite)
  usages.ndjson.failures.ndjson  the accounts that failed, as a list that `harvester run` reads
  usages.ndjson.summary.json     the run in figures
  unused.csv                     the accounts that nobody uses

On a tenant of your own:
  export SAIL_BASE_URL=https://TENANT.api.identitynow.com SAIL_CLIENT_ID=… SAIL_CLIENT_SECRET=…
  harvester check
  harvester run --list --add manager -o usages.ndjson
  harvester unused usages.ndjson --by sourceName"""
