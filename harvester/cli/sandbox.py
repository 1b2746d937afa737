"""``harvester sandbox``: the simulated tenant as a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

import click

from harvester.cli.help import Command, GroupedOption
from harvester.cli.options import Parsed
from harvester.errors import SettingError
from harvester.sandbox import (
    FAULTS_HELP,
    Algorithm,
    RetryAfter,
    Sandbox,
    SandboxOptions,
    parse_faults,
    parse_hopeless,
    parse_versions,
)
from harvester.settings.parse import API_VERSIONS, duration, quota

try:
    import uvloop
except ImportError:  # not made for this platform
    uvloop = None  # type: ignore[assignment]  # the standard loop serves, too, only slower

_log = logging.getLogger("harvester.sandbox")


_SECONDS = Parsed("duration", duration)
_SHARE = click.FloatRange(0, 1)
_POPULATION, _QUOTA, _FAULTS = "The tenant", "Its quota", "What goes wrong"

_EXAMPLES = """\b
Examples:
  harvester sandbox --port 8080 --accounts 5000
  harvester sandbox --quota 25/10s --escalate
  harvester sandbox --faults '500=0.01,reset=0.005,outage=10s@#800' --hopeless 5
  SAIL_BASE_URL=http://127.0.0.1:8080 SAIL_CLIENT_ID=me SAIL_CLIENT_SECRET=sandbox harvester check"""


def _option(*names: str, group: str, **attributes: Any) -> Callable[..., Any]:
    shown = attributes.get("default") is not None
    return click.option(*names, cls=GroupedOption, group=group, show_default=shown, **attributes)


def _group(title: str, options: dict[str, dict[str, Any]]) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        for name, attributes in reversed(options.items()):
            function = _option(name, group=title, **attributes)(function)
        return function

    return add


@click.command("sandbox", cls=Command, epilog=f"{_EXAMPLES}\n\n\b\nFAULTS\n{FAULTS_HELP}")
@_group(
    _POPULATION,
    {
        "--port": {
            "type": click.IntRange(0, 65535),
            "default": 0,
            "help": "Port on 127.0.0.1; 0 picks one.",
        },
        "--accounts": {"type": click.IntRange(0), "default": 1000, "help": "Accounts in the tenant."},
        "--sources": {"type": click.IntRange(1), "default": 8, "help": "Sources that they belong to."},
        "--without-usage": {
            "type": _SHARE,
            "default": 0.25,
            "help": "Share of the sources that report no usage.",
        },
        "--seed": {"type": int, "default": 1, "help": "Equal seeds give equal accounts and faults."},
        "--today": {
            "type": click.DateTime(["%Y-%m-%d"]),
            "help": "Day that usage is counted back from.  [default: today, UTC]",
        },
        "--rows": {
            "type": click.IntRange(0),
            "help": "Give every account this many rows, and every source usage.",
        },
        "--unknown": {
            "type": click.Choice(["200", "404"]),
            "default": "404",
            "help": "Answer for an ID that no account has: 200 without rows, or 404.",
        },
        "--versions": {
            "type": Parsed("versions", parse_versions),
            "default": ",".join(API_VERSIONS),
            "help": "API versions served.",
        },
        "--token-life": {"type": _SECONDS, "default": "749s", "help": "Lifetime of a token."},
    },
)
@_group(
    _QUOTA,
    {
        "--quota": {
            "type": Parsed("quota", lambda text: None if text == "none" else quota(text)),
            "default": "100/10s",
            "help": "Requests per client ID and API version, N/Ps; none disables it.",
        },
        "--escalate": {
            "is_flag": True,
            "help": "Shut out a client that violates three windows of twelve, longer each time.",
        },
        "--algorithm": {
            "type": click.Choice(get_args(Algorithm)),
            "default": "fixed",
            "help": "How requests are counted: fixed or sliding window, token or leaky bucket.",
        },
        "--retry-after": {
            "type": click.Choice(get_args(RetryAfter)),
            "default": "seconds",
            "help": "How a 429 says when to come back.",
        },
        "--latency": {
            "type": _SECONDS,
            "default": "0",
            "help": "Delay of every answer, such as 80ms.",
        },
        "--jitter": {"type": _SECONDS, "default": "0", "help": "Variation of the latency, up and down."},
    },
)
@_group(
    _FAULTS,
    {
        "--faults": {
            "type": Parsed("faults", parse_faults),
            "default": "none",
            "help": "What goes wrong; see below.",
        },
        "--fault-streak": {
            "type": click.IntRange(0),
            "default": 3,
            "help": "Most faulty answers in a row for one account; 0: no limit.",
        },
        "--hopeless": {
            "type": Parsed("hopeless", parse_hopeless),
            "default": "0",
            "help": "Accounts that always fail, and how: 12 or 12:404/429.",
        },
    },
)
@click.option("-v", "--verbose", count=True, help="Log to stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Log nothing (the default).")
def command(
    *,
    verbose: int,
    quiet: bool,
    today: datetime | None,
    unknown: str,
    hopeless: tuple[int, tuple[int, ...] | None],
    **given: Any,
) -> None:
    """Serve a simulated tenant on 127.0.0.1 until stopped.

    The first line on stdout is its URL. Any client ID is accepted, with the secret "sandbox". A client ID
    that begins with "noscope" lacks every scope; one with "listonly" may only list accounts, one with
    "usageonly" only read usage.

    Beside the API, it serves /_sandbox/ids.txt, truth.ndjson (the rows of a complete harvest), states.ndjson
    (each account's source, outcome and state), hopeless.ndjson, and tally (what was requested, in figures).
    """
    given["hopeless"], statuses = hopeless
    given |= {"hopeless_statuses": statuses} if statuses else {}
    given |= {"today": today.date()} if today else {}
    level = logging.INFO if verbose and not quiet else logging.CRITICAL
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s")
    run = asyncio.run if uvloop is None else uvloop.run
    try:
        run(_serve(SandboxOptions(unknown=200 if unknown == "200" else 404, **given)))
    except SettingError as error:
        raise click.UsageError(f"{error}.") from None


async def _serve(options: SandboxOptions) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopped.set)
    async with Sandbox(options) as sandbox:
        # Whoever started it may have stopped reading.
        with contextlib.suppress(BrokenPipeError):
            click.echo(sandbox.url)
        _log.info("serving %d accounts on %s", len(sandbox.population), sandbox.url)
        await stopped.wait()
        _log.info("stopped after %d requests", sandbox.tally.requests)
