"""``harvester sandbox``: the simulated tenant as a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from harvester.errors import SettingFault
from harvester.sandbox import (
    FAULTS_HELP,
    Sandbox,
    SandboxOptions,
    parse_duration,
    parse_faults,
    parse_hopeless,
    parse_quota,
)

try:
    import uvloop
except ImportError:  # not made for this platform
    uvloop = None  # type: ignore[assignment]  # the standard loop serves too, only slower

_log = logging.getLogger("harvester.sandbox")


class _Parsed(click.ParamType[Any]):
    """A value read by one of the sandbox's own parsers; what they refuse is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except SettingFault as problem:
            # click names the option itself.
            self.fail(f"{problem}.".removeprefix(f"{problem.setting}: "), param, ctx)


_SECONDS = _Parsed("duration", lambda text: parse_duration(text, "duration"))


_EXAMPLES = """\b
Examples:
  harvester sandbox --port 8080 --accounts 5000
  harvester sandbox --quota none --latency 80ms --jitter 20ms
  harvester sandbox --faults '500=0.01,reset=0.005,outage=10s@#800' --hopeless 5
  SAIL_BASE_URL=http://127.0.0.1:8080 SAIL_CLIENT_ID=me SAIL_CLIENT_SECRET=sandbox harvester check"""


@click.command("sandbox", epilog=f"\b\nFAULTS\n{FAULTS_HELP}\n\n{_EXAMPLES}")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port on 127.0.0.1; 0 picks one.",
)
@click.option(
    "--accounts", type=click.IntRange(0), default=1000, show_default=True, help="Accounts in the tenant."
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Equal seeds give equal accounts and faults."
)
@click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day the usage is counted back from (default: 2026-10-15).",
)
@click.option("--rows", type=click.IntRange(0), help="Give every account this many rows.")
@click.option(
    "--large", type=click.FloatRange(0, 1), default=0.0, help="Share of accounts with 620 rows, three pages."
)
@click.option(
    "--hopeless",
    type=_Parsed("hopeless", parse_hopeless),
    default="0",
    show_default=True,
    help="Accounts that always fail: a share (0.02) or number (12), and with what: 12:404/500.",
)
@click.option(
    "--quota",
    type=_Parsed("quota", parse_quota),
    default="100/10s",
    show_default=True,
    help="Requests per client id and API version, N/Ps; none takes it off.",
)
@click.option(
    "--algorithm",
    type=click.Choice(["fixed", "sliding", "token", "leaky"]),
    default="fixed",
    show_default=True,
    help="How requests are counted: fixed or sliding window, token or leaky bucket.",
)
@click.option(
    "--burst",
    type=click.IntRange(1),
    help="Size of the token bucket (default: N) or leaky bucket (default: N/20).",
)
@click.option(
    "--retry-after",
    type=click.Choice(["seconds", "date", "none"]),
    default="seconds",
    show_default=True,
    help="How a 429 says when to come back.",
)
@click.option(
    "--latency", type=_SECONDS, default="0", show_default=True, help="Time every answer takes, such as 80ms."
)
@click.option(
    "--jitter", type=_SECONDS, default="0", show_default=True, help="Spread of the latency, up and down."
)
@click.option(
    "--faults",
    type=_Parsed("faults", parse_faults),
    default="none",
    show_default=True,
    help="What goes wrong, see below.",
)
@click.option(
    "--fault-streak",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Most faulty answers in a row to one account; 0: as the dice fall.",
)
@click.option("--token-life", type=_SECONDS, default="749s", show_default=True, help="Time a token lives.")
@click.option("-v", "--verbose", is_flag=True, help="Log to stderr.")
def command(
    verbose: bool, today: datetime | None, hopeless: tuple[float, tuple[int, ...] | None], **given: Any
) -> None:
    """Serve a simulated tenant on 127.0.0.1 until stopped.

    The first line on stdout is its URL. Any client id will do, the secret is "sandbox"; a client id that
    begins with "noscope" lacks every scope, one with "listonly" may list accounts only.

    Beside the API: /_sandbox/ids.txt, /_sandbox/truth.ndjson (what a harvest must give),
    /_sandbox/hopeless.ndjson and /_sandbox/tally (what was asked for, in figures).
    """
    number, statuses = hopeless
    given |= {"hopeless": number}
    given |= {"hopeless_statuses": statuses} if statuses else {}
    given |= {"today": today.date()} if today else {}
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO if verbose else logging.CRITICAL, format="%(message)s"
    )
    run = asyncio.run if uvloop is None else uvloop.run
    try:
        run(_serve(SandboxOptions(**given)))
    except SettingFault as problem:
        raise click.UsageError(f"{problem}.") from None


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
