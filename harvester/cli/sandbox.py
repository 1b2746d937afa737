"""``harvester sandbox``: the simulated tenant as a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from datetime import datetime
from typing import Any, Final, get_args

import click

from harvester.cli.help import Command, GroupedOption
from harvester.cli.options import Parsed
from harvester.errors import SettingError
from harvester.event_loop import run_blocking, signals_stopping
from harvester.sandbox import (
    FAULTS_HELP,
    Algorithm,
    RetryAfter,
    Sandbox,
    SandboxOptions,
    parse_faults,
    parse_hopeless,
)
from harvester.settings.parse import API_VERSIONS, duration, quota
from harvester.settings.setting import words

_log = logging.getLogger("harvester.sandbox")


_SECONDS = Parsed("duration", duration)
_LIMIT = Parsed("quota", lambda text: None if text == "none" else quota(text))
_SHARE, _DAY = click.FloatRange(0, 1), click.DateTime(["%Y-%m-%d"])
_POPULATION, _QUOTA, _FAULTS = "The tenant", "Its quota", "What goes wrong"

# A table: an option takes a line or two.
# fmt: off
_OPTIONS: Final = (
    (_POPULATION, "--port", click.IntRange(0, 65535), 0, "Port on 127.0.0.1; 0 picks one."),
    (_POPULATION, "--accounts", click.IntRange(0), 1000, "Accounts in the tenant."),
    (_POPULATION, "--sources", click.IntRange(1), 8, "Sources that they belong to."),
    (_POPULATION, "--without-usage", _SHARE, 0.25, "Share of the sources that report no usage."),
    (_POPULATION, "--seed", int, 1, "Equal seeds give equal accounts and faults."),
    (_POPULATION, "--today", _DAY, None, "Day that usage is counted back from.  [default: today, UTC]"),
    (_POPULATION, "--rows", click.IntRange(0), None,
     "Give every account this many rows, and every source usage."),
    (_POPULATION, "--unknown", click.Choice(["200", "404"]), "404",
     "Answer for an ID that no account has: 200 without rows, or 404."),
    (_POPULATION, "--versions", Parsed("versions", words(*API_VERSIONS).parse), ",".join(API_VERSIONS),
     "API versions served."),
    (_POPULATION, "--token-life", _SECONDS, "749s", "Lifetime of a token."),
    (_QUOTA, "--quota", _LIMIT, "100/10s",
     "Requests per client ID and API version, N/Ps; none disables it."),
    (_QUOTA, "--escalate", None, None,
     "Shut out a client that violates three windows of twelve, longer each time."),
    (_QUOTA, "--algorithm", click.Choice(get_args(Algorithm)), "fixed",
     "How requests are counted: fixed or sliding window, token or leaky bucket."),
    (_QUOTA, "--retry-after", click.Choice(get_args(RetryAfter)), "seconds",
     "How a 429 says when to come back."),
    (_QUOTA, "--latency", _SECONDS, "0", "Delay of every answer, such as 80ms."),
    (_QUOTA, "--jitter", _SECONDS, "0", "Variation of the latency, up and down."),
    (_FAULTS, "--faults", Parsed("faults", parse_faults), "none", "What goes wrong; see below."),
    (_FAULTS, "--fault-streak", click.IntRange(0), 3,
     "Most faulty answers in a row for one account; 0: no limit."),
    (_FAULTS, "--hopeless", Parsed("hopeless", parse_hopeless), "0",
     "Accounts that always fail, and how: 12 or 12:404/429."),
)
"""Group, name, type (None: a switch), default, help."""
# fmt: on


def _option(group: str, name: str, kind: Any, default: Any, about: str) -> click.Parameter:
    value = {"is_flag": True} if kind is None else {"type": kind, "default": default}
    return GroupedOption([name], group=group, show_default=default is not None, help=about, **value)


@click.command(
    "sandbox", cls=Command, params=[_option(*row) for row in _OPTIONS], epilog=f"FAULTS\n{FAULTS_HELP}"
)
@click.option("-v", "--verbose", count=True, help="Log to stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Log nothing (the default).")
def command(
    *,
    verbose: int,
    quiet: bool,
    today: datetime | None,
    unknown: str,
    hopeless: tuple[int, tuple[int, ...]],
    **given: Any,
) -> None:
    """Serve a simulated tenant on 127.0.0.1 until stopped.

    The first line on stdout is its URL. Any client ID is accepted, with the secret "sandbox". A client ID
    that begins with "noscope" lacks every scope; one with "listonly" may only list accounts, one with
    "usageonly" only read usage.

    Beside the API, it serves /_sandbox/ids.txt, truth.ndjson (the rows of a complete harvest), states.ndjson
    (each account's source, outcome and state), hopeless.ndjson, and tally (what was requested, in figures).

    Examples:
      harvester sandbox --port 8080 --accounts 5000
      harvester sandbox --quota 25/10s --escalate
      harvester sandbox --faults '500=0.01,reset=0.005,outage=10s@#800' --hopeless 5
      SAIL_BASE_URL=http://127.0.0.1:8080 SAIL_CLIENT_ID=me SAIL_CLIENT_SECRET=sandbox harvester check
    """
    given["hopeless"], statuses = hopeless
    given |= {"hopeless_statuses": statuses} if statuses else {}
    given |= {"today": today.date()} if today else {}
    level = logging.INFO if verbose and not quiet else logging.CRITICAL
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s")
    try:
        options = SandboxOptions(unknown=200 if unknown == "200" else 404, **given)
        run_blocking(lambda: _serve(options))
    except SettingError as error:
        raise click.UsageError(f"{error}.") from None


async def _serve(options: SandboxOptions) -> None:
    """Serve until a signal comes."""
    stopped = asyncio.Event()
    with signals_stopping(lambda _: stopped.set()):
        async with Sandbox(options) as sandbox:
            # Whoever started it may have stopped reading.
            with contextlib.suppress(BrokenPipeError):
                click.echo(sandbox.url)
            _log.info("serving %d accounts on %s", len(sandbox.population), sandbox.url)
            await stopped.wait()
            _log.info("stopped after %d requests", sandbox.tally.requests)
