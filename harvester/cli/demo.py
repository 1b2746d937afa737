"""`harvester demo`: sandbox and harvest in one command, nothing to configure."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from harvester.cli.show import harvest_shown
from harvester.errors import InternalFault, OutputFault
from harvester.model import Quota
from harvester.settings.model import Client, Settings

_QUOTA = Quota(100, 1.0)
"""Ten times what SailPoint permits, so that the demo ends soon."""
_TENANT = (
    "--accounts=2000",
    f"--quota={_QUOTA}",
    "--algorithm=sliding",
    "--latency=0.05",
    "--jitter=0.04",
    "--token-life=8",
    "--hopeless=5",
    "--faults=500=0.01,503=0.01,reset=0.005,truncate=0.005,garbage=0.005,stall=0.001:1s,outage=2s@#800",
)


_EXAMPLES = """\b
Examples:
  harvester demo
  harvester demo -o /tmp/look --seed 7"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "-o",
    "--output",
    "folder",
    default="demo-output",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for what the demo leaves.",
)
@click.option("--seed", default=1, show_default=True, help="Another number, another tenant.")
def command(folder: Path, seed: int) -> int:
    """Start a simulated tenant of 2,000 accounts with some faults, and harvest it.

    Nothing has to be configured. Tokens die after 8 seconds, some answers go wrong, the tenant goes away for
    2 seconds, and 5 accounts can't be had at all: the rows that come are compared with the tenant's truth.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFault(f"{folder}: can't be made ({error.strerror})", "name another --output") from error
    accounts, usages = folder / "accounts.txt", folder / "usages.ndjson"
    with _sandbox(seed) as url:
        _fetch(f"{url}/_sandbox/ids.txt", accounts)
        click.echo(f"A simulated tenant with 2,000 accounts answers at {url}.", err=True)
        click.echo(f"$ harvester run {accounts} -o {usages} --quota {_QUOTA}\n", err=True)
        report = harvest_shown(_settings(url, accounts, usages))
        truth = folder / ".truth.ndjson"
        _fetch(f"{url}/_sandbox/truth.ndjson", truth)
        same = _lines(truth) == _lines(usages)
        truth.unlink()
    click.echo(_afterword(usages, same=same), err=True)
    # The five accounts that can't be had are part of the show: they are no failure of the demo.
    return 0 if same and report.status in (0, 3) else report.status or 1


def _settings(url: str, accounts: Path, usages: Path) -> Settings:
    client = Client(client_id="demo", client_secret="sandbox")  # noqa: S106  # the sandbox's well-known secret
    return Settings(
        base_url=url,
        clients=(client,),
        quota=_QUOTA,
        inputs=(str(accounts),),
        output=str(usages),
        fresh=True,
    )


@contextmanager
def _sandbox(seed: int) -> Iterator[str]:
    """The sandbox as a process of its own, as it would be used; its URL is the first line it writes."""
    command_line = [sys.executable, "-m", "harvester", "sandbox", "--port=0", f"--seed={seed}", *_TENANT]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own words
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise InternalFault("the sandbox did not start", "try `harvester sandbox` to see why")
            yield url
        finally:
            process.terminate()


def _fetch(url: str, path: Path) -> None:
    with urllib.request.urlopen(url) as response:  # noqa: S310  # the URL the sandbox on loopback told
        path.write_bytes(response.read())


def _lines(path: Path) -> list[bytes]:
    return sorted(path.read_bytes().splitlines()) if path.exists() else []


def _afterword(usages: Path, *, same: bool) -> str:
    verdict = (
        "Every row was compared with the tenant's truth: nothing is missing, nothing is there twice."
        if same
        else "The rows are NOT those of the simulated tenant: this is a bug, please report it."
    )
    return f"""
{verdict}

  rows       {usages}
  failures   {usages}.failures.ndjson   (itself a list that `harvester run` reads)
  figures    {usages}.summary.json

On a tenant of your own:

  export SAIL_BASE_URL=https://TENANT.api.identitynow.com SAIL_CLIENT_ID=… SAIL_CLIENT_SECRET=…
  harvester check
  harvester accounts -o accounts.ndjson
  harvester run accounts.ndjson -o usages.ndjson"""
