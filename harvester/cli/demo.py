"""`harvester demo`: a simulated tenant, a harvest and its answer, with nothing to configure."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import orjson

from harvester.cli.display import harvest_shown
from harvester.cli.help import Command
from harvester.credentials import Credentials
from harvester.errors import InternalError
from harvester.ledger import LedgerReader
from harvester.model import Quota
from harvester.report.text import plural
from harvester.review import Question, Review, Wanted, write_answer
from harvester.settings.settings import Settings

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
@click.option(
    "--seed", default=1, show_default=True,
    help="Each number gives another tenant.",
)  # fmt: skip
def command(folder: Path, seed: int) -> int:
    """Harvest a simulated tenant, and show which of its accounts nobody uses.

    Nothing has to be configured, and nothing leaves this machine. The tenant enforces a quota, its tokens
    expire after 8 seconds, some responses are broken, it goes down for a second, and 5 accounts always
    fail. At the end, rows and states are compared with what the tenant knows.

    Examples:
      harvester demo
      harvester demo -o /tmp/look --seed 7
    """
    folder.mkdir(parents=True, exist_ok=True)
    usages = folder / "usages.ndjson"
    _say("Starting a simulated tenant (harvester sandbox) …")
    with _sandbox(seed) as url:
        _say(f"It has {_ACCOUNTS:,} accounts on 8 sources, and permits {_QUOTA.per_second:.0f} requests/s.")
        _say("It has its faults: tokens expire, responses break off, and once it goes down. Harvesting it:\n")
        _say(f"$ harvester run --list --add manager --quota {_QUOTA} -o {usages}")
        report = harvest_shown(_settings(url, usages))
        if report.status not in _FINISHED:
            return report.status
        same = sorted(usages.read_bytes().splitlines()) == sorted(_fetch(url, "truth.ndjson"))
        states = {one["account_id"]: one["state"] for one in map(orjson.loads, _fetch(url, "states.ndjson"))}
    with LedgerReader(Path(f"{usages}.ledger")) as reader:
        review = Review(reader, Question())
        same = same and states == {one.account_id: str(one.state) for one in review.accounts()}
        unused = _show_unused(review, usages)
    _say(_afterword(folder, unused, report.rows, same=same))
    return 0 if same else _WRONG


def _show_unused(review: Review, usages: Path) -> int:
    """The table by source, and the list of all accounts that nobody uses; returns how many they are."""
    listed = usages.with_name("unused.csv")
    _say("\nWhich accounts does nobody use? The ledger answers that, without asking the tenant again:\n")
    _say(f"$ harvester unused {usages} --by sourceName")
    write_answer(review, Wanted(by="sourceName", form="table"))
    _say(f"\n$ harvester unused {usages} -o {listed}")
    answer = write_answer(review, Wanted(output=str(listed)))
    _say(str(answer.totals))
    return answer.selected


def _settings(url: str, usages: Path) -> Settings:
    client = Credentials(client_id="demo", client_secret="sandbox")  # noqa: S106  # the sandbox's well-known secret
    return Settings(
        base_url=url,
        clients=(client,),
        quota=_QUOTA,
        list=True,
        add=("manager",),
        output=str(usages),
        fresh=True,
    )


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


def _afterword(folder: Path, unused: int, rows: int, *, same: bool) -> str:
    verdict = (
        f"All {plural(rows, 'row')} and the state of every account match what the tenant knows: nothing is "
        "missing, and there are no duplicates."
        if same
        else "The rows or states do NOT match what the tenant knows: this is a bug, please report it."
    )
    return f"""
{verdict}

In {folder}/:
  usages.ndjson                  the rows
  usages.ndjson.ledger           the harvest itself: list, outcomes, responses (SQLite)
  usages.ndjson.failures.ndjson  the accounts that failed, as a list that `harvester run` reads
  usages.ndjson.summary.json     the run in figures
  unused.csv                     the {plural(unused, "account")} that nobody uses

On a tenant of your own:
  export SAIL_BASE_URL=https://TENANT.api.identitynow.com SAIL_CLIENT_ID=… SAIL_CLIENT_SECRET=…
  harvester check
  harvester run --list --add manager -o usages.ndjson
  harvester unused usages.ndjson --by sourceName"""
