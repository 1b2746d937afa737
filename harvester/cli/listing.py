"""What `accounts` and `sources` share: options, and copying what is listed to where it belongs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from logging import INFO
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from harvester.cli.help import GroupedOption
from harvester.cli.options import PATH, loaded, log_shown
from harvester.errors import StopRun
from harvester.event_loop import run_blocking, signals_stopping
from harvester.export.control import Control
from harvester.export.formats.compress import Compressed
from harvester.files import descriptor_of, open_destination, try_out
from harvester.report.event_log import EventLog
from harvester.report.log import say
from harvester.report.text import is_terminal, safe_json, span
from harvester.settings import TABLE, Loaded
from harvester.settings.destination import suffix_compression

Pages: TypeAlias = AsyncGenerator[Sequence[Any], None]

TENANT_OPTIONS: Final = (
    "base_url", "clients", "ca_bundle", "timeout", "quota", "burst", "max_outage", "file_mode", "log_format",
)  # fmt: skip  # one name a line would fill the screen
API_VERSION: Final = {
    "help": "API version to list with; of several, the first that is not refused. Listing takes nothing "
    "from a harvest's quota if that uses another version."
}
_OF_A_HARVEST: Final = ("input", "request", "output", "resume")
_LISTED_BY: Final = ("filters", "with_usage", "add", "file_mode")
_AGAIN: Final = "run the same command again"
_SAY_EVERY: Final = 30.0
OUTPUT: Final = GroupedOption(
    ["-o", "--output"],
    common=1,
    metavar="FILE",
    type=PATH,
    default="-",
    show_default=True,
    help="File to write, - for stdout. It is complete or absent; .gz and .zst compress it.",
)


def settings_for_listing(options: dict[str, Any], *, accounts: bool) -> Loaded:
    """The settings of a command that lists: what they say of a harvest and its output is not for it.

    `accounts` says whether what they say of the list (`filters` and so on) is.
    """
    kept = _LISTED_BY if accounts else ("file_mode",)
    fixed = {one.name: one.default for one in TABLE if one.section in _OF_A_HARVEST and one.name not in kept}
    return loaded(options, **fixed | {"list": accounts})


def for_a_person(output: str) -> bool:
    """Whether somebody sees on a terminal what is written to `output`."""
    return descriptor_of(Path(output)) == 1 and is_terminal(sys.stdout)


def write_lines(found: Loaded, output: str, what: str, pages: Pages, log: EventLog) -> None:
    """Write what is listed to `output` as NDJSON, each page as soon as it has come.

    Raises:
        OutputError: `output` cannot be written; nothing was requested.
    """
    mode, name, control = found.settings.file_mode, f"the list of {what}", Control()
    lines = _harmless_lines if for_a_person(output) else _lines
    compression = suffix_compression(output)
    with log_shown(found.settings, found.warnings):
        try_out(output, mode, what=name)
        with open_destination(output, mode, what=name, started=True, check=control.check) as destination:
            compressed = None if compression == "none" else Compressed(destination.write, compression)
            write = destination.write if compressed is None else compressed.write
            run_blocking(lambda: _listed(what, pages, log, lambda page: write(lines(page)), control))
            if compressed is not None:
                compressed.close()


def collected(found: Loaded, what: str, pages: Pages, log: EventLog) -> list[Any]:
    """All that is listed."""
    records: list[Any] = []
    with log_shown(found.settings, found.warnings):
        run_blocking(lambda: _listed(what, pages, log, records.extend, Control()))
    return records


def _lines(page: Sequence[Any]) -> bytes:
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in page)


def _harmless_lines(page: Sequence[Any]) -> bytes:
    return "".join(f"{safe_json(line)}\n" for line in _lines(page).decode().splitlines()).encode()


async def _listed(
    what: str,
    pages: Pages,
    log: EventLog,
    take: Callable[[Sequence[Any]], object],
    control: Control,
) -> None:
    """Hand page after page to `take`. Raises Interrupted if a signal comes."""
    task, clock, listed = asyncio.current_task(), asyncio.get_running_loop().time, 0
    began = said = clock()

    def stop(why: StopRun) -> None:
        control.stop(why)
        if task is not None:
            task.cancel()

    try:
        with signals_stopping(stop, _AGAIN):
            async with aclosing(pages):
                async for page in pages:
                    # On a thread, since a reader of stdout may take its time, and signals must not.
                    await asyncio.to_thread(take, page)
                    listed += len(page)
                    if clock() - said >= _SAY_EVERY:
                        said = clock()
                        say(INFO, "listing", f"{what}: {listed:,} listed so far", what=what, listed=listed)
    except asyncio.CancelledError:
        control.check()
        raise
    log.finish()
    seconds = round(clock() - began, 3)
    message = f"{what}: {listed:,} listed in {span(seconds)}"
    say(INFO, "listed", message, what=what, listed=listed, seconds=seconds)
